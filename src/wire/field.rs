//! How each type of value looks on the wire.

use std::fmt;

use bytes::Bytes;

use super::{Array, DecodeError, DecodeFault, ErrorCode, Reader, Records, Str, Writer};
use crate::types::TopicId;

/// A value of a message: a primitive, an array, or a struct of the tables.
///
/// The encoding, flexible or not, is a state of the reader and the writer; `version` decides which fields a struct has.
pub trait Field: Sized + Clone + fmt::Debug {
    /// Reads a value.
    ///
    /// # Errors
    /// Whatever is wrong with the bytes.
    fn read(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError>;

    /// Checks a value and passes over it: fails exactly when [`Field::read`] does.
    ///
    /// # Errors
    /// Whatever is wrong with the bytes.
    fn skip(reader: &mut Reader<'_>, version: i16) -> Result<(), DecodeError>;

    /// Writes the value.
    fn write(&self, writer: &mut Writer, version: i16);

    /// Shows the value in a log line: bytes by their number only.
    ///
    /// # Errors
    /// Only those of the formatter.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A value that has a null form of its own on the wire; as a field it is an `Option`.
pub trait Nullable: Field {
    /// Reads a value or null.
    ///
    /// # Errors
    /// Whatever is wrong with the bytes.
    fn read_nullable(reader: &mut Reader<'_>, version: i16) -> Result<Option<Self>, DecodeError>;

    /// Checks a value or null and passes over it; says whether there was a value.
    ///
    /// # Errors
    /// Whatever is wrong with the bytes.
    fn skip_nullable(reader: &mut Reader<'_>, version: i16) -> Result<bool, DecodeError>;

    /// Writes a value or null.
    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: i16);
}

/// Turns a null into an error.
pub(super) fn present<T>(value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeFault::UnexpectedNull.into())
}

/// Shows a field with [`Field::show`].
pub(super) struct Shown<'a, T>(pub(super) &'a T);

impl<T: Field> fmt::Debug for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

macro_rules! fixed_width_fields {
    ($($type:ty: $bytes:literal, $read:expr, $write:expr;)*) => {$(
        impl Field for $type {
            fn read(reader: &mut Reader<'_>, _: i16) -> Result<Self, DecodeError> {
                reader.take_array::<$bytes>().map($read)
            }

            fn skip(reader: &mut Reader<'_>, _: i16) -> Result<(), DecodeError> {
                reader.take($bytes).map(drop)
            }

            fn write(&self, writer: &mut Writer, _: i16) {
                writer.put(&$write(*self));
            }
        }
    )*};
}

fixed_width_fields! {
    // Any byte but 0 is true, as Kafka reads it.
    bool: 1, |[byte]| byte != 0, |value| [u8::from(value)];
    i8: 1, Self::from_be_bytes, Self::to_be_bytes;
    i16: 2, Self::from_be_bytes, Self::to_be_bytes;
    u16: 2, Self::from_be_bytes, Self::to_be_bytes;
    i32: 4, Self::from_be_bytes, Self::to_be_bytes;
    i64: 8, Self::from_be_bytes, Self::to_be_bytes;
    TopicId: 16, TopicId, |id: Self| id.0;
    ErrorCode: 2, |bytes| Self::from_code(i16::from_be_bytes(bytes)), |error: Self| error.code().to_be_bytes();
}

/// A value with a null form as a field that may not be null.
macro_rules! never_null_fields {
    ($([$($generics:tt)*] $type:ty $(, show $show:expr)?;)*) => {$(
        impl<$($generics)*> Field for $type {
            fn read(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
                present(Self::read_nullable(reader, version)?)
            }

            fn skip(reader: &mut Reader<'_>, version: i16) -> Result<(), DecodeError> {
                present(Self::skip_nullable(reader, version)?.then_some(()))
            }

            fn write(&self, writer: &mut Writer, version: i16) {
                Self::write_nullable(Some(self), writer, version);
            }

            $(fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $show(self, f)
            })?
        }
    )*};
}

never_null_fields! {
    [] Str;
    [] Records;
    [] Bytes, show |bytes: &Self, f: &mut fmt::Formatter<'_>| write!(f, "<{} bytes>", bytes.len());
    [T: Field] Array<T>;
}

impl<T: Nullable> Field for Option<T> {
    fn read(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        T::read_nullable(reader, version)
    }

    fn skip(reader: &mut Reader<'_>, version: i16) -> Result<(), DecodeError> {
        T::skip_nullable(reader, version).map(drop)
    }

    fn write(&self, writer: &mut Writer, version: i16) {
        T::write_nullable(self.as_ref(), writer, version);
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(value) => value.show(f),
            None => f.write_str("null"),
        }
    }
}

impl Nullable for Str {
    fn read_nullable(reader: &mut Reader<'_>, _: i16) -> Result<Option<Self>, DecodeError> {
        Ok(reader.string()?.map(|text| Self::from_checked(reader.share(text))))
    }

    fn skip_nullable(reader: &mut Reader<'_>, _: i16) -> Result<bool, DecodeError> {
        Ok(reader.string()?.is_some())
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer, _: i16) {
        writer.string(value.map(Self::as_str));
    }
}

impl Nullable for Bytes {
    fn read_nullable(reader: &mut Reader<'_>, _: i16) -> Result<Option<Self>, DecodeError> {
        Ok(reader.bytes()?.map(|bytes| reader.share(bytes)))
    }

    fn skip_nullable(reader: &mut Reader<'_>, _: i16) -> Result<bool, DecodeError> {
        Ok(reader.bytes()?.is_some())
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer, _: i16) {
        writer.long_length(value.map(Self::len));
        writer.splice(value.cloned().unwrap_or_default());
    }
}

impl Nullable for Records {
    fn read_nullable(reader: &mut Reader<'_>, version: i16) -> Result<Option<Self>, DecodeError> {
        Ok(Bytes::read_nullable(reader, version)?.map(Self::from))
    }

    fn skip_nullable(reader: &mut Reader<'_>, version: i16) -> Result<bool, DecodeError> {
        Bytes::skip_nullable(reader, version)
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer, _: i16) {
        writer.long_length(value.map(Self::size_bytes));
        for part in value.map(Self::parts).unwrap_or_default() {
            writer.splice(part.clone());
        }
    }
}

impl<T: Field> Nullable for Array<T> {
    fn read_nullable(reader: &mut Reader<'_>, version: i16) -> Result<Option<Self>, DecodeError> {
        match reader.array_count()? {
            Some(count) => Self::read_elements(reader, count, version).map(Some),
            None => Ok(None),
        }
    }

    fn skip_nullable(reader: &mut Reader<'_>, version: i16) -> Result<bool, DecodeError> {
        match reader.array_count()? {
            Some(count) => Self::skip_elements(reader, count, version).map(|()| true),
            None => Ok(false),
        }
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: i16) {
        writer.long_length(value.map(Self::len));
        if let Some(array) = value {
            array.for_each(|element| element.write(writer, version));
        }
    }
}
