//! The one place where bincode is: records of the broker's own logs and its small files, in checked frames.
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
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What the payload of a frame is. The numbers are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    /// A record of the catalog.
    CatalogRecord = 1,
    /// The file `meta`.
    Meta = 2,
    /// The file `checkpoint`.
    Checkpoint = 3,
    /// A record of the log of groups.
    GroupRecord = 4,
}

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 12;
/// Larger than any payload we write: the checkpoint of a hundred thousand partitions takes some 7 MiB.
const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// Frames a value.
pub(super) fn encode<T: Serialize>(kind: Payload, value: &T) -> Vec<u8> {
    let payload = options().serialize(value).expect("our own plain values serialise");
    let length = u32::try_from(payload.len()).expect("payloads stay far below 4 GiB");
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.extend_from_slice(&[FORMAT, kind as u8, 0, 0]);
    frame.extend_from_slice(&length.to_be_bytes());
    let checksum = checksum(&frame, &payload);
    frame.extend_from_slice(&checksum.to_be_bytes());
    frame.extend_from_slice(&payload);
    frame
}

/// The value in a frame, which must fill `bytes`.
pub(super) fn decode<T: DeserializeOwned>(kind: Payload, bytes: &[u8]) -> Result<T, String> {
    let (header, payload) = bytes.split_at_checked(HEADER_BYTES).ok_or("it is cut short")?;
    let length = u32::from_be_bytes(header[4..8].try_into().expect("four bytes"));
    if usize::try_from(length) != Ok(payload.len()) {
        return Err(format!("its length is {} where it says {length}", payload.len()));
    }
    let stored = u32::from_be_bytes(header[8..12].try_into().expect("four bytes"));
    if checksum(&header[..8], payload) != stored {
        return Err("its checksum does not match".into());
    }
    if header[..2] != [FORMAT, kind as u8] {
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
