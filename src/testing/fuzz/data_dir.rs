//! A data directory whose files were altered or hold things that no broker writes: the broker starts, or refuses.
//!
//! What the target knows: no start makes a topic disappear. Altered bytes of the catalog refuse the start or change
//! nothing; the files beside it can all be done without, or refuse.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{QueuePool, altered, byte, let_go, open_engine};
use crate::engine::api::NewTopic;
use crate::engine::{Engine, verify};
use crate::record::{BatchBuilder, Compression, batches, stamp};
use crate::testing::SimWorld;
use crate::types::LeaderEpoch;

/// How a file is altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attack {
    /// In its bytes, as rot does.
    Bytes,
    /// In its payload, the frame's checksum put right: for the two files that are one frame.
    Payload,
    /// By one more catalog record with this payload, in a good frame in a good batch.
    Record,
}

const TOPICS: [&str; 2] = ["orders", "returns"];

/// The first byte chooses the attack, the second the file and what is known of the last stop.
pub(super) fn run(input: &[u8]) {
    let mut rest = input;
    let attack = [Attack::Bytes, Attack::Payload, Attack::Record][usize::from(byte(&mut rest)) % 3];
    let flags = byte(&mut rest);
    let world = SimWorld::new(1);
    for (path, content) in sample() {
        if flags & 1 == 0 || !path.ends_with("clean") {
            world.disk.put(path, content);
        }
    }
    let chosen = usize::from(flags >> 1);
    match attack {
        Attack::Bytes => {
            let outside = |path: &Path| !path.starts_with("/data/topics") && !path.ends_with("lock");
            let files: Vec<_> = sample().iter().filter(|(path, _)| outside(path)).collect();
            let (path, content) = files[chosen % files.len()];
            world.disk.put(path, &altered(content, &mut rest));
        }
        Attack::Payload => {
            let (path, kind) = [("/data/meta", 2), ("/data/checkpoint", 3)][chosen % 2];
            world.disk.put(Path::new(path), &framed(kind, rest));
        }
        Attack::Record => append(&world, rest),
    }
    // Findings are as good as none; only a panic is one here.
    let _ = verify::verify(&world.env, Path::new("/data"));
    let Ok((engine, pool)) = open_engine(&world) else { return };
    if attack == Attack::Bytes {
        for name in TOPICS {
            let image = engine.image();
            assert!(image.topics().any(|topic| &*topic.name == name), "{name} has disappeared");
        }
    }
    while pool.step() {}
    engine.tick();
    let _ = engine.shutdown_clean();
    let_go(engine, &pool);
}

/// The frame that the engine puts around catalog records and its own small files.
fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, kind, 0, 0];
    frame.extend(u32::try_from(payload.len()).expect("inputs are small").to_be_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame);
    hasher.update(payload);
    frame.extend(hasher.finalize().to_be_bytes());
    frame.extend(payload);
    frame
}

/// Appends a record to the catalog's last segment, as the engine would have.
fn append(world: &SimWorld, payload: &[u8]) {
    let path = catalog();
    let mut content = world.disk.content(&path);
    let mut end = 0;
    let mut next_offset = 0;
    for batch in batches(content.clone().into()).map_while(Result::ok) {
        end += batch.bytes().len();
        next_offset = batch.header().next_offset();
    }
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(0, None, Some(&framed(1, payload)), &[]).expect("inputs are small");
    let mut batch = bytes::BytesMut::from(&builder.build()[..]);
    stamp(&mut batch, next_offset, LeaderEpoch(1));
    content.truncate(end);
    content.extend_from_slice(&batch);
    world.disk.put(&path, &content);
    // The mark of a clean stop vouches for a log's end that is another one now.
    let _ = world.env.disk.remove_file(Path::new("/data/clean"));
}

fn catalog() -> PathBuf {
    let is_catalog = |path: &&PathBuf| {
        path.starts_with("/data/catalog") && path.extension().is_some_and(|ext| ext == "log")
    };
    sample().iter().map(|(path, _)| path).rfind(is_catalog).expect("a catalog").clone()
}

/// The files of a data directory with two topics, made once.
pub(super) fn sample() -> &'static [(PathBuf, Vec<u8>)] {
    static SAMPLE: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let world = SimWorld::new(1);
        let (engine, pool) = open_engine(&world).expect("an empty directory opens");
        make_topics(&engine, &pool);
        engine.shutdown_clean().expect("the disk is well");
        drop(engine);
        let files = world.disk.files().into_iter();
        files.map(|path| (path.clone(), world.disk.content(&path))).collect()
    })
}

fn make_topics(engine: &Engine, pool: &QueuePool) {
    let topics = TOPICS.map(|name| NewTopic {
        name: name.into(),
        partitions: Some(2),
        configs: vec![("retention.ms".into(), Some("1000".into()))],
        ..NewTopic::default()
    });
    let created = engine.create_topics(topics.into(), false);
    while pool.step() {}
    let mut created = std::pin::pin!(created);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(created) = created.as_mut().poll(&mut context) else {
        unreachable!("all jobs have run");
    };
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}
