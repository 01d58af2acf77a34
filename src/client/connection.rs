//! One TCP connection to one broker.
//!
//! Requests are pipelined: any number of callers may wait for their responses at once, and the broker answers in
//! the order of the requests. Two tasks serve the socket. The writer sends each frame as the parts it consists of,
//! so a batch of records is never copied on its way out; the reader cuts frames out of its buffer, so a fetched
//! batch is never copied on its way in.
//!
//! What always holds: a response goes to the request with its correlation id or to nobody; the first thing that
//! goes wrong (a timeout, a frame out of order, an oversized frame) closes the connection for everybody, since
//! nothing after it could be trusted. A connection never comes back: its owner opens another one.

mod io;

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::config::{BrokerAddress, ClientConfig};
use super::error::Error;
use super::versions::ApiRanges;
use crate::wire::{self, DecodeError, Request, Str};

/// An open connection. Closes when the last reference to it goes.
#[derive(Debug)]
pub struct Connection {
    address: BrokerAddress,
    client_id: Str,
    request_timeout: Duration,
    ranges: ApiRanges,
    shared: Arc<Shared>,
    outgoing: mpsc::UnboundedSender<VecDeque<Bytes>>,
    reader: AbortHandle,
}

/// What the connection's owner and its two tasks share.
#[derive(Debug)]
struct Shared {
    address: BrokerAddress,
    state: Mutex<State>,
}

/// A request that was sent and waits for its response.
#[derive(Debug)]
pub(crate) struct InFlight {
    receiver: oneshot::Receiver<Result<Bytes, Error>>,
    version: i16,
    after: Duration,
    deadline: Instant,
}

#[derive(Debug, Default)]
struct State {
    next_correlation_id: i32,
    /// Requests that wait for a response, oldest first.
    waiting: VecDeque<(i32, oneshot::Sender<Result<Bytes, Error>>)>,
    /// Why the connection is closed, once it is.
    closed: Option<Error>,
}

// === impl Connection ===

impl Connection {
    /// Connects to `address` and learns which APIs the broker serves.
    ///
    /// # Errors
    /// [`Error::Connect`] when there is no connection, [`Error::Disconnected`] when the broker ends it, and
    /// [`Error::RequestTimeout`] when it says nothing.
    pub async fn open(address: &BrokerAddress, config: &ClientConfig) -> Result<Self, Error> {
        let opening = async {
            let connect = TcpStream::connect((address.host.as_str(), address.port));
            let stream = connect.await.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
            let stream = stream.map_err(|error| Error::connect(address, error))?;
            let mut connection = Self::over(stream, address, config);
            connection.ranges = ApiRanges::ask(&connection).await?;
            Ok(connection)
        };
        match tokio::time::timeout(config.connect_timeout, opening).await {
            Ok(result) => result,
            Err(_) => Err(Error::connect(address, std::io::ErrorKind::TimedOut.into())),
        }
    }

    fn over(stream: TcpStream, address: &BrokerAddress, config: &ClientConfig) -> Self {
        let (read_half, write_half) = stream.into_split();
        let (outgoing, frames) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { address: address.clone(), state: Mutex::default() });
        tokio::spawn(io::write_frames(write_half, frames, Arc::clone(&shared)));
        let reader = tokio::spawn(io::read_frames(read_half, config.max_response_bytes, Arc::clone(&shared)));
        Self {
            address: address.clone(),
            client_id: config.client_id.as_str().into(),
            request_timeout: config.request_timeout,
            ranges: ApiRanges::default(),
            shared,
            outgoing,
            reader: reader.abort_handle(),
        }
    }

    /// The broker's address.
    #[must_use]
    pub fn address(&self) -> &BrokerAddress {
        &self.address
    }

    /// The versions that the broker serves.
    #[must_use]
    pub fn ranges(&self) -> &ApiRanges {
        &self.ranges
    }

    /// Whether requests on this connection can only fail.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.state.lock().closed.is_some()
    }

    /// The highest version of `R` that both sides know.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when there is none.
    pub fn version_of<R: Request>(&self) -> Result<i16, Error> {
        self.ranges.version_of::<R>(&self.address)
    }

    /// Sends `request` in the highest version that both sides know and waits for the response.
    ///
    /// # Errors
    /// [`Error::Unsupported`], [`Error::Disconnected`], [`Error::RequestTimeout`] or [`Error::Malformed`]. Error
    /// codes within the response are the caller's to look at.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response, Error> {
        self.call_at(request, self.version_of::<R>()?, Duration::ZERO).await
    }

    /// As [`call`](Self::call), in the given version, allowing the broker `patience` more than the request timeout.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn call_at<R: Request>(
        &self,
        request: &R,
        version: i16,
        patience: Duration,
    ) -> Result<R::Response, Error> {
        self.finish::<R>(self.begin(request, version, patience)?).await
    }

    /// Sends `request` now, before this returns: requests reach the broker in the order of these calls. The response
    /// is to be taken with [`finish`](Self::finish).
    pub(crate) fn begin<R: Request>(
        &self,
        request: &R,
        version: i16,
        patience: Duration,
    ) -> Result<InFlight, Error> {
        let (sender, receiver) = oneshot::channel();
        // Under one lock, so that requests wait in the order in which they are sent.
        let mut state = self.shared.state.lock();
        let correlation_id = self.enqueue(&mut state, request, version)?;
        state.waiting.push_back((correlation_id, sender));
        let after = self.request_timeout + patience;
        Ok(InFlight { receiver, version, after, deadline: Instant::now() + after })
    }

    /// Waits for the response to a request of type `R` that was begun.
    pub(crate) async fn finish<R: Request>(&self, in_flight: InFlight) -> Result<R::Response, Error> {
        let version = in_flight.version;
        let frame = self.finish_frame::<R>(in_flight).await?;
        match wire::decode_response::<R::Response>(&frame, version) {
            Ok((_, response)) => Ok(response),
            Err(what) => Err(self.malformed::<R>(version, &what)),
        }
    }

    /// As [`finish`](Self::finish), without decoding.
    pub(crate) async fn finish_frame<R: Request>(&self, in_flight: InFlight) -> Result<Bytes, Error> {
        let InFlight { receiver, after, deadline, .. } = in_flight;
        match tokio::time::timeout_at(deadline, receiver).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(_)) => Err(self.closed_reason()),
            Err(_) => {
                let error = Error::RequestTimeout { address: self.address.clone(), api: R::API_KEY, after };
                self.shared.close(error.clone());
                Err(error)
            }
        }
    }

    /// Sends a request that the broker does not answer (a produce request with acks=0).
    ///
    /// # Errors
    /// [`Error::Disconnected`] when the connection is closed already; nothing tells whether the request arrives.
    pub fn send_unanswered<R: Request>(&self, request: &R, version: i16) -> Result<(), Error> {
        let mut state = self.shared.state.lock();
        self.enqueue(&mut state, request, version).map(drop)
    }

    fn enqueue<R: Request>(&self, state: &mut State, request: &R, version: i16) -> Result<i32, Error> {
        if let Some(reason) = &state.closed {
            return Err(reason.clone());
        }
        let correlation_id = state.next_correlation_id;
        state.next_correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
        let frame = wire::encode_request(request, version, correlation_id, Some(&self.client_id));
        let frame =
            frame.map_err(|error| Error::Invalid(format!("a request of {} bytes", error.size_bytes)))?;
        self.outgoing
            .send(frame.into_parts())
            .map_err(|_| self.shared.disconnected("the connection is closed"))?;
        Ok(correlation_id)
    }

    fn closed_reason(&self) -> Error {
        let state = self.shared.state.lock();
        state.closed.clone().unwrap_or_else(|| self.shared.disconnected("the connection is closed"))
    }

    /// Closes the connection for a response that cannot be read.
    pub(crate) fn malformed<R: Request>(&self, version: i16, what: &DecodeError) -> Error {
        let what = format!("the response to {} v{version}: {what}", R::API_KEY);
        let error = Error::Malformed { address: self.address.clone(), what };
        self.shared.close(error.clone());
        error
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The writer ends with its channel, once all is sent; the reader would wait for the broker.
        self.reader.abort();
        self.shared.close(self.shared.disconnected("the client closed the connection"));
    }
}

// === impl Shared ===

impl Shared {
    fn disconnected(&self, reason: impl Display) -> Error {
        Error::Disconnected { address: self.address.clone(), reason: reason.to_string() }
    }

    /// Closes the connection for `reason`, unless it is closed already, and fails all that wait on it.
    fn close(&self, reason: Error) {
        let waiting = {
            let mut state = self.state.lock();
            state.closed.get_or_insert(reason);
            std::mem::take(&mut state.waiting)
        };
        // Dropping a sender would do, but whoever waits is to learn the reason even if it looks only at the answer.
        let reason = self.state.lock().closed.clone();
        for (_, sender) in waiting {
            if let Some(reason) = &reason {
                let _gone_if_nobody_waits = sender.send(Err(reason.clone()));
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.state.lock().closed.is_some()
    }

    /// Hands a response to the request that waits for it.
    fn on_frame(&self, frame: Bytes) -> Result<(), String> {
        let Some(id) = frame.first_chunk::<4>().map(|id| i32::from_be_bytes(*id)) else {
            return Err(format!("a response of {} bytes, too short for a correlation id", frame.len()));
        };
        let expected = self.state.lock().waiting.pop_front();
        match expected {
            Some((expected, sender)) if expected == id => {
                let _gone_if_nobody_waits = sender.send(Ok(frame));
                Ok(())
            }
            Some((expected, _)) => {
                Err(format!("a response with correlation id {id} where {expected} was next"))
            }
            None => Err(format!("a response with correlation id {id} that nothing asked for")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> (Shared, oneshot::Receiver<Result<Bytes, Error>>) {
        let (sender, receiver) = oneshot::channel();
        let state = State { waiting: VecDeque::from([(7, sender)]), ..State::default() };
        (Shared { address: "localhost:1".parse().unwrap(), state: Mutex::new(state) }, receiver)
    }

    #[test]
    fn a_response_goes_to_the_request_with_its_correlation_id() {
        let (shared, mut receiver) = shared();
        shared.on_frame(Bytes::from_static(b"\0\0\0\x07rest")).unwrap();
        assert_eq!(&receiver.try_recv().unwrap().unwrap()[4..], b"rest");
        assert!(shared.on_frame(Bytes::from_static(b"\0\0\0\x07rest")).is_err(), "nothing waits any more");
    }

    #[test]
    fn a_response_out_of_order_is_refused() {
        for frame in [&b"\0\0\0\x08"[..], b"\0\0\0"] {
            let (shared, _receiver) = shared();
            assert!(shared.on_frame(Bytes::from_static(frame)).is_err());
        }
    }

    #[test]
    fn closing_fails_whoever_waits_with_the_first_reason() {
        let (shared, mut receiver) = shared();
        shared.close(shared.disconnected("first"));
        shared.close(shared.disconnected("second"));
        let error = receiver.try_recv().unwrap().unwrap_err();
        assert!(error.to_string().contains("first"), "{error}");
        assert!(shared.is_closed());
    }
}
