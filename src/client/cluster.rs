//! The client's view of a cluster: connections to its brokers, and metadata that is refreshed when it proves stale.
//!
//! A [`Client`] is cheap to clone; producers, consumers and admins made from it share its connections. Connecting is
//! lazy and happens once per broker however many ask. Retrying is decided in [`Client::retrying`] alone.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::config::{BrokerAddress, ClientConfig};
use super::connection::Connection;
use super::error::Error;
use super::metadata::{Metadata, TopicMetadata};
use super::retry::Attempts;
use crate::types::TopicId;
use crate::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use crate::wire::{ErrorCode, Request};

/// How long a topic that the broker may create on first use is waited for, when the broker says it is unknown.
const AUTO_CREATE_PATIENCE: Duration = Duration::from_secs(5);

/// A cluster, as one client sees it.
///
/// ```no_run
/// use millrace::client::{Client, ClientConfig};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect(ClientConfig::new("127.0.0.1:9092")?).await?;
/// for (id, broker) in &client.metadata().brokers {
///     println!("broker {id} at {}", broker.address);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
    nodes: Arc<Nodes>,
}

#[derive(Debug)]
struct Inner {
    config: ClientConfig,
    metadata: ArcSwap<Metadata>,
    /// Held while metadata is asked for, so that many who find it stale ask once.
    refreshing: tokio::sync::Mutex<()>,
}

/// Connections by address.
type Nodes = Mutex<HashMap<BrokerAddress, Arc<Node>>>;

/// One address and the connection to it, when there is one.
#[derive(Debug)]
struct Node {
    address: BrokerAddress,
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
}

/// Whether asking for a topic may create it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AutoCreate {
    No,
    Yes,
}

// === impl Client ===

impl Client {
    /// A client that has not connected yet.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                metadata: ArcSwap::default(),
                refreshing: tokio::sync::Mutex::default(),
            }),
            nodes: Arc::default(),
        }
    }

    /// A client that has reached one of the bootstrap brokers and knows all of them. Tries each once.
    ///
    /// # Errors
    /// When none of them answers.
    pub async fn connect(config: ClientConfig) -> Result<Self, Error> {
        let client = Self::new(config);
        client.refresh(&[], AutoCreate::No, Instant::now()).await?;
        Ok(client)
    }

    /// The same client with connections of its own, for requests that a broker may hold back: it answers a
    /// connection's requests in their order, so all others would wait behind them.
    pub(crate) fn with_own_connections(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), nodes: Arc::default() }
    }

    /// How the client was configured.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// What is known of the cluster, without asking.
    #[must_use]
    pub fn metadata(&self) -> Arc<Metadata> {
        self.inner.metadata.load_full()
    }

    /// A topic as the brokers know it; asks them when it is not known yet or was last told long ago.
    ///
    /// # Errors
    /// [`Error::Broker`] when it does not exist or may not be seen, [`Error::Timeout`] when nobody answers.
    pub async fn topic(&self, name: &str) -> Result<Arc<TopicMetadata>, Error> {
        self.topic_or_create(name, AutoCreate::No).await
    }

    pub(crate) async fn topic_or_create(
        &self,
        name: &str,
        auto_create: AutoCreate,
    ) -> Result<Arc<TopicMetadata>, Error> {
        let started = Instant::now();
        let oldest = started.checked_sub(self.inner.config.metadata_max_age).unwrap_or(started);
        if let Some(topic) = self.inner.metadata.load().topic(name)
            && topic.fetched_at >= oldest
        {
            return Ok(Arc::clone(topic));
        }
        self.fetch_topic(name, auto_create, started).await
    }

    /// A topic as the brokers knew it at `not_before` or later.
    pub(crate) async fn fetch_topic(
        &self,
        name: &str,
        auto_create: AutoCreate,
        not_before: Instant,
    ) -> Result<Arc<TopicMetadata>, Error> {
        let name: Arc<str> = name.into();
        let started = Instant::now();
        let may_come = |error: &Error| match error.code() {
            Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {
                auto_create == AutoCreate::Yes && started.elapsed() < AUTO_CREATE_PATIENCE
            }
            _ => error.is_retriable(),
        };
        self.retrying_while(
            || format!("looking up topic {name}"),
            may_come,
            || async {
                let (metadata, errors) =
                    self.refresh(std::slice::from_ref(&name), auto_create, not_before).await?;
                if let Some(&(_, code)) = errors.iter().find(|(failed, _)| *failed == name) {
                    return Err(Error::broker(format!("topic {name}"), code, None));
                }
                let missing =
                    || Error::broker(format!("topic {name}"), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None);
                metadata.topic(&name).cloned().ok_or_else(missing)
            },
        )
        .await
    }

    /// Asks for `topics` unless all of them were told at `not_before` or later. Asks for the brokers alone when there
    /// are none. Returns the metadata and what brokers say is wrong with some of the topics.
    pub(crate) async fn refresh(
        &self,
        topics: &[Arc<str>],
        auto_create: AutoCreate,
        not_before: Instant,
    ) -> Result<(Arc<Metadata>, Vec<(Arc<str>, ErrorCode)>), Error> {
        let _one_asks = self.inner.refreshing.lock().await;
        let known = self.inner.metadata.load_full();
        let is_fresh = |name| known.topic(name).is_some_and(|topic| topic.fetched_at >= not_before);
        if !topics.is_empty() && topics.iter().all(|name| is_fresh(name)) {
            return Ok((known, Vec::new()));
        }
        let wanted = topics.iter().map(|name| MetadataRequestTopic {
            name: Some(name.as_ref().into()),
            ..MetadataRequestTopic::default()
        });
        let request = MetadataRequest {
            topics: Some(wanted.collect()),
            allow_auto_topic_creation: auto_create == AutoCreate::Yes,
            ..MetadataRequest::default()
        };
        self.learn(&request).await
    }

    /// Asks for all topics.
    pub(crate) async fn refresh_all(&self) -> Result<Arc<Metadata>, Error> {
        let _one_asks = self.inner.refreshing.lock().await;
        let request =
            MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() };
        Ok(self.learn(&request).await?.0)
    }

    /// Asks for topics by their ids; those that no broker knows are not in the answer.
    pub(crate) async fn refresh_ids(&self, ids: &[TopicId]) -> Result<Arc<Metadata>, Error> {
        let _one_asks = self.inner.refreshing.lock().await;
        let wanted = ids.iter().map(|&topic_id| MetadataRequestTopic { topic_id, name: None });
        let request = MetadataRequest {
            topics: Some(wanted.collect()),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        Ok(self.learn(&request).await?.0)
    }

    /// Takes over what a broker answers; the caller holds `refreshing`.
    async fn learn(
        &self,
        request: &MetadataRequest,
    ) -> Result<(Arc<Metadata>, Vec<(Arc<str>, ErrorCode)>), Error> {
        let now = Instant::now();
        let response = self.call_any(request).await?;
        let refreshed = self.inner.metadata.load_full().updated(&response, now);
        let metadata = Arc::new(refreshed.metadata);
        self.inner.metadata.store(Arc::clone(&metadata));
        self.forget_lost_nodes(&metadata);
        Ok((metadata, refreshed.errors))
    }

    /// Drops connections to addresses that belong to no broker any more.
    fn forget_lost_nodes(&self, metadata: &Metadata) {
        let bootstrap = &self.inner.config.bootstrap;
        self.nodes.lock().retain(|address, _| {
            bootstrap.contains(address) || metadata.brokers.values().any(|broker| broker.address == *address)
        });
    }

    fn node(&self, address: &BrokerAddress) -> Arc<Node> {
        let mut nodes = self.nodes.lock();
        if let Some(node) = nodes.get(address) {
            return Arc::clone(node);
        }
        let node = Arc::new(Node { address: address.clone(), connection: tokio::sync::Mutex::default() });
        nodes.insert(address.clone(), Arc::clone(&node));
        node
    }

    /// A connection to a broker, opened when there is none.
    ///
    /// # Errors
    /// [`Error::Broker`] with `BROKER_NOT_AVAILABLE` when no such broker is known, or as [`Connection::open`].
    pub async fn connection(&self, node_id: i32) -> Result<Arc<Connection>, Error> {
        let address = self.inner.metadata.load().address(node_id).cloned();
        let unknown = || {
            Error::broker(
                format!("broker {node_id}"),
                ErrorCode::BROKER_NOT_AVAILABLE,
                Some("unknown".into()),
            )
        };
        self.node(&address.ok_or_else(unknown)?).connection(&self.inner.config).await
    }

    /// A connection to an address that a broker named, opened when there is none.
    pub(crate) async fn connection_to(&self, address: &BrokerAddress) -> Result<Arc<Connection>, Error> {
        self.node(address).connection(&self.inner.config).await
    }

    /// Sends a request to one broker.
    ///
    /// # Errors
    /// As [`connection`](Self::connection) and [`Connection::call`].
    pub async fn call<R: Request>(&self, node_id: i32, request: &R) -> Result<R::Response, Error> {
        self.connection(node_id).await?.call(request).await
    }

    /// Sends a request to whichever broker answers first, known ones before bootstrap addresses.
    ///
    /// # Errors
    /// The last one's, when none answers.
    pub async fn call_any<R: Request>(&self, request: &R) -> Result<R::Response, Error> {
        let metadata = self.inner.metadata.load_full();
        let mut addresses: Vec<&BrokerAddress> =
            metadata.brokers.values().map(|broker| &broker.address).collect();
        for address in &self.inner.config.bootstrap {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let mut last = Error::Invalid("no bootstrap broker is configured".to_owned());
        for address in addresses {
            let answer =
                async { self.node(address).connection(&self.inner.config).await?.call(request).await };
            match answer.await {
                Ok(response) => return Ok(response),
                Err(error) if error.is_retriable() => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Sends a request to the controller, or to any broker when none is known.
    pub(crate) async fn call_controller<R: Request>(&self, request: &R) -> Result<R::Response, Error> {
        match self.inner.metadata.load().controller_id {
            Some(controller) => self.call(controller, request).await,
            None => self.call_any(request).await,
        }
    }

    /// Repeats `attempt` while it fails for reasons that may pass, until the API timeout.
    pub(crate) async fn retrying<T, F: Future<Output = Result<T, Error>>>(
        &self,
        what: impl Fn() -> String,
        attempt: impl FnMut() -> F,
    ) -> Result<T, Error> {
        self.retrying_while(what, Error::may_pass, attempt).await
    }

    /// As [`retrying`](Self::retrying), while `may_pass` says so of a failure.
    pub(crate) async fn retrying_while<T, F: Future<Output = Result<T, Error>>>(
        &self,
        what: impl Fn() -> String,
        may_pass: impl Fn(&Error) -> bool,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Error> {
        let after = self.inner.config.api_timeout;
        let mut attempts = Attempts::within(self.inner.config.retry, after);
        loop {
            let last = match tokio::time::timeout_at(attempts.deadline(), attempt()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) if may_pass(&error) => Some(Box::new(error)),
                Ok(Err(error)) => return Err(error),
                Err(_) => None,
            };
            tracing::debug!(?last, what = what(), "trying again");
            if last.is_none() || !attempts.wait().await {
                return Err(Error::Timeout { what: what(), after, last });
            }
        }
    }
}

// === impl Node ===

impl Node {
    async fn connection(&self, config: &ClientConfig) -> Result<Arc<Connection>, Error> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        let connection = Arc::new(Connection::open(&self.address, config).await?);
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }
}
