//! Whether the bytes of files give what the manifest says of them (F-23).

use super::unpack::Carried;
use crate::format::Mark;
use crate::format::cover::Piece;

/// Tells whether the bytes of a piece give the mark or SHA-256 behind it (F-23). A piece in the middle
/// of a part proves nothing by itself: its chunks do.
pub(super) fn proves(piece: &Piece, bytes: &[u8]) -> bool {
    start_of(piece).is_none_or(|mut mark| {
        mark.update(bytes);
        gives(piece, &mark)
    })
}

/// Returns the mark before a piece that proves something by itself.
fn start_of(piece: &Piece) -> Option<Mark> {
    (piece.file.is_some() && piece.part.starts && piece.part.ends).then(|| piece.part.start())
}

fn gives(piece: &Piece, mark: &Mark) -> bool {
    match (&piece.part.after, &piece.file) {
        (Some(after), _) => *mark == **after,
        (None, Some(file)) => mark.digest() == file.sha256,
        (None, None) => true,
    }
}

/// Proves the pieces of a pack while its rows arrive: bytes that a decoder has just written are still
/// in the processor's cache, and a pack as a whole never is.
pub(super) struct Proofs<'a> {
    pack: &'a Carried<'a>,
    has_arrived: Vec<bool>,
    /// The piece that is looked at, its first row that is not hashed, and its state before that.
    piece_index: usize,
    next_row: usize,
    mark: Option<Mark>,
    unproven: Vec<usize>,
}

impl<'a> Proofs<'a> {
    pub(super) fn new(pack: &'a Carried<'a>) -> Proofs<'a> {
        let has_arrived = vec![false; pack.content.rows.len()];
        let mut proofs = Proofs { pack, has_arrived, piece_index: 0, next_row: 0, mark: None, unproven: Vec::new() };
        proofs.open(0);
        proofs
    }

    /// Takes rows whose proven bytes are in their place in `raw`, and hashes what follows on what was
    /// hashed before.
    pub(super) fn add(&mut self, rows: &mut dyn Iterator<Item = usize>, raw: &[u8]) {
        rows.for_each(|row| self.has_arrived[row] = true);
        while let Some(piece) = self.pack.content.pieces.get(self.piece_index) {
            let rest = &self.has_arrived[self.next_row..piece.rows.end];
            let count = rest.iter().position(|arrived| !arrived).unwrap_or(rest.len());
            self.hash(self.next_row + count, raw);
            if self.next_row < piece.rows.end {
                return;
            }
            self.close(piece);
        }
    }

    /// Returns the pieces that have no bad row and still do not give what is due.
    pub(super) fn finish(mut self, bad_rows: &[bool], raw: &[u8]) -> Vec<&'a Piece> {
        let pieces = &self.pack.content.pieces;
        while let Some(piece) = pieces.get(self.piece_index) {
            if bad_rows[piece.rows.clone()].contains(&true) {
                self.open(self.piece_index + 1);
            } else {
                self.hash(piece.rows.end, raw);
                self.close(piece);
            }
        }
        self.unproven.iter().map(|&index| &pieces[index]).collect()
    }

    fn open(&mut self, piece_index: usize) {
        self.piece_index = piece_index;
        let piece = self.pack.content.pieces.get(piece_index);
        self.next_row = piece.map_or(self.has_arrived.len(), |piece| piece.rows.start);
        self.mark = piece.and_then(start_of);
    }

    fn hash(&mut self, end: usize, raw: &[u8]) {
        if let Some(mark) = &mut self.mark {
            mark.update(&raw[self.pack.range(&(self.next_row..end))]);
        }
        self.next_row = end;
    }

    fn close(&mut self, piece: &Piece) {
        if self.mark.as_ref().is_some_and(|mark| !gives(piece, mark)) {
            self.unproven.push(self.piece_index);
        }
        self.open(self.piece_index + 1);
    }
}
