//! Binds the listeners for syslog.

use std::{io, sync::Arc};

use socket2::{Domain, Type};
use tokio_rustls::TlsAcceptor;

use crate::{
    config::Config,
    doors::syslog::{BoundListener, Socket},
    model::syslog::{SyslogListener, Transport},
    platform::socket,
    server::{error::StartError, tls},
};

/// The receive buffer of a socket for datagrams, which the system caps at its own limit (`net.core.rmem_max` on Linux).
const RECEIVE_BYTES: usize = 8 * 1024 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Reserves the address of every listener and reads the certificates. Nothing listens for connections yet.
pub(super) fn bind(config: &Config) -> Result<Vec<BoundListener>, StartError> {
    config.syslog.iter().map(|listener| bind_one(listener, config)).collect()
}

fn bind_one(listener: &SyslogListener, config: &Config) -> Result<BoundListener, StartError> {
    let tls = listener.tls.as_ref().map(tls::load_syslog).transpose()?;
    let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    let failed = |source| failure(listener, source);
    let mapping = config.presets.get(&listener.preset).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let socket = socket_of(listener).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?.as_socket().unwrap_or(listener.listen);
    let socket = match listener.protocol {
        Transport::Udp => Socket::Udp(socket.into()),
        Transport::Tcp | Transport::Tls => Socket::Tcp(socket.into()),
    };
    let dropped = socket::dropped_datagrams;
    Ok(BoundListener { listener: listener.clone(), socket, address, tls, mapping, dropped })
}

fn socket_of(listener: &SyslogListener) -> io::Result<socket2::Socket> {
    let domain = Domain::for_address(listener.listen);
    let is_udp = listener.protocol == Transport::Udp;
    let socket = socket2::Socket::new(domain, if is_udp { Type::DGRAM } else { Type::STREAM }, None)?;
    if is_udp {
        socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    } else {
        socket::reuse_address(&socket)?;
    }
    socket.bind(&listener.listen.into())?;
    Ok(socket)
}

/// Listens for connections. From here on senders wait.
pub(super) fn listen(listeners: &[BoundListener]) -> Result<(), StartError> {
    for BoundListener { listener, socket, .. } in listeners {
        if let Socket::Tcp(socket) = socket {
            socket2::SockRef::from(socket).listen(BACKLOG).map_err(|source| failure(listener, source))?;
        }
    }
    Ok(())
}

fn failure(listener: &SyslogListener, source: io::Error) -> StartError {
    StartError::Syslog { name: listener.name.clone(), address: listener.listen, source }
}
