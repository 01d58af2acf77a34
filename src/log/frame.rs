//! The frame around a small state file: what it is, which version, and a checksum.
//!
//! ```text
//! 0  magic           4 bytes, one per kind of file
//! 4  version         u16
//! 6  zero            u16
//! 8  payload length  u32
//! 12 checksum        u32, CRC-32 (IEEE) of bytes 0..12 and of the payload
//! 16 payload
//! ```
//! All numbers are big-endian. A file that is not exactly one good frame is unreadable, which is never taken
//! for empty: the caller rebuilds it.

use crate::types::Offset;

/// Bytes before the payload.
pub(super) const FRAME_BYTES: usize = 16;

/// What is wrong with a framed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// The length is not that of one frame.
    #[error("not one whole frame")]
    Length,
    /// Another kind of file.
    #[error("wrong magic")]
    Magic,
    /// A version this program does not know.
    #[error("unknown version {0}")]
    Version(u16),
    /// The checksum does not match.
    #[error("checksum mismatch")]
    Checksum,
    /// The checksum matches but the payload is not what it should be.
    #[error("malformed payload")]
    Payload,
}

/// Reads numbers off the front of a payload.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

/// Wraps a payload.
pub(super) fn encode(magic: [u8; 4], version: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_BYTES + payload.len());
    frame.extend_from_slice(&magic);
    frame.extend_from_slice(&version.to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    let length = u32::try_from(payload.len()).expect("state files are far smaller than 4 GiB");
    frame.extend_from_slice(&length.to_be_bytes());
    let checksum = checksum(&frame, payload);
    frame.extend_from_slice(&checksum.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The payload of a file that is one good frame.
pub(super) fn decode(magic: [u8; 4], version: u16, bytes: &[u8]) -> Result<Fields<'_>, FrameError> {
    let (head, payload) = bytes.split_at_checked(FRAME_BYTES).ok_or(FrameError::Length)?;
    let mut fields = Fields(head);
    let (found_magic, found_version, _) = (fields.array::<4>()?, fields.u16()?, fields.u16()?);
    if found_magic != magic {
        return Err(FrameError::Magic);
    }
    let length = fields.u32()?;
    if usize::try_from(length).ok() != Some(payload.len()) {
        return Err(FrameError::Length);
    }
    if fields.u32()? != checksum(&head[..12], payload) {
        return Err(FrameError::Checksum);
    }
    // Only now: a rotted version field must read as rot, not as a newer program's file.
    if found_version != version {
        return Err(FrameError::Version(found_version));
    }
    Ok(Fields(payload))
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}

// === impl Fields ===

impl Fields<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(FrameError::Payload)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, FrameError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, FrameError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn i16(&mut self) -> Result<i16, FrameError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, FrameError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, FrameError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, FrameError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// An offset: never negative.
    pub(super) fn offset(&mut self) -> Result<Offset, FrameError> {
        let offset = self.i64()?;
        if offset < 0 { Err(FrameError::Payload) } else { Ok(offset) }
    }

    /// Ends the reading: nothing may be left.
    pub(super) fn finish(self) -> Result<(), FrameError> {
        if self.0.is_empty() { Ok(()) } else { Err(FrameError::Payload) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_any_changed_bit_is_noticed() {
        let frame = encode(*b"TEST", 1, b"some payload");
        assert_eq!(decode(*b"TEST", 1, &frame).unwrap().0, b"some payload");
        assert_eq!(decode(*b"TSET", 1, &frame).err(), Some(FrameError::Magic));
        assert_eq!(decode(*b"TEST", 2, &frame).err(), Some(FrameError::Version(1)));
        for bit in 0..frame.len() * 8 {
            let mut rotted = frame.clone();
            rotted[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(*b"TEST", 1, &rotted).is_err(), "bit {bit}");
        }
        for length in 0..frame.len() {
            assert!(decode(*b"TEST", 1, &frame[..length]).is_err(), "length {length}");
        }
    }
}
