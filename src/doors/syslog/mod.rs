//! syslog over UDP, TCP and TLS, on listeners of its own (`[[syslog]]`).
//!
//! A listener reads messages into an inbox, and one task stores what the inbox holds. syslog has no acknowledgement, so nothing
//! is answered. If the inbox is full, reading stops until there is room; if nothing is stored for a few seconds, connections are
//! closed.

mod frames;
mod header;
mod inbox;
mod listen;
mod message;
mod payload;

use std::{
    net::{self, IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{ResponseError, rt, web::Data};
use tokio::{sync::watch, task::JoinHandle, time::sleep};
use tokio_rustls::TlsAcceptor;

use crate::{
    http::{ApiError, Context, activity::name_of_listener, caller::Caller, error::OVERLOADED},
    ingest::{self, Format, Identification, MappedRecords, ReadRecords, Reading, SentRecord},
    model::{
        credential::Scope,
        door::Door,
        mapping::{Mapping, Record},
        syslog::SyslogListener,
        timestamp::Timestamp,
        zone::Zone,
    },
    store::Policy,
};
use inbox::Inbox;
#[cfg(any(test, fuzzing))]
pub(super) use inbox::push;
use message::Message;

/// How long a batch is retried after a failure other than an overload, such as an I/O error.
const RETRY_FAILURE: Duration = Duration::from_mins(1);
/// How long a batch is retried when the server stops.
const RETRY_AT_STOP: Duration = Duration::from_secs(10);
const RETRY_POLL: Duration = Duration::from_millis(50);

/// A socket that is bound.
pub enum Socket {
    /// For datagrams.
    Udp(net::UdpSocket),
    /// For connections.
    Tcp(net::TcpListener),
}

/// A listener that is bound, ready to receive.
pub struct BoundListener {
    /// Its description.
    pub listener: SyslogListener,
    /// Its socket.
    pub socket: Socket,
    /// The address of the socket, with the real port.
    pub address: SocketAddr,
    /// Set for TLS.
    pub tls: Option<TlsAcceptor>,
    /// What maps its records.
    pub mapping: Mapping,
    /// The number of datagrams that the system has dropped at an address, as far as it reports it.
    pub dropped: fn(SocketAddr) -> Option<u64>,
}

/// The listeners that run.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts listeners, within the runtime that will run them.
    pub fn start(listeners: Vec<BoundListener>, context: &Data<Context>) -> std::io::Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let mut tasks = Vec::new();
        for bound in listeners {
            let BoundListener { listener, socket, address, tls, mapping, dropped } = bound;
            let name = name_of_listener(Door::Syslog, &listener.name);
            let (context, inbox, mapping) = (context.clone(), Inbox::default(), Arc::new(mapping));
            let door = Rc::new(SyslogDoor { listener, name, mapping, context, inbox });
            let receiving = listen::receive(Rc::clone(&door), socket, tls, stopping.clone(), move || dropped(address))?;
            tasks.push(rt::spawn(async move {
                tokio::join!(door.store_all(), async {
                    receiving.await;
                    door.inbox.close();
                });
            }));
        }
        Ok(Self { stop, tasks })
    }

    /// Accepts no more, reads what has arrived, and stores it.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a syslog listener failed");
            }
        }
    }
}

/// A listener that runs.
struct SyslogDoor {
    listener: SyslogListener,
    /// The name under which its records are counted.
    name: String,
    mapping: Arc<Mapping>,
    context: Data<Context>,
    inbox: Inbox,
}

impl SyslogDoor {
    /// The caller as which messages of an address are stored. If there is none, it is logged and counted.
    async fn admit(&self, address: IpAddr) -> Option<Caller> {
        let caller = self.caller().await;
        let checked = caller.and_then(|caller| {
            if caller.credential().allows(address) { Ok(caller) } else { Err("this address is not allowed".to_owned()) }
        });
        checked.map_err(|reason| self.refuse(address, &reason)).ok()
    }

    async fn caller(&self) -> Result<Caller, String> {
        let name = self.listener.credential.as_str();
        let acting = self.context.authenticator.act_as(name, Timestamp::now()).await;
        let principal = acting.map_err(|state| format!("the credential {name:?} {state}"))?;
        let caller = Caller { principal };
        if caller.credential().scopes.allow(Scope::Ingest) {
            Ok(caller)
        } else {
            Err(format!("the credential {name:?} does not have the scope ingest"))
        }
    }

    fn refuse(&self, address: IpAddr, reason: &str) {
        self.context.authenticator.reject(address, self.listener.credential.as_str(), reason);
        self.context.activity.refused(&self.name, format!("{address}: {reason}"), Timestamp::now());
    }

    /// Stores what arrives until the inbox is closed, in order. While a batch is being stored, the next one is mapped.
    async fn store_all(&self) {
        let mut next = self.next().await;
        while let Some(batch) = next {
            next = tokio::join!(self.store(batch), self.next()).1;
        }
    }

    /// The next batch; `None` once the inbox is closed and empty.
    async fn next(&self) -> Option<PendingBatch> {
        let messages = self.inbox.take(self.context.batch_events_max).await?;
        let mapped = self.map(&messages).await;
        Some(PendingBatch { messages, mapped })
    }

    /// Stores a batch. It waits while the writer is overloaded, and for a while after another failure of the server.
    async fn store(&self, batch: PendingBatch) {
        let PendingBatch { messages, mut mapped } = batch;
        let (mut failing_until, mut stopping_until) = (None, None);
        loop {
            let stored = match mapped {
                Ok(mapped) => mapped.store(&self.context).await,
                Err(error) => Err(error),
            };
            let error = match stored {
                Ok(stored) => return drop(stored.settle(&self.context, None)),
                Err(error) => error.for_sender(),
            };
            let now = Instant::now();
            if self.inbox.is_closed() {
                stopping_until.get_or_insert(now + RETRY_AT_STOP);
            }
            let is_failing = error.kind().code != OVERLOADED.code;
            if is_failing {
                failing_until.get_or_insert(now + RETRY_FAILURE);
            }
            let is_over = |until: Option<Instant>| until.is_some_and(|until| until < now);
            let is_refused = !error.status_code().is_server_error() && is_failing;
            if is_refused || is_over(stopping_until) || (is_failing && is_over(failing_until)) {
                return self.lose(&messages, error.message());
            }
            sleep(RETRY_POLL).await;
            mapped = self.map(&messages).await;
        }
    }

    /// Reports a batch that cannot be stored.
    fn lose(&self, batch: &[u8], reason: &str) {
        let messages = inbox::messages(batch).count();
        tracing::error!(listener = self.name, messages, reason, "syslog messages are lost");
        let problem = format!("{messages} messages are lost: {reason}");
        self.context.activity.refused(&self.name, problem, Timestamp::now());
    }

    async fn map(&self, batch: &[u8]) -> Result<MappedRecords, ApiError> {
        let caller = self.caller().await.map_err(ApiError::invalid)?;
        let body = self.context.body_limits.hold(batch.to_vec())?;
        let format = Format {
            mapping: Arc::clone(&self.mapping),
            identification: Identification::Delivery { is_strict: false },
            door: Door::Syslog.name(),
            counted_as: Some(self.name.clone()),
            read: read_records(self.listener.zone.clone()),
        };
        let reading = Reading::new(&self.context, &caller, Policy::Partial, None);
        ingest::map_records(format, reading, body, &self.context).await
    }
}

/// Messages that are to be stored.
struct PendingBatch {
    messages: Vec<u8>,
    /// Their records, or why they cannot be mapped now.
    mapped: Result<MappedRecords, ApiError>,
}

/// The frames of a stream that arrives in these parts, and whether each is cut.
#[cfg(any(test, fuzzing))]
pub(super) fn frames_of(parts: &[&[u8]], bytes_max: usize) -> Vec<(Vec<u8>, bool)> {
    let (mut frames, mut found) = (frames::Frames::new(bytes_max), Vec::new());
    let mut emit = |frame: &[u8], is_cut: bool| found.push((frame.to_vec(), is_cut));
    for part in parts {
        frames.push(part, &mut emit);
    }
    frames.finish(&mut emit);
    found
}

/// Reads the messages of a batch.
pub(super) fn read_records(zone: Zone) -> ReadRecords {
    Box::new(move |batch, mapping| {
        let now = Timestamp::now();
        let messages = inbox::messages(batch).filter_map(|(frame, is_cut)| Message::read(frame, is_cut, &zone, now));
        Ok(messages.map(|message| SentRecord::from(record(message, mapping))).collect())
    })
}

/// The record of a message. The preset of this door reads the whole message, any other one reads the payload.
fn record(message: Message, mapping: &Mapping) -> Record<'static> {
    if mapping.name() == Door::Syslog.preset() {
        return mapping.carried(message.record, None);
    }
    mapping.carried(message.record, Some(&message.payload))
}
