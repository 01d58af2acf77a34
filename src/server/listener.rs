//! Listening sockets: bind, accept, and pause when the process cannot take more.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::admission::{Admission, Admitted};
use super::config::HostPort;

/// Connections that the kernel completes before they are accepted.
const BACKLOG: i32 = 1024;

/// How long accepting pauses when the process is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(200);

/// A peer that is gone without a word is noticed after about 60 + 3 * 15 seconds.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 3;
/// Sent bytes that nobody acknowledges end a connection after so long.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);
/// What the kernel takes to be sent beyond what is on its way. A client that reads is never short of it; for one that does
/// not, the kernel would otherwise copy megabytes (2.6 on loopback) that nobody will want, while others wait.
#[cfg(target_os = "linux")]
const UNSENT_BYTES_MAX: u32 = 1 << 20;

/// Binds the address and starts listening. Of a name's addresses an IPv4 one is preferred, as Kafka's clients do.
///
/// # Errors
/// When the name has no address or the address cannot be bound.
pub(super) async fn bind(address: &HostPort) -> io::Result<TcpListener> {
    let found: Vec<SocketAddr> =
        tokio::net::lookup_host((address.host.as_str(), address.port)).await?.collect();
    let chosen = found.iter().find(|address| address.is_ipv4()).or(found.first());
    let Some(chosen) = chosen else {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", address.host)));
    };
    let socket = Socket::new(Domain::for_address(*chosen), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old broker's closed connections to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&(*chosen).into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until the broker stops, and hands each to `serve`.
///
/// While there is no room the kernel keeps new connections waiting. Out of descriptors, accepting pauses for a
/// moment at a time, so that the process neither spins nor needs a restart.
pub(super) async fn accept(
    listener: TcpListener,
    admission: Arc<Admission>,
    mut stopping: watch::Receiver<bool>,
    mut serve: impl FnMut(TcpStream, SocketAddr, Admitted),
) {
    let mut paused = false;
    loop {
        let next = async {
            let room = admission.room().await;
            (listener.accept().await, room)
        };
        let (accepted, room) = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                if paused {
                    tracing::info!("accepting connections again");
                    paused = false;
                }
                if let Err(error) = tune(&stream) {
                    tracing::debug!(%peer, %error, "the connection was gone before it began");
                } else if let Some(admitted) = admission.admit(room, peer.ip()) {
                    serve(stream, peer, admitted);
                } else {
                    tracing::warn!(%peer, "closed: this address has as many connections as it may have");
                }
            }
            Err(error) if is_exhausted(&error) => {
                if !paused {
                    tracing::warn!(%error, "not accepting connections until some of the present ones end");
                    paused = true;
                }
                tokio::select! {
                    _ = stopping.wait_for(|stopping| *stopping) => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
            // A connection that failed before it was accepted: the next one may be fine.
            Err(error) => tracing::debug!(%error, "a connection failed before it was accepted"),
        }
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
        socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    }
    Ok(())
}

/// Whether the process or the system has no descriptor or no memory left for one more connection.
fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].map(Some).contains(&errno)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// What the kernel takes of what is written to a client that never reads.
    async fn taken(listener: &TcpListener, tuned: bool) -> io::Result<usize> {
        let _client = TcpStream::connect(listener.local_addr()?).await?;
        let (stream, _) = listener.accept().await?;
        if tuned {
            tune(&stream)?;
        }
        stream.writable().await?;
        let mut taken = 0;
        while let Ok(written) = stream.try_write(&[0; 64 << 10]) {
            taken += written;
        }
        Ok(taken)
    }

    #[tokio::test]
    async fn the_kernel_takes_little_for_a_client_that_never_reads() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tuned = taken(&listener, true).await.unwrap();
        let untuned = taken(&listener, false).await.unwrap();
        println!("{tuned} bytes, {untuned} without a limit");
        // Beside what is not sent there is what the client's own buffer holds.
        assert!(tuned <= 2 << 20, "{tuned} bytes, {untuned} without a limit");
        assert!(tuned >= UNSENT_BYTES_MAX as usize / 2, "{tuned} bytes");
    }
}
