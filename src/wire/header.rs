//! What stands in front of every request and response.

use super::field::Field;
use super::messages;
use super::{ApiKey, DecodeError, DecodeFault, Reader, Str, Writer};

/// The part of a request header that every version has: enough to answer a request that is otherwise not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestPrefix {
    /// The key of the API, perhaps unknown.
    pub api_key: i16,
    /// The version of the request, perhaps unknown.
    pub api_version: i16,
    /// Chosen by the client; the response carries it back.
    pub correlation_id: i32,
}

/// A request's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API.
    pub api_key: ApiKey,
    /// The version of the request and of its response.
    pub api_version: i16,
    /// Chosen by the client; the response carries it back.
    pub correlation_id: i32,
    /// The client's name for itself.
    pub client_id: Option<Str>,
}

/// A response's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHeader {
    /// The request's.
    pub correlation_id: i32,
}

/// The version of the header of a request: 2 (tagged fields) for flexible versions, else 1. Version 0, without client
/// id, has left the protocol with ControlledShutdown v0.
///
/// `None` for an API without messages here. A version beyond those known here counts like the newest.
#[must_use]
pub fn request_header_version(api: ApiKey, api_version: i16) -> Option<i16> {
    messages::versions(api).map(|versions| if versions.is_flexible(api_version) { 2 } else { 1 })
}

/// The version of the header of a response: 1 (tagged fields) for flexible versions, else 0.
///
/// ApiVersions is the exception: its response header is always version 0, since a client that asks does not know yet
/// what the broker speaks (KIP-511). `None` for an API without messages here.
#[must_use]
pub fn response_header_version(api: ApiKey, api_version: i16) -> Option<i16> {
    let flexible = messages::versions(api)?.is_flexible(api_version);
    Some(i16::from(flexible && api != ApiKey::ApiVersions))
}

// === impl RequestPrefix ===

impl RequestPrefix {
    /// Reads the first eight bytes of a request.
    ///
    /// # Errors
    /// [`DecodeFault::UnexpectedEnd`] when there are not as many.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { api_key: reader.i16()?, api_version: reader.i16()?, correlation_id: reader.i32()? })
    }
}

// === impl RequestHeader ===

impl RequestHeader {
    /// Reads a whole header; the body follows.
    ///
    /// The version need not be one that is known here, see [`request_header_version`].
    ///
    /// # Errors
    /// [`DecodeFault::UnsupportedApi`] for an API without messages here, else what is wrong with the bytes.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let RequestPrefix { api_key, api_version, correlation_id } = RequestPrefix::read(reader)?;
        let (api_key, header_version) = ApiKey::from_code(api_key)
            .and_then(|api| Some((api, request_header_version(api, api_version)?)))
            .ok_or(DecodeFault::UnsupportedApi { api_key })?;
        // The client id is a classic string even in version 2: it is read before the version is understood.
        reader.set_flexible(false);
        let client_id = Field::read(reader, header_version)?;
        if header_version >= 2 {
            reader.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(Self { api_key, api_version, correlation_id, client_id })
    }

    /// Writes the header.
    pub fn write(&self, writer: &mut Writer) {
        let header_version = request_header_version(self.api_key, self.api_version).unwrap_or(1);
        writer.put(&self.api_key.code().to_be_bytes());
        writer.put(&self.api_version.to_be_bytes());
        writer.put(&self.correlation_id.to_be_bytes());
        writer.set_flexible(false);
        self.client_id.write(writer, header_version);
        if header_version >= 2 {
            writer.unsigned_varint(0);
        }
    }
}

// === impl ResponseHeader ===

impl ResponseHeader {
    /// Reads the header of the response to a request of the given API and version.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn read(reader: &mut Reader<'_>, api: ApiKey, api_version: i16) -> Result<Self, DecodeError> {
        let correlation_id = reader.i32()?;
        if response_header_version(api, api_version) == Some(1) {
            reader.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(Self { correlation_id })
    }

    /// Writes the header of the response to a request of the given API and version.
    pub fn write(&self, writer: &mut Writer, api: ApiKey, api_version: i16) {
        writer.put(&self.correlation_id.to_be_bytes());
        if response_header_version(api, api_version) == Some(1) {
            writer.unsigned_varint(0);
        }
    }
}
