//! The one place where bincode is: catalog records and the broker's own small files, in checked frames.
//!
//! ```text
//! 0  format      u8, 1
//! 1  kind        u8, what the payload is
//! 2  zero        u16
//! 4  length      u32, of the payload, big-endian
//! 8  checksum    u32, CRC-32 (IEEE) of bytes 0 to 8 and of the payload
//! 12 payload     bincode 1.3.3: fixed-size little-endian integers, lengths as u64
//! ```
//!
//! The checksum is verified before bincode sees a byte, and bincode is given a limit: it is never used on bytes from
//! a network. A new layout of a payload is a new format number here.

use bincode::Options as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

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

/// The kinds of payload.
const KIND_CATALOG: u8 = 1;

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 12;
/// Larger than any payload we write: the checkpoint of a hundred thousand partitions takes some 7 MiB.
const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// One catalog record as a framed value.
pub(super) fn encode(record: &CatalogRecord) -> Vec<u8> {
    encode_frame(KIND_CATALOG, record)
}

/// The catalog record in a framed value.
pub(crate) fn decode(bytes: &[u8]) -> Result<CatalogRecord, String> {
    decode_frame(KIND_CATALOG, bytes)
}

/// Frames a value.
pub(crate) fn encode_frame<T: Serialize>(kind: u8, value: &T) -> Vec<u8> {
    let payload = options().serialize(value).expect("our own plain values serialise");
    let length = u32::try_from(payload.len()).expect("payloads stay far below 4 GiB");
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.extend_from_slice(&[FORMAT, kind, 0, 0]);
    frame.extend_from_slice(&length.to_be_bytes());
    let checksum = checksum(&frame, &payload);
    frame.extend_from_slice(&checksum.to_be_bytes());
    frame.extend_from_slice(&payload);
    frame
}

/// The value in a frame, which must fill `bytes`.
pub(crate) fn decode_frame<T: DeserializeOwned>(kind: u8, bytes: &[u8]) -> Result<T, String> {
    let (header, payload) = bytes.split_at_checked(HEADER_BYTES).ok_or("it is cut short")?;
    let length = u32::from_be_bytes(header[4..8].try_into().expect("four bytes"));
    if usize::try_from(length) != Ok(payload.len()) {
        return Err(format!("its length is {} where it says {length}", payload.len()));
    }
    let stored = u32::from_be_bytes(header[8..12].try_into().expect("four bytes"));
    if checksum(&header[..8], payload) != stored {
        return Err("its checksum does not match".into());
    }
    if header[..2] != [FORMAT, kind] {
        return Err(format!("format {} kind {} is not known to this version", header[0], header[1]));
    }
    options().deserialize(payload).map_err(|error| error.to_string())
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

fn options() -> impl bincode::Options {
    bincode::options()
        .with_fixint_encoding()
        .with_little_endian()
        .with_limit(PAYLOAD_BYTES_MAX as u64)
        .reject_trailing_bytes()
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
