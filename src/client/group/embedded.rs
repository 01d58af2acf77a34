//! What classic members tell one another through the broker: the bytes of a subscription and of an assignment, which the
//! broker passes on without looking into them.
//!
//! What always holds: bytes of another member are hostile; a count that the bytes cannot hold is refused before anything
//! is reserved for it. A version newer than ours is read as far as we know it, as the format wants it.
//!
//! Source: KIP-429 and KIP-792 for the fields by version; the layout is Kafka's ConsumerProtocolSubscription and
//! ConsumerProtocolAssignment, versions 0 to 3, all in the non-flexible encoding.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::client::consumer::TopicPartition;

/// The version that is written.
const VERSION: i16 = 3;

/// What a member wants, and what it still has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) topics: Vec<String>,
    /// Empty in a member that gives up everything before it joins.
    pub(crate) owned: Vec<TopicPartition>,
    /// The generation in which it came to own them; -1 for none.
    pub(crate) generation: i32,
    pub(crate) rack: Option<String>,
}

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} of a member is cut short or has a negative length")]
pub(crate) struct Unreadable {
    what: &'static str,
}

type Read<T> = Option<T>;

// === impl Subscription ===

impl Subscription {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_i16(VERSION);
        put_count(&mut out, self.topics.len());
        self.topics.iter().for_each(|topic| put_string(&mut out, topic));
        // No user data.
        out.put_i32(-1);
        put_partitions(&mut out, &self.owned);
        out.put_i32(self.generation);
        match &self.rack {
            Some(rack) => put_string(&mut out, rack),
            None => out.put_i16(-1),
        }
        out.freeze()
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, Unreadable> {
        Self::read(&mut bytes).ok_or(Unreadable { what: "the subscription" })
    }

    fn read(bytes: &mut &[u8]) -> Read<Self> {
        let version = bytes.try_get_i16().ok()?;
        let count = take_count(bytes, 2)?;
        let topics = (0..count).map(|_| take_string(bytes)).collect::<Read<Vec<String>>>()?;
        let user_data = usize::try_from(bytes.try_get_i32().ok()?).unwrap_or(0);
        *bytes = bytes.get(user_data..)?;
        let mut subscription = Self { topics, generation: -1, ..Self::default() };
        if version >= 1 {
            subscription.owned = take_partitions(bytes)?;
        }
        if version >= 2 {
            subscription.generation = bytes.try_get_i32().ok()?;
        }
        if version >= 3 {
            subscription.rack = take_nullable_string(bytes)?;
        }
        Some(subscription)
    }
}

/// The partitions that a member is to own.
pub(crate) fn encode_assignment(partitions: &[TopicPartition]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(VERSION);
    put_partitions(&mut out, partitions);
    out.put_i32(-1);
    out.freeze()
}

/// The partitions of an assignment; none for no bytes, which a member without any gets.
pub(crate) fn decode_assignment(mut bytes: &[u8]) -> Result<Vec<TopicPartition>, Unreadable> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let read = bytes.try_get_i16().ok().and_then(|_version| take_partitions(&mut bytes));
    read.ok_or(Unreadable { what: "the assignment" })
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_i32(i32::try_from(count).expect("a group has fewer than 2^31 topics and partitions"));
}

fn put_string(out: &mut BytesMut, text: &str) {
    out.put_i16(i16::try_from(text.len()).expect("names of topics and racks are shorter than 32 KiB"));
    out.put_slice(text.as_bytes());
}

/// Grouped by topic, in the order of the first partition of each.
fn put_partitions(out: &mut BytesMut, partitions: &[TopicPartition]) {
    let mut sorted: Vec<&TopicPartition> = partitions.iter().collect();
    sorted.sort_unstable();
    let by_topic: Vec<&[&TopicPartition]> = sorted.chunk_by(|one, other| one.0 == other.0).collect();
    put_count(out, by_topic.len());
    for topic in by_topic {
        put_string(out, &topic[0].0);
        put_count(out, topic.len());
        topic.iter().for_each(|(_, partition)| out.put_i32(*partition));
    }
}

/// A count of elements that take `each` bytes at least.
fn take_count(bytes: &mut &[u8], each: usize) -> Read<usize> {
    let count = usize::try_from(bytes.try_get_i32().ok()?).ok()?;
    (count <= bytes.len() / each).then_some(count)
}

fn take_string(bytes: &mut &[u8]) -> Read<String> {
    take_nullable_string(bytes)?
}

fn take_nullable_string(bytes: &mut &[u8]) -> Read<Option<String>> {
    let length = bytes.try_get_i16().ok()?;
    let Ok(length) = usize::try_from(length) else { return Some(None) };
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(Some(String::from_utf8(text.to_vec()).ok()?))
}

fn take_partitions(bytes: &mut &[u8]) -> Read<Vec<TopicPartition>> {
    let mut partitions = Vec::new();
    for _ in 0..take_count(bytes, 6)? {
        let topic: Arc<str> = take_string(bytes)?.into();
        for _ in 0..take_count(bytes, 4)? {
            partitions.push((Arc::clone(&topic), bytes.try_get_i32().ok()?));
        }
    }
    Some(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(of: &[(&str, i32)]) -> Vec<TopicPartition> {
        of.iter().map(|&(topic, partition)| (Arc::from(topic), partition)).collect()
    }

    fn subscription() -> Subscription {
        Subscription {
            topics: vec!["a".into(), "käse".into()],
            owned: partitions(&[("a", 0), ("a", 2), ("b", 1)]),
            generation: 7,
            rack: Some("r".into()),
        }
    }

    #[test]
    fn a_subscription_and_an_assignment_come_back_as_they_went() {
        for subscription in [subscription(), Subscription { generation: -1, ..Subscription::default() }] {
            assert_eq!(Subscription::decode(&subscription.encode()), Ok(subscription));
        }
        for owned in [partitions(&[("t", 3), ("t", 4), ("u", 0)]), Vec::new()] {
            assert_eq!(decode_assignment(&encode_assignment(&owned)), Ok(owned));
        }
        assert_eq!(decode_assignment(b""), Ok(Vec::new()));
    }

    #[test]
    fn a_subscription_of_an_old_client_says_less() {
        // Version 0 with the topic "t" and the user data "xy".
        let bytes = b"\0\0\0\0\0\x01\0\x01t\0\0\0\x02xy";
        let expected = Subscription { topics: vec!["t".into()], generation: -1, ..Subscription::default() };
        assert_eq!(Subscription::decode(bytes), Ok(expected));
    }

    #[test]
    fn what_is_cut_short_is_refused_at_every_length() {
        let whole = subscription().encode();
        for length in 0..whole.len() {
            assert!(Subscription::decode(&whole[..length]).is_err(), "{length}");
        }
        let whole = encode_assignment(&partitions(&[("t", 3)]));
        for length in 1..whole.len() - 4 {
            assert!(decode_assignment(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused() {
        for bytes in [
            &b"\0\x01\x7f\xff\xff\xff"[..],
            b"\0\x01\xff\xff\xff\xff",
            b"\0\x01\0\0\0\x01\0\x01t\x7f\xff\xff\xff",
        ] {
            assert!(decode_assignment(bytes).is_err());
            assert!(Subscription::decode(bytes).is_err());
        }
    }
}
