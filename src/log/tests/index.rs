//! Indexes under many readers at once.

use std::sync::Barrier;
use std::sync::atomic::Ordering;

use super::harness::*;
use crate::log::LastStop;

const READERS: usize = 8;

/// Each reader that missed the index once rebuilt it on its own, all by way of one temporary file: of one that was
/// done with it the others lost theirs, or wrote into what was in its place already.
#[expect(clippy::disallowed_methods, reason = "a test takes an index away")]
#[test]
fn readers_that_miss_an_index_at_once_rebuild_it_once() {
    for round in 0..20 {
        let place = Place::with(small_segments(), LIMITS);
        let log = place.create();
        fill(&log, 60);
        log.close_clean(NOW_MS).unwrap();
        drop(log);
        for name in place.names("index") {
            std::fs::remove_file(place.path.join(name)).unwrap();
        }
        let (log, _) = place.open(2, LastStop { clean: true, synced: None, log_start_offset: 0 });
        let rebuilt = || place.resources.counters().files_rebuilt.load(Ordering::Relaxed);
        let before = rebuilt();
        let together = Barrier::new(READERS);
        std::thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    together.wait();
                    // Not the first of its segment, so that the index is asked.
                    let outcome = read_from(&log, 7).unwrap();
                    assert_eq!(batches_of(&outcome)[0].header().base_offset, 7);
                });
            }
        });
        assert_eq!(rebuilt() - before, 1, "round {round}");
        assert_eq!(place.names(".tmp"), [""; 0]);
    }
}
