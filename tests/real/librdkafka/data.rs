//! Records: what goes in comes out.

use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::FutureRecord;

use super::{Cluster, PATIENCE, Sent, assign, noise, numbers, plain, unused_name};

fn code(result: &Result<i64, KafkaError>) -> Option<RDKafkaErrorCode> {
    result.as_ref().err().and_then(KafkaError::rdkafka_error_code)
}

#[tokio::test]
async fn every_codec_comes_back_byte_for_byte() {
    let cluster = Cluster::start(&[]);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = cluster.topic(codec, 1, &[]).await;
        let mut values: Vec<Vec<u8>> = (1..1_500).step_by(7).map(noise).collect();
        // librdkafka takes FindCoordinator as the sign of a broker that knows lz4, so it does not compress with it
        // before there are consumer groups.
        if !["none", "lz4"].contains(&codec) {
            // Above the topic's limit of 1 MiB: only compressed does it go through.
            values.push(b"all work and no play, ".repeat(150_000));
        }
        let offsets = cluster.produce(&topic, &plain(&values), &[("compression.codec", codec)]).await;
        assert!(offsets.iter().all(Result::is_ok), "{codec}: {offsets:?}");
        assert!(cluster.values(&topic, 0) == values, "{codec}: other bytes came back");
    }
}

#[tokio::test]
async fn null_and_empty_keys_and_values_and_repeated_headers_are_kept_apart() {
    let cluster = Cluster::start(&[]);
    let topic = cluster.topic("null", 1, &[]).await;
    let sent: [Sent<'_>; 4] =
        [(0, None, None), (0, Some(b""), Some(b"")), (0, Some(b"k"), None), (0, None, Some(b"v"))];
    cluster.produce(&topic, &sent, &[]).await;

    let headers = [("a", Some("1")), ("a", Some("2")), ("null", None), ("empty", Some("")), ("a", Some("3"))];
    let with_headers = headers
        .iter()
        .fold(OwnedHeaders::new(), |list, (key, value)| list.insert(Header { key, value: *value }));
    let record = FutureRecord::<[u8], [u8]>::to(&topic).partition(0).headers(with_headers);
    cluster.producer(&[]).send(record, PATIENCE).await.unwrap();

    let found = cluster.read(&topic, 0, Offset::Beginning);
    for (message, (_, key, value)) in found.iter().zip(sent) {
        assert_eq!((message.key(), message.payload()), (key, value));
        assert!(message.headers().is_none());
    }
    let last = found.last().unwrap().headers().expect("the last one has headers");
    let told: Vec<_> = last
        .iter()
        .map(|header| (header.key, header.value.map(|value| std::str::from_utf8(value).unwrap())))
        .collect();
    assert_eq!(told, headers);
}

#[tokio::test]
async fn records_from_one_byte_to_ten_mebibytes_pass_a_small_fetch_limit() {
    let cluster = Cluster::start(&[]);
    let topic = cluster.topic("sizes", 1, &[("max.message.bytes", "12000000")]).await;
    let values: Vec<_> = [1, 4_096, 65_537, 1 << 20, 10 << 20].map(noise).into();
    let offsets = cluster.produce(&topic, &plain(&values), &[]).await;
    assert!(offsets.iter().all(Result::is_ok), "{offsets:?}");

    let limits =
        [("fetch.message.max.bytes", "1000"), ("fetch.max.bytes", "1000"), ("message.max.bytes", "1000")];
    let consumer = cluster.consumer(&limits);
    assign(&consumer, &topic, 0, Offset::Beginning);
    for value in &values {
        let message = consumer.poll(PATIENCE).expect("at least one batch comes").unwrap();
        assert!(message.payload() == Some(value), "other bytes came back at {}", message.offset());
    }
}

#[tokio::test]
async fn acks_of_one_and_all_tell_offsets_and_acks_of_none_arrives() {
    let cluster = Cluster::start(&[]);
    for acks in ["0", "1", "all"] {
        let topic = cluster.topic("acks", 1, &[]).await;
        let values = numbers(500);
        let offsets = cluster.produce(&topic, &plain(&values), &[("acks", acks)]).await;
        if acks != "0" {
            let told: Vec<i64> = offsets.into_iter().map(Result::unwrap).collect();
            assert_eq!(told, (0..500).collect::<Vec<_>>(), "acks={acks}");
        }
        // A consumer needs no high watermark to be told: it waits until the last one comes.
        let consumer = cluster.consumer(&[]);
        assign(&consumer, &topic, 0, Offset::Beginning);
        for value in &values {
            let message = consumer.poll(PATIENCE).expect("every message arrives").unwrap();
            assert_eq!(message.payload(), Some(value.as_slice()), "acks={acks}");
        }
    }
}

#[tokio::test]
async fn an_idempotent_producer_with_many_batches_in_flight_keeps_its_order() {
    let cluster = Cluster::start(&[]);
    let topic = cluster.topic("idempotent", 1, &[]).await;
    let values = numbers(20_000);
    let settings = [("enable.idempotence", "true"), ("batch.num.messages", "50"), ("linger.ms", "0")];
    let offsets = cluster.produce(&topic, &plain(&values), &settings).await;
    let told: Vec<i64> = offsets.into_iter().map(Result::unwrap).collect();
    assert!(told == (0..20_000).collect::<Vec<_>>(), "offsets are out of order");
    assert!(cluster.values(&topic, 0) == values, "values are out of order");
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_and_the_next_one_taken() {
    let cluster = Cluster::start(&[]);
    let topic = cluster.topic("large", 1, &[("max.message.bytes", "10000")]).await;
    for (size, expected) in [(20_000, Some(RDKafkaErrorCode::MessageSizeTooLarge)), (9_000, None)] {
        let offsets = cluster.produce(&topic, &[(0, None, Some(&noise(size)))], &[]).await;
        assert_eq!(code(&offsets[0]), expected, "{size} bytes");
    }
    assert_eq!(cluster.values(&topic, 0), [noise(9_000)]);
}

#[tokio::test]
async fn a_record_without_key_is_refused_by_a_compacted_topic() {
    let cluster = Cluster::start(&[]);
    let topic = cluster.topic("compacted", 1, &[("cleanup.policy", "compact")]).await;
    let without = cluster.produce(&topic, &[(0, None, Some(b"v"))], &[]).await;
    assert_eq!(code(&without[0]), Some(RDKafkaErrorCode::InvalidRecord));
    let with = cluster.produce(&topic, &[(0, Some(b"k"), Some(b"v"))], &[]).await;
    assert_eq!(with, [Ok(0)]);
}

#[tokio::test]
async fn the_first_message_creates_a_topic_unless_the_client_forbids_it() {
    let cluster = Cluster::start(&[]);
    let forbidden = unused_name("forbidden");
    let settings = [
        ("allow.auto.create.topics", "false"),
        ("topic.metadata.propagation.max.ms", "1000"),
        ("message.timeout.ms", "20000"),
    ];
    let offsets = cluster.produce(&forbidden, &[(0, None, Some(b"x"))], &settings).await;
    let told = code(&offsets[0]);
    let unknown = [RDKafkaErrorCode::UnknownTopic, RDKafkaErrorCode::UnknownTopicOrPartition];
    assert!(told.is_some_and(|code| unknown.contains(&code)), "{offsets:?}");

    let wanted = unused_name("wanted");
    assert_eq!(cluster.produce(&wanted, &[(0, None, Some(b"x"))], &[]).await, [Ok(0)]);
    assert_eq!(cluster.values(&wanted, 0), [b"x"]);
}

#[tokio::test]
async fn reading_starts_at_the_offset_asked_for_even_inside_a_batch() {
    let cluster = Cluster::start(&[]);
    let topic = cluster.topic("seek", 1, &[]).await;
    let values = numbers(1_000);
    cluster.produce(&topic, &plain(&values), &[("linger.ms", "500"), ("compression.codec", "gzip")]).await;
    for offset in [1, 500, 999] {
        let found = cluster.read(&topic, 0, Offset::Offset(offset));
        assert_eq!(found[0].offset(), offset);
        assert_eq!(found.len() as i64, 1_000 - offset);
        assert_eq!(found[0].payload(), Some(values[offset as usize].as_slice()));
    }
}

#[tokio::test]
async fn an_offset_beyond_the_end_is_out_of_range() {
    let cluster = Cluster::start(&[]);
    let topic = cluster.topic("range", 1, &[]).await;
    cluster.produce(&topic, &plain(&numbers(3)), &[]).await;
    let consumer = cluster.consumer(&[]);
    assign(&consumer, &topic, 0, Offset::Offset(1_000));
    let error = consumer.poll(PATIENCE).expect("the client is told").unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::AutoOffsetReset));

    let reset = cluster.consumer(&[("auto.offset.reset", "earliest")]);
    assign(&reset, &topic, 0, Offset::Offset(1_000));
    assert_eq!(reset.poll(PATIENCE).expect("it begins again").unwrap().offset(), 0);
}

#[tokio::test]
async fn a_fetch_at_the_end_is_answered_when_a_record_comes() {
    let cluster = Cluster::start(&[]);
    let topic = cluster.topic("wait", 1, &[]).await;
    cluster.produce(&topic, &[(0, None, Some(b"first"))], &[]).await;
    let consumer = cluster.consumer(&[("fetch.wait.max.ms", "60000")]);
    assign(&consumer, &topic, 0, Offset::Beginning);
    assert_eq!(consumer.poll(PATIENCE).expect("the first record").unwrap().offset(), 0);
    cluster.produce(&topic, &[(0, None, Some(b"late"))], &[("linger.ms", "0")]).await;
    // Half of what the fetch may wait: it was woken, not timed out.
    let message = consumer.poll(PATIENCE / 2).expect("the fetch is woken").unwrap();
    assert_eq!(message.payload(), Some(b"late".as_slice()));
}

#[tokio::test]
async fn offsets_by_time_look_inside_batches() {
    let cluster = Cluster::start(&[]);
    let topic = cluster.topic("times", 1, &[]).await;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    let start = now - 600_000;
    let producer = cluster.producer(&[("linger.ms", "500"), ("compression.codec", "lz4")]);
    // One batch whose times are not in order.
    let answers: Vec<_> = [0, 10, 30, 20, 40]
        .iter()
        .map(|later| {
            let record = FutureRecord::<[u8], [u8]>::to(&topic).partition(0).payload(b"x");
            producer.send_result(record.timestamp(start + later)).map_err(|(error, _)| error).unwrap()
        })
        .collect();
    for answer in answers {
        answer.await.unwrap().unwrap();
    }

    let consumer = cluster.consumer(&[]);
    let expected = [
        (0, Offset::Offset(0)),
        (start + 5, Offset::Offset(1)),
        (start + 11, Offset::Offset(2)),
        (start + 31, Offset::Offset(4)),
        (start + 41, Offset::End),
    ];
    for (timestamp, offset) in expected {
        let mut asked = rdkafka::TopicPartitionList::new();
        asked.add_partition_offset(&topic, 0, Offset::Offset(timestamp)).unwrap();
        let found = consumer.offsets_for_times(asked, PATIENCE).unwrap();
        assert_eq!(found.elements()[0].offset(), offset, "start{:+}", timestamp - start);
    }
    assert_eq!(consumer.fetch_watermarks(&topic, 0, PATIENCE).unwrap(), (0, 5));
}
