//! The bytes in which consumers of the classic protocol tell their subscription and are told their assignment. A classic
//! group looks for the topics in them alone; one of the consumer protocol, for all that its classic members say.
//!
//! Kafka's ConsumerProtocolSubscription and ConsumerProtocolAssignment, versions 0 to 3: an int16 version, then fields in the
//! protocol's classic encoding. Whoever wrote them is a member, so every count is checked against the bytes there are.

/// The protocol type of consumers.
pub(in crate::engine::group) const CONSUMER: &str = "consumer";
/// The newest version known. A newer one begins with the same fields.
const VERSION_MAX: i16 = 3;
/// From here on a subscription tells what the member has.
const OWNED_FROM: i16 = 1;

/// Partitions by the topic's name.
pub(in crate::engine::group) type Named = Vec<(String, Vec<i32>)>;

/// What a consumer tells its leader.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::engine::group) struct EmbeddedSubscription {
    pub(in crate::engine::group) topics: Vec<String>,
    /// What it has, as it says.
    pub(in crate::engine::group) owned: Named,
}

// === impl EmbeddedSubscription ===

impl EmbeddedSubscription {
    /// Reads a subscription; None when the bytes are none.
    pub(in crate::engine::group) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let (version, topics) = reader.version_and_topics()?;
        reader.skip_bytes()?;
        let owned = if version >= OWNED_FROM { reader.named()? } else { Named::new() };
        Some(Self { topics, owned })
    }
}

/// The topics that a consumer subscribes to, whatever follows them; None when the bytes are none of a consumer.
pub(in crate::engine::group) fn read_topics(subscription: &[u8]) -> Option<Vec<String>> {
    Some(Reader(subscription).version_and_topics()?.1)
}

/// Reads an assignment; None when the bytes are none. No bytes at all are an empty one.
pub(in crate::engine::group) fn read_assignment(bytes: &[u8]) -> Option<Named> {
    if bytes.is_empty() {
        return Some(Named::new());
    }
    let mut reader = Reader(bytes);
    reader.version()?;
    reader.named()
}

/// Writes an assignment for a member whose subscription is `subscription`, in a version that it knows.
pub(in crate::engine::group) fn write_assignment(assigned: &Named, subscription: &[u8]) -> Vec<u8> {
    let version = Reader(subscription).version().unwrap_or(0).min(VERSION_MAX);
    let mut bytes = version.to_be_bytes().to_vec();
    put_count(&mut bytes, assigned.len());
    for (topic, partitions) in assigned {
        let length = i16::try_from(topic.len()).expect("a topic's name has at most 249 bytes");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(topic.as_bytes());
        put_count(&mut bytes, partitions.len());
        for partition in partitions {
            bytes.extend_from_slice(&partition.to_be_bytes());
        }
    }
    // No user data.
    bytes.extend_from_slice(&(-1_i32).to_be_bytes());
    bytes
}

fn put_count(bytes: &mut Vec<u8>, count: usize) {
    let count = i32::try_from(count).expect("there are fewer than 2^31 partitions");
    bytes.extend_from_slice(&count.to_be_bytes());
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

// === impl Reader ===

impl Reader<'_> {
    fn i16(&mut self) -> Option<i16> {
        let (bytes, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(i16::from_be_bytes(*bytes))
    }

    fn i32(&mut self) -> Option<i32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*bytes))
    }

    fn version(&mut self) -> Option<i16> {
        self.i16().filter(|version| *version >= 0)
    }

    /// What every subscription begins with.
    fn version_and_topics(&mut self) -> Option<(i16, Vec<String>)> {
        Some((self.version()?, self.array(2, Self::text)?))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.i16()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(std::str::from_utf8(text).ok()?.to_owned())
    }

    /// Bytes that may be null.
    fn skip_bytes(&mut self) -> Option<()> {
        let length = usize::try_from(self.i32()?).unwrap_or(0);
        self.0 = self.0.get(length..)?;
        Some(())
    }

    /// An array whose elements take `least` bytes each at least.
    fn array<T>(&mut self, least: usize, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = usize::try_from(self.i32()?).ok()?;
        if count > self.0.len() / least {
            return None;
        }
        (0..count).map(|_| read(self)).collect()
    }

    fn named(&mut self) -> Option<Named> {
        self.array(6, |reader| Some((reader.text()?, reader.array(4, Self::i32)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the Java client 4.3 writes a subscription of version 3 to `ab`, having `ab` 0 and 1, generation 7, rack `r`.
    const SUBSCRIPTION: &[u8] = &[
        0, 3, 0, 0, 0, 1, 0, 2, b'a', b'b', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 2, b'a', b'b', 0, 0, 0, 2,
        0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7, 0, 1, b'r',
    ];

    #[test]
    fn a_subscription_is_read_in_every_version() {
        let read = EmbeddedSubscription::read(SUBSCRIPTION).unwrap();
        assert_eq!(read.topics, ["ab"]);
        assert_eq!(read.owned, [("ab".to_owned(), vec![0, 1])]);
        // Version 0 ends with the user's data; a version to come has more.
        let mut bytes = SUBSCRIPTION.to_vec();
        bytes[1] = 0;
        assert_eq!(EmbeddedSubscription::read(&bytes).unwrap().owned, []);
        bytes[1] = 9;
        assert_eq!(EmbeddedSubscription::read(&bytes), Some(read));
    }

    #[test]
    fn what_is_cut_short_or_lies_is_no_subscription() {
        // What follows the partitions is not read.
        for length in 0..SUBSCRIPTION.len() - 7 {
            assert_eq!(EmbeddedSubscription::read(&SUBSCRIPTION[..length]), None, "{length}");
        }
        assert_eq!(EmbeddedSubscription::read(&[0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0]), None);
        assert_eq!(EmbeddedSubscription::read(&[0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0]), None);
        assert_eq!(EmbeddedSubscription::read(&[0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(read_assignment(&[0, 0, 0x7f, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn topics_are_read_whatever_follows_them() {
        let bytes = [&[0, 1, 0, 0, 0, 2, 0, 1][..], b"a", &[0, 2], b"bc", &[9, 9, 9]].concat();
        assert_eq!(read_topics(&bytes), Some(vec!["a".to_owned(), "bc".to_owned()]));
        for length in 0..13 {
            assert_eq!(read_topics(&bytes[..length]), None, "{length}");
        }
        assert_eq!(read_topics(&[0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0]), None);
        assert_eq!(read_topics(&[0, 0, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(read_topics(&[0xff, 0xff, 0, 0, 0, 0]), None);
    }

    #[test]
    fn an_assignment_reads_back_in_a_version_that_the_member_knows() {
        let assigned = vec![("a".to_owned(), vec![0, 5]), ("bcd".to_owned(), vec![1])];
        let bytes = write_assignment(&assigned, SUBSCRIPTION);
        assert_eq!(bytes[..2], [0, 3]);
        assert_eq!(read_assignment(&bytes), Some(assigned.clone()));
        assert_eq!(write_assignment(&assigned, &[0, 0])[..2], [0, 0]);
        assert_eq!(write_assignment(&Named::new(), &[0, 9]), [0, 3, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(read_assignment(&[]), Some(Named::new()));
    }
}
