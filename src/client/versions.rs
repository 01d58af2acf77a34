//! Which versions of which APIs a broker serves: the first thing asked on a connection.

use std::collections::HashMap;
use std::time::Duration;

use super::config::BrokerAddress;
use super::connection::Connection;
use super::error::Error;
use crate::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{ApiKey, ErrorCode, Message, Request, decode_response};

/// The versions of each API that a broker serves, both ends included.
#[derive(Debug, Clone, Default)]
pub struct ApiRanges {
    ranges: HashMap<i16, (i16, i16)>,
}

// === impl ApiRanges ===

impl ApiRanges {
    /// The versions served of an API; `None` when it is not served.
    #[must_use]
    pub fn served(&self, api: ApiKey) -> Option<(i16, i16)> {
        self.ranges.get(&(api as i16)).copied()
    }

    /// The highest version of `R` that both sides know.
    pub(super) fn version_of<R: Request>(&self, address: &BrokerAddress) -> Result<i16, Error> {
        let (ours_min, ours_max) = (*R::VERSIONS.start(), *R::VERSIONS.end());
        let served = self.served(R::API_KEY);
        let common =
            served.map(|(min, max)| (min.max(ours_min), max.min(ours_max))).filter(|(min, max)| min <= max);
        common.map(|(_, max)| max).ok_or_else(|| Error::Unsupported {
            address: address.clone(),
            api: R::API_KEY,
            ours_min,
            ours_max,
            served,
        })
    }

    /// Asks a broker: first in our highest version, then, when that is too high for it, in its own.
    pub(super) async fn ask(connection: &Connection) -> Result<Self, Error> {
        let request = ApiVersionsRequest {
            client_software_name: env!("CARGO_PKG_NAME").into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
        };
        let highest = *ApiVersionsRequest::VERSIONS.end();
        let response = ask_in(connection, &request, highest).await?;
        if response.error_code != ErrorCode::UNSUPPORTED_VERSION {
            return Self::of(connection, &response);
        }
        // KIP-511: the refusal names the versions served. Brokers older than that name none.
        let served = Self::of_keys(&response).served(ApiKey::ApiVersions);
        let version = served.map_or(0, |(_, max)| max.clamp(0, highest));
        Self::of(connection, &ask_in(connection, &request, version).await?)
    }

    fn of(connection: &Connection, response: &ApiVersionsResponse) -> Result<Self, Error> {
        let context = || format!("asking {} for its API versions", connection.address());
        Error::check(response.error_code, None, context)?;
        Ok(Self::of_keys(response))
    }

    fn of_keys(response: &ApiVersionsResponse) -> Self {
        let ranges = response.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version)));
        Self { ranges: ranges.collect() }
    }
}

async fn ask_in(
    connection: &Connection,
    request: &ApiVersionsRequest,
    version: i16,
) -> Result<ApiVersionsResponse, Error> {
    let in_flight = connection.begin(request, version, Duration::ZERO)?;
    let frame = connection.finish_frame::<ApiVersionsRequest>(in_flight).await?;
    // A refusal has the shape of version 0, whatever was asked for. Source: KIP-511.
    let refused = frame.get(4..6) == Some(&ErrorCode::UNSUPPORTED_VERSION.code().to_be_bytes()[..]);
    let version = if refused { 0 } else { version };
    match decode_response(&frame, version) {
        Ok((_, response)) => Ok(response),
        Err(what) => Err(connection.malformed::<ApiVersionsRequest>(version, &what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::metadata::MetadataRequest;

    #[test]
    fn the_highest_common_version_is_taken() {
        let address: BrokerAddress = "localhost".parse().unwrap();
        let ours = MetadataRequest::VERSIONS;
        let version = |min, max| {
            let ranges = HashMap::from([(ApiKey::Metadata as i16, (min, max))]);
            ApiRanges { ranges }.version_of::<MetadataRequest>(&address)
        };
        assert_eq!(version(0, 4).unwrap(), 4);
        assert_eq!(version(0, 1000).unwrap(), *ours.end());
        assert!(matches!(version(900, 1000), Err(Error::Unsupported { served: Some((900, 1000)), .. })));
        let none = ApiRanges::default().version_of::<MetadataRequest>(&address);
        assert!(none.unwrap_err().to_string().contains("does not serve it at all"));
    }
}
