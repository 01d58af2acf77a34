//! Requests cut out of a connection's bytes.
//!
//! A frame is a 32-bit size and that many bytes. Bytes are read into one buffer of the pool and a whole frame is split
//! off as a [`Bytes`]: nothing of a record is copied between the socket and the log, but for requests so small that a
//! copy costs less than keeping the whole buffer for them while they wait. What always holds: the size is checked before
//! anything is done with it; the buffer grows with what has arrived (at most twice that, and 64 KiB), so a declared size
//! costs nothing; an idle connection has no buffer at all.

use std::io;

use bytes::{Buf as _, BufMut as _, Bytes};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant};

use super::budget::{ByteBudget, Charge};
use super::buffers::{Buffer, BufferPool};

/// Bytes that each connection may hold without asking the budget, so that small requests always pass.
pub const ALLOWANCE_BYTES: usize = 16 * 1024;

/// The size field before each frame.
const SIZE_BYTES: usize = 4;
const CHUNK_BYTES_MIN: usize = 4 * 1024;
const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// More is not expected of a client before it has said so.
const EXPECTED_BYTES_MAX: usize = 2 << 20;
/// Frames up to here are copied out of the buffer.
const COPIED_BYTES_MAX: usize = 2 * 1024;

/// A frame that keeps coming at this pace is never too slow.
const PACE_BYTES_PER_SECOND: u32 = 64 * 1024;

/// Why a connection's bytes are not requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The size field is zero, negative or above the limit.
    #[error("a request of {size_bytes} bytes; between 1 and {limit_bytes} are served")]
    Size {
        /// What the size field says.
        size_bytes: i32,
        /// `socket.request.max.bytes`.
        limit_bytes: usize,
    },
    /// The first bytes are a TLS handshake.
    #[error("a TLS handshake on a plaintext listener; set security.protocol=PLAINTEXT in the client")]
    Tls,
    /// The first bytes are an HTTP request.
    #[error("an HTTP request on the Kafka port")]
    Http,
}

/// One whole request as it came, without its size field.
#[derive(Debug)]
pub struct Frame {
    /// Header and body.
    pub bytes: Bytes,
    /// What it holds of the byte budget.
    pub charge: Charge,
}

/// The reading side of a connection.
#[derive(Debug)]
pub struct FrameReader {
    /// What is being read, from the start of a frame on, without a whole frame in it once it was looked at.
    buffer: Buffer,
    /// What was read and starts with a whole frame; empty while the buffer is not.
    block: Bytes,
    pool: std::sync::Arc<BufferPool>,
    limit_bytes: usize,
    charge: Charge,
    /// How much to ask of the socket at once; follows what it gives.
    chunk_bytes: usize,
    /// Size of the last whole frame: the next one may take as much without having arrived.
    last_frame_bytes: usize,
    /// When the patience with the unfinished frame began: when its first byte came, moved on by what came since.
    frame_since: Option<Instant>,
    waits_for_budget: bool,
}

// === impl FrameReader ===

impl FrameReader {
    /// A reader for a new connection.
    #[must_use]
    pub fn new(limit_bytes: usize, budget: &std::sync::Arc<ByteBudget>) -> Self {
        Self {
            buffer: Buffer::default(),
            block: Bytes::new(),
            pool: std::sync::Arc::clone(budget.buffers()),
            limit_bytes,
            charge: budget.open(),
            chunk_bytes: CHUNK_BYTES_MIN,
            last_frame_bytes: 0,
            frame_since: None,
            waits_for_budget: false,
        }
    }

    /// The API key of the next frame, if the whole frame is here; frames too short for a key have none.
    ///
    /// # Errors
    /// When the bytes are no frame; nothing more can be read from this connection then.
    pub fn peek(&self) -> Result<Option<Option<i16>>, FrameError> {
        let Some(size_bytes) = self.frame_bytes()? else { return Ok(None) };
        let body = &self.received()[SIZE_BYTES..];
        if body.len() < size_bytes {
            return Ok(None);
        }
        let key = (size_bytes >= 2).then(|| i16::from_be_bytes([body[0], body[1]]));
        Ok(Some(key))
    }

    /// Cuts the next frame, if the whole of it is here.
    ///
    /// # Errors
    /// As [`FrameReader::peek`].
    pub fn cut(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(size_bytes) = self.frame_bytes()? else { return Ok(None) };
        let frame_bytes = SIZE_BYTES + size_bytes;
        if self.received().len() < frame_bytes {
            return Ok(None);
        }
        if self.block.is_empty() {
            self.block = std::mem::take(&mut self.buffer).freeze();
        }
        let bytes = if size_bytes <= COPIED_BYTES_MAX {
            let bytes = Bytes::copy_from_slice(&self.block[SIZE_BYTES..frame_bytes]);
            self.block.advance(frame_bytes);
            bytes
        } else {
            self.block.split_to(frame_bytes).slice(SIZE_BYTES..)
        };
        self.last_frame_bytes = size_bytes;
        let mut charge = self.charge.take();
        charge.add(size_bytes.saturating_sub(charge.size_bytes()));
        if self.block.is_empty() {
            // The frame owns the memory now, or nobody does; an idle connection keeps none.
            self.block = Bytes::new();
            self.frame_since = None;
        } else {
            self.frame_since = Some(Instant::now());
        }
        Ok(Some(Frame { bytes, charge }))
    }

    /// Reads once what the socket has. Returns how many bytes came; 0 at its end. Cancel-safe.
    ///
    /// Waits for the byte budget first where the buffer has to grow beyond the connection's allowance.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn fill(&mut self, stream: &TcpStream) -> io::Result<usize> {
        loop {
            stream.readable().await?;
            let grow_bytes = self.growth_bytes();
            let needed = (self.received().len() + grow_bytes).saturating_sub(ALLOWANCE_BYTES);
            let missing = needed.saturating_sub(self.charge.size_bytes());
            if missing > 0 && !self.charge.try_grow(missing) {
                self.waits_for_budget = true;
                self.charge.grow(missing).await;
                self.frame_since = self.frame_since.map(|_| Instant::now());
            }
            self.waits_for_budget = false;
            if grow_bytes > 0 {
                self.grow(grow_bytes);
            }
            // No further than the end of a large frame: the beginning of the next one would have to be copied. So would
            // be what comes before the size is known, if the frame is larger than the last one.
            let wanted = self.buffer.room_bytes().min(self.unfinished_bytes().max(CHUNK_BYTES_MAX));
            match stream.try_read_buf(&mut self.buffer.as_mut_vec().limit(wanted)) {
                Ok(count) => {
                    self.adapt_chunk(count, wanted);
                    if count > 0 {
                        self.be_patient(count);
                    }
                    self.release_empty();
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.release_empty(),
                Err(error) => return Err(error),
            }
        }
    }

    /// When the unfinished frame, if there is one, has taken too long.
    #[must_use]
    pub fn deadline(&self, patience: Duration) -> Option<Instant> {
        if self.waits_for_budget || matches!(self.peek(), Ok(Some(_))) {
            return None;
        }
        self.frame_since.map(|since| since + patience)
    }

    /// Whether nothing of a further frame has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.received().is_empty()
    }

    /// Begins to wait for the rest of a frame, or goes on: each 64 KiB received buy a second. Never more than has passed,
    /// so that nobody can buy hours with a large part of a frame and then keep it in memory.
    fn be_patient(&mut self, received_bytes: usize) {
        let now = Instant::now();
        let received_bytes = u32::try_from(received_bytes).unwrap_or(u32::MAX);
        let bought = Duration::from_secs(1) * received_bytes / PACE_BYTES_PER_SECOND;
        self.frame_since = Some(self.frame_since.map_or(now, |since| (since + bought).min(now)));
    }

    /// What has come and is not cut off yet.
    fn received(&self) -> &[u8] {
        if self.block.is_empty() { self.buffer.as_slice() } else { &self.block }
    }

    /// The checked size of the next frame, once its size field is here.
    fn frame_bytes(&self) -> Result<Option<usize>, FrameError> {
        let Some(field) = self.received().first_chunk::<SIZE_BYTES>() else { return Ok(None) };
        let size_bytes = i32::from_be_bytes(*field);
        match usize::try_from(size_bytes) {
            Ok(size) if size > 0 && size <= self.limit_bytes => Ok(Some(size)),
            _ => Err(match field {
                [0x16, 0x03, ..] => FrameError::Tls,
                b"GET " | b"POST" | b"HEAD" | b"PUT " | b"OPTI" | b"DELE" => FrameError::Http,
                _ => FrameError::Size { size_bytes, limit_bytes: self.limit_bytes },
            }),
        }
    }

    /// What is missing of the frame that has begun, if its size is known.
    fn unfinished_bytes(&self) -> usize {
        match self.frame_bytes() {
            Ok(Some(size_bytes)) => (SIZE_BYTES + size_bytes).saturating_sub(self.received().len()),
            _ => 0,
        }
    }

    /// How far the buffer has to grow before the next read; 0 while it has room.
    fn growth_bytes(&self) -> usize {
        let received = self.received().len();
        let room = if self.block.is_empty() { self.buffer.room_bytes() } else { 0 };
        let unfinished = self.unfinished_bytes();
        if room > 0 && (room >= CHUNK_BYTES_MIN / 2 || (unfinished > 0 && room >= unfinished)) {
            return 0;
        }
        if unfinished == 0 {
            // Room for one more like the last, and a little longer; what is not read into costs nothing.
            let alike = self.last_frame_bytes + self.last_frame_bytes / 4;
            return self.chunk_bytes.max(alike.min(EXPECTED_BYTES_MAX));
        }
        // As much again as has come, or as the last frame proved this client to mean.
        unfinished.min(received.max(CHUNK_BYTES_MAX).max(self.last_frame_bytes))
    }

    /// A buffer with what has come and room for `grow_bytes` more.
    fn grow(&mut self, grow_bytes: usize) {
        let mut larger = self.pool.take(self.received().len() + grow_bytes);
        larger.as_mut_vec().extend_from_slice(self.received());
        self.buffer = larger;
        self.block = Bytes::new();
    }

    /// Asks for more next time when the socket gave all that was asked for, for less when it gave little.
    fn adapt_chunk(&mut self, count: usize, room: usize) {
        if count == room {
            self.chunk_bytes = (self.chunk_bytes * 4).min(CHUNK_BYTES_MAX);
        } else if count < self.chunk_bytes / 4 {
            self.chunk_bytes = (self.chunk_bytes / 2).max(CHUNK_BYTES_MIN);
        }
    }

    fn release_empty(&mut self) {
        if self.is_empty() {
            self.buffer = Buffer::default();
            drop(self.charge.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    fn reader(limit_bytes: usize) -> FrameReader {
        FrameReader::new(limit_bytes, &ByteBudget::new(1 << 30))
    }

    async fn next(reader: &mut FrameReader, stream: &TcpStream) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = reader.cut()? {
                return Ok(Some(frame));
            }
            if reader.fill(stream).await.unwrap() == 0 {
                return Ok(None);
            }
        }
    }

    #[tokio::test]
    async fn frames_come_whole_and_in_order_however_they_are_cut_on_the_way() {
        let (mut client, server) = pair().await;
        let sizes = [1usize, 3, 100, 5_000, 200_000, 2];
        let mut sent = Vec::new();
        for (index, &size) in sizes.iter().enumerate() {
            sent.extend_from_slice(&i32::try_from(size).unwrap().to_be_bytes());
            sent.extend(std::iter::repeat_n(index as u8, size));
        }
        let writer = tokio::spawn(async move {
            for piece in sent.chunks(777) {
                client.write_all(piece).await.unwrap();
            }
        });
        let mut reader = reader(1 << 20);
        for (index, &size) in sizes.iter().enumerate() {
            let frame = next(&mut reader, &server).await.unwrap().unwrap();
            assert_eq!(frame.bytes.len(), size);
            assert!(frame.bytes.iter().all(|&byte| byte == index as u8));
            assert!(frame.charge.size_bytes() >= size);
        }
        assert!(next(&mut reader, &server).await.unwrap().is_none());
        writer.await.unwrap();
        assert_eq!(reader.buffer.room_bytes(), 0, "an idle connection holds a buffer");
    }

    #[tokio::test]
    async fn bytes_that_are_no_request_are_named() {
        let sizes = |size_bytes| FrameError::Size { size_bytes, limit_bytes: 1000 };
        for (bytes, expected) in [
            ([0, 0, 0, 0], sizes(0)),
            ([0xff, 0xff, 0xff, 0xff], sizes(-1)),
            ([0, 0, 3, 0xe9], sizes(1001)),
            ([0x16, 3, 1, 2], FrameError::Tls),
            (*b"GET ", FrameError::Http),
        ] {
            let (mut client, server) = pair().await;
            client.write_all(&bytes).await.unwrap();
            assert_eq!(next(&mut reader(1000), &server).await.unwrap_err(), expected);
        }
    }

    #[tokio::test]
    async fn a_declared_size_costs_nothing() {
        let (mut client, server) = pair().await;
        let budget = ByteBudget::new(1 << 20);
        let mut reader = FrameReader::new(100 << 20, &budget);
        client.write_all(&(100i32 << 20).to_be_bytes()).await.unwrap();
        client.write_all(&[0; 1000]).await.unwrap();
        let mut received = 0;
        while received < 1004 {
            received += reader.fill(&server).await.unwrap();
        }
        assert!(reader.buffer.room_bytes() <= received + CHUNK_BYTES_MAX);
        assert_eq!(budget.available_bytes(), 1 << 20, "a small part of a frame is within the allowance");
    }
}
