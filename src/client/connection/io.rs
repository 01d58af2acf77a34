//! The two tasks of a connection: one writes frames as the parts they consist of, one cuts responses out of its buffer.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::Shared;
use crate::client::error::Error;

/// The most parts given to one vectored write; the kernel takes 1024.
const MAX_PARTS_PER_WRITE: usize = 64;

/// The free space kept in the read buffer: a read takes in many small responses at once.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Writes until nobody can send any more.
pub(super) async fn write_frames(
    mut socket: OwnedWriteHalf,
    mut frames: mpsc::UnboundedReceiver<VecDeque<Bytes>>,
    shared: Arc<Shared>,
) {
    let mut parts = VecDeque::new();
    while let Some(first) = frames.recv().await {
        parts.extend(first);
        while parts.len() < MAX_PARTS_PER_WRITE {
            let Ok(next) = frames.try_recv() else { break };
            parts.extend(next);
        }
        if let Err(error) = write_parts(&mut socket, &mut parts).await {
            shared.close(shared.disconnected(error));
            break;
        }
    }
    // Best effort: the peer may be gone already.
    let _peer_may_be_gone = socket.shutdown().await;
}

async fn write_parts(socket: &mut OwnedWriteHalf, parts: &mut VecDeque<Bytes>) -> io::Result<()> {
    loop {
        while parts.front().is_some_and(Bytes::is_empty) {
            parts.pop_front();
        }
        if parts.is_empty() {
            return Ok(());
        }
        let mut slices = [IoSlice::new(&[]); MAX_PARTS_PER_WRITE];
        let count = parts.len().min(MAX_PARTS_PER_WRITE);
        for (slice, part) in slices.iter_mut().zip(parts.iter()) {
            *slice = IoSlice::new(part);
        }
        let mut written = socket.write_vectored(&slices[..count]).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(front) = parts.front_mut() {
            if written < front.len() {
                front.advance(written);
                break;
            }
            written -= front.len();
            parts.pop_front();
        }
    }
}

/// Reads until the connection ends.
pub(super) async fn read_frames(mut socket: OwnedReadHalf, max_response_bytes: usize, shared: Arc<Shared>) {
    let mut buffer = BytesMut::with_capacity(READ_BUFFER_BYTES);
    let reason = loop {
        match next_frame(&mut buffer, max_response_bytes) {
            Ok(Some(frame)) => {
                if let Err(what) = shared.on_frame(frame) {
                    break Error::Malformed { address: shared.address.clone(), what };
                }
                continue;
            }
            Ok(None) => {}
            Err(what) => break Error::Malformed { address: shared.address.clone(), what },
        }
        match socket.read_buf(&mut buffer).await {
            Ok(0) => break shared.disconnected("the broker closed the connection"),
            Ok(_) if shared.is_closed() => return,
            Ok(_) => {}
            Err(error) => break shared.disconnected(error),
        }
    };
    shared.close(reason);
}

/// Cuts the next frame out of `buffer`, without its length; makes room for it when it is not whole yet.
fn next_frame(buffer: &mut BytesMut, max_response_bytes: usize) -> Result<Option<Bytes>, String> {
    let Some(prefix) = buffer.first_chunk::<4>() else {
        buffer.reserve(READ_BUFFER_BYTES);
        return Ok(None);
    };
    let announced = i32::from_be_bytes(*prefix);
    let size = usize::try_from(announced).ok().filter(|&size| size <= max_response_bytes).ok_or_else(|| {
        format!("a response of {announced} bytes (at most {max_response_bytes} are taken); is this a Kafka listener?")
    })?;
    let whole = 4 + size;
    if buffer.len() < whole {
        buffer.reserve((whole - buffer.len()).max(READ_BUFFER_BYTES));
        return Ok(None);
    }
    let mut frame = buffer.split_to(whole);
    frame.advance(4);
    Ok(Some(frame.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_out_whole() {
        let mut buffer = BytesMut::from(&b"\0\0\0\x03abc\0\0\0\x02de\0\0"[..]);
        assert_eq!(next_frame(&mut buffer, 10), Ok(Some(Bytes::from("abc"))));
        assert_eq!(next_frame(&mut buffer, 10), Ok(Some(Bytes::from("de"))));
        assert_eq!(next_frame(&mut buffer, 10), Ok(None));
        assert_eq!(&buffer[..], b"\0\0");
    }

    #[test]
    fn oversized_and_negative_frames_are_refused() {
        for prefix in [11_i32, -1, i32::MIN, i32::from_be_bytes(*b"HTTP")] {
            let mut buffer = BytesMut::from(&prefix.to_be_bytes()[..]);
            assert!(next_frame(&mut buffer, 10).is_err(), "{prefix}");
        }
    }
}
