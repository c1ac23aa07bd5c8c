//! Imports under faults that a seed decides: calls that fail before or after their effect, come late, are
//! done twice or take long; stores that lie; media that fail; importers that die, and that meet.
//!
//! `AIRLIFT_SIM_SEEDS` says how many seeds are tried, `AIRLIFT_SIM_FROM` which is the first.

use super::scene::{Extent, Host, Release, Scene, last_at};
use super::unruly::{Odds, Shelf, Unruly};
use crate::fixture::{objects, scratch};
use crate::tree::Random;
use airlift::error::Class;
use airlift::format::Digest;
use airlift::machine::{Gate, Machine, Step};
use airlift::pipeline::globs::Glob;
use airlift::pipeline::import::{Holder, ImportError, ImportReport, OnExisting};
use airlift::store::Store;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// Seeds that are tried where nobody says how many.
const SEED_COUNT: u64 = 2000;
/// Every so many seeds, a file has several parts; such a seed takes as long as many others.
const PARTS_EVERY: u64 = 200;
const SCENE_COUNT: u64 = 32;
const PARTS_SCENE_COUNT: u64 = 3;

static SCENES: LazyLock<Vec<Scene>> =
    LazyLock::new(|| (0..SCENE_COUNT).map(|number| Scene::new(number, Extent::Small)).collect());
static PARTS_SCENES: LazyLock<Vec<Scene>> =
    LazyLock::new(|| (0..PARTS_SCENE_COUNT).map(|number| Scene::new(100 + number, Extent::Parts)).collect());

#[test]
fn every_seed_ends_as_a_clean_run_does() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let from = number("AIRLIFT_SIM_FROM").unwrap_or(0);
    run(from..from + number("AIRLIFT_SIM_SEEDS").unwrap_or(SEED_COUNT));
}

/// Tries seeds on all processors, and names those that end wrong.
fn run(seeds: impl Iterator<Item = u64> + Send) {
    let seeds = Mutex::new(seeds);
    let wrong = Mutex::new(Vec::new());
    // Importers wait for slow stores and leases most of the time.
    let count = 4 * std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                loop {
                    let Some(seed) = seeds.lock().expect("no panic elsewhere").next() else { return };
                    let ended = catch_unwind(AssertUnwindSafe(|| simulate(seed)));
                    if let Err(what) = ended.unwrap_or_else(|_| Err("panicked".to_owned())) {
                        let repeat = format!("AIRLIFT_SIM_FROM={seed} AIRLIFT_SIM_SEEDS=1 cargo test every_seed");
                        wrong.lock().expect("no panic elsewhere").push(format!("seed {seed}: {what} ({repeat})"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic elsewhere");
    assert!(wrong.is_empty(), "{} seeds end wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What befalls the attempts of a seed.
#[derive(Clone, Copy, Debug)]
struct Weather {
    odds: Odds,
    /// How often a read of a medium fails or gives too little, in 1024.
    bad_reads: u64,
    /// Whether a bit is flipped in some copies of the volumes.
    damage: bool,
    /// Whether somebody else's object stands where one of ours belongs.
    stranger: bool,
    /// Whether two importers work side by side.
    meet: bool,
    lie: Option<Lie>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    Lost,
    Empty,
    OddTag,
    Loops,
    Cleaner,
    IgnoresConditions,
}

impl Weather {
    fn draw(random: &mut Random) -> Weather {
        let mut some = |most: u64| if random.below(2) == 0 { 0 } else { random.below(most) };
        let mut odds = Odds {
            before: some(40),
            after: some(40),
            twice: some(100),
            late: some(40),
            slow: some(100),
            stop: some(40),
            ..Odds::default()
        };
        let bad_reads = some(60);
        let meet = random.below(4) == 0;
        const LIES: [Lie; 6] = [Lie::Lost, Lie::Empty, Lie::OddTag, Lie::Loops, Lie::Cleaner, Lie::IgnoresConditions];
        let lie = if random.below(3) == 0 { Some(LIES[random.below(6) as usize]) } else { None };
        match lie {
            Some(Lie::Lost) => odds.lost = 100,
            Some(Lie::Empty) => odds.empty = 100,
            Some(Lie::OddTag) => odds.odd_tag = 300,
            Some(Lie::Loops) => odds.loops = 200,
            Some(Lie::Cleaner) => odds.cleaner = 60,
            Some(Lie::IgnoresConditions) => odds.ignores_conditions = true,
            None => {}
        }
        let (damage, stranger) = (random.below(6) == 0, random.below(8) == 0);
        Weather { odds, bad_reads, damage, stranger, meet, lie }
    }

    /// Tells whether an attempt may end with an error of this class.
    fn allows(&self, class: Class) -> bool {
        match class {
            Class::Unavailable | Class::Interrupted => true,
            Class::Damaged => self.damage || self.bad_reads > 0 || matches!(self.lie, Some(Lie::Empty)),
            Class::Incomplete => true,
            // Somebody else has written: another importer, a call that was done later, or one that lied.
            Class::Refused => self.stranger || self.meet || self.odds.late > 0 || self.lie.is_some(),
            // What the state leads to is not there, or is not read as it is.
            Class::Untrusted => matches!(self.lie, Some(Lie::Empty | Lie::Lost | Lie::Cleaner)),
            _ => false,
        }
    }
}

/// The machine of one host: media fail by seed, and waiting takes no time to speak of.
struct HostGate {
    seed: u64,
    media: PathBuf,
    bad_reads: u64,
    made: AtomicU64,
}

impl Gate for HostGate {
    fn before(&self, _: &Step<'_>) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, path: &Path, offset: u64, len: usize) -> io::Result<usize> {
        if self.bad_reads == 0 || !path.starts_with(&self.media) {
            return Ok(len);
        }
        let text = format!("{} {} {offset}", self.seed, path.display());
        let digest = Digest::of(text.as_bytes());
        let mut random = Random::new(u64::from(digest.as_bytes()[0]) << 8 | u64::from(digest.as_bytes()[1]));
        // Some places fail for good, others now and then.
        let now = self.made.fetch_add(1, Ordering::Relaxed);
        let is_bad = random.below(1024) < self.bad_reads && (random.below(2) == 0 || now.is_multiple_of(2));
        match (is_bad, random.below(2)) {
            (false, _) => Ok(len),
            (true, 0) => Err(io::Error::from_raw_os_error(5)),
            (true, _) => Ok(random.below(len.max(1) as u64) as usize),
        }
    }

    fn pace(&self, duration: Duration) -> Duration {
        // A lease is renewed every 10 s and asked for every 2 s.
        if duration >= Duration::from_secs(10) { Duration::from_millis(2) } else { Duration::from_micros(40) }
    }
}

/// One seed on its way.
struct Run<'a> {
    seed: u64,
    scene: &'a Scene,
    release: &'a Release,
    weather: Weather,
    shelf: Arc<Shelf>,
    states: [PathBuf; 2],
    holders: [Holder; 2],
    /// The file that comes last, where one does.
    last: Option<Glob>,
}

fn simulate(seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed ^ 0x5eed);
    let scene = match seed % PARTS_EVERY {
        0 => &PARTS_SCENES[random.below(PARTS_SCENE_COUNT) as usize],
        _ => &SCENES[random.below(SCENE_COUNT) as usize],
    };
    let (weather, is_update) = (Weather::draw(&mut random), random.below(3) == 0);
    let directory = scratch();
    let own = Holder::this_process();
    let others = [
        // On another host, so that nobody here can tell whether it lives.
        Holder { host: "elsewhere".to_owned(), ..own.clone() },
        // A process of this host that ended.
        Holder { started: own.started + 1, ..own.clone() },
    ];
    let run = Run {
        seed,
        scene,
        release: &scene.releases[usize::from(is_update)],
        weather,
        shelf: Arc::new(Shelf::new(scene.releases.iter().map(|release| &release.objects), 1 + u64::from(is_update))),
        states: ["one", "two"].map(|name| directory.path().join(name)),
        holders: [own, others[random.below(2) as usize].clone()],
        last: None,
    };
    if is_update {
        let before = &scene.releases[0];
        let report = run.attempt(before, 0, Odds::default(), 0, std::slice::from_ref(&before.whole));
        report.map_err(|error| format!("the release before: {error}"))?;
    }
    if weather.stranger {
        let keys: Vec<_> = run.release.objects.iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
        let (key, bytes) = keys[random.below(keys.len() as u64) as usize];
        run.shelf.put_stranger(key, bytes);
    }
    let run = Run { last: run.draw_last(is_update), ..run };
    for number in 0..1 + random.below(3) {
        run.attempts(number, &mut random)?;
    }
    run.shelf.settle();
    run.end(is_update, random.below(2) as usize)
}

impl Run<'_> {
    /// Draws a file that comes last, and has the shelf expect it. A store that lies keeps no order, and what
    /// is the same in the release before is there from the start.
    fn draw_last(&self, is_update: bool) -> Option<Glob> {
        let mut random = Random::new(self.seed ^ 0x1a57);
        if random.below(2) == 0 || self.weather.lie.is_some() || self.weather.stranger {
            return None;
        }
        let objects = &self.release.objects;
        let key = objects.keys().nth(random.below(objects.len() as u64) as usize).expect("one of them");
        if is_update && self.scene.releases[0].objects.get(key) == Some(&objects[key]) {
            return None;
        }
        self.shelf.expect_last(key, objects);
        Some(last_at(key))
    }

    /// Makes an attempt, or two side by side.
    fn attempts(&self, number: u64, random: &mut Random) -> Result<(), String> {
        let media: Vec<Vec<PathBuf>> = (0..2).map(|_| self.media(random)).collect();
        let first = random.below(2) as usize;
        let seed = self.seed.wrapping_mul(1000) + number * 2;
        let weather = &self.weather;
        let try_one = |host: usize, seed: u64, media: &[PathBuf]| {
            let attempt = self.attempt(self.release, host, weather.odds, seed, media);
            self.judge(&attempt).map_err(|what| format!("attempt {number} on host {host}: {what}; {weather:?}"))
        };
        if !weather.meet {
            return try_one(first, seed, &media[0]);
        }
        std::thread::scope(|scope| {
            let other = scope.spawn(|| try_one(1 - first, seed + 1, &media[1]));
            let one = try_one(first, seed, &media[0]);
            let other = other.join().unwrap_or_else(|_| Err("panicked".to_owned()));
            one.and(other)
        })
    }

    /// Draws the media that are at hand.
    fn media(&self, random: &mut Random) -> Vec<PathBuf> {
        let single = &self.release.single;
        let Release { whole, damaged, .. } = self.release;
        match random.below(4) {
            0 if self.weather.damage => vec![damaged.clone(), whole.clone()],
            1 if self.weather.damage => vec![damaged.clone()],
            0 => vec![single[random.below(single.len() as u64) as usize].clone()],
            _ => vec![whole.clone()],
        }
    }

    fn attempt(
        &self,
        release: &Release,
        host: usize,
        odds: Odds,
        seed: u64,
        media: &[PathBuf],
    ) -> Result<ImportReport, ImportError> {
        let is_calm = seed == 0;
        let gate = HostGate {
            seed,
            media: release.whole.parent().unwrap_or(Path::new("/")).to_owned(),
            bad_reads: if is_calm { 0 } else { self.weather.bad_reads },
            made: AtomicU64::new(0),
        };
        let machine = Machine::behind(Arc::new(gate));
        let host = Host { machine, state: self.states[host].clone(), holder: self.holders[host].clone(), signs: true };
        let store: Arc<dyn Store> = Arc::new(Unruly::new(&self.shelf, odds, seed));
        host.import(release, media, &store, &|options| {
            options.read_back = odds.lost > 0;
            options.last = self.last.iter().filter(|_| std::ptr::eq(release, self.release)).cloned().collect();
            // In the end, and now and then before it, what is in the way is replaced.
            if self.weather.stranger && seed.is_multiple_of(3) {
                options.on_existing = OnExisting::Replace;
            }
        })
    }

    /// Says what is wrong with the end of an attempt.
    fn judge(&self, attempt: &Result<ImportReport, ImportError>) -> Result<(), String> {
        let breaches = self.shelf.breaches();
        if !breaches.is_empty() {
            return Err(breaches.join(", "));
        }
        match attempt {
            Err(error) if self.weather.allows(error.class()) => Ok(()),
            Err(error) => Err(format!("it ended as {}: {error} ({error:?})", error.class().name())),
            Ok(report) => match report.class() {
                None => {
                    let found = objects(&self.shelf.store);
                    let missing =
                        self.release.objects.iter().find(|&(key, bytes)| found.get(key).is_none_or(|one| one != bytes));
                    missing.map_or(Ok(()), |(key, _)| Err(format!("it ended well without {key}")))
                }
                Some(class) if self.weather.allows(class) => Ok(()),
                Some(class) => Err(format!("it ended as {}: {report:?}", class.name())),
            },
        }
    }

    /// Repeats the command with nothing in its way.
    fn end(&self, is_update: bool, host: usize) -> Result<(), String> {
        let weather = &self.weather;
        let last = self.attempt(self.release, host, Odds::default(), 0, std::slice::from_ref(&self.release.whole));
        let breaches = self.shelf.breaches();
        if !breaches.is_empty() {
            return Err(format!("{}; {weather:?}", breaches.join(", ")));
        }
        match last {
            Err(error) => return Err(format!("repeated: {error} ({error:?}); {weather:?}")),
            Ok(report) if report.class().is_some() => return Err(format!("repeated: {report:?}; {weather:?}")),
            Ok(_) => {}
        }
        let before = is_update.then_some(&self.scene.releases[0]);
        let breach = self.release.breach_of_end(&self.shelf.store, before);
        breach.map_or(Ok(()), |what| Err(format!("in the end: {what}; {weather:?}")))
    }
}
