//! What every handler needs: the engine, and the address that clients are told.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::engine::Engine;
use crate::wire::Str;

/// The broker as the Kafka adapter sees it. One per process, shared by all connections.
#[derive(Debug)]
pub struct Broker {
    /// What does the work.
    pub engine: Arc<Engine>,
    /// What clients are told to connect to, where that is not the address they used.
    pub advertised: Option<Endpoint>,
}

/// Where clients connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or a literal.
    pub host: Str,
    /// The port.
    pub port: i32,
}

// === impl Endpoint ===

impl Endpoint {
    /// A name or a literal, and a port.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: Str::from(host), port: port.into() }
    }
}

// === impl Broker ===

impl Broker {
    /// The address to tell a client that connected to `local`: the advertised one, else the one it used, which it
    /// evidently can reach. A literal, so that no client turns `localhost` into an address nobody listens on.
    #[must_use]
    pub fn endpoint(&self, local: SocketAddr) -> Endpoint {
        self.advertised.clone().unwrap_or_else(|| Endpoint {
            host: Str::from(local.ip().to_canonical().to_string()),
            port: local.port().into(),
        })
    }
}
