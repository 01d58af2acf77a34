//! The Kafka protocol: messages as tables, and the codec that turns them into bytes and back.
//!
//! A frame is a size, a header and a message. [`RequestHeader`] and [`ResponseHeader`] are the headers; each file of
//! [`messages`] is the table of one API, in all its versions, for both directions: the broker reads requests and writes
//! responses, the bundled client does the reverse. `table.rs` is the macro behind the tables.
//!
//! What always holds:
//! - **Bytes from the network are hostile.** Reading never panics, and reserves nothing: strings, bytes and arrays are
//!   checked slices of the frame ([`Str`], `Bytes`, [`Array`]), so the memory a message takes does not depend on the
//!   numbers in it. `tests/wire.rs` holds this with a counting allocator, for every API and version.
//! - **Record bytes are never copied.** A request's are slices of its frame; a response's are spliced between the
//!   writer's own chunks and leave as [`Parts`] of a vectored write.
//! - Unknown tagged fields are passed over and not kept; known ones are written only when they differ from their
//!   default.
//! - Bytes behind a message's body are let be, as Kafka lets them be (4.3.1 answers such a request as if they were not
//!   there); [`Reader::remaining`] tells whoever cares.
//!
//! Deliberately absent: what an API means, which versions a broker advertises (that is `kafka::dispatch`), compression
//! and the inside of record batches (`record`), and a generic value tree: there is no message without a table.

#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod api_key;
mod array;
mod error;
mod error_code;
mod field;
mod header;
#[macro_use]
mod table;
pub mod messages;
mod reader;
mod records;
mod text;
mod writer;

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use bytes::Bytes;

pub use api_key::ApiKey;
pub use array::{Array, IntoIter, Iter};
pub use error::{DecodeError, DecodeFault};
pub use error_code::ErrorCode;
pub use field::{Field, Nullable};
pub use header::{
    RequestHeader, RequestPrefix, ResponseHeader, request_header_version, response_header_version,
};
pub use reader::Reader;
pub use records::Records;
pub use text::Str;
pub use writer::{FrameTooLarge, Parts, Writer};

/// A request or a response: a struct of the tables with an API and versions of its own.
pub trait Message: Field + Default + PartialEq {
    /// The API.
    const API_KEY: ApiKey;
    /// The versions that have a table.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version in the flexible encoding (KIP-482).
    const FLEXIBLE_FROM: i16;

    /// Reads a body; the reader stands behind the header. Bytes behind the body stay unread.
    ///
    /// # Errors
    /// [`DecodeFault::UnsupportedVersion`] outside of [`Self::VERSIONS`], else what is wrong with the bytes.
    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(DecodeFault::UnsupportedVersion { api: Self::API_KEY, version }.into());
        }
        reader.set_flexible(version >= Self::FLEXIBLE_FROM);
        Self::read(reader, version)
    }

    /// Writes a body; the header is written.
    ///
    /// # Panics
    /// Outside of [`Self::VERSIONS`]: whoever writes has chosen the version from them.
    fn encode(&self, writer: &mut Writer, version: i16) {
        assert!(Self::VERSIONS.contains(&version), "{} has no version {version}", Self::API_KEY);
        writer.set_flexible(version >= Self::FLEXIBLE_FROM);
        self.write(writer, version);
    }
}

/// A message that a client sends.
pub trait Request: Message {
    /// What answers it, in the same version.
    type Response: Message;
}

/// Reads a request's body; the reader stands behind its header, see [`RequestHeader::read`].
///
/// Bytes behind the body are let be.
///
/// # Errors
/// See [`Message::decode`].
pub fn decode_request<R: Request>(reader: &mut Reader<'_>, version: i16) -> Result<R, DecodeError> {
    R::decode(reader, version)
}

/// Writes a whole request, size in front.
///
/// # Errors
/// [`FrameTooLarge`] beyond 2 GiB.
///
/// # Panics
/// When `version` is not one of the request's.
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&Str>,
) -> Result<Parts, FrameTooLarge> {
    let mut writer = Writer::new_frame();
    let header = RequestHeader {
        api_key: R::API_KEY,
        api_version: version,
        correlation_id,
        client_id: client_id.cloned(),
    };
    header.write(&mut writer);
    request.encode(&mut writer, version);
    writer.finish_frame()
}

/// Reads a whole response, without the size in front.
///
/// # Errors
/// See [`Message::decode`].
pub fn decode_response<M: Message>(frame: &Bytes, version: i16) -> Result<(ResponseHeader, M), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::read(&mut reader, M::API_KEY, version)?;
    Ok((header, M::decode(&mut reader, version)?))
}

/// Writes a whole response, size in front.
///
/// # Errors
/// [`FrameTooLarge`] beyond 2 GiB.
///
/// # Panics
/// When `version` is not one of the response's.
pub fn encode_response<M: Message>(
    response: &M,
    version: i16,
    correlation_id: i32,
) -> Result<Parts, FrameTooLarge> {
    let mut writer = Writer::new_frame();
    ResponseHeader { correlation_id }.write(&mut writer, M::API_KEY, version);
    response.encode(&mut writer, version);
    writer.finish_frame()
}
