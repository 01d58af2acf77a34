use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::super::budget::ByteBudget;
use super::*;
use crate::wire::Writer;

/// API keys of the scripted service.
const PIPELINED: i16 = 0;
const PARKS: i16 = 1;
const ALONE: i16 = 2;

/// A request that makes the service panic.
const POISON: u8 = 255;

/// A service whose requests end when the test says so.
struct Scripted {
    started: mpsc::UnboundedSender<u8>,
    waiting: Arc<Mutex<Vec<Option<oneshot::Sender<Outcome>>>>>,
}

impl Service for Scripted {
    fn turn(&self, api_key: Option<i16>) -> Turn {
        match api_key {
            Some(PIPELINED) => Turn::Pipelined,
            Some(PARKS) => Turn::Parks,
            _ => Turn::Alone,
        }
    }

    fn handle(&mut self, frame: Bytes) -> Handling {
        assert!(frame[2] != POISON, "as the test wants it");
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().push(Some(sender));
        self.started.send(frame[2]).unwrap();
        Handling::Later(Box::pin(async { receiver.await.expect("the test answers every request") }))
    }
}

/// A connection to a scripted service.
struct Fixture {
    client: TcpStream,
    started: mpsc::UnboundedReceiver<u8>,
    waiting: Arc<Mutex<Vec<Option<oneshot::Sender<Outcome>>>>>,
    stop: watch::Sender<bool>,
    server: JoinHandle<Ended>,
    budget: Arc<ByteBudget>,
}

const BUDGET_BYTES: usize = 1 << 30;

fn limits() -> ConnectionLimits {
    ConnectionLimits {
        request_bytes_max: 100 << 20,
        produces_in_flight_max: 3,
        in_flight_bytes_max: 1 << 20,
        idle: Duration::from_secs(60),
        request_deadline: Duration::from_secs(60),
        answer_deadline: Duration::from_secs(60),
    }
}

async fn connect(limits: ConnectionLimits) -> Fixture {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (sender, started) = mpsc::unbounded_channel();
    let waiting = Arc::new(Mutex::new(Vec::new()));
    let (stop, stopping) = watch::channel(false);
    let budget = ByteBudget::new(BUDGET_BYTES);
    let service = Scripted { started: sender, waiting: Arc::clone(&waiting) };
    let connection = Connection::new(stream, service, limits, &budget, stopping);
    let server = tokio::spawn(connection.run());
    Fixture { client, started, waiting, stop, server, budget }
}

fn frame(body: Bytes) -> Outcome {
    let mut writer = Writer::new_frame();
    writer.splice(body);
    Outcome::Answer(writer.finish_frame().unwrap())
}

impl Fixture {
    async fn send(&mut self, api_key: i16, id: u8) {
        let mut frame = 3i32.to_be_bytes().to_vec();
        frame.extend_from_slice(&api_key.to_be_bytes());
        frame.push(id);
        self.client.write_all(&frame).await.unwrap();
    }

    async fn starts(&mut self, id: u8) {
        assert_eq!(self.started.recv().await, Some(id));
    }

    /// Ends the `index`th request that was started.
    fn end(&self, index: usize, outcome: Outcome) {
        self.waiting.lock()[index].take().unwrap().send(outcome).unwrap();
    }

    fn answer(&self, index: usize, text: &'static str) {
        self.end(index, frame(Bytes::from_static(text.as_bytes())));
    }

    async fn reads(&mut self, text: &str) {
        let length = self.client.read_i32().await.unwrap();
        let mut answer = vec![0; usize::try_from(length).unwrap()];
        self.client.read_exact(&mut answer).await.unwrap();
        assert_eq!(std::str::from_utf8(&answer).unwrap(), text);
    }

    async fn ended(self) -> Ended {
        self.server.await.unwrap()
    }
}

#[tokio::test]
async fn produces_run_side_by_side_and_are_answered_in_order() {
    let mut connection = connect(limits()).await;
    for id in 0..3 {
        connection.send(PIPELINED, id).await;
    }
    for id in 0..3 {
        connection.starts(id).await;
    }
    connection.answer(2, "third");
    connection.answer(1, "second");
    connection.answer(0, "first");
    for text in ["first", "second", "third"] {
        connection.reads(text).await;
    }
    assert_eq!(connection.budget.available_bytes(), BUDGET_BYTES as i64);
}

#[tokio::test]
async fn only_so_many_produces_are_in_flight() {
    let mut connection = connect(limits()).await;
    for id in 0..5 {
        connection.send(PIPELINED, id).await;
    }
    for id in 0..3 {
        connection.starts(id).await;
    }
    assert!(connection.started.try_recv().is_err());
    connection.answer(0, "first");
    connection.starts(3).await;
    connection.reads("first").await;
    assert!(connection.started.try_recv().is_err());
}

#[tokio::test]
async fn any_other_request_starts_alone() {
    let mut connection = connect(limits()).await;
    connection.send(PIPELINED, 0).await;
    connection.send(ALONE, 1).await;
    connection.send(PIPELINED, 2).await;
    connection.starts(0).await;
    assert!(connection.started.try_recv().is_err(), "it started beside a produce");
    connection.answer(0, "produced");
    connection.reads("produced").await;
    connection.starts(1).await;
    assert!(connection.started.try_recv().is_err(), "a produce started beside it");
    connection.answer(1, "alone");
    connection.reads("alone").await;
    connection.starts(2).await;
}

#[tokio::test]
async fn silence_sends_nothing_and_a_close_ends_the_connection() {
    let mut connection = connect(limits()).await;
    for id in 0..3 {
        connection.send(PIPELINED, id).await;
        connection.starts(id).await;
    }
    connection.end(0, Outcome::Silence);
    connection.answer(1, "second");
    connection.reads("second").await;
    connection.end(2, Outcome::Close("as it should".into()));
    assert_eq!(connection.client.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(matches!(connection.ended().await, Ended::Request(reason) if reason == "as it should"));
}

#[tokio::test]
async fn what_was_sent_before_a_half_close_is_answered() {
    let mut connection = connect(limits()).await;
    connection.send(ALONE, 0).await;
    connection.send(ALONE, 1).await;
    connection.client.shutdown().await.unwrap();
    connection.starts(0).await;
    connection.answer(0, "first");
    connection.reads("first").await;
    connection.starts(1).await;
    connection.answer(1, "second");
    connection.reads("second").await;
    assert!(matches!(connection.ended().await, Ended::ByClient));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_holding_one_answer() {
    let mut connection =
        connect(ConnectionLimits { answer_deadline: Duration::from_millis(200), ..limits() }).await;
    connection.send(PARKS, 0).await;
    connection.send(PARKS, 1).await;
    connection.starts(0).await;
    connection.end(0, frame(Bytes::from(vec![1; 64 << 20])));
    assert!(connection.budget.available_bytes() <= BUDGET_BYTES as i64);
    let Fixture { server, mut started, budget, client, .. } = connection;
    assert!(matches!(server.await.unwrap(), Ended::NotReading(_)));
    assert_eq!(started.recv().await, None, "the next request started before the answer was taken");
    assert_eq!(budget.available_bytes(), BUDGET_BYTES as i64);
    drop(client);
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_a_request_is_cut() {
    let mut connection =
        connect(ConnectionLimits { request_deadline: Duration::from_millis(100), ..limits() }).await;
    connection.client.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
    let Fixture { server, client, .. } = connection;
    assert!(matches!(server.await.unwrap(), Ended::HalfRequest(_)));
    drop(client);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut_but_not_while_it_waits() {
    let mut connection = connect(ConnectionLimits { idle: Duration::from_millis(100), ..limits() }).await;
    connection.send(PARKS, 0).await;
    connection.starts(0).await;
    let waited = tokio::time::timeout(Duration::from_millis(300), &mut connection.server).await;
    assert!(waited.is_err(), "it was cut while its request was in flight");
    connection.answer(0, "late");
    connection.reads("late").await;
    let Fixture { server, client, .. } = connection;
    assert!(matches!(server.await.unwrap(), Ended::Idle(_)));
    drop(client);
}

#[tokio::test]
async fn a_stopping_broker_answers_what_runs_and_drops_what_is_parked() {
    let mut running = connect(limits()).await;
    running.send(PIPELINED, 0).await;
    running.send(ALONE, 1).await;
    running.starts(0).await;
    running.stop.send(true).unwrap();
    running.answer(0, "produced");
    running.reads("produced").await;
    assert!(matches!(running.server.await.unwrap(), Ended::Shutdown));
    assert!(running.started.recv().await.is_none(), "a request started in a stopping broker");

    let mut parked = connect(limits()).await;
    parked.send(PARKS, 0).await;
    parked.starts(0).await;
    parked.stop.send(true).unwrap();
    assert!(matches!(parked.server.await.unwrap(), Ended::Shutdown));
}

#[tokio::test]
async fn bytes_that_are_no_request_end_the_connection() {
    let mut connection = connect(limits()).await;
    connection.client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(matches!(connection.ended().await, Ended::Frame(FrameError::Http)));
}

#[tokio::test]
async fn a_panic_ends_only_its_connection_and_gives_back_what_it_held() {
    let mut poisoned = connect(limits()).await;
    poisoned.send(PIPELINED, 0).await;
    poisoned.starts(0).await;
    poisoned.send(PIPELINED, POISON).await;
    let Fixture { server, mut client, budget, .. } = poisoned;
    assert!(server.await.unwrap_err().is_panic());
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0, "the client is not told");
    assert_eq!(budget.available_bytes(), BUDGET_BYTES as i64);
}
