//! A connection's bytes, all the way: decoded lazily, decoded to the end of every array, served by the real handlers and
//! the real engine on a simulated disk.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};

use super::{QueuePool, let_go, open_engine};
use crate::engine::api::NewTopic;
use crate::kafka::broker::Broker;
use crate::kafka::connection::{Handling, Outcome, Service};
use crate::kafka::dispatch::{Dispatch, find};
use crate::testing::SimWorld;
use crate::wire::messages::{walk_request, walk_response};
use crate::wire::{Reader, RequestPrefix, ResponseHeader};

/// Frames of one input. More of them only take time.
const FRAMES_MAX: usize = 6;
/// How often the clock moves on before a request that waits is left alone, as by a client that went away.
const WAITS_MAX: usize = 8;

/// A broker, and the means to make it work.
struct Served {
    world: SimWorld,
    broker: Arc<Broker>,
    pool: Arc<QueuePool>,
}

/// Serves the frames of `input`, each behind its size; the last one may be shorter than it says.
pub(super) fn run(input: &[u8]) {
    let world = SimWorld::new(1);
    let (engine, pool) = open_engine(&world).expect("an empty directory opens");
    let broker = Arc::new(Broker { engine, advertised: None });
    let served = Served { world, broker, pool };
    served.make_topic();
    let mut service = Dispatch::new(
        Arc::clone(&served.broker),
        SocketAddr::from(([127, 0, 0, 1], 9092)),
        [127, 0, 0, 1].into(),
    );
    let mut rest = Bytes::copy_from_slice(input);
    for _ in 0..FRAMES_MAX {
        if rest.len() < 4 {
            break;
        }
        let size = usize::try_from(rest.get_u32()).unwrap_or(usize::MAX).min(rest.len());
        let frame = rest.split_to(size);
        // An error here closes a connection; only a panic is a finding.
        let _ = walk_request(&frame);
        if !served.serve(&mut service, frame) {
            break;
        }
    }
    assert!(served.broker.engine.fatal().borrow().is_none(), "a request broke the engine");
    served.restart();
}

// === impl Served ===

impl Served {
    fn make_topic(&self) {
        let topic = NewTopic {
            name: "golden".into(),
            partitions: Some(2),
            replication_factor: None,
            assignments: Vec::new(),
            configs: Vec::new(),
        };
        let created = self.drive(Box::pin(self.broker.engine.create_topics(vec![topic], false)));
        assert!(created.expect("it is done").iter().all(Result::is_ok));
    }

    /// Runs jobs, then the clock, until the future is ready; None when it waits for longer than anybody would.
    fn drive<T>(&self, mut future: Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Option<T> {
        let mut context = Context::from_waker(Waker::noop());
        let mut waits = 0;
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return Some(value);
            }
            if !self.pool.step() {
                waits += 1;
                if waits > WAITS_MAX {
                    return None;
                }
                self.world.clock.advance(Duration::from_millis(200));
                self.broker.engine.tick();
            }
        }
    }

    /// Serves one request; false when its connection ends.
    fn serve(&self, service: &mut Dispatch, frame: Bytes) -> bool {
        let prefix = RequestPrefix::read(&mut Reader::new(&frame));
        let outcome = match service.handle(frame) {
            Handling::Done(outcome) => Some(outcome),
            Handling::Later(future) => self.drive(future),
        };
        match outcome {
            None | Some(Outcome::Silence) => true,
            Some(Outcome::Close(_)) => false,
            Some(Outcome::Answer(parts)) => {
                let prefix = prefix.expect("an answer is to a request with a header");
                check_answer(&prefix, parts.into_bytes());
                true
            }
        }
    }

    /// Nothing that was accepted makes a restart fail, after a `kill -9` least of all.
    fn restart(self) {
        let Self { world, broker, pool } = self;
        pool.forget();
        drop((broker, pool));
        world.disk.kill();
        let (engine, pool) = open_engine(&world).expect("what was accepted can be opened");
        assert!(engine.image().topics().count() < 10_000);
        let_go(engine, &pool);
    }
}

/// An answer is one whole frame that a client of the request's version can read.
fn check_answer(prefix: &RequestPrefix, answer: Bytes) {
    let mut body = answer;
    let size = body.get_u32();
    assert_eq!(usize::try_from(size).ok(), Some(body.len()), "the size in front of the answer");
    let api = find(prefix.api_key).expect("only an API that is served has answers");
    let served = (api.served_from..=api.last).contains(&prefix.api_version);
    let version = if served { prefix.api_version } else { 0 };
    let mut reader = Reader::new(&body);
    let header = ResponseHeader::read(&mut reader, api.key, version).expect("an answer has a header");
    assert_eq!(header.correlation_id, prefix.correlation_id);
    let header_bytes = body.len() - reader.remaining();
    body.advance(header_bytes);
    walk_response(api.key, version, &body).expect("an answer can be read");
}
