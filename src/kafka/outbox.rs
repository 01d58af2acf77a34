//! Answers on their way out of a connection.
//!
//! An answer is a list of parts, headers in memory and slices of file maps, and leaves by vectored writes
//! without being put together. The requests' charges of the byte budget are held until all of it is gone.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::budget::Charge;

/// Parts given to the system in one call; far below IOV_MAX (1024), and enough to fill a socket's buffer.
const PARTS_PER_WRITE: usize = 64;

/// What still has to be written to a connection.
#[derive(Debug, Default)]
pub struct Outbox {
    parts: VecDeque<Bytes>,
    size_bytes: usize,
    charges: Vec<Charge>,
    /// When the client last took a byte, while there is something to take.
    progress: Option<Instant>,
}

// === impl Outbox ===

impl Outbox {
    /// Puts an answer behind those already waiting.
    pub fn push(&mut self, parts: impl IntoIterator<Item = Bytes>, charge: Charge) {
        for part in parts {
            if !part.is_empty() {
                self.size_bytes += part.len();
                self.parts.push_back(part);
            }
        }
        if !self.parts.is_empty() {
            self.charges.push(charge);
            self.progress.get_or_insert_with(Instant::now);
        }
    }

    /// Whether all is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Bytes that wait.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// When the client last took a byte; None while nothing waits.
    #[must_use]
    pub fn progress(&self) -> Option<Instant> {
        self.progress
    }

    /// Writes what the socket takes now. True when all is written.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn try_write(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while !self.parts.is_empty() {
            let mut slices = [IoSlice::new(&[]); PARTS_PER_WRITE];
            let count = self.parts.len().min(PARTS_PER_WRITE);
            for (slice, part) in slices.iter_mut().zip(&self.parts) {
                *slice = IoSlice::new(part);
            }
            match stream.try_write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Waits until the socket takes more, and writes that. Cancel-safe.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn flush(&mut self, stream: &TcpStream) -> io::Result<()> {
        stream.writable().await?;
        self.try_write(stream)?;
        Ok(())
    }

    fn written(&mut self, mut count: usize) {
        self.size_bytes -= count;
        while let Some(first) = self.parts.front_mut() {
            if count < first.len() {
                first.advance(count);
                break;
            }
            count -= first.len();
            self.parts.pop_front();
        }
        if self.parts.is_empty() {
            // A large answer's list is not kept for the small ones after it.
            *self = Self::default();
        } else {
            self.progress = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::super::budget::ByteBudget;
    use super::*;

    #[tokio::test]
    async fn many_parts_of_any_size_arrive_as_one_stream() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let budget = ByteBudget::new(1000);
        let mut charge = budget.open();
        charge.add(100);

        let parts: Vec<Bytes> =
            (0..2000usize).map(|index| Bytes::from(vec![index as u8; index * 7 % 5000])).collect();
        let expected = parts.concat();
        let mut outbox = Outbox::default();
        outbox.push(parts, charge);
        assert_eq!(outbox.size_bytes(), expected.len());
        let length = expected.len();
        let reading = tokio::spawn(async move {
            let mut received = vec![0; length];
            client.read_exact(&mut received).await.unwrap();
            received
        });
        while !outbox.is_empty() {
            assert_eq!(budget.available_bytes(), 900, "the charge went before the answer did");
            outbox.flush(&server).await.unwrap();
        }
        assert_eq!(reading.await.unwrap(), expected);
        assert_eq!(budget.available_bytes(), 1000);
        assert_eq!(outbox.progress(), None);
    }
}
