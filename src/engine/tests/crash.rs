//! Whole lives of the engine, many requests at a time, each ended by a power cut at any call of the disk, a killed
//! process, a failed call or an orderly stop, against an oracle of what was answered and of what a reader saw.
//!
//! What must hold after every end:
//!
//! - What was acknowledged with `acks=all`, and what a reader saw, is at its offset with its bytes, once.
//! - An idempotent producer's batch is there once, however often it was sent, at the offset it was told.
//! - A partition holds nothing that was not sent to it, and has no gaps.
//! - Acknowledged topics, partitions, settings and deletions hold; those that were not are there whole or not at all.
//! - Log starts never go back, leader epochs grow, producer ids are never given twice.
//! - No file with records is left of a topic that is not there.
//!
//! - A log whose sync failed is told as the end of the process; every other failure is lived through.
//! - A disk that was full for a while is written to again, without a restart, in every partition.
//!
//! A failing case prints the seed that runs it alone; [`super::seeds`] says how to run more of them.

mod oracle;
mod workload;

use super::seeds::each_seed;
use super::simulation::Life;
use crate::testing::{Fault, Op, Rng, SimWorld};
use oracle::Oracle;
use workload::{Trouble, Workload};

const SEEDS: u64 = 2000;
/// Ends in one run, one after the other on the same disk.
const LIVES: u64 = 4;
const STEPS: u64 = 250;

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The power goes during some call, or at the end of the script.
    PowerCut,
    /// The process is killed; the page cache survives it.
    Killed,
    /// A sync fails; the process ends soon after, as the server sees to, and then the power goes or not.
    SyncFails,
    /// Some call fails, whatever it is, and life goes on.
    CallFails,
    /// An orderly stop, with requests on their way.
    Stopped,
}

fn choose_end(world: &SimWorld, rng: &mut Rng) -> End {
    match rng.below(10) {
        0..4 => {
            world.disk.power_cut_at(world.disk.calls() + 1 + rng.below(700));
            End::PowerCut
        }
        4 => End::Killed,
        5 | 6 => {
            let op = if rng.one_in(2) { Op::SyncData } else { Op::SyncFileSystem };
            let effective = rng.one_in(2);
            world.disk.inject(Fault { skip: rng.below(80), effective, ..Fault::once(op, "") });
            End::SyncFails
        }
        7 => {
            let effective = rng.one_in(2);
            world.disk.inject(Fault { effective, ..Fault::after_calls(rng.below(700)) });
            End::CallFails
        }
        _ => End::Stopped,
    }
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let world = SimWorld::new(seed);
    let mut oracle = Oracle::default();
    for _ in 0..LIVES {
        let end = choose_end(&world, &mut rng);
        // The fault may come while the engine opens: a crash during recovery.
        if let Ok(life) = Life::open(&world, rng.next_u64()) {
            oracle.note_start(&life);
            let rests = rng.one_in(3);
            let trouble = Trouble::choose(STEPS, &mut rng);
            let mut work = Workload::new(&life, &mut oracle, &mut rng);
            work.live(STEPS, trouble);
            if end == End::Stopped {
                work.stop_in_order();
            } else if rests {
                work.come_to_rest();
                if matches!(end, End::PowerCut | End::Killed) {
                    work.takes_records_everywhere();
                }
            }
            work.die();
        }
        let power_goes = match end {
            End::PowerCut => true,
            End::Killed => false,
            _ => rng.one_in(2),
        };
        begin_anew(&world, power_goes, &mut rng);
        let life = Life::open(&world, rng.next_u64())
            .unwrap_or_else(|error| panic!("after {end:?} the directory cannot be opened: {error}"));
        oracle.note_start(&life);
        oracle.settle(&life);
        oracle.check(&life);
        while life.pool.step() {}
        oracle.check_no_leftovers(&life);
        drop(life);
        let power_goes = rng.one_in(2);
        begin_anew(&world, power_goes, &mut rng);
    }
}

fn begin_anew(world: &SimWorld, power_goes: bool, rng: &mut Rng) {
    world.disk.heal();
    if power_goes || world.disk.is_off() {
        world.disk.power_cut();
        world.disk.restart(rng.next_u64());
    } else {
        world.disk.kill();
    }
}

#[test]
fn what_was_answered_or_seen_holds_after_every_kind_of_end() {
    each_seed("engine::tests::crash", SEEDS, run);
}
