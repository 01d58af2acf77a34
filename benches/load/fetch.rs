//! Fetches of one size over one connection: catch-up reading of all partitions in turn, as a consumer with all of them
//! does it, or single fetches from places all over one partition.

use std::collections::VecDeque;

use serde_json::Value;

use crate::Target;
use crate::measured::Meter;
use crate::raw::{Raw, block_on, end_of};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    /// Bytes that one response may bring in all.
    #[arg(long, default_value_t = 4 << 20)]
    fetch_bytes: i32,
    /// Bytes to read in all; at their end partitions are begun again.
    #[arg(long, default_value_t = 2_000_000_000)]
    bytes: u64,
    /// Only so many records at the end of each partition.
    #[arg(long, default_value_t = i64::MAX)]
    last_records: i64,
    /// Read from so many places of partition 0, evenly spread, no place beside the one before.
    #[arg(long, conflicts_with = "last_records", requires = "first_records")]
    places: Option<i64>,
    /// The places are in so many records at the partition's beginning.
    #[arg(long)]
    first_records: Option<i64>,
}

/// What came.
#[derive(Default)]
struct Came {
    records: u64,
    bytes: u64,
}

/// A step between places that visits them all, for numbers of places that it does not divide: a prime.
const STRIDE: i64 = 619;

pub(crate) fn run(options: &Options) -> Value {
    block_on(measure(options))
}

async fn measure(options: &Options) -> Value {
    let target = &options.target;
    let mut raw = Raw::connect(&target.broker).await;
    let ends = raw.ends(&target.topic, target.partitions).await;
    let meter = Meter::start(target.pid);
    let came = match options.places {
        Some(places) => single(options, &mut raw, ends[0].0, places).await,
        None => catch_up(options, &mut raw, &ends).await,
    };
    meter.told(came.records, came.bytes)
}

/// One fetch from each place.
async fn single(options: &Options, raw: &mut Raw, first: i64, places: i64) -> Came {
    let records = options.first_records.expect("clap asks for it");
    let mut came = Came::default();
    while came.bytes < options.bytes {
        for number in 0..places {
            let place = number * STRIDE % places;
            let offset = first + records * place / places;
            let parts =
                raw.fetch(&options.target.topic, [(0, offset)].into_iter(), options.fetch_bytes).await;
            let (_, part) = parts.first().expect("there is something everywhere");
            came.add(part, offset);
        }
    }
    came
}

/// All partitions in each request, those behind the others that gave something last.
async fn catch_up(options: &Options, raw: &mut Raw, ends: &[(i64, i64)]) -> Came {
    let mut came = Came::default();
    let begin = |partition: i32| {
        let (first, end) = ends[usize::try_from(partition).unwrap()];
        first.max(end.saturating_sub(options.last_records))
    };
    let mut places: VecDeque<(i32, i64)> =
        (0..options.target.partitions).map(|partition| (partition, begin(partition))).collect();
    while came.bytes < options.bytes {
        let parts = raw.fetch(&options.target.topic, places.iter().copied(), options.fetch_bytes).await;
        assert!(!parts.is_empty(), "a catch-up reader waits for nothing");
        for (partition, records) in parts {
            let at = places.iter().position(|place| place.0 == partition).unwrap();
            let (_, offset) = places.remove(at).unwrap();
            let mut next = came.add(&records, offset);
            if next >= ends[usize::try_from(partition).unwrap()].1 {
                next = begin(partition);
            }
            places.push_back((partition, next));
        }
    }
    came
}

// === impl Came ===

impl Came {
    /// Counts what came from `offset` on; where to go on.
    fn add(&mut self, records: &[u8], offset: i64) -> i64 {
        let next = end_of(records).expect("a fetch brings a whole batch");
        assert!(next > offset, "a fetch brings what was asked for");
        self.records += u64::try_from(next - offset).unwrap();
        self.bytes += records.len() as u64;
        next
    }
}
