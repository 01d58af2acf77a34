//! Reads the protocol's primitive values out of one frame.

use bytes::Bytes;

use super::{DecodeError, DecodeFault};

/// A cursor over a frame, or over a part of it.
///
/// Strings and byte fields come out as slices that share the frame's memory. Nothing is reserved on the word of a
/// length field: every length is checked against the bytes that remain before anything else happens.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    /// What slices are cut from.
    frame: &'a Bytes,
    /// The unread part of `frame`.
    rest: &'a [u8],
    /// Whether lengths are compact and structs end in tagged fields (KIP-482).
    flexible: bool,
}

/// The longest string, by Kafka's rule for both encodings.
pub(super) const MAX_STRING_BYTES: usize = 0x7fff;

impl<'a> Reader<'a> {
    /// Starts at the beginning of `frame`, in the older, non-flexible encoding.
    #[must_use]
    pub fn new(frame: &'a Bytes) -> Self {
        Self { frame, rest: frame, flexible: false }
    }

    /// Reads on in the flexible encoding, or in the older one.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Whether the flexible encoding is being read.
    #[must_use]
    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// How many bytes are unread.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeFault::UnexpectedEnd { needed: count, remaining: self.rest.len() })?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes, as an array.
    pub(super) fn take_array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeFault::UnexpectedEnd { needed: N, remaining: self.rest.len() })?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Shares `part`, which must have been taken from this reader.
    pub(super) fn share(&self, part: &'a [u8]) -> Bytes {
        self.frame.slice_ref(part)
    }

    /// What `walk` reads, as a shared slice.
    pub(super) fn share_walked(
        &mut self,
        walk: impl FnOnce(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<Bytes, DecodeError> {
        let before = self.rest;
        walk(self)?;
        let walked = before.len() - self.rest.len();
        Ok(self.share(before.split_at(walked).0))
    }

    /// A signed byte.
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(i8::from_be_bytes(self.take_array()?))
    }

    /// A big-endian 16-bit integer.
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.take_array()?))
    }

    /// A big-endian 32-bit integer.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.take_array()?))
    }

    /// A big-endian 64-bit integer.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.take_array()?))
    }

    /// An unsigned variable-length integer: 7 bits a byte, lowest first, at most 5 bytes.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value: u32 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.take_array()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                return Err(DecodeFault::VarintTooLong.into());
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(value)
    }

    /// The length of a string in bytes; `None` for null.
    fn string_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let length = if self.flexible { self.compact_length()? } else { signed_length(self.i16()?.into())? };
        match length {
            Some(length) if length > MAX_STRING_BYTES => Err(DecodeFault::StringTooLong { length }.into()),
            length => Ok(length),
        }
    }

    /// The length of a byte field, or the count of an array; `None` for null.
    fn long_length(&mut self) -> Result<Option<usize>, DecodeError> {
        if self.flexible { self.compact_length() } else { signed_length(self.i32()?) }
    }

    /// A compact length is one more than it says, so that 0 stands for null.
    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(to_usize))
    }

    /// The bytes of a string, known to be UTF-8; `None` for null.
    pub(super) fn string(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        let Some(length) = self.string_length()? else { return Ok(None) };
        let bytes = self.take(length)?;
        match std::str::from_utf8(bytes) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) => Err(DecodeFault::NotUtf8 { valid_up_to: error.valid_up_to() }.into()),
        }
    }

    /// A byte field; `None` for null.
    pub(super) fn bytes(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.long_length()? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    /// The count of an array, at most the number of bytes that follow it; `None` for null.
    pub(super) fn array_count(&mut self) -> Result<Option<usize>, DecodeError> {
        let count = self.long_length()?;
        match count {
            // No element takes less than a byte.
            Some(count) if count > self.remaining() => {
                Err(DecodeFault::CountBeyondEnd { count, remaining: self.remaining() }.into())
            }
            count => Ok(count),
        }
    }

    /// Reads the tagged fields that end every struct of a flexible version.
    ///
    /// `known` gets each tag with a reader of just its value and returns whether it has read it; unknown ones are
    /// passed over and not kept.
    pub(super) fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        // Each field takes at least two bytes, so that a huge count soon meets the end.
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let size = to_usize(self.unsigned_varint()?);
            let mut value = Self { frame: self.frame, rest: self.take(size)?, flexible: true };
            if known(tag, &mut value)? && value.remaining() > 0 {
                return Err(DecodeFault::TaggedFieldSize { tag, size, used: size - value.remaining() }.into());
            }
        }
        Ok(())
    }
}

/// -1 stands for null; nothing may be lower.
fn signed_length(length: i32) -> Result<Option<usize>, DecodeError> {
    match usize::try_from(length) {
        Ok(length) => Ok(Some(length)),
        Err(_) if length == -1 => Ok(None),
        Err(_) => Err(DecodeFault::NegativeLength { length }.into()),
    }
}

fn to_usize(length: u32) -> usize {
    usize::try_from(length).expect("a usize has at least 32 bits where Millrace runs")
}
