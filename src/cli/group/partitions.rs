//! Which partitions `reset` and `delete` are about: the `-t` option.

use std::str::FromStr;
use std::sync::Arc;

use crate::cli::failure::Failure;
use crate::client::{Client, Error, TopicPartition};

/// A topic, or some of its partitions: `orders`, `orders:0,3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicPartitions {
    pub(super) topic: String,
    /// Empty for all.
    pub(super) partitions: Vec<i32>,
}

// === impl TopicPartitions ===

impl FromStr for TopicPartitions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither TOPIC nor TOPIC:PARTITION,PARTITION");
        let Some((topic, partitions)) = text.split_once(':') else {
            return if text.is_empty() {
                Err(wrong())
            } else {
                Ok(Self { topic: text.to_owned(), partitions: Vec::new() })
            };
        };
        let number = |text: &str| text.parse().ok().filter(|&number: &i32| number >= 0).ok_or_else(wrong);
        let partitions: Vec<i32> = partitions.split(',').map(number).collect::<Result<_, String>>()?;
        if topic.is_empty() {
            return Err(wrong());
        }
        Ok(Self { topic: topic.to_owned(), partitions })
    }
}

impl TopicPartitions {
    /// The partitions by name, sorted; they must exist.
    pub(super) async fn resolve(chosen: &[Self], client: &Client) -> Result<Vec<TopicPartition>, Failure> {
        let mut resolved = Vec::new();
        for Self { topic, partitions } in chosen {
            let known = client.topic(topic).await?;
            let name = Arc::clone(&known.name);
            for &partition in partitions {
                if known.partition(partition).is_none() {
                    let (topic, count) = (topic.clone(), known.partitions.len());
                    return Err(Error::UnknownPartition { topic, partition, count }.into());
                }
                resolved.push((Arc::clone(&name), partition));
            }
            if partitions.is_empty() {
                resolved.extend(known.partitions.iter().map(|found| (Arc::clone(&name), found.partition)));
            }
        }
        resolved.sort_unstable();
        resolved.dedup();
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_partitions_read() {
        let read = |text: &str| text.parse::<TopicPartitions>().map(|read| (read.topic, read.partitions));
        assert_eq!(read("orders"), Ok(("orders".into(), vec![])));
        assert_eq!(read("orders:0,3"), Ok(("orders".into(), vec![0, 3])));
        for text in ["", ":", ":0", "orders:", "orders:x", "orders:-1", "orders:0,,1"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
