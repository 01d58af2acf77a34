//! The way to a group's coordinator: looked up when it is first needed, and again whenever it proves to be another.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::client::cluster::Client;
use crate::client::config::BrokerAddress;
use crate::client::connection::Connection;
use crate::client::error::Error;
use crate::wire::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::{ErrorCode, Request};

/// The key type of groups.
const GROUP: i8 = 0;

/// The last version of OffsetCommit and OffsetFetch that names topics; from the next on they have ids. Named topics are
/// what an application asks about, and a broker that has ids takes names too.
pub(crate) const LAST_OFFSETS_VERSION_WITH_NAMES: i16 = 9;

/// One group's coordinator, as one client knows it.
#[derive(Debug)]
pub(crate) struct Coordinator {
    client: Client,
    group_id: Arc<str>,
    known: Mutex<Option<(i32, BrokerAddress)>>,
}

// === impl Coordinator ===

impl Coordinator {
    pub(crate) fn new(client: &Client, group_id: &str) -> Self {
        Self { client: client.clone(), group_id: group_id.into(), known: Mutex::default() }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn group_id(&self) -> &str {
        &self.group_id
    }

    /// The coordinator's node id and address; asks a broker when it is not known.
    pub(crate) async fn find(&self) -> Result<(i32, BrokerAddress), Error> {
        if let Some(known) = self.known.lock().clone() {
            return Ok(known);
        }
        let request = FindCoordinatorRequest {
            key: (&*self.group_id).into(),
            key_type: GROUP,
            coordinator_keys: vec![(&*self.group_id).into()].into(),
        };
        let response = self.client.call_any(&request).await?;
        let found = self.found(&response)?;
        *self.known.lock() = Some(found.clone());
        Ok(found)
    }

    /// The answer; versions before 4 have it at the top, the later ones one for each group asked for.
    fn found(&self, response: &FindCoordinatorResponse) -> Result<(i32, BrokerAddress), Error> {
        let context = || format!("looking for the coordinator of group {}", self.group_id);
        let text = |text: &crate::wire::Str| text.to_string();
        let (code, message, node_id, host, port) = match response.coordinators.iter().next() {
            Some(found) => (
                found.error_code,
                found.error_message.as_ref().map(text),
                found.node_id,
                found.host.to_string(),
                found.port,
            ),
            None => (
                response.error_code,
                response.error_message.as_ref().map(text),
                response.node_id,
                response.host.to_string(),
                response.port,
            ),
        };
        Error::check(code, message, context)?;
        match u16::try_from(port) {
            Ok(port) if port != 0 && !host.is_empty() => Ok((node_id, BrokerAddress { host, port })),
            _ => Err(Error::broker(context(), ErrorCode::COORDINATOR_NOT_AVAILABLE, None)),
        }
    }

    /// Looks the coordinator up again before the next request.
    pub(crate) fn forget(&self) {
        *self.known.lock() = None;
    }

    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, Error> {
        let (_, address) = self.find().await?;
        self.client.connection_to(&address).await.inspect_err(|error| self.doubt(error))
    }

    /// Sends a request once, in a version of at most `newest`, allowing the broker `patience` beyond the usual.
    pub(crate) async fn call<R: Request>(
        &self,
        request: &R,
        newest: i16,
        patience: Duration,
    ) -> Result<R::Response, Error> {
        let connection = self.connection().await?;
        let version = connection.version_of::<R>()?.min(newest);
        connection.call_at(request, version, patience).await.inspect_err(|error| self.doubt(error))
    }

    /// `Ok` for code 0; else the error, and the coordinator is forgotten when the code says that it is another.
    pub(crate) fn check(
        &self,
        code: ErrorCode,
        message: Option<String>,
        context: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        Error::check(code, message, context).inspect_err(|error| self.doubt(error))
    }

    /// Forgets the coordinator when an error hints that it is another one or gone.
    fn doubt(&self, error: &Error) {
        let is_doubtful = match error {
            Error::Broker { code, .. } => {
                matches!(*code, ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE)
            }
            _ => error.is_retriable(),
        };
        if is_doubtful {
            self.forget();
        }
    }
}
