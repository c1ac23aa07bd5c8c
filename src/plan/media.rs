//! Which medium a volume goes to: the first on which it has room.

/// The room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What is free.
    pub free_len: u64,
    /// A file takes a multiple of this; at least 1.
    pub block_len: u64,
}

impl Room {
    fn cost(&self, len: u64) -> u64 {
        let block_len = self.block_len.max(1);
        len.div_ceil(block_len).saturating_mul(block_len)
    }
}

/// The room on some media, in order. Media on one file system share it.
#[derive(Clone, Debug)]
pub struct Rooms {
    rooms: Vec<Room>,
    /// Which room each medium has.
    of_media: Vec<usize>,
    reserve_len: u64,
}

impl Rooms {
    /// Returns the room on media, each with what tells its file system from others. Volumes leave
    /// `reserve_len` bytes of each file system free.
    pub fn new<K: PartialEq>(media: impl IntoIterator<Item = (K, Room)>, reserve_len: u64) -> Rooms {
        let (mut keys, mut rooms, mut of_media) = (Vec::new(), Vec::new(), Vec::new());
        for (key, room) in media {
            let index = keys.iter().position(|known| *known == key).unwrap_or(keys.len());
            if index == keys.len() {
                keys.push(key);
                rooms.push(room);
            }
            of_media.push(index);
        }
        Rooms { rooms, of_media, reserve_len }
    }

    /// Takes room for small files on a medium; nothing is taken where they do not all fit. The reserve is
    /// there for them.
    pub fn take_small(&mut self, medium: usize, lens: impl IntoIterator<Item = u64>) -> bool {
        let room = &mut self.rooms[self.of_media[medium]];
        let cost = lens.into_iter().fold(0u64, |sum, len| sum.saturating_add(room.cost(len)));
        let fits = cost <= room.free_len;
        room.free_len -= if fits { cost } else { 0 };
        fits
    }

    /// Takes room for a volume on the first of `media` where it fits beside the reserve; returns that medium.
    pub fn take(&mut self, len: u64, media: impl IntoIterator<Item = usize>) -> Option<usize> {
        let medium = media.into_iter().find(|&medium| {
            let room = &self.rooms[self.of_media[medium]];
            room.cost(len).saturating_add(self.reserve_len) <= room.free_len
        })?;
        let room = &mut self.rooms[self.of_media[medium]];
        room.free_len -= room.cost(len);
        Some(medium)
    }

    /// Corrects the room of a medium that had none for a volume of `len` bytes, though it was taken: from
    /// now on only smaller ones fit.
    pub fn had_none(&mut self, medium: usize, len: u64) {
        let room = &mut self.rooms[self.of_media[medium]];
        let below = room.cost(len).saturating_add(self.reserve_len).saturating_sub(1);
        room.free_len = room.free_len.saturating_add(room.cost(len)).min(below);
    }
}

/// Places volumes in order, each on the first of `media` where it fits; nothing where it fits on none.
pub fn place<N>(
    rooms: &mut Rooms,
    media: &[usize],
    volumes: impl IntoIterator<Item = (N, u64)>,
) -> Vec<(N, Option<usize>)> {
    volumes.into_iter().map(|(number, len)| (number, rooms.take(len, media.iter().copied()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rooms(frees: &[u64]) -> Rooms {
        Rooms::new(frees.iter().map(|&free_len| Room { free_len, block_len: 1 }).enumerate(), 10)
    }

    #[test]
    fn each_volume_goes_to_the_first_medium_with_room_beside_the_reserve() {
        let volumes = [(1, 100), (2, 100), (3, 40), (4, 100), (5, 1)];
        let placed = place(&mut rooms(&[150, 210]), &[0, 1], volumes);
        assert_eq!(placed, [(1, Some(0)), (2, Some(1)), (3, Some(0)), (4, Some(1)), (5, None)]);
        // Media that are left out get nothing.
        assert_eq!(place(&mut rooms(&[150, 210]), &[1], [(1, 100)]), [(1, Some(1))]);
    }

    #[test]
    fn files_take_whole_blocks_and_the_reserve_is_for_small_ones() {
        let room = Room { free_len: 64, block_len: 16 };
        let mut rooms = Rooms::new([('a', room)], 16);
        assert_eq!(rooms.take(49, [0]), None);
        assert_eq!(rooms.take(48, [0]), Some(0));
        assert!(!rooms.take_small(0, [1, 1]));
        assert!(rooms.take_small(0, [1]));
        assert!(!rooms.take_small(0, [1]));
    }

    #[test]
    fn media_on_one_file_system_share_its_room() {
        let room = Room { free_len: 30, block_len: 1 };
        let mut rooms = Rooms::new([('a', room), ('b', room), ('a', room)], 0);
        let placed = place(&mut rooms, &[0, 1, 2], [(1, 20), (2, 20), (3, 20), (4, 10)]);
        assert_eq!(placed, [(1, Some(0)), (2, Some(1)), (3, None), (4, Some(0))]);
    }

    #[test]
    fn where_there_was_none_only_smaller_ones_fit() {
        let mut rooms = rooms(&[1000]);
        assert_eq!(rooms.take(500, [0]), Some(0));
        rooms.had_none(0, 500);
        assert_eq!(rooms.take(500, [0]), None);
        assert_eq!(rooms.take(499, [0]), Some(0));
    }

    proptest! {
        #[test]
        fn as_a_person_would_place_them_by_hand(
            frees in proptest::collection::vec((0u64..3, 0u64..5000), 1..5),
            lens in proptest::collection::vec(1u64..1500, 0..20),
            reserve_len in 0u64..200,
            block_len in 1u64..64,
        ) {
            // One file system has one figure.
            let free_of = |key: u64| frees.iter().find(|one| one.0 == key).map_or(0, |one| one.1);
            let media = frees.iter().map(|&(key, _)| (key, Room { free_len: free_of(key), block_len }));
            let mut rooms = Rooms::new(media, reserve_len);
            let order: Vec<usize> = (0..frees.len()).collect();
            let placed = place(&mut rooms, &order, lens.iter().enumerate().map(|(number, &len)| (number, len)));
            let mut left: Vec<u64> = (0..3).map(free_of).collect();
            for (&len, &(_, medium)) in lens.iter().zip(&placed) {
                let cost = len.div_ceil(block_len) * block_len;
                let first = frees.iter().position(|&(key, _)| left[key as usize] >= cost + reserve_len);
                prop_assert_eq!(medium, first);
                if let Some(first) = first {
                    left[frees[first].0 as usize] -= cost;
                }
            }
            prop_assert_eq!(placed.len(), lens.len());
        }
    }
}
