//! One client's connection: requests in, answers out in the same order.
//!
//! One task serves a connection and sleeps until the socket can be read or written, the oldest request in flight
//! is done, or a deadline has come. What always holds:
//!
//! - Answers leave in the order of the requests. A request starts only when everything before it is answered and
//!   written, as in Kafka; with one exception: consecutive Produce requests start one after another while
//!   earlier ones wait for their commit, up to a count and a number of bytes. The engine takes their batches in
//!   that order, so that a client sees the same as if each had waited, only sooner.
//! - At most one whole request waits behind those in flight; beyond it the socket is not read.
//! - A client that takes nothing of its answer is cut, so is one that stops in the middle of a request, and one
//!   that says nothing for `connections.max.idle.ms`.
//! - A panic in a handler ends this task and so this connection, and nothing else.
//!
//! Deliberately absent: what requests mean, which a [`Service`] knows.

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::budget::Charge;
use super::frames::{ALLOWANCE_BYTES, Frame, FrameError, FrameReader};
use super::outbox::Outbox;
use crate::wire::Parts;

/// What answers requests.
pub trait Service {
    /// How requests of this API stand beside others of their connection.
    fn turn(&self, api_key: Option<i16>) -> Turn;

    /// Starts a request. Whatever fixes its place among others is done when this returns.
    fn handle(&mut self, frame: Bytes) -> Handling;
}

/// How a request stands beside others of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Starts when everything before it is answered.
    Alone,
    /// As `Alone`, and may wait for something that never comes: given up when the broker stops.
    Parks,
    /// Starts while others of its kind are in flight.
    Pipelined,
}

/// A started request.
pub enum Handling {
    /// Done at once.
    Done(Outcome),
    /// Done later.
    Later(Pin<Box<dyn Future<Output = Outcome> + Send>>),
}

/// How a request ends.
#[derive(Debug)]
pub enum Outcome {
    /// With an answer: a whole frame, size in front.
    Answer(Parts),
    /// Without one, as the client asked (`acks=0`).
    Silence,
    /// With the end of the connection, which is the protocol's only word for some errors.
    Close(String),
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The client closed it.
    #[error("closed by the client")]
    ByClient,
    /// The broker stops.
    #[error("the broker stops")]
    Shutdown,
    /// Nothing came for `connections.max.idle.ms`.
    #[error("idle for {0:?}")]
    Idle(Duration),
    /// A request stopped in its middle.
    #[error("a request was not sent to its end in {0:?}")]
    HalfRequest(Duration),
    /// The client does not take its answers.
    #[error("no byte of the answer was taken for {0:?}")]
    NotReading(Duration),
    /// The client stopped sending, and its last requests took too long.
    #[error("the client stopped sending, and its last requests were not done in {0:?}")]
    HalfClosed(Duration),
    /// The bytes are no request.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A request ended it.
    #[error("{0}")]
    Request(String),
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Limits of each connection.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// The largest request, `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// How many Produce requests may be in flight.
    pub produces_in_flight_max: usize,
    /// How many bytes of requests may be in flight; one request may be larger.
    pub in_flight_bytes_max: usize,
    /// Close after so long without a byte, `connections.max.idle.ms`.
    pub idle: Duration,
    /// Close when a request has not arrived whole after so long.
    pub request_deadline: Duration,
    /// Close when the client takes nothing of its answers for so long.
    pub answer_deadline: Duration,
}

/// A connection being served.
pub struct Connection<S> {
    stream: TcpStream,
    service: S,
    limits: ConnectionLimits,
    reader: FrameReader,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    outbox: Outbox,
    active: Instant,
    /// When the client stopped sending.
    ended: Option<Instant>,
    /// Turns true when the broker stops.
    stopping: watch::Receiver<bool>,
    /// Whether it has.
    stops: bool,
}

/// A request between its start and its answer.
struct InFlight {
    handling: Handling,
    turn: Turn,
    size_bytes: usize,
    charge: Charge,
}

/// What woke a connection.
enum Event {
    Done(Outcome),
    Read(usize),
    Wrote,
    Deadline,
    Stopping,
}

// === impl Turn ===

impl Turn {
    /// How many times its own size a large request of this kind may take in memory besides, while it is served. A
    /// request with records is mostly records; others are lists, and a name of one letter becomes a whole entry of an
    /// answer. A parked one keeps only what it waits for.
    fn weight(self) -> usize {
        match self {
            Self::Pipelined => 0,
            Self::Parks => 8,
            Self::Alone => 64,
        }
    }
}

// === impl Connection ===

impl<S: Service> Connection<S> {
    /// A connection on an accepted stream. `stopping` turns true when the broker stops.
    pub fn new(
        stream: TcpStream,
        service: S,
        limits: ConnectionLimits,
        budget: &std::sync::Arc<super::budget::ByteBudget>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let reader = FrameReader::new(limits.request_bytes_max, budget);
        Self {
            stream,
            service,
            limits,
            reader,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            outbox: Outbox::default(),
            active: Instant::now(),
            ended: None,
            stopping,
            stops: false,
        }
    }

    /// Serves the connection to its end.
    pub async fn run(mut self) -> Ended {
        let ended = match self.serve().await {
            Ok(ended) | Err(ended) => ended,
        };
        if matches!(ended, Ended::NotReading(_)) {
            // A reset: the kernel must not keep on offering what nobody takes. A socket that is gone needs none.
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
        ended
    }

    async fn serve(&mut self) -> Result<Ended, Ended> {
        let mut timer = pin!(tokio::time::sleep_until(self.active + self.limits.idle));
        let mut stopping = self.stopping.clone();
        // Asked for once and kept, since all connections wait for the same word.
        let mut stop = pin!(async move { drop(stopping.wait_for(|stopping| *stopping).await) });
        loop {
            let may_start = self.start_requests()?;
            if !self.outbox.is_empty() && self.outbox.try_write(&self.stream)? && may_start {
                // An answer that left at once may have let the next request in.
                continue;
            }
            if let Some(ended) = self.is_done(may_start) {
                return Ok(ended);
            }
            match self.next_event(timer.as_mut(), stop.as_mut()).await? {
                Event::Done(outcome) => {
                    self.finish(outcome)?;
                    // One commit ends several requests; their answers leave with one write.
                    while let Some(outcome) = front_now(&mut self.in_flight).await {
                        self.finish(outcome)?;
                    }
                }
                Event::Read(0) => self.ended = Some(Instant::now()),
                Event::Read(_) | Event::Wrote => self.active = Instant::now(),
                Event::Deadline => self.check_deadlines(timer.as_mut())?,
                Event::Stopping => self.stops = true,
            }
        }
    }

    /// Starts all requests that are here and whose turn it is. False when no whole request is left to start.
    fn start_requests(&mut self) -> Result<bool, Ended> {
        while let Some(api_key) = self.reader.peek()? {
            let turn = self.service.turn(api_key);
            if self.stops || !self.may_start(turn) {
                return Ok(true);
            }
            let Some(Frame { bytes, mut charge }) = self.reader.cut()? else { break };
            let size_bytes = bytes.len();
            if size_bytes > ALLOWANCE_BYTES {
                charge.add(size_bytes * turn.weight());
            }
            let handling = self.service.handle(bytes);
            self.in_flight_bytes += size_bytes;
            self.in_flight.push_back(InFlight { handling, turn, size_bytes, charge });
            while matches!(self.in_flight.front(), Some(InFlight { handling: Handling::Done(_), .. })) {
                self.finish_done()?;
            }
            // What leaves now need not be waited for; a failed write shows again at the next one.
            if !self.outbox.is_empty() {
                self.outbox.try_write(&self.stream)?;
            }
        }
        Ok(false)
    }

    fn may_start(&self, turn: Turn) -> bool {
        if self.in_flight.is_empty() && self.outbox.is_empty() {
            return true;
        }
        turn == Turn::Pipelined
            && self.in_flight.front().is_none_or(|request| request.turn == Turn::Pipelined)
            && self.in_flight.len() < self.limits.produces_in_flight_max
            && self.in_flight_bytes + self.outbox.size_bytes() < self.limits.in_flight_bytes_max
    }

    /// Whether the connection has nothing left to do, and why it ends then.
    fn is_done(&self, request_waits: bool) -> Option<Ended> {
        if self.stops {
            // A parked request would be waited for in vain; its client asks the next broker again.
            let parked = self.in_flight.iter().all(|request| request.turn == Turn::Parks);
            return (parked && self.outbox.is_empty()).then_some(Ended::Shutdown);
        }
        let idle = self.in_flight.is_empty() && self.outbox.is_empty() && !request_waits;
        (self.ended.is_some() && idle).then_some(Ended::ByClient)
    }

    /// Waits until there is something to do.
    async fn next_event(
        &mut self,
        mut timer: Pin<&mut Sleep>,
        stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Event, Ended> {
        let reads = self.ended.is_none() && !self.stops && self.reader.peek()?.is_none();
        let writes = !self.outbox.is_empty();
        let runs = !self.in_flight.is_empty();
        let next = earliest(&self.limits, &self.reader, &self.outbox, self.ended, self.active, runs);
        if next < timer.deadline() {
            timer.as_mut().reset(next);
        }
        let Self { stream, reader, in_flight, outbox, stops, .. } = self;
        let event = tokio::select! {
            // In this order: once the broker stops, no request starts because another one is done.
            biased;
            () = stop, if !*stops => Event::Stopping,
            outcome = front(in_flight), if runs => Event::Done(outcome),
            written = outbox.flush(stream), if writes => { written?; Event::Wrote }
            count = reader.fill(stream), if reads => Event::Read(count?),
            () = timer.as_mut() => Event::Deadline,
        };
        Ok(event)
    }

    /// Takes the outcome of the oldest request.
    fn finish(&mut self, outcome: Outcome) -> Result<(), Ended> {
        let request = self.in_flight.pop_front().expect("only a request in flight has an outcome");
        self.answer(outcome, request.size_bytes, request.charge)?;
        while matches!(self.in_flight.front(), Some(InFlight { handling: Handling::Done(_), .. })) {
            self.finish_done()?;
        }
        self.active = Instant::now();
        Ok(())
    }

    /// Takes the outcome of the oldest request, which is done.
    fn finish_done(&mut self) -> Result<(), Ended> {
        match self.in_flight.pop_front() {
            Some(InFlight { handling: Handling::Done(outcome), size_bytes, charge, .. }) => {
                self.answer(outcome, size_bytes, charge)
            }
            Some(running) => {
                self.in_flight.push_front(running);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn answer(&mut self, outcome: Outcome, size_bytes: usize, mut charge: Charge) -> Result<(), Ended> {
        self.in_flight_bytes -= size_bytes;
        match outcome {
            Outcome::Answer(parts) => {
                let parts = parts.into_parts();
                // Only the first part is certain to be in memory of its own: records are slices of maps.
                charge.add(parts.front().map_or(0, Bytes::len));
                self.outbox.push(parts, charge);
                Ok(())
            }
            Outcome::Silence => Ok(()),
            Outcome::Close(reason) => Err(Ended::Request(reason)),
        }
    }

    /// Ends the connection if a deadline has passed, and sets the timer to the next one.
    fn check_deadlines(&self, timer: Pin<&mut Sleep>) -> Result<(), Ended> {
        let now = Instant::now();
        let limits = &self.limits;
        if self.outbox.progress().is_some_and(|since| since + limits.answer_deadline <= now) {
            return Err(Ended::NotReading(limits.answer_deadline));
        }
        if self.ended.is_some_and(|since| since + limits.answer_deadline <= now) {
            return Err(Ended::HalfClosed(limits.answer_deadline));
        }
        let runs = !self.in_flight.is_empty();
        if !runs && self.reader.deadline(limits.request_deadline).is_some_and(|deadline| deadline <= now) {
            return Err(Ended::HalfRequest(limits.request_deadline));
        }
        if !runs && self.outbox.is_empty() && self.active + limits.idle <= now {
            return Err(Ended::Idle(limits.idle));
        }
        timer.reset(earliest(limits, &self.reader, &self.outbox, self.ended, self.active, runs));
        Ok(())
    }
}

/// The next moment at which something may be overdue.
fn earliest(
    limits: &ConnectionLimits,
    reader: &FrameReader,
    outbox: &Outbox,
    ended: Option<Instant>,
    active: Instant,
    runs: bool,
) -> Instant {
    let idle = active + limits.idle;
    let answer = outbox.progress().map(|since| since + limits.answer_deadline);
    let half_closed = ended.map(|since| since + limits.answer_deadline);
    let request = if runs { None } else { reader.deadline(limits.request_deadline) };
    // While there is something to do, idleness is not looked at; the timer only has to come back some time.
    let idle = if runs || !outbox.is_empty() { Instant::now() + limits.idle } else { idle };
    [answer, half_closed, request].into_iter().flatten().fold(idle, Instant::min)
}

/// The outcome of the oldest request in flight. Cancel-safe: the request stays where it is.
async fn front(in_flight: &mut VecDeque<InFlight>) -> Outcome {
    std::future::poll_fn(|context| match in_flight.front_mut().map(|request| &mut request.handling) {
        Some(Handling::Later(future)) => Poll::Ready(ready!(future.as_mut().poll(context))),
        // Outcomes that are there are taken when they come to the front, before anything is waited for.
        Some(Handling::Done(_)) | None => Poll::Pending,
    })
    .await
}

/// The outcome of the oldest request if it is done by now.
async fn front_now(in_flight: &mut VecDeque<InFlight>) -> Option<Outcome> {
    let mut front = pin!(front(in_flight));
    std::future::poll_fn(|context| match front.as_mut().poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests;
