//! What every part of the client is told once: where the brokers are, and how long to wait for them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::retry::RetryPolicy;

/// Kafka's own port, taken when an address names none.
pub const DEFAULT_PORT: u16 = 9092;

/// A broker's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BrokerAddress {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// A text that is not a broker's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a broker address: write HOST:PORT, for example 127.0.0.1:9092")]
pub struct ParseAddressError {
    text: String,
}

/// How to reach a cluster and how patient to be.
///
/// ```
/// use millrace::client::ClientConfig;
///
/// let config = ClientConfig::new("kafka-1:9092,kafka-2:9092")?;
/// assert_eq!(config.bootstrap[1].host, "kafka-2");
/// # Ok::<(), millrace::client::ParseAddressError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Brokers to ask first; the others are learnt from them.
    pub bootstrap: Vec<BrokerAddress>,
    /// The name that brokers log and account for.
    pub client_id: String,
    /// How long one TCP connection and its handshake may take.
    pub connect_timeout: Duration,
    /// How long one request may wait for its response. The connection is closed when it passes, since later
    /// responses on it could no longer be trusted to come.
    pub request_timeout: Duration,
    /// How long one call of [`Admin`](super::Admin) or one look-up of metadata may take, retries included.
    pub api_timeout: Duration,
    /// Metadata older than this is asked for again before it is used.
    pub metadata_max_age: Duration,
    /// The largest response taken; a longer one closes the connection.
    pub max_response_bytes: usize,
    /// How to wait between attempts.
    pub retry: RetryPolicy,
}

// === impl BrokerAddress ===

impl FromStr for BrokerAddress {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseAddressError { text: text.to_owned() };
        let trimmed = text.trim();
        let (host, port) = if let Some(rest) = trimmed.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(wrong)?) })
        } else {
            match trimmed.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => return Err(wrong()),
                Some((host, port)) => (host, Some(port)),
                None => (trimmed, None),
            }
        };
        if host.is_empty() || host.contains(|letter: char| letter.is_whitespace() || letter == '/') {
            return Err(wrong());
        }
        let port = match port {
            Some(digits) => digits.parse().ok().filter(|&port| port != 0).ok_or_else(wrong)?,
            None => DEFAULT_PORT,
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

// === impl ClientConfig ===

impl ClientConfig {
    /// The defaults, for the brokers in `bootstrap` (`HOST:PORT`, several separated by commas).
    ///
    /// # Errors
    /// When one of them is not an address, or there is none.
    pub fn new(bootstrap: &str) -> Result<Self, ParseAddressError> {
        let bootstrap = bootstrap.split(',').map(str::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            bootstrap,
            client_id: "millrace".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            api_timeout: Duration::from_secs(60),
            metadata_max_age: Duration::from_secs(300),
            max_response_bytes: 128 * 1024 * 1024,
            retry: RetryPolicy::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print() {
        for (text, host, port, printed) in [
            ("localhost", "localhost", 9092, "localhost:9092"),
            (" kafka-1:19092 ", "kafka-1", 19092, "kafka-1:19092"),
            ("10.0.0.1:1", "10.0.0.1", 1, "10.0.0.1:1"),
            ("[::1]:9093", "::1", 9093, "[::1]:9093"),
            ("[fe80::2]", "fe80::2", 9092, "[fe80::2]:9092"),
        ] {
            let address: BrokerAddress = text.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
            assert_eq!(address.to_string(), printed);
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in
            ["", ":9092", "a:", "a:0", "a:70000", "::1:9092", "[::1", "[::1]9092", "http://a:1", "a b:1"]
        {
            assert!(text.parse::<BrokerAddress>().is_err(), "{text}");
        }
        assert!(ClientConfig::new("a:1,,b:2").is_err());
    }
}
