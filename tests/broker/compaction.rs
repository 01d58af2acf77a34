//! Compacted topics through the socket: what is refused, and what a consumer reads once the cleaner was there.

use std::collections::BTreeMap;

use bytes::Bytes;
use millrace::env::Env;
use millrace::record::{BatchBuilder, Compression, batches};
use millrace::types::{ProducerEpoch, ProducerId};
use millrace::wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use millrace::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use millrace::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use millrace::wire::{ErrorCode, Str};

use super::fixture::{Client, PATIENCE, broker, only, produce};

type Keyed<'a> = (Option<&'a str>, Option<&'a str>);

async fn make_compacted(client: &mut Client, settings: &[(&'static str, &'static str)]) {
    let policy = ("cleanup.policy", "compact");
    let policy = settings.iter().all(|(name, _)| *name != policy.0).then_some(&policy);
    let configs = policy.into_iter().chain(settings).map(|&(name, value)| CreatableTopicConfig {
        name: Str::from_static(name),
        value: Some(Str::from_static(value)),
    });
    let topic = CreatableTopic {
        name: Str::from_static("table"),
        num_partitions: 1,
        replication_factor: 1,
        configs: configs.collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic].into(), timeout_ms: 5000, validate_only: false };
    let made = client.ask(&request, 5).await;
    assert!(made.topics.iter().all(|topic| topic.error_code.is_none()), "{made:?}");
}

fn keyed(mut builder: BatchBuilder, records: &[Keyed<'_>]) -> Bytes {
    let now_ms = Env::system().clock.now_ms();
    for (key, value) in records {
        builder.append(now_ms, key.map(str::as_bytes), value.map(str::as_bytes), &[]).unwrap();
    }
    builder.build()
}

/// What a fetch brings, waiting at the end of the log for a moment: offset, key, value.
async fn read_to_the_end(client: &mut Client) -> Vec<(i64, String, Option<Bytes>)> {
    let mut found = Vec::new();
    let mut fetch_offset = 0;
    loop {
        let partition = FetchPartition { fetch_offset, partition_max_bytes: 1 << 20, ..Default::default() };
        let topic = Str::from_static("table");
        let topic = FetchTopic { topic, partitions: vec![partition].into(), ..Default::default() };
        let request = FetchRequest {
            max_bytes: 1 << 20,
            min_bytes: 1,
            max_wait_ms: 50,
            topics: vec![topic].into(),
            ..Default::default()
        };
        let response = client.ask(&request, 12).await;
        let partition = response.responses.iter().next().unwrap().partitions.iter().next().unwrap();
        assert_eq!(partition.error_code, ErrorCode::NONE);
        let before = fetch_offset;
        for batch in batches(partition.records.unwrap().into_bytes()).map(Result::unwrap) {
            assert!(batch.crc_matches());
            for record in batch.records(1 << 20).unwrap().map(Result::unwrap) {
                let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
                found.push((record.offset, key, record.value));
            }
            fetch_offset = batch.header().next_offset();
        }
        if fetch_offset == before {
            assert_eq!(fetch_offset, partition.high_watermark, "the end is reached");
            return found;
        }
    }
}

#[tokio::test]
async fn a_consumer_reads_the_newest_of_each_key_to_the_end() {
    let broker = broker(&["log.cleaner.backoff.ms=1"]).await;
    let mut client = broker.connect().await;
    make_compacted(&mut client, &[("segment.ms", "1"), ("min.cleanable.dirty.ratio", "0")]).await;
    let producer =
        |codec, sequence| BatchBuilder::new(codec).producer(ProducerId(900), ProducerEpoch(0), sequence);
    let mut expected = BTreeMap::new();
    for round in 0..20 {
        let codec = Compression::ALL[round % 5];
        let value = format!("of round {round}");
        let keys: Vec<String> = (0..5).map(|key| format!("key-{}", (round + key) % 7)).collect();
        let records: Vec<Keyed<'_>> = keys.iter().map(|key| (Some(&**key), Some(&*value))).collect();
        let sequence = i32::try_from(round).unwrap() * 5;
        let batch = keyed(producer(codec, sequence), &records);
        let produced = only(&client.ask(&produce("table", -1, batch), 9).await);
        assert_eq!((produced.error_code, produced.base_offset), (ErrorCode::NONE, i64::from(sequence)));
        for key in keys {
            expected.insert(key, Bytes::from(value.clone()));
        }
    }
    let cleaned = async {
        loop {
            let found = read_to_the_end(&mut client).await;
            let mut table = BTreeMap::new();
            for (_, key, value) in &found {
                table.insert(key.clone(), value.clone().unwrap());
            }
            assert_eq!(table, expected, "at every moment");
            assert!(found.is_sorted_by_key(|record| record.0));
            // The active segment has the last batch or batches.
            if found.len() <= 7 + 5 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, cleaned).await.expect("the cleaner comes");
    // A retry of the last batch is known.
    let last: Vec<String> = (0..5).map(|key| format!("key-{}", (19 + key) % 7)).collect();
    let records: Vec<Keyed<'_>> = last.iter().map(|key| (Some(&**key), Some("of round 19"))).collect();
    let again = keyed(producer(Compression::Zstd, 95), &records);
    let retried = only(&client.ask(&produce("table", -1, again), 9).await);
    assert_eq!((retried.error_code, retried.base_offset), (ErrorCode::NONE, 95));
}

#[tokio::test]
async fn records_without_a_key_are_named_and_their_batch_is_refused() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    make_compacted(&mut client, &[]).await;
    for codec in Compression::ALL {
        let records = [(Some("a"), Some("1")), (None, Some("2")), (Some("b"), None), (None, None)];
        let batch = keyed(BatchBuilder::new(codec), &records);
        let refused = only(&client.ask(&produce("table", -1, batch.clone()), 9).await);
        assert_eq!((refused.error_code, refused.base_offset), (ErrorCode::INVALID_RECORD, -1));
        let named: Vec<i32> = refused.record_errors.iter().map(|error| error.batch_index).collect();
        assert_eq!(named, [1, 3], "those at fault; their siblings are refused with them");
        assert!(refused.record_errors.iter().all(|error| error.batch_index_error_message.is_some()));
        // Before version 8 there is no room to name them.
        let refused = only(&client.ask(&produce("table", -1, batch), 7).await);
        assert_eq!(refused.error_code, ErrorCode::INVALID_RECORD);
    }
    let good = keyed(BatchBuilder::new(Compression::None), &[(Some(""), Some("an empty key is one"))]);
    assert_eq!(only(&client.ask(&produce("table", -1, good), 9).await).base_offset, 0);
    assert_eq!(read_to_the_end(&mut client).await.len(), 1);
}

#[tokio::test]
async fn records_are_deleted_only_where_the_policy_has_delete() {
    for (policy, expected) in
        [("compact", (ErrorCode::POLICY_VIOLATION, -1)), ("compact,delete", (ErrorCode::NONE, 1))]
    {
        let broker = broker(&[]).await;
        let mut client = broker.connect().await;
        make_compacted(&mut client, &[("cleanup.policy", policy)]).await;
        let batch = keyed(BatchBuilder::new(Compression::None), &[(Some("a"), Some("1"))]);
        assert_eq!(only(&client.ask(&produce("table", -1, batch), 9).await).base_offset, 0);
        let partition = DeleteRecordsPartition { partition_index: 0, offset: -1 };
        let topic =
            DeleteRecordsTopic { name: Str::from_static("table"), partitions: vec![partition].into() };
        let request = DeleteRecordsRequest { topics: vec![topic].into(), timeout_ms: 1000 };
        let response = client.ask(&request, 2).await;
        let result = response.topics.iter().next().unwrap().partitions.iter().next().unwrap();
        assert_eq!((result.error_code, result.low_watermark), expected, "{policy}");
    }
}
