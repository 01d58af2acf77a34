//! How much recovery reads.

use std::path::Path;

use super::harness::*;
use crate::log::{LastStop, Log, LogConfig, LogResources};
use crate::testing::SimWorld;
use crate::types::LeaderEpoch;

const DIR: &str = "/data/topic-0";
const BATCH_BYTES: usize = 128 << 10;
/// Batches appended after the last checkpoint and sync.
const UNSYNCED_BATCHES: usize = 16;
const SEGMENT_BYTES: u32 = 4 << 20;
/// Producers are known as of a snapshot: after a kill that of the last roll, after a power cut one in so many bytes. Of what
/// came later recovery looks at the headers, and the simulation counts all that lies between them as read.
const SNAPSHOT_EVERY_BYTES: u64 = crate::log::sync::SNAPSHOT_EVERY_BYTES;
/// The first and the last window of the scan, the side files, the batch in front of what was synced.
const OTHER_BYTES: u64 = 3 << 20;

fn open(world: &SimWorld, epoch: i32, last_stop: LastStop) -> Log {
    let resources = LogResources::new(world.env.clone(), LIMITS);
    let config = LogConfig { segment_bytes: SEGMENT_BYTES, ..LogConfig::default() };
    Log::open(DIR.into(), config, resources, LeaderEpoch(epoch), last_stop, NOW_MS).unwrap().0
}

/// What the start after a crash reads of a log of so many bytes, and how many bytes of it were not synced.
fn read_after_a_crash(synced_bytes: u64, power_goes: bool) -> (u64, u64) {
    let world = SimWorld::new(1);
    let log = open(&world, 1, LastStop::default());
    for dir in ["/", "/data", DIR] {
        world.env.disk.sync_dir(Path::new(dir)).unwrap();
    }
    let value = vec![7; BATCH_BYTES];
    while log.size_bytes() < synced_bytes {
        append(&log, batch(&[&value])).unwrap();
        // As the engine does every few seconds.
        if log.log_end_offset() % 16 == 0 {
            log.checkpoint(NOW_MS).unwrap();
        }
    }
    let synced = log.checkpoint(NOW_MS).unwrap();
    let synced_bytes = log.size_bytes();
    for _ in 0..UNSYNCED_BATCHES {
        append(&log, batch(&[&value])).unwrap();
    }
    let (end, unsynced_bytes) = (log.log_end_offset(), log.size_bytes() - synced_bytes);
    drop(log);
    if power_goes {
        world.disk.power_cut();
        world.disk.restart(7);
    } else {
        world.disk.kill();
    }
    let before = world.disk.read_bytes();
    let log = open(&world, 2, LastStop { clean: false, synced: Some(synced), log_start_offset: 0 });
    let read_bytes = world.disk.read_bytes() - before;
    assert!((synced.offset..=end).contains(&log.log_end_offset()), "what was synced is there");
    assert_eq!((log.log_start_offset(), read_from(&log, 0).is_ok()), (0, true));
    assert!(power_goes || log.log_end_offset() == end, "a killed process leaves what it wrote");
    (read_bytes, unsynced_bytes)
}

#[test]
fn recovery_reads_what_was_not_synced_whatever_the_size_of_the_log() {
    for (size_mib, power_goes) in [(1, false), (5, false), (18, true), (70, false), (130, true), (130, false)]
    {
        let (read_bytes, unsynced_bytes) = read_after_a_crash(size_mib << 20, power_goes);
        println!("{size_mib} MiB: {read_bytes} bytes read, {unsynced_bytes} bytes were not synced");
        let since_snapshot = if power_goes { SNAPSHOT_EVERY_BYTES } else { SEGMENT_BYTES.into() };
        // Once for the checksums, once for the producers.
        let allowed = 2 * (unsynced_bytes + u64::from(SEGMENT_BYTES)) + since_snapshot + OTHER_BYTES;
        assert!(
            read_bytes <= allowed,
            "{size_mib} MiB: {read_bytes} bytes read, {unsynced_bytes} were not synced"
        );
        // Of the larger ones some of it was synced by a roll.
        assert!(size_mib > 1 || read_bytes >= unsynced_bytes, "what was not synced is looked at");
    }
}
