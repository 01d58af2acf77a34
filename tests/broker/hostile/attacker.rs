//! What attackers share: sockets from an address of their own, and request headers.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

/// Longer than anything takes, shorter than anybody waits for a test that hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Connects from the `number`-th attacker's address.
pub(super) async fn connect_from(number: u8, broker: SocketAddr) -> TcpStream {
    try_connect_from(number, broker).await.expect("the broker lets everybody knock")
}

pub(super) async fn try_connect_from(number: u8, broker: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 2 + number], 0)))?;
    socket.connect(broker).await
}

/// Waits until the broker has closed the connection, and counts what came before.
pub(super) async fn bytes_until_closed(stream: &mut TcpStream) -> usize {
    let mut count = 0;
    let mut buffer = vec![0; 64 * 1024];
    let read = async {
        loop {
            match stream.read(&mut buffer).await {
                // A reset is an end too.
                Ok(0) | Err(_) => return,
                Ok(read) => count += read,
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the connection was not closed");
    count
}

/// A request header of version 1 or 2, without a client id.
pub(super) fn header(api_key: i16, version: i16, flexible: bool) -> Vec<u8> {
    let mut frame = api_key.to_be_bytes().to_vec();
    frame.extend_from_slice(&version.to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0, 7, 0xff, 0xff]);
    if flexible {
        frame.push(0);
    }
    frame
}

/// A frame behind its size.
pub(super) fn sized(frame: &[u8]) -> Vec<u8> {
    let mut bytes = i32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(frame);
    bytes
}
