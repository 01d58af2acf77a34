//! Millrace: a message broker that speaks the Kafka wire protocol, in one binary.
//!
//! The map of the crate, arrows pointing only downwards (held by `tests/layering.rs`):
//!
//! ```text
//! cli                    one file per subcommand
//! client    server       the bundled client · config, listeners, shutdown
//!    \      kafka        the Kafka adapter: connection, dispatch, one handler per API
//!     \    /     \
//!     wire      engine   messages as tables · topics, produce, fetch: plain types, no protocol
//!         \     /   \
//!         record     log · purgatory   batches · one partition's log · everything that waits
//!            \       /
//!             env · types
//! ```
//!
//! Start reading at [`engine`], then [`log`]; `docs/ARCHITECTURE.md` follows a request from the socket to the disk.

pub mod cli;
pub mod client;
pub mod engine;
pub mod env;
pub mod kafka;
pub mod log;
pub mod purgatory;
pub mod record;
pub mod server;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod types;
pub mod wire;
