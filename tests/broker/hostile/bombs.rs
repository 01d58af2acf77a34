//! Decompression bombs: a few kilobytes that would become more than anybody asked for.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use millrace::record::{BatchBuilder, Compression};
use millrace::wire::ErrorCode;
use millrace::wire::messages::metadata::MetadataRequest;
use tokio::time::Instant;

use super::victim::Victim;
use crate::fixture::{Client, only, produce};

pub(super) const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Beyond the 64 MiB that a batch may come to.
const ZEROS: usize = 72 << 20;

/// One record of zeros, a little more than the broker decompresses at most.
pub(super) fn bomb(codec: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    builder.append(0, None, Some(&vec![0; ZEROS]), &[]).unwrap();
    builder.build()
}

/// Sends each bomb `times`, each of which must be refused. Returns the longest that one took.
pub(super) async fn explode(broker: SocketAddr, bombs: &[Bytes], times: usize) -> Duration {
    let mut client = Client::connect(broker).await;
    client.make_topic("bombs").await;
    let mut longest = Duration::ZERO;
    for _ in 0..times {
        for bomb in bombs {
            let sent = Instant::now();
            let response = client.ask(&produce("bombs", -1, bomb.clone()), 9).await;
            longest = longest.max(sent.elapsed());
            let code = only(&response).error_code;
            assert_eq!(code, ErrorCode::MESSAGE_TOO_LARGE, "{response:?}");
        }
    }
    longest
}

/// The largest batch is large enough here for snappy, which packs no more than 1 : 21.
pub(super) const LARGE_BATCHES: &str = "message.max.bytes=16777216";

#[tokio::test]
async fn f21_bombs_of_every_codec_are_refused_and_cost_no_memory() {
    let victim = Victim::start(&[LARGE_BATCHES]);
    let mut bystander = Client::connect(victim.address).await;
    for codec in CODECS {
        let bomb = bomb(codec);
        println!("{codec}: {} bytes for {ZEROS}", bomb.len());
        let before = victim.memory().anonymous_bytes;
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (address, bombs) = (victim.address, vec![bomb.clone()]);
            clients.spawn(async move { explode(address, &bombs, 3).await });
        }
        let longest = clients.join_all().await.into_iter().max().unwrap();
        let grown = victim.memory().anonymous_bytes.saturating_sub(before);
        println!("{codec}: {longest:?} at most, memory grew by {} KiB", grown >> 10);
        // Four requests with the batch, twice, and what the decoders take.
        assert!(grown < 4 * 2 * bomb.len() as u64 + (24 << 20), "{codec}: {grown} bytes");
    }
    bystander.ask(&MetadataRequest::default(), 1).await;
}
