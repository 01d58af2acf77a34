//! The catalog's records, as they are kept.

use serde::{Deserialize, Serialize};

use crate::engine::frame::{self, Payload};

/// A change of the catalog. The order of the variants is part of the format: new ones go last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CatalogRecord {
    /// What follows is the whole state; forget what came before.
    Reset,
    /// A topic exists from here on.
    TopicCreated {
        id: [u8; 16],
        name: String,
        partitions: u32,
        /// Settings given for it, by name.
        overrides: Vec<(String, String)>,
    },
    /// A topic has more partitions.
    PartitionsAdded { id: [u8; 16], partitions: u32 },
    /// A topic's settings, all of them.
    TopicSettings { id: [u8; 16], overrides: Vec<(String, String)> },
    /// A topic is deleted; its directory may still be there.
    TopicDeleted { id: [u8; 16] },
    /// A deleted topic's directory is gone.
    TopicRemoved { id: [u8; 16] },
    /// Producer ids below this may have been handed out.
    ProducerIds { next: i64 },
    /// The dynamic broker settings, all of them.
    BrokerSettings { overrides: Vec<(String, String)> },
    /// A group's settings, all of them.
    GroupSettings { group: String, overrides: Vec<(String, String)> },
    /// The settings given for all brokers while running, all of them.
    ClusterSettings { overrides: Vec<(String, String)> },
}

/// One catalog record as a framed value.
pub(super) fn encode(record: &CatalogRecord) -> Vec<u8> {
    frame::encode(Payload::CatalogRecord, record)
}

/// The catalog record in a framed value.
pub(super) fn decode(bytes: &[u8]) -> Result<CatalogRecord, String> {
    frame::decode(Payload::CatalogRecord, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> CatalogRecord {
        CatalogRecord::TopicCreated {
            id: [7; 16],
            name: "orders".into(),
            partitions: 3,
            overrides: vec![("retention.ms".into(), "1000".into())],
        }
    }

    #[test]
    fn a_record_reads_back_and_its_bytes_stay_what_they_are() {
        let bytes = encode(&sample());
        assert_eq!(decode(&bytes), Ok(sample()));
        // Golden: a change here is a change of the format on disk.
        assert_eq!(bytes[..8], [1, 1, 0, 0, 0, 0, 0, 78]);
        assert_eq!(bytes[12..16], [1, 0, 0, 0], "the variant's number");
    }

    #[test]
    fn no_cut_and_no_flipped_bit_is_read() {
        let bytes = encode(&sample());
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
        }
    }
}
