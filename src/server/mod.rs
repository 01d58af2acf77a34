//! The composition root: it puts the engine, the Kafka adapter and the listeners together, and takes them apart.
//!
//! `millrace serve` and the tests use it; so can a Rust program that wants a broker inside itself:
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use millrace::env::Env;
//! use millrace::server::{Server, config::{Layers, ServerConfig, Source}};
//!
//! let mut layers = Layers::default();
//! layers.add("log.dir", "/var/lib/millrace", Source::Set);
//! layers.add("listeners", "127.0.0.1:0", Source::Set);
//! let server = Server::start(&ServerConfig::from_layers(&layers)?, Env::system()).await?;
//! println!("{}", server.addresses()[0]);
//! server.stop().await?;
//! # Ok(()) }
//! ```
//!
//! What always holds: nothing listens before the engine is open and has recovered, and the engine is closed only
//! after the last connection is gone. Deliberately absent: signals, exit codes and what is printed, which belong to
//! the command line.

pub mod admission;
pub mod config;
mod listener;
pub mod process;
pub mod verify;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use self::admission::{Admission, Admitted, Limits};
use self::config::{ConfigError, HostPort, ServerConfig};
use crate::engine::{Engine, EngineConfig, OpenError, ThreadPool};
pub use crate::env::Env;
use crate::kafka::broker::{Broker, Endpoint};
use crate::kafka::budget::ByteBudget;
use crate::kafka::buffers::BufferPool;
use crate::kafka::connection::{Connection, ConnectionLimits};
use crate::kafka::dispatch::Dispatch;

/// How often memory that requests were read into, and that was not needed since, goes back to the system.
const TRIM_EVERY: Duration = Duration::from_secs(5);

/// A running broker.
pub struct Server {
    engine: Arc<Engine>,
    addresses: Vec<SocketAddr>,
    stopping: watch::Sender<bool>,
    /// Closed when the last listener and the last connection are gone: each holds a sender.
    running: mpsc::Receiver<()>,
    shutdown_timeout: Duration,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be run with.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process holds the data directory.
    #[error("the data directory {dir} is in use by {holder}")]
    InUse {
        /// The data directory.
        dir: String,
        /// What the holder says of itself.
        holder: String,
    },
    /// The data directory cannot be opened or recovered.
    #[error("cannot open the data directory: {0}")]
    Disk(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: HostPort,
        /// Why.
        error: io::Error,
    },
}

/// What every connection is served with.
struct Shared {
    broker: Arc<Broker>,
    limits: ConnectionLimits,
    budget: Arc<ByteBudget>,
    stopping: watch::Receiver<bool>,
    running: mpsc::Sender<()>,
}

// === impl Server ===

impl Server {
    /// Opens the data directory, recovers it if need be, and starts to listen.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running.
    pub async fn start(config: &ServerConfig, env: Env) -> Result<Self, StartError> {
        // The engine first: nobody connects to a broker that still recovers, and of two brokers with the same
        // directory and port the second is told about the directory.
        let engine = open_engine(config, env).await?;
        let (listeners, addresses) = match listen(&config.listeners).await {
            Ok(listening) => listening,
            Err(error) => {
                if let Err(error) = close_engine(engine).await {
                    tracing::warn!(%error, "the data directory was not closed cleanly");
                }
                return Err(error);
            }
        };

        let (stopping, stopped) = watch::channel(false);
        let (sender, running) = mpsc::channel(1);
        let advertised = config.advertised.as_ref();
        let budget = ByteBudget::new(config.in_flight_bytes);
        let shared = Arc::new(Shared {
            broker: Arc::new(Broker {
                engine: Arc::clone(&engine),
                advertised: advertised.map(|address| Endpoint::new(&address.host, address.port)),
            }),
            limits: config.connection.clone(),
            budget: Arc::clone(&budget),
            stopping: stopped.clone(),
            running: sender,
        });
        let admission = Admission::new(limits_of(Arc::clone(&engine)));
        for listener in listeners {
            let shared = Arc::clone(&shared);
            let serve = move |stream, peer, admitted| shared.serve(stream, peer, admitted);
            tokio::spawn(listener::accept(listener, Arc::clone(&admission), stopped.clone(), serve));
        }
        tokio::spawn(trim_buffers(Arc::downgrade(budget.buffers()), stopped));
        Ok(Self { engine, addresses, stopping, running, shutdown_timeout: config.shutdown_timeout })
    }

    /// The addresses listened on, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The engine behind the listeners.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Stops accepting, answers what is in flight, and closes the engine so that the next start scans nothing.
    ///
    /// # Errors
    /// When the engine cannot be closed; the next start recovers.
    pub async fn stop(mut self) -> Result<(), String> {
        self.stopping.send_replace(true);
        let drained = tokio::time::timeout(self.shutdown_timeout, self.running.recv()).await;
        if drained.is_err() {
            tracing::warn!(waited = ?self.shutdown_timeout, "some requests were not done in time");
        }
        close_engine(self.engine).await
    }

    /// Waits until the disk has failed in a way after which this process must not go on; says what happened.
    pub async fn failed(&self) -> String {
        let mut fatal = self.engine.fatal();
        match fatal.wait_for(Option::is_some).await {
            Ok(told) => told.clone().expect("waited for"),
            // The engine is as long as this server.
            Err(_) => std::future::pending().await,
        }
    }

    /// What an acknowledgement means, in words.
    #[must_use]
    pub fn durability(&self) -> &'static str {
        if self.engine.image().settings.value("log.write.caching") == "true" {
            "acks=all means written to the page cache; a power cut may lose it (log.write.caching=true)"
        } else {
            "acks=all means that the record is on the disk; acks=1 that it is written"
        }
    }
}

/// How many connections there may be by the settings in force.
fn limits_of(engine: Arc<Engine>) -> impl Fn() -> Limits + Send + Sync + 'static {
    let connections_most = process::connections_most();
    move || {
        let settings = &engine.image().settings;
        let count = |name| usize::try_from(settings.int(name)).unwrap_or(usize::MAX);
        Limits {
            total: count("max.connections").min(connections_most),
            per_address: count("max.connections.per.ip"),
        }
    }
}

/// Gives memory that was not needed for a while back to the system, until the broker stops.
async fn trim_buffers(buffers: Weak<BufferPool>, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = tokio::time::sleep(TRIM_EVERY) => {}
        }
        let Some(buffers) = buffers.upgrade() else { return };
        buffers.trim();
    }
}

async fn open_engine(config: &ServerConfig, env: Env) -> Result<Arc<Engine>, StartError> {
    let engine = EngineConfig {
        data_dir: config.data_dir.clone(),
        broker_id: config.node_id,
        settings: config.engine.clone(),
        shown_settings: config.shown.clone(),
        holder: format!("process {}", std::process::id()),
        own_timer: true,
    };
    let pool = Arc::new(ThreadPool::new());
    let opening = tokio::task::spawn_blocking(move || Engine::open(engine, env, pool));
    opening.await.map_err(|panic| StartError::Disk(panic.to_string()))?.map_err(|error| match error {
        OpenError::InUse { dir, holder } => StartError::InUse { dir, holder },
        other => StartError::Disk(other.to_string()),
    })
}

async fn close_engine(engine: Arc<Engine>) -> Result<(), String> {
    let closing = tokio::task::spawn_blocking(move || engine.shutdown_clean());
    closing.await.map_err(|panic| panic.to_string())?.map_err(|error| error.to_string())
}

async fn listen(wanted: &[HostPort]) -> Result<(Vec<TcpListener>, Vec<SocketAddr>), StartError> {
    let mut listeners = Vec::new();
    let mut addresses = Vec::new();
    for address in wanted {
        let refused = |error| StartError::Listen { address: address.clone(), error };
        let listener = listener::bind(address).await.map_err(refused)?;
        addresses.push(listener.local_addr().map_err(refused)?);
        listeners.push(listener);
        if !address.is_loopback() {
            tracing::warn!(%address, "anybody who reaches this address can read and write everything");
        }
    }
    Ok((listeners, addresses))
}

// === impl Shared ===

impl Shared {
    /// Serves a connection in a task of its own: what goes wrong in it, a panic included, ends it alone.
    fn serve(&self, stream: TcpStream, peer: SocketAddr, admitted: Admitted) {
        let Ok(local) = stream.local_addr() else { return };
        let service = Dispatch::new(Arc::clone(&self.broker), local, peer.ip());
        let connection =
            Connection::new(stream, service, self.limits.clone(), &self.budget, self.stopping.clone());
        let running = self.running.clone();
        tokio::spawn(async move {
            let _held = (admitted, running);
            tracing::debug!(%peer, "connected");
            let ended = connection.run().await;
            tracing::debug!(%peer, reason = %ended, "connection closed");
        });
    }
}
