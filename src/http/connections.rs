//! Every open connection, and which of them is closed when there is no room for another.
//!
//! A connection *waits* during its TLS handshake, until the head of a request has arrived, between requests, and during a
//! request without a credential. Waiting connections form one line, in the order in which they began to wait. When there
//! are too many connections, or too many waiting ones from one address, the one that has waited longest is closed.
//! A request with a credential *holds* its connection, which is then never closed for room.
//!
//! Clients without a credential therefore cannot keep others out: they only take each other's places.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};

use actix_web::HttpRequest;
use futures_util::task::AtomicWaker;

/// The newest waiting connections stay open even where requests hold all others: this share of all, within a range. A new
/// connection needs a moment to send its request, which may ask for the server's health.
const NEWEST_SHARE: usize = 16;
const NEWEST_MIN: usize = 4;
const NEWEST_MAX: usize = 256;
/// One address may have this share of all connections waiting.
const ADDRESS_SHARE: usize = 4;

/// All connections of the server; clones share them.
#[derive(Clone)]
pub struct Connections(Arc<Shared>);

struct Shared {
    max: usize,
    newest: usize,
    address_max: usize,
    is_stopping: AtomicBool,
    line: Mutex<WaitingLine>,
}

/// A handle of one connection.
#[derive(Clone)]
pub struct Connection {
    state: Arc<ConnectionState>,
    shared: Arc<Shared>,
}

/// A connection's place among all, given back when dropped.
pub struct Member(Connection);

/// A request on a connection, until its answer is complete.
pub(super) struct Turn(Connection);

/// Requests with a credential hold as many connections as there may be.
pub(super) struct Full {
    /// How many that is.
    pub(super) connections_max: usize,
}

struct ConnectionState {
    number: u64,
    /// The address whose limit applies to it, if one does.
    address: Option<IpAddr>,
    /// Whether it is to be closed, and the task that closes it.
    is_cut: AtomicBool,
    task: AtomicWaker,
    /// Whether the client sends nothing more, or the connection is broken.
    is_hung_up: AtomicBool,
    /// Whether its last answer is complete, while some of it may still have to be sent.
    is_answered: AtomicBool,
    /// Whether a body in chunks is arriving, and its request has no answer yet.
    is_receiving_chunks: AtomicBool,
}

#[derive(Default)]
struct WaitingLine {
    /// By number: every connection that is not being closed.
    places: HashMap<u64, Place>,
    /// By turn: the numbers of those that wait. The first has waited longest.
    waiting: BTreeMap<u64, u64>,
    /// The turns of those that wait, by the address whose limit applies.
    by_address: HashMap<IpAddr, BTreeSet<u64>>,
    last_number: u64,
    last_turn: u64,
}

struct Place {
    state: Arc<ConnectionState>,
    /// Its turn in the line; `None` while a request holds it.
    turn: Option<u64>,
    /// When it began to wait. While it is being sent the end of an answer: when some of that was last taken.
    since: Instant,
}

impl Connections {
    /// Room for `max` connections, and for the newest waiting ones.
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Shared {
            max,
            newest: newest(max),
            address_max: max.div_ceil(ADDRESS_SHARE).max(newest(max)),
            is_stopping: AtomicBool::new(false),
            line: Mutex::default(),
        }))
    }

    /// Admits a new connection, and closes another where there is no room for it. `address` is the one whose limit applies, if one does.
    pub fn admit(&self, address: Option<IpAddr>) -> Member {
        let mut line = self.0.line();
        line.last_number += 1;
        let state = Arc::new(ConnectionState {
            number: line.last_number,
            address,
            is_cut: AtomicBool::new(false),
            task: AtomicWaker::new(),
            is_hung_up: AtomicBool::new(false),
            is_answered: AtomicBool::new(false),
            is_receiving_chunks: AtomicBool::new(false),
        });
        line.places.insert(state.number, Place { state: Arc::clone(&state), turn: None, since: Instant::now() });
        line.wait(&state);
        self.0.make_room(line, address);
        Member(Connection { state, shared: Arc::clone(&self.0) })
    }

    /// Closes connections that have waited longer than `longest`. The HTTP library has a timeout for the first head and for
    /// idle connections, but not for later heads.
    pub fn close_waiting(&self, longest: Duration) {
        self.close_where(|place| place.turn.is_some() && place.since.elapsed() > longest);
    }

    /// Closes connections whose client has taken nothing of the end of an answer for longer than `longest`. A client that
    /// reads slowly keeps its connection.
    pub fn close_unread(&self, longest: Duration) {
        self.close_unread_at(Instant::now(), longest);
    }

    fn close_unread_at(&self, now: Instant, longest: Duration) {
        self.close_where(|place| {
            place.state.is_answered.load(Ordering::Relaxed) && now.saturating_duration_since(place.since) > longest
        });
    }

    fn close_where(&self, is_closed: impl Fn(&Place) -> bool) {
        let mut line = self.0.line();
        let numbers: Vec<_> =
            line.places.iter().filter(|(_, place)| is_closed(place)).map(|(number, _)| *number).collect();
        let closed: Vec<_> = numbers.into_iter().filter_map(|number| line.remove(number)).collect();
        drop(line);
        for state in closed {
            state.cut();
        }
    }

    /// From now on a connection may end in the middle of a request, for no fault of its client.
    pub fn stop(&self) {
        self.0.is_stopping.store(true, Ordering::Relaxed);
    }
}

/// How many waiting connections stay open beyond `max`.
pub fn newest(max: usize) -> usize {
    (max / NEWEST_SHARE).clamp(NEWEST_MIN, NEWEST_MAX)
}

impl Shared {
    /// Nothing panics while it has this lock.
    fn line(&self) -> MutexGuard<'_, WaitingLine> {
        self.line.lock()
    }

    /// Closes those that have waited longest, of all and of this address, until no limit is exceeded.
    fn make_room(&self, mut line: MutexGuard<'_, WaitingLine>, address: Option<IpAddr>) {
        let mut closed = Vec::new();
        while line.places.len() > self.max && line.waiting.len() > self.newest {
            let Some(number) = line.waiting.values().next().copied() else { break };
            closed.extend(line.remove(number));
        }
        while let Some(turns) = address.and_then(|address| line.by_address.get(&address))
            && turns.len() > self.address_max
        {
            let Some(number) = turns.first().and_then(|turn| line.waiting.get(turn)).copied() else { break };
            closed.extend(line.remove(number));
        }
        drop(line);
        for state in closed {
            state.cut();
        }
    }
}

impl WaitingLine {
    /// Puts a connection at the end of the line, unless it is being closed.
    fn wait(&mut self, state: &ConnectionState) {
        self.last_turn += 1;
        let turn = self.last_turn;
        let Some(place) = self.places.get_mut(&state.number) else {
            return;
        };
        place.since = Instant::now();
        let before = place.turn.replace(turn);
        self.give_up(before, state.address);
        self.waiting.insert(turn, state.number);
        if let Some(address) = state.address {
            self.by_address.entry(address).or_default().insert(turn);
        }
    }

    /// Takes a connection from the line, unless it is being closed. Says whether it did.
    fn hold(&mut self, state: &ConnectionState) -> bool {
        let Some(place) = self.places.get_mut(&state.number) else {
            return false;
        };
        let before = place.turn.take();
        self.give_up(before, state.address);
        true
    }

    fn remove(&mut self, number: u64) -> Option<Arc<ConnectionState>> {
        let place = self.places.remove(&number)?;
        self.give_up(place.turn, place.state.address);
        Some(place.state)
    }

    fn give_up(&mut self, turn: Option<u64>, address: Option<IpAddr>) {
        let Some(turn) = turn else {
            return;
        };
        self.waiting.remove(&turn);
        if let Some(address) = address
            && let Some(turns) = self.by_address.get_mut(&address)
        {
            turns.remove(&turn);
            if turns.is_empty() {
                self.by_address.remove(&address);
            }
        }
    }

    fn held(&self) -> usize {
        self.places.len() - self.waiting.len()
    }
}

impl ConnectionState {
    fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Connection {
    /// The connection that a request came on.
    pub(super) fn of(request: &HttpRequest) -> Option<Self> {
        request.conn_data::<Self>().cloned()
    }

    /// Has it closed, even while its task waits for the client.
    pub fn cut(&self) {
        self.state.cut();
    }

    /// Ready once it is to be closed. Only the task that owns the connection may ask.
    pub fn poll_cut(&self, context: &mut Context<'_>) -> Poll<()> {
        self.state.task.register(context.waker());
        if self.state.is_cut.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A request begins. Until it is known to have a credential, its connection waits, behind all others.
    pub(super) fn begin(self, has_chunks: bool) -> Turn {
        self.state.is_answered.store(false, Ordering::Relaxed);
        self.state.is_receiving_chunks.store(has_chunks, Ordering::Relaxed);
        self.wait();
        Turn(self)
    }

    /// The request has a credential: its connection is not closed for room until the answer is sent.
    pub(super) fn hold(&self) -> Result<(), Full> {
        let mut line = self.shared.line();
        if line.held() < self.shared.max && line.hold(&self.state) {
            Ok(())
        } else {
            Err(Full { connections_max: self.shared.max })
        }
    }

    /// The client sends nothing more, or the connection is broken.
    pub fn hang_up(&self) {
        self.state.is_hung_up.store(true, Ordering::Relaxed);
    }

    /// Whether the client sends nothing more. Most such clients read nothing more either.
    pub(super) fn is_hung_up(&self) -> bool {
        self.state.is_hung_up.load(Ordering::Relaxed)
    }

    /// The system has taken bytes for the client.
    pub fn has_sent(&self) {
        self.has_sent_at(Instant::now());
    }

    fn has_sent_at(&self, now: Instant) {
        // A connection whose answer is not complete is not closed for this.
        if self.state.is_answered.load(Ordering::Relaxed) {
            self.set_since(now);
        }
    }

    fn set_since(&self, now: Instant) {
        if let Some(place) = self.shared.line().places.get_mut(&self.state.number) {
            place.since = now;
        }
    }

    /// All that was written has been sent. If an answer was complete before, the connection waits for the next request.
    pub fn is_flushed(&self) {
        if self.state.is_answered.swap(false, Ordering::Relaxed) {
            self.wait();
        }
    }

    /// Whether the only reason to end the connection now is a body whose chunks are malformed: the HTTP library takes them
    /// for an error of the connection, and does not answer.
    pub fn has_malformed_chunks(&self) -> bool {
        self.state.is_receiving_chunks.swap(false, Ordering::Relaxed)
            && !self.state.is_hung_up.load(Ordering::Relaxed)
            && !self.state.is_cut.load(Ordering::Relaxed)
            && !self.shared.is_stopping.load(Ordering::Relaxed)
    }

    fn wait(&self) {
        let mut line = self.shared.line();
        line.wait(&self.state);
        self.shared.make_room(line, self.state.address);
    }
}

impl Turn {
    /// The request has an answer, whether or not all of its body was read.
    pub(super) fn has_answer(&self) {
        self.0.state.is_receiving_chunks.store(false, Ordering::Relaxed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.set_since(Instant::now());
        self.0.state.is_answered.store(true, Ordering::Relaxed);
    }
}

impl Member {
    /// The connection.
    pub const fn connection(&self) -> &Connection {
        &self.0
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // One that was closed for room has no place any more.
        drop(self.0.shared.line().remove(self.0.state.number));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn is_cut(member: &Member) -> bool {
        member.connection().state.is_cut.load(Ordering::Relaxed)
    }

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn the_one_that_has_waited_longest_is_closed_for_room() {
        let connections = Connections::new(16);
        let members: Vec<_> = (0..16).map(|_| connections.admit(None)).collect();
        assert!(!members.iter().any(is_cut));
        // The first has a request, so that the second has waited longest.
        members[0].connection().clone().begin(false).has_answer();
        members[0].connection().is_flushed();
        let more = [connections.admit(None), connections.admit(None)];
        let cut: Vec<_> = members.iter().enumerate().filter(|(_, member)| is_cut(member)).map(|(n, _)| n).collect();
        assert_eq!(cut, [1, 2]);
        assert!(!more.iter().any(is_cut));
        // One that ends by itself makes room too.
        drop(more);
        drop([connections.admit(None), connections.admit(None)]);
        assert_eq!(members.iter().filter(|member| is_cut(member)).count(), 2);
    }

    #[test]
    fn what_a_credential_holds_is_not_closed_and_has_its_bound() {
        let connections = Connections::new(16);
        let held: Vec<_> = (0..16).map(|_| connections.admit(None)).collect();
        let turns: Vec<_> = held.iter().map(|member| member.connection().clone().begin(false)).collect();
        assert!(held.iter().all(|member| member.connection().hold().is_ok()));
        let waiting: Vec<_> = (0..20).map(|_| connections.admit(None)).collect();
        assert!(!held.iter().any(is_cut));
        assert_eq!(waiting.iter().filter(|member| is_cut(member)).count(), 20 - NEWEST_MIN);
        assert!(waiting[19].connection().hold().is_err_and(|full| full.connections_max == 16));
        // The answer is complete, but not yet sent.
        drop(turns);
        assert!(waiting[19].connection().hold().is_err());
        held[0].connection().is_flushed();
        assert!(waiting[19].connection().hold().is_ok());
        // One that was closed holds nothing.
        assert!(waiting[0].connection().hold().is_err());
    }

    #[test]
    fn one_address_has_a_quarter_of_those_that_wait() {
        let connections = Connections::new(16);
        let other = connections.admit(Some(ONE));
        let members: Vec<_> = (0..12).map(|_| connections.admit(Some(OTHER))).collect();
        let open: Vec<_> = members.iter().map(|member| !is_cut(member)).collect();
        assert_eq!(open, [vec![false; 8], vec![true; 4]].concat());
        assert!(!is_cut(&other));
        drop(members);
        drop(other);
        let line = connections.0.line();
        assert!(line.places.is_empty() && line.waiting.is_empty() && line.by_address.is_empty());
    }

    #[test]
    fn those_that_wait_too_long_are_closed_and_those_that_are_held_are_not() {
        let connections = Connections::new(16);
        let [waits, held, unread] = [(); 3].map(|()| connections.admit(None));
        let turns = [&held, &unread].map(|member| member.connection().clone().begin(false));
        assert!([&held, &unread].iter().all(|member| member.connection().hold().is_ok()));
        let [_held, unread_answer] = turns;
        drop(unread_answer);
        connections.close_waiting(Duration::from_secs(60));
        connections.close_unread(Duration::from_secs(60));
        assert!(![&waits, &held, &unread].into_iter().any(is_cut));
        connections.close_waiting(Duration::ZERO);
        assert_eq!([&waits, &held, &unread].map(is_cut), [true, false, false]);
        connections.close_unread(Duration::ZERO);
        assert_eq!([&waits, &held, &unread].map(is_cut), [true, false, true]);
    }

    #[test]
    fn an_answer_whose_end_is_read_slowly_is_not_closed() {
        let connections = Connections::new(16);
        let [slow, unread] = [(); 2].map(|()| connections.admit(None));
        for member in [&slow, &unread] {
            let turn = member.connection().clone().begin(false);
            assert!(member.connection().hold().is_ok());
            drop(turn);
        }
        let (answered, longest) = (Instant::now(), Duration::from_secs(85));
        let after = |seconds| answered + Duration::from_secs(seconds);
        slow.connection().has_sent_at(after(60));
        connections.close_unread_at(after(100), longest);
        assert_eq!([&slow, &unread].map(is_cut), [false, true]);
        slow.connection().has_sent_at(after(140));
        connections.close_unread_at(after(220), longest);
        assert!(!is_cut(&slow));
        connections.close_unread_at(after(226), longest);
        assert!(is_cut(&slow));
    }
}
