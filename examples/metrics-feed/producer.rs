//! Samples at a steady rate and remembers what was acknowledged.

use millrace::client::{Client, Delivery, Producer, ProducerConfig, ProducerRecord, ProducerTopic};
use tokio::time::MissedTickBehavior;

use crate::Error;
use crate::feed::{Placed, Plan};
use crate::sample::Sampler;

/// A producer's end of the topic, and how many partitions that has.
pub(crate) async fn open(client: &Client, topic: &str) -> Result<(Producer, ProducerTopic, u64), Error> {
    // Idempotent: a batch that is sent again after a crash of the broker is in the log once.
    let producer = Producer::new(client, ProducerConfig { idempotence: true, ..ProducerConfig::default() })?;
    let partitions = u64::try_from(client.topic(topic).await?.partitions.len())?;
    let topic = producer.topic(topic).await?;
    Ok((producer, topic, partitions))
}

/// Sends one sample an interval for the plan's duration; returns all of them, each where it was acknowledged.
///
/// A sample is not waited for before the next one is taken: while the broker is away they queue in the producer.
pub(crate) async fn run(ends: (Producer, ProducerTopic, u64), plan: &Plan) -> Result<Vec<Placed>, Error> {
    let (producer, topic, partitions) = ends;
    let mut sampler = Sampler::new()?;
    let mut ticks = tokio::time::interval(plan.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = tokio::time::Instant::now() + plan.duration;
    let mut sent: Vec<(Delivery, String)> = Vec::new();
    while ticks.tick().await < end {
        let sample = sampler.sample()?;
        let value = serde_json::to_string(&sample)?;
        let record = ProducerRecord {
            key: Some(sample.host.as_bytes()),
            // By its key, all of one host would go to one partition, and to one worker.
            partition: Some(i32::try_from(sample.sequence % partitions)?),
            value: Some(value.as_bytes()),
            timestamp_ms: Some(sample.time_ms),
            ..ProducerRecord::default()
        };
        sent.push((topic.send(&record).await?, value));
    }
    producer.close().await?;
    let mut acknowledged = Vec::with_capacity(sent.len());
    for (delivery, value) in sent {
        let delivered = delivery.wait().await?;
        let offset = delivered.offset.ok_or("acks=all tells the offset")?;
        acknowledged.push(Placed { partition: delivered.partition, offset, value });
    }
    Ok(acknowledged)
}
