//! Reads datagrams and connections into the inbox of their listener.

use std::{future::Future, io, net::SocketAddr, pin::Pin, rc::Rc, sync::Arc, time::Duration};

use actix_web::rt;
use futures_util::FutureExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Socket, SyslogDoor,
    frames::{self, Frames},
};
use crate::{http::caller::Caller, model::timestamp::Timestamp};

/// Bytes that are read at once. A larger datagram does not exist.
const DATAGRAM_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 16 * 1024;
/// Datagrams that are read before other tasks have a turn.
const DATAGRAMS_AT_ONCE: usize = 256;
/// A connection waits for room as long as something is stored within this time. Then it is closed, because some senders stop
/// their own work while a connection stalls.
const STALL: Duration = Duration::from_secs(5);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
const DROPPED_POLL: Duration = Duration::from_secs(1);

type Receiving = Pin<Box<dyn Future<Output = ()>>>;

/// Receives until the server stops.
pub(super) fn receive(
    door: Rc<SyslogDoor>,
    socket: Socket,
    tls: Option<TlsAcceptor>,
    stopping: watch::Receiver<bool>,
    dropped: impl Fn() -> Option<u64> + 'static,
) -> io::Result<Receiving> {
    Ok(match socket {
        Socket::Udp(socket) => {
            socket.set_nonblocking(true)?;
            Box::pin(datagrams(door, UdpSocket::from_std(socket)?, stopping, dropped))
        }
        Socket::Tcp(listener) => {
            listener.set_nonblocking(true)?;
            Box::pin(connections(door, TcpListener::from_std(listener)?, tls, stopping))
        }
    })
}

async fn datagrams(
    door: Rc<SyslogDoor>,
    socket: UdpSocket,
    mut stopping: watch::Receiver<bool>,
    dropped: impl Fn() -> Option<u64>,
) {
    let (mut buffer, mut poll, mut known) = (vec![0; DATAGRAM_BYTES], interval(DROPPED_POLL), dropped().unwrap_or(0));
    loop {
        let mut is_stopping = false;
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => is_stopping = true,
            _ = poll.tick() => {
                let now = dropped().unwrap_or(known);
                door.context.activity.dropped(&door.name, now.saturating_sub(known));
                known = now;
                continue;
            }
            // While the inbox is full, the system drops datagrams and counts them.
            () = async { door.inbox.room().await; let _ = socket.readable().await; } => {}
        }
        read_datagrams(&door, &socket, &mut buffer, if is_stopping { usize::MAX } else { DATAGRAMS_AT_ONCE }).await;
        if is_stopping {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn read_datagrams(door: &SyslogDoor, socket: &UdpSocket, buffer: &mut [u8], datagrams_max: usize) {
    let mut admitted: Option<(SocketAddr, bool)> = None;
    for _ in 0..datagrams_max {
        let Ok((length, sender)) = socket.try_recv_from(buffer) else { return };
        let is_admitted = match admitted {
            Some((known, is_admitted)) if known == sender => is_admitted,
            _ => door.admit(sender.ip().to_canonical()).await.is_some(),
        };
        admitted = Some((sender, is_admitted));
        if is_admitted {
            let message = frames::of_datagram(&buffer[..length]);
            let kept = message.len().min(door.listener.frame_bytes_max);
            door.inbox.add(&message[..kept], kept < message.len());
        }
        if !door.inbox.has_room() {
            return;
        }
    }
}

async fn connections(
    door: Rc<SyslogDoor>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mut stopping: watch::Receiver<bool>,
) {
    let connections_max = door.listener.connections_max;
    let permits = Arc::new(Semaphore::new(connections_max));
    loop {
        let accepted = tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&permits).try_acquire_owned() {
                Ok(permit) => {
                    let connection = connection(Rc::clone(&door), stream, peer, tls.clone(), stopping.clone(), permit);
                    drop(rt::spawn(connection));
                }
                Err(_) => {
                    let reason =
                        format!("{connections_max} connections are open; raise connections_max of the listener");
                    door.refuse(peer.ip().to_canonical(), &reason);
                }
            },
            Err(error) => {
                tracing::warn!(listener = door.name, %error, "cannot accept a connection");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    // Every connection holds a permit until its last bytes are read.
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    let _ = permits.acquire_many(all).await;
}

async fn connection(
    door: Rc<SyslogDoor>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    stopping: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) {
    let address = peer.ip().to_canonical();
    if let Some(caller) = door.admit(address).await {
        // A sender that is gone is noticed, however long it was silent.
        if let Err(error) = socket2::SockRef::from(&stream).set_keepalive(true) {
            tracing::debug!(%error, "setting SO_KEEPALIVE failed");
        }
        match tls {
            None => read(&door, stream, peer, &caller, stopping).await,
            Some(tls) => match timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await {
                Ok(Ok(stream)) => read(&door, stream, peer, &caller, stopping).await,
                Ok(Err(error)) => door.refuse(address, &format!("the TLS handshake failed: {error}")),
                Err(_) => door.refuse(address, "the TLS handshake took too long"),
            },
        }
    }
    drop(permit);
}

/// Reads a connection to its end.
async fn read(
    door: &SyslogDoor,
    mut stream: impl AsyncRead + Unpin,
    peer: SocketAddr,
    caller: &Caller,
    mut stopping: watch::Receiver<bool>,
) {
    let (mut frames, mut buffer) = (Frames::new(door.listener.frame_bytes_max), vec![0; READ_BYTES]);
    let mut emit = |frame: &[u8], is_cut: bool| door.inbox.add(frame, is_cut);
    let mut is_stopping = false;
    loop {
        let arrived = if is_stopping {
            // What has arrived is still read.
            stream.read(&mut buffer).now_or_never().unwrap_or(Ok(0))
        } else {
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => {
                    is_stopping = true;
                    continue;
                }
                arrived = stream.read(&mut buffer) => arrived,
            }
        };
        let Ok(length @ 1..) = arrived else { break };
        if !door.context.authenticator.still_admits(&caller.principal, Timestamp::now()) {
            door.refuse(peer.ip().to_canonical(), "the credential is no longer valid, or has other allowed addresses");
            return;
        }
        frames.push(&buffer[..length], &mut emit);
        if !door.inbox.has_room() && !door.inbox.room_unless_stalled(STALL).await {
            door.refuse(peer.ip().to_canonical(), "the server is overloaded");
            break;
        }
    }
    frames.finish(&mut emit);
}
