//! Ids and fencing numbers, each a type of its own.

use std::fmt;
use std::str::FromStr;

/// A topic's identity: 16 random bytes, never reused, so that a topic made again under an old name is another topic.
///
/// Shown as Kafka shows it: URL-safe base64 without padding (22 characters).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TopicId(pub [u8; 16]);

/// A partition's identity inside the broker: stable under topic deletion and re-creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition's index in its topic, from 0.
    pub partition: i32,
}

/// Which start of the broker wrote a batch: +1 at every start, stamped into each batch header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct LeaderEpoch(pub i32);

/// An idempotent producer's id; -1 on the wire stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerId(pub i64);

/// Fences older instances of the same producer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerEpoch(pub i16);

/// A broker's node id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BrokerId(pub i32);

/// A text that is not a topic id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a topic id: expected 22 characters of URL-safe base64")]
pub struct ParseTopicIdError;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// === impl TopicId ===

impl TopicId {
    /// The id that the wire uses for "no id".
    pub const ZERO: Self = Self([0; 16]);

    /// Whether this is the "no id" value.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        // 22 characters of 6 bits are 132 bits: the last character carries 2 bits and 4 of padding.
        for index in 0..22 {
            let shift = 122 - 6 * index;
            let sextet = if shift >= 0 { bits >> shift } else { bits << -shift } & 63;
            let letter = ALPHABET[usize::try_from(sextet).expect("six bits fit")];
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TopicId {
    type Err = ParseTopicIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 22 {
            return Err(ParseTopicIdError);
        }
        let mut bits: u128 = 0;
        for (index, letter) in text.bytes().enumerate() {
            let sextet = ALPHABET.iter().position(|&known| known == letter).ok_or(ParseTopicIdError)? as u128;
            if index < 21 {
                bits = bits << 6 | sextet;
            } else if sextet & 15 == 0 {
                bits = bits << 2 | sextet >> 4;
            } else {
                return Err(ParseTopicIdError);
            }
        }
        Ok(Self(bits.to_be_bytes()))
    }
}

// === impl TopicPartition ===

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_reads_back_as_it_prints() {
        for id in [TopicId::ZERO, TopicId([255; 16]), TopicId(std::array::from_fn(|i| i as u8 * 17))] {
            let text = id.to_string();
            assert_eq!(text.len(), 22);
            assert_eq!(text.parse::<TopicId>(), Ok(id));
        }
        // As Kafka prints its own reserved id (0, 1).
        let one = TopicId(1u128.to_be_bytes());
        assert_eq!(one.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    }

    #[test]
    fn what_is_not_a_topic_id_is_refused() {
        for text in ["", "AAAAAAAAAAAAAAAAAAAAAR", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAA+Q"] {
            assert_eq!(text.parse::<TopicId>(), Err(ParseTopicIdError));
        }
    }
}
