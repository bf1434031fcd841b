//! Sockets: sending at once, ending stalled connections, and reusing an address.

#[cfg(target_os = "linux")]
use std::net::IpAddr;
use std::{io, net::SocketAddr, time::Duration};

use tokio::net::TcpStream;

/// Maximum number of bytes that a socket buffers before they can be sent. By default it would buffer megabytes for each client
/// that does not read.
#[cfg(target_os = "linux")]
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// Sends each write at once (`TCP_NODELAY`).
///
/// Otherwise the end of a response that takes two writes waits for the client to acknowledge the first. Many clients delay
/// their acknowledgements by 40 ms (RFC 1122, section 4.2.3.2).
pub fn send_at_once(socket: &TcpStream) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "setting TCP_NODELAY failed");
    }
}

/// Ends a connection whose client reads nothing of a response for `stall`.
///
/// An unread response fills the socket, and then its body is not polled. Only the system can measure how long it makes no
/// progress (`TCP_USER_TIMEOUT`, which also counts the time for which the client's window is closed: tcp(7)). This also
/// bounds how much of a response the system holds.
#[cfg(target_os = "linux")]
pub fn end_when_stalled(socket: &TcpStream, stall: Duration) {
    let socket = socket2::SockRef::from(socket);
    let set = socket.set_tcp_user_timeout(Some(stall)).and_then(|()| socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX));
    if let Err(error) = set {
        tracing::debug!(%error, "setting a timeout for a client that reads nothing failed");
    }
}

/// Other systems have no such timeout that `socket2` can set: the connection lasts until its client closes it.
#[cfg(not(target_os = "linux"))]
pub const fn end_when_stalled(_: &TcpStream, _: Duration) {}

/// Lets a socket use the address of a server that has just stopped, as the standard library does: closed connections to that
/// server do not hold the address.
#[cfg(unix)]
pub fn reuse_address(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// Windows lets a server use such an address anyway. There, `SO_REUSEADDR` would let two servers listen at one address.
#[cfg(windows)]
pub const fn reuse_address(_: &socket2::Socket) -> io::Result<()> {
    Ok(())
}

/// The number of datagrams that the system has dropped at a local address because a socket had no room: the last column of
/// `/proc/net/udp` (`proc_net(5)`).
#[cfg(target_os = "linux")]
pub fn dropped_datagrams(address: SocketAddr) -> Option<u64> {
    let (path, local) = match address.ip() {
        IpAddr::V4(ip) => ("/proc/net/udp", format!("{:08X}", u32::from_ne_bytes(ip.octets()))),
        IpAddr::V6(ip) => {
            let octets = ip.octets();
            let words = octets.as_chunks::<4>().0.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word)));
            ("/proc/net/udp6", words.collect())
        }
    };
    let local = format!("{local}:{:04X}", address.port());
    let table = std::fs::read_to_string(path).ok()?;
    let rows = table.lines().filter(|row| row.split_whitespace().nth(1) == Some(&local));
    rows.map(|row| row.split_whitespace().last()?.parse::<u64>().ok()).sum()
}

/// Other systems report no such number for a socket.
#[cfg(not(target_os = "linux"))]
pub const fn dropped_datagrams(_: SocketAddr) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_sends_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            assert!(!socket.nodelay().unwrap());
            send_at_once(&socket);
            assert!(socket.nodelay().unwrap());
        });
    }
}
