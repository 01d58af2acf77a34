//! Zigzag varints, as the records of a batch use them: at most 5 bytes for an `i32`, 10 for an `i64`.
//!
//! Padded encodings (`80 00` for 0) are read, as Kafka reads them; bits that do not fit the type are refused.

use bytes::BufMut;

/// A varint that is longer than its type allows, or has bits beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a varint is too long")]
pub struct VarintTooLong;

/// Reads an `i32` from the bytes that `next` gives one by one.
///
/// # Errors
/// Those of `next`, and [`VarintTooLong`].
pub fn read_i32<E: From<VarintTooLong>>(next: impl FnMut() -> Result<u8, E>) -> Result<i32, E> {
    let zigzag = u32::try_from(read_bits(5, next)?).map_err(|_| VarintTooLong)?;
    Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
}

/// Reads an `i64` from the bytes that `next` gives one by one.
///
/// # Errors
/// Those of `next`, and [`VarintTooLong`].
pub fn read_i64<E: From<VarintTooLong>>(next: impl FnMut() -> Result<u8, E>) -> Result<i64, E> {
    let zigzag = read_bits(10, next)?;
    Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
}

/// Writes an `i32`.
pub fn put_i32(out: &mut impl BufMut, value: i32) {
    put_i64(out, value.into());
}

/// Writes an `i64`; one that fits an `i32` is written as that.
pub fn put_i64(out: &mut impl BufMut, value: i64) {
    let mut rest = zigzag(value);
    while rest > 0x7f {
        out.put_u8(low_seven(rest) | 0x80);
        rest >>= 7;
    }
    out.put_u8(low_seven(rest));
}

/// Bytes that `value` takes, 1 to 10; an `i32` at most 5.
#[must_use]
pub fn size(value: impl Into<i64>) -> usize {
    let bits = u64::BITS - (zigzag(value.into()) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Small magnitudes to small numbers: 0, -1, 1, -2, … to 0, 1, 2, 3, …
fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn low_seven(bits: u64) -> u8 {
    (bits & 0x7f) as u8
}

fn read_bits<E: From<VarintTooLong>>(
    most_bytes: u32,
    mut next: impl FnMut() -> Result<u8, E>,
) -> Result<u64, E> {
    let mut bits = 0;
    for index in 0..most_bytes {
        let byte = next()?;
        let group = u64::from(byte & 0x7f);
        let shift = 7 * index;
        if group << shift >> shift != group {
            break;
        }
        bits |= group << shift;
        if byte & 0x80 == 0 {
            return Ok(bits);
        }
    }
    Err(VarintTooLong.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slice_reader(bytes: &[u8]) -> impl FnMut() -> Result<u8, VarintTooLong> {
        let mut bytes = bytes.iter();
        move || bytes.next().copied().ok_or(VarintTooLong)
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back_in_the_size_foretold(value: i64, small: i32) {
            let mut out = Vec::new();
            put_i64(&mut out, value);
            prop_assert_eq!(out.len(), size(value));
            prop_assert_eq!(read_i64(slice_reader(&out)), Ok(value));
            out.clear();
            put_i32(&mut out, small);
            prop_assert_eq!(out.len(), size(small));
            prop_assert!(out.len() <= 5);
            prop_assert_eq!(read_i32(slice_reader(&out)), Ok(small));
        }
    }

    #[test]
    fn the_known_encodings_hold() {
        let cases: [(i64, &[u8]); 8] = [
            (0, &[0]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[126]),
            (-64, &[127]),
            (64, &[128, 1]),
            (i32::MIN.into(), &[255, 255, 255, 255, 15]),
            (i64::MIN, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ];
        for (value, bytes) in cases {
            let mut out = Vec::new();
            put_i64(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(read_i64(slice_reader(bytes)), Ok(value));
        }
    }

    #[test]
    fn bits_beyond_the_type_are_refused_and_padding_is_not() {
        assert_eq!(read_i32(slice_reader(&[0x80, 0])), Ok(0));
        assert_eq!(read_i32(slice_reader(&[0xff, 0xff, 0xff, 0xff, 0x10])), Err(VarintTooLong));
        assert_eq!(read_i32(slice_reader(&[0x80, 0x80, 0x80, 0x80, 0x80, 0])), Err(VarintTooLong));
        let mut ten = [0xff; 10];
        ten[9] = 2;
        assert_eq!(read_i64(slice_reader(&ten)), Err(VarintTooLong));
        assert_eq!(read_i64(slice_reader(&[0x80; 11])), Err(VarintTooLong));
    }
}
