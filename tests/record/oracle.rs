//! Batches against the `kafka-protocol` crate, both ways.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{self as theirs, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions};
use millrace::record::{Batch, BatchBuilder, Compression, Header, ProduceRules, Record, validate_produced};
use millrace::types::{LeaderEpoch, ProducerEpoch, ProducerId};
use proptest::prelude::*;

const NOW_MS: i64 = 1_700_000_000_000;
const LIMIT: usize = 1 << 20;

fn any_field() -> impl Strategy<Value = Option<Bytes>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from))
}

/// Records as we hold them, offsets and sequences from 0. Header keys differ: the crate keeps them in a map.
fn any_records() -> impl Strategy<Value = Vec<Record>> {
    let headers = prop::collection::btree_map("[a-z]{0,5}", any_field(), 0..3);
    let record = (-100_000i64..100_000, any_field(), any_field(), headers);
    prop::collection::vec(record, 1..20).prop_map(|records| {
        let numbered = records.into_iter().zip(0i32..);
        let record = numbered.map(|((delta, key, value, headers), index)| Record {
            offset: index.into(),
            timestamp_ms: NOW_MS + delta,
            sequence: index,
            key,
            value,
            headers: headers
                .into_iter()
                .map(|(key, value)| Header { key: Bytes::from(key), value })
                .collect(),
        });
        record.collect()
    })
}

fn to_theirs(record: &Record, codec: theirs::TimestampType) -> theirs::Record {
    let headers: IndexMap<StrBytes, Option<Bytes>> = record
        .headers
        .iter()
        .map(|header| (StrBytes::from_utf8(header.key.clone()).unwrap(), header.value.clone()))
        .collect();
    theirs::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 3,
        producer_id: 77,
        producer_epoch: 5,
        timestamp_type: codec,
        offset: record.offset,
        sequence: record.sequence,
        timestamp: record.timestamp_ms,
        key: record.key.clone(),
        value: record.value.clone(),
        headers,
    }
}

proptest! {
    #[test]
    fn their_batches_are_accepted_and_read_the_same(records in any_records()) {
        let sent: Vec<_> = records.iter().map(|record| to_theirs(record, theirs::TimestampType::Creation)).collect();
        let mut bytes = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: theirs::Compression::None };
        RecordBatchEncoder::encode(&mut bytes, &sent, &options).unwrap();
        let batch = validate_produced(&bytes.freeze(), &ProduceRules::default(), NOW_MS).unwrap();
        prop_assert_eq!(batch.header().leader_epoch, LeaderEpoch(3));
        prop_assert_eq!(batch.header().producer(), Some((ProducerId(77), ProducerEpoch(5))));
        let read: Vec<Record> = batch.records(LIMIT).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(read, records);
    }

    #[test]
    fn they_read_our_batches_the_same(
        records in any_records(),
        codec in prop::sample::select(&Compression::ALL[..]),
        is_transactional: bool,
    ) {
        let mut builder = BatchBuilder::new(codec);
        if is_transactional {
            builder = builder.transactional();
        }
        builder.set_producer(ProducerId(77), ProducerEpoch(5), 0);
        for record in &records {
            builder
                .append(record.timestamp_ms, record.key.as_deref(), record.value.as_deref(), &record.headers)
                .unwrap();
        }
        let bytes = builder.build();
        let header = *Batch::parse(bytes.clone()).unwrap().header();

        let mut buffer = bytes.clone();
        let info = RecordBatchDecoder::decode_batch_info(&mut buffer).unwrap();
        prop_assert_eq!(info.len(), 1);
        prop_assert_eq!(info[0].record_count, header.record_count);
        prop_assert_eq!(info[0].compression as i16, codec.code());
        prop_assert_eq!(info[0].transactional, is_transactional);
        prop_assert_eq!(info[0].min_timestamp, records[0].timestamp_ms);
        prop_assert_eq!((info[0].producer_id, info[0].producer_epoch, info[0].base_sequence), (77, 5, 0));

        // Codecs are not built into the oracle: it is given ours.
        let mut buffer = bytes;
        let set = RecordBatchDecoder::decode_with_custom_compression(
            &mut buffer,
            Some(|compressed: &mut Bytes, _| Ok(codec.decompress(compressed, LIMIT).unwrap())),
        );
        let set = set.unwrap();
        prop_assert_eq!(set.records.len(), records.len());
        for (read, record) in set.records.iter().zip(&records) {
            let mut expected = to_theirs(record, theirs::TimestampType::Creation);
            expected.partition_leader_epoch = -1;
            expected.transactional = is_transactional;
            prop_assert_eq!(read, &expected);
        }
    }
}
