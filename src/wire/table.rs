//! The macro that turns one table per API into structs that read and write themselves.
//!
//! A table reads like Kafka's schema files, in fewer lines:
//!
//! ```text
//! messages! {
//!     Produce: versions 3..=13, flexible from 9;
//!
//!     /// What the message asks for.
//!     request ProduceRequest => ProduceResponse {
//!         transactional_id: Option<Str>,                 in every version
//!         topic_data: Array<TopicProduceData>,
//!     }
//!
//!     struct TopicProduceData {
//!         name: Str [3..=12],                            in versions 3 to 12
//!         topic_id: TopicId [13..],                      from version 13
//!         partition_data: Array<PartitionProduceData>,
//!     }
//!
//!     response ProduceResponse {
//!         node_endpoints: Array<NodeEndpoint> [10.., tag 0],   a tagged field, written unless it has its default
//!         error_message: Option<Str> [5.., null 6..],    may be null from version 6 only
//!         leader_id: i32 = -1,                           the default, where it is not the type's own
//!     }
//! }
//! ```
//!
//! Fields stand in the order of the wire, tagged ones by ascending tag; names are Kafka's, in snake case. A field that a
//! version lacks is not written, and reads as its default. A null that a version lacks is written as the empty value, and
//! is an error to read.
//!
//! Reading and skipping a struct go through the same fields in the same order and fail alike, which [`Array`] relies on.
//!
//! [`Array`]: super::Array

use super::field::{Field, Nullable};
use super::{DecodeError, DecodeFault, Writer};

/// Makes the structs of one API with their [`Field`] and [`Nullable`], and, for its request and response,
/// [`Message`](super::Message) and [`Request`](super::Request). See the module.
macro_rules! messages {
    (
        $api:ident: versions $first:literal ..= $last:literal, flexible from $flexible_from:literal;
        $(
            $(#[$meta:meta])*
            $kind:ident $name:ident $(=> $response:ident)? {
                $(
                    $(#[$field_meta:meta])*
                    $field:ident: $ty:ty
                        $([$versions:pat $(, tag $tag:literal)? $(, null $null:pat)?])?
                        $(= $default:expr)?
                ),* $(,)?
            }
        )*
    ) => {$(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[doc = concat!(
                    "`", stringify!($field), "`",
                    $(", versions `", stringify!($versions), "`", $(", null in `", stringify!($null), "`",)?)?
                    "."
                )]
                pub $field: $ty,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: default_of!($($default)?),)* }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($field), &$crate::wire::field::Shown(&self.$field)))*
                    .finish()
            }
        }

        impl $crate::wire::Field for $name {
            fn read(
                reader: &mut $crate::wire::Reader<'_>,
                version: i16,
            ) -> Result<Self, $crate::wire::DecodeError> {
                let mut value = Self::default();
                $(if_untagged!([$($($tag)?)?] has!(version $(, $versions)?) => {
                    value.$field = read_field!($ty, reader, version $($(, $null)?)?)
                        .map_err(|error| error.within(stringify!($name), stringify!($field)))?;
                });)*
                if reader.is_flexible() {
                    reader.tagged_fields(|tag, reader| {
                        $(if_tagged!([$($($tag)?)?] tag, has!(version $(, $versions)?) => {
                            value.$field = read_field!($ty, reader, version $($(, $null)?)?)
                                .map_err(|error| error.within(stringify!($name), stringify!($field)))?;
                            return Ok(true);
                        });)*
                        let _ = (tag, reader);
                        Ok(false)
                    })?;
                }
                Ok(value)
            }

            fn skip(
                reader: &mut $crate::wire::Reader<'_>,
                version: i16,
            ) -> Result<(), $crate::wire::DecodeError> {
                $(if_untagged!([$($($tag)?)?] has!(version $(, $versions)?) => {
                    skip_field!($ty, reader, version $($(, $null)?)?)
                        .map_err(|error| error.within(stringify!($name), stringify!($field)))?;
                });)*
                if reader.is_flexible() {
                    reader.tagged_fields(|tag, reader| {
                        $(if_tagged!([$($($tag)?)?] tag, has!(version $(, $versions)?) => {
                            skip_field!($ty, reader, version $($(, $null)?)?)
                                .map_err(|error| error.within(stringify!($name), stringify!($field)))?;
                            return Ok(true);
                        });)*
                        let _ = (tag, reader);
                        Ok(false)
                    })?;
                }
                Ok(())
            }

            fn write(&self, writer: &mut $crate::wire::Writer, version: i16) {
                $(if_untagged!([$($($tag)?)?] has!(version $(, $versions)?) => {
                    write_field!(&self.$field, writer, version $($(, $null)?)?);
                });)*
                if writer.is_flexible() {
                    let present = 0 $(+ count_tagged!(
                        [$($($tag)?)?] has!(version $(, $versions)?) && self.$field != typed_default!($ty $(, $default)?)
                    ))*;
                    writer.unsigned_varint(present);
                    $(write_tagged!(
                        [$($($tag)?)?] has!(version $(, $versions)?) && self.$field != typed_default!($ty $(, $default)?) =>
                        writer, |writer| write_field!(&self.$field, writer, version $($(, $null)?)?)
                    );)*
                }
            }
        }

        message!($kind $name $($response)?, $api, $first, $last, $flexible_from);
    )*};
}

/// What a struct is besides a field: `request`, `response`, or just `struct`.
macro_rules! message {
    (struct $name:ident, $($table:tt)*) => {
        impl $crate::wire::field::Nullable for $name {
            fn read_nullable(
                reader: &mut $crate::wire::Reader<'_>,
                version: i16,
            ) -> Result<Option<Self>, $crate::wire::DecodeError> {
                if reader.i8()? < 0 { Ok(None) } else { $crate::wire::Field::read(reader, version).map(Some) }
            }

            fn skip_nullable(
                reader: &mut $crate::wire::Reader<'_>,
                version: i16,
            ) -> Result<bool, $crate::wire::DecodeError> {
                if reader.i8()? < 0 { return Ok(false) }
                <Self as $crate::wire::Field>::skip(reader, version).map(|()| true)
            }

            fn write_nullable(value: Option<&Self>, writer: &mut $crate::wire::Writer, version: i16) {
                $crate::wire::Field::write(&if value.is_some() { 1i8 } else { -1i8 }, writer, version);
                if let Some(value) = value {
                    $crate::wire::Field::write(value, writer, version);
                }
            }
        }
    };
    (request $name:ident $response:ident, $($table:tt)*) => {
        message!(response $name, $($table)*);

        impl $crate::wire::Request for $name {
            type Response = $response;
        }
    };
    (response $name:ident, $api:ident, $first:literal, $last:literal, $flexible_from:literal) => {
        impl $crate::wire::Message for $name {
            const API_KEY: $crate::wire::ApiKey = $crate::wire::ApiKey::$api;
            const VERSIONS: std::ops::RangeInclusive<i16> = $first..=$last;
            const FLEXIBLE_FROM: i16 = $flexible_from;
        }
    };
}

/// Whether a version is among those of a field; every version is, where the table names none.
macro_rules! has {
    ($version:expr) => {
        true
    };
    ($version:expr, $versions:pat) => {
        matches!($version, $versions)
    };
}

/// A field's default where its type cannot be inferred: other crates' types compare with integers too.
macro_rules! typed_default {
    ($ty:ty) => {
        <$ty as Default>::default()
    };
    ($ty:ty, $default:expr) => {
        $default
    };
}

/// A field's default: its type's own where the table gives none.
macro_rules! default_of {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default
    };
}

/// The body for a field without a tag, in the versions that have it.
macro_rules! if_untagged {
    ([] $has:expr => $body:block) => { if $has $body };
    ([$tag:literal] $has:expr => $body:block) => {};
}

/// The body for a field with a tag, when it is the tag at hand, in the versions that have it.
macro_rules! if_tagged {
    ([] $found:expr, $has:expr => $body:block) => {};
    ([$tag:literal] $found:expr, $has:expr => $body:block) => { if $found == $tag && $has $body };
}

/// 1 for a field with a tag that is written, else 0.
macro_rules! count_tagged {
    ([] $written:expr) => {
        0
    };
    ([$tag:literal] $written:expr) => {
        u32::from($written)
    };
}

/// Writes a field with a tag, if it is written.
macro_rules! write_tagged {
    ([] $written:expr => $writer:expr, $write:expr) => {};
    ([$tag:literal] $written:expr => $writer:expr, $write:expr) => {
        if $written {
            $writer.tagged_field($tag, $write);
        }
    };
}

/// Reads a field; a null only in the versions that have it.
macro_rules! read_field {
    ($ty:ty, $reader:expr, $version:expr) => {
        <$ty as $crate::wire::Field>::read($reader, $version)
    };
    ($ty:ty, $reader:expr, $version:expr, $null:pat) => {
        <$ty as $crate::wire::Field>::read($reader, $version)
            .and_then(|value| $crate::wire::table::null_only_if(matches!($version, $null), value))
    };
}

/// Checks a field and passes over it, as [`read_field`] reads it.
macro_rules! skip_field {
    ($ty:ty, $reader:expr, $version:expr) => {
        <$ty as $crate::wire::Field>::skip($reader, $version)
    };
    ($ty:ty, $reader:expr, $version:expr, $null:pat) => {
        read_field!($ty, $reader, $version, $null).map(drop)
    };
}

/// Writes a field; a null only in the versions that have it.
macro_rules! write_field {
    ($value:expr, $writer:expr, $version:expr) => {
        $crate::wire::Field::write($value, $writer, $version)
    };
    ($value:expr, $writer:expr, $version:expr, $null:pat) => {
        $crate::wire::table::write_null_only_if(matches!($version, $null), $value, $writer, $version)
    };
}

/// Refuses a null in a version that has none.
pub(super) fn null_only_if<T>(nullable: bool, value: Option<T>) -> Result<Option<T>, DecodeError> {
    if nullable || value.is_some() { Ok(value) } else { Err(DecodeFault::UnexpectedNull.into()) }
}

/// Writes a null as the empty value in a version that has no null.
pub(super) fn write_null_only_if<T: Nullable + Default>(
    nullable: bool,
    value: &Option<T>,
    writer: &mut Writer,
    version: i16,
) {
    match value {
        None if !nullable => T::default().write(writer, version),
        value => value.write(writer, version),
    }
}
