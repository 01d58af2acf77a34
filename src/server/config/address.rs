//! Addresses as they are written: `[PLAINTEXT://]HOST:PORT`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name or a literal; an IPv6 literal without brackets.
    pub host: String,
    /// The port; 0 lets the system choose where it is listened on.
    pub port: u16,
}

/// A text that is not an address. Says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(String);

// === impl HostPort ===

impl HostPort {
    /// Whether only processes of this machine can connect to it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let rest = match text.split_once("://") {
            None => text,
            Some((protocol, rest)) if protocol.eq_ignore_ascii_case("PLAINTEXT") => rest,
            Some((protocol, _)) => {
                return Err(AddressError(format!("{protocol} listeners are not served; expected PLAINTEXT")));
            }
        };
        let (host, port) =
            rest.rsplit_once(':').ok_or_else(|| AddressError("expected HOST:PORT".to_owned()))?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if bare.is_none() && host.contains(':') {
            return Err(AddressError("an IPv6 address stands in brackets: [::1]:9092".to_owned()));
        }
        // Kafka's own way to write "all interfaces" is to leave the host out.
        let host = match bare.unwrap_or(host) {
            "" => "0.0.0.0",
            host => host,
        };
        let port = port.parse().map_err(|_| AddressError(format!("{port:?} is no port")))?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_kafka_writes_them() {
        for (text, expected, loopback) in [
            ("127.0.0.1:9092", "127.0.0.1:9092", true),
            (" PLAINTEXT://localhost:0 ", "localhost:0", true),
            ("[::1]:9092", "[::1]:9092", true),
            ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", true),
            ("plaintext://:9092", "0.0.0.0:9092", false),
            ("[::]:9092", "[::]:9092", false),
            ("broker.example.org:9092", "broker.example.org:9092", false),
        ] {
            let address: HostPort = text.parse().unwrap();
            assert_eq!(address.to_string(), expected);
            assert_eq!(address.is_loopback(), loopback, "{text}");
        }
        for text in ["", "9092", "host:", "host:70000", "::1:9092", "SSL://host:9092", "host:-1"] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }
}
