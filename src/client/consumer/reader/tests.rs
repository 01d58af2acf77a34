use super::*;
use crate::record::{BatchBuilder, Compression, stamp};
use crate::types::{LeaderEpoch, ProducerEpoch, ProducerId};

/// A log in the making: batches one after another.
#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    next_offset: Offset,
}

impl Written {
    fn add(&mut self, mut builder: BatchBuilder, values: &[&str]) {
        for value in values {
            builder.append(1000, None, Some(value.as_bytes()), &[]).unwrap();
        }
        self.push(Vec::from(&builder.build()[..]));
    }

    fn push(&mut self, mut batch: Vec<u8>) {
        stamp(&mut batch, self.next_offset, LeaderEpoch(3));
        self.next_offset = BatchHeader::parse(&batch).unwrap().next_offset();
        self.bytes.extend(batch);
    }

    fn plain(&mut self, values: &[&str]) {
        self.add(BatchBuilder::new(Compression::None), values);
    }

    fn transactional(&mut self, producer: i64, values: &[&str]) {
        let mut builder = BatchBuilder::new(Compression::Lz4).transactional();
        builder.set_producer(ProducerId(producer), ProducerEpoch(0), 0);
        self.add(builder, values);
    }

    fn marker(&mut self, producer: i64, control_type: ControlType) {
        let mut builder = BatchBuilder::new(Compression::None).transactional().control();
        builder.set_producer(ProducerId(producer), ProducerEpoch(0), -1);
        let marker = EndTransactionMarker { control_type, coordinator_epoch: 0 };
        builder.append(1000, Some(&marker.key()), Some(&marker.value()), &[]).unwrap();
        self.push(Vec::from(&builder.build()[..]));
    }

    fn reader(self, from: Offset, aborted: &[(i64, Offset)]) -> ChunkReader {
        let aborted = aborted
            .iter()
            .map(|&(producer_id, first_offset)| AbortedTransaction { producer_id, first_offset })
            .collect();
        ChunkReader::new(Chunk {
            key: ("t".into(), 0),
            generation: 0,
            from,
            bytes: self.bytes.into(),
            aborted,
        })
    }
}

/// All values that come, and the error that ends them.
fn read(reader: &mut ChunkReader, isolation: Isolation) -> (Vec<String>, Option<Error>) {
    let config = ConsumerConfig { isolation, ..ConsumerConfig::default() };
    let mut values = Vec::new();
    loop {
        match reader.next(&config) {
            Some(Ok(record)) => values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap()),
            Some(Err(error)) => return (values, Some(error)),
            None => return (values, None),
        }
    }
}

#[test]
fn records_below_the_offset_asked_for_are_left_out() {
    for (from, expected) in [(0, "abcde"), (1, "bcde"), (3, "de"), (4, "e")] {
        let mut written = Written::default();
        written.plain(&["a", "b", "c"]);
        written.plain(&["d", "e"]);
        let mut reader = written.reader(from, &[]);
        let (values, error) = read(&mut reader, Isolation::ReadUncommitted);
        assert_eq!((values.concat().as_str(), error.is_none()), (expected, true));
        assert_eq!((reader.position(), reader.is_done()), (5, true));
    }
}

#[test]
fn the_cut_off_tail_of_a_response_is_no_error() {
    for cut in [1, 30, 60, 61, 65] {
        let mut written = Written::default();
        written.plain(&["a"]);
        let whole = written.bytes.len();
        written.plain(&["b", "c"]);
        written.bytes.truncate(whole + cut);
        let mut reader = written.reader(0, &[]);
        let (values, error) = read(&mut reader, Isolation::ReadUncommitted);
        assert_eq!((values, error.is_none(), reader.position()), (vec!["a".to_owned()], true, 1), "{cut}");
    }
}

#[test]
fn a_flipped_bit_ends_the_chunk_and_names_the_place() {
    let mut written = Written::default();
    written.plain(&["a", "b"]);
    let damaged_from = written.bytes.len();
    written.plain(&["c", "d"]);
    written.plain(&["e"]);
    written.bytes[damaged_from + 70] ^= 1;
    let mut reader = written.reader(0, &[]);
    let (values, error) = read(&mut reader, Isolation::ReadUncommitted);
    assert_eq!(values, ["a", "b"]);
    let error = error.unwrap();
    assert!(matches!(error, Error::Damaged { offset: 2, .. }), "{error}");
    assert!(error.to_string().contains("offsets 2 to 3"), "{error}");
    assert!(reader.is_done(), "nothing behind the damage is taken");
}

#[test]
fn a_batch_that_grows_beyond_the_limit_is_damage() {
    let mut written = Written::default();
    let value = "x".repeat(100_000);
    written.add(BatchBuilder::new(Compression::Zstd), &[&value]);
    let mut reader = written.reader(0, &[]);
    let config = ConsumerConfig { max_batch_bytes: 50_000, ..ConsumerConfig::default() };
    assert!(matches!(reader.next(&config), Some(Err(Error::Damaged { .. }))));
}

/// Two producers, interleaved: 1 aborts and then commits, 2 commits.
fn transactions() -> Written {
    let mut written = Written::default();
    written.transactional(1, &["aborted"]); // 0
    written.transactional(2, &["kept"]); // 1
    written.plain(&["plain"]); // 2
    written.transactional(1, &["aborted"]); // 3
    written.marker(1, ControlType::Abort); // 4
    written.transactional(1, &["kept again"]); // 5
    written.marker(2, ControlType::Commit); // 6
    written.marker(1, ControlType::Commit); // 7
    written
}

#[test]
fn a_reader_of_committed_records_gets_none_of_aborted_transactions() {
    let mut reader = transactions().reader(0, &[(1, 0)]);
    assert_eq!(read(&mut reader, Isolation::ReadCommitted).0, ["kept", "plain", "kept again"]);
    assert_eq!(reader.position(), 8, "markers take an offset each");
    // In the middle, the broker still names the transaction that began before.
    let mut reader = transactions().reader(3, &[(1, 0)]);
    assert_eq!(read(&mut reader, Isolation::ReadCommitted).0, ["kept again"]);
}

#[test]
fn a_reader_of_everything_gets_everything_but_the_markers() {
    let mut reader = transactions().reader(0, &[]);
    let all = ["aborted", "kept", "plain", "aborted", "kept again"];
    assert_eq!(read(&mut reader, Isolation::ReadUncommitted).0, all);
    assert_eq!(reader.position(), 8);
}

#[test]
fn a_chunk_of_nothing_but_aborted_records_still_moves_the_position() {
    let mut written = Written::default();
    written.transactional(1, &["aborted"]);
    written.marker(1, ControlType::Abort);
    let mut reader = written.reader(0, &[(1, 0)]);
    assert_eq!(read(&mut reader, Isolation::ReadCommitted).0, Vec::<String>::new());
    assert_eq!((reader.position(), reader.is_done()), (2, true));
}
