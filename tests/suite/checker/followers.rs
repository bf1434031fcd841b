//! Clients that follow the log, by lists or by a stream. Each receives every event of its filter exactly once, in order
//! of arrival, across kills, restarts and retention. A restore may make the server refuse a follower's cursor, and must
//! do so if the follower has received an event that no longer exists.

use serde_json::Value;

use super::run::Checker;
use crate::{properties::plain::PlainQuery, stream};

const FOLLOWERS: usize = 6;

/// A client that follows.
pub(super) struct Follower {
    plain_query: PlainQuery,
    streams: bool,
    connection: Option<stream::Follower>,
    /// The cursor from which it continues.
    cursor: Option<String>,
    /// The history that it has read, including events that its filter does not match.
    known: Vec<u64>,
    /// The length of that history up to the last event that it received.
    given: usize,
    /// The step at which it received its cursor.
    step: u64,
    /// Whether a backup older than its cursor has been restored since.
    may_begin_again: bool,
}

impl Checker {
    /// Closes the connections of all followers. Unread data is lost.
    pub(super) fn disconnect(&mut self) {
        for follower in &mut self.followers {
            follower.connection = None;
        }
    }

    /// Notes that the log was restored to its state at this step.
    pub(super) fn followers_meet_a_restore(&mut self, step: u64) {
        for follower in &mut self.followers {
            follower.may_begin_again |= follower.step > step;
        }
        self.own.may_begin_again |= self.own.step > step;
    }

    /// Makes the model wrong: the first follower has received nothing.
    pub(super) fn forget_in_follower(&mut self) {
        let follower = &mut self.followers[0];
        (follower.known, follower.given) = (Vec::new(), 0);
    }

    fn choose(&mut self, streams: bool) -> usize {
        let of_kind: Vec<_> =
            (0..self.followers.len()).filter(|place| self.followers[*place].streams == streams).collect();
        if of_kind.len() < FOLLOWERS && (of_kind.is_empty() || self.maker.percent(15)) {
            let mut plain_query = self.plain_query();
            (plain_query.by_arrival, plain_query.ascending) = (true, true);
            if self.maker.percent(30) {
                plain_query = PlainQuery { by_arrival: true, ascending: true, ..crate::properties::everything() };
            }
            let (known, step) = (Vec::new(), self.step);
            let (connection, cursor) = (None, None);
            let follower =
                Follower { plain_query, streams, connection, cursor, known, given: 0, step, may_begin_again: false };
            self.followers.push(follower);
            return self.followers.len() - 1;
        }
        of_kind[self.maker.below(of_kind.len())]
    }

    pub(super) fn follow_list(&mut self) {
        let place = self.choose(false);
        for _ in 0..=self.maker.below(3) {
            let limit = self.maker.pick(&[1, 7, 50, 1_000]);
            self.poll(place, limit);
        }
    }

    pub(super) fn follow_stream(&mut self) {
        let place = self.choose(true);
        let share = self.maker.pick(&[30, 100, 100]);
        self.listen(place, share);
        if self.maker.percent(25) {
            self.followers[place].connection = None;
        }
    }

    /// Reads a follower to the end of the log.
    pub(super) fn catch_up(&mut self, place: usize) {
        if self.followers[place].streams {
            self.listen(place, 100);
        } else {
            // The first request may be refused.
            self.poll(place, 100_000);
            self.poll(place, 100_000);
        }
    }

    /// Returns how much of a follower's history the log still has, the events that it must receive next, and whether
    /// its cursor must be refused.
    fn due(&self, follower: &Follower) -> (usize, Vec<usize>, bool) {
        let common = self.state.common(&follower.known);
        let must_begin_again = common < follower.given;
        assert!(!must_begin_again || follower.may_begin_again, "only a restore can undo received events");
        (common, self.state.after(&follower.plain_query, common), must_begin_again)
    }

    /// Requests one list from a follower's cursor on.
    fn poll(&mut self, place: usize, limit: usize) {
        let follower = &self.followers[place];
        let cursor = follower.cursor.as_ref().map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let query = follower.plain_query.query();
        let (_, due, must_begin_again) = self.due(follower);
        let answer = self.server.list(&format!("{query}&limit={limit}{cursor}"));
        if answer.status == 422 {
            self.begin_again(place, &answer.text);
            return;
        }
        assert!(
            !must_begin_again,
            "follower {place} has received events that no longer exist, and its cursor is accepted: {query}{cursor}"
        );
        let found = answer.identifiers();
        let due = &due[..due.len().min(limit)];
        let expected: Vec<_> = due.iter().map(|place| self.state.events[*place].identifier.clone()).collect();
        assert_eq!(found, expected, "follower {place}: {query}&limit={limit}{cursor}");
        let is_full = due.len() == limit;
        let known = if is_full { self.state.known_through(*due.last().unwrap()) } else { self.state.history.len() };
        let last = due.last().map(|place| self.state.known_through(*place));
        let cursor = answer.json()["next"].as_str().map(str::to_owned);
        assert!(cursor.is_some(), "a list by arrival has a next page");
        self.advance(place, cursor, known, last);
        self.note(format!("follower {place} got {} of {limit}", found.len()));
    }

    /// Notes how far a follower has read.
    fn advance(&mut self, place: usize, cursor: Option<String>, known: usize, given: Option<usize>) {
        let follower = &mut self.followers[place];
        let common = self.state.common(&follower.known);
        follower.given = given.unwrap_or_else(|| follower.given.min(common));
        follower.known = self.state.history[..known].to_vec();
        (follower.cursor, follower.step, follower.may_begin_again) = (cursor, self.step, false);
    }

    /// Handles the refusal of a follower's cursor.
    fn begin_again(&mut self, place: usize, text: &str) {
        let refusal: Value = serde_json::from_str(text).unwrap();
        let named = refusal["details"][0]["parameter"].as_str().unwrap_or_default().to_owned();
        assert!(matches!(named.as_str(), "cursor" | "Last-Event-ID"), "{text}");
        let follower = &mut self.followers[place];
        assert!(follower.may_begin_again, "follower {place} is refused, and no backup was restored: {text}");
        follower.connection = None;
        (follower.step, follower.may_begin_again) = (self.step, false);
        // A refusal may offer the cursor of the last event that both histories have.
        let resume = refusal["details"][0]["resume"].as_str().filter(|_| self.maker.percent(70)).map(str::to_owned);
        let known = if resume.is_some() { self.state.common(&follower.known) } else { 0 };
        follower.known.truncate(known);
        (follower.cursor, follower.given) = (resume, follower.given.min(known));
        self.note(format!("follower {place} begins again after {known} events"));
    }

    /// Opens a stream; a new one starts at the end of the log. Returns whether the server accepted it.
    fn connect(&mut self, place: usize) -> bool {
        let follower = &self.followers[place];
        let authorization = format!("Authorization: Bearer {}\r\n", self.server.token);
        let query = follower.plain_query.query();
        // A browser sends the position in a header, and a first connection may send it in the URL.
        let (headers, query) = match &follower.cursor {
            Some(cursor) if self.step.is_multiple_of(2) => {
                (format!("{authorization}Last-Event-ID: {cursor}\r\n"), query)
            }
            Some(cursor) => (authorization, format!("{query}&cursor={cursor}")),
            None => (authorization, query),
        };
        let must_begin_again = self.due(follower).2;
        match stream::Follower::try_open(&self.server, &query, &headers) {
            Ok(connection) => {
                assert!(
                    !must_begin_again,
                    "follower {place} has received events that no longer exist, and its cursor is accepted: {query}"
                );
                if self.followers[place].cursor.is_none() {
                    let (cursor, end) = (Some(connection.place.clone()), self.state.history.len());
                    self.advance(place, cursor, end, None);
                }
                self.followers[place].connection = Some(connection);
                true
            }
            Err(reply) => {
                assert_eq!(reply.status, 422, "{}", reply.body);
                self.begin_again(place, &reply.body);
                false
            }
        }
    }

    /// Reads `share` percent of the events that a stream must send.
    fn listen(&mut self, place: usize, share: usize) {
        if self.followers[place].connection.is_none() && !self.connect(place) {
            assert!(self.connect(place), "follower {place} is refused without a cursor");
        }
        let (_, due, _) = self.due(&self.followers[place]);
        let due = &due[..due.len() * share / 100];
        for event in due {
            let expected = &self.state.entries[*event];
            let name = &self.state.events[*event].identifier;
            let connection = self.followers[place].connection.as_mut().unwrap();
            let data = connection.data().unwrap_or_else(|error| panic!("follower {place} waits for {name}: {error}"));
            assert_eq!(data, expected.text, "follower {place} waits for {name}");
            let (cursor, known) = (connection.place.clone(), self.state.known_through(*event));
            self.advance(place, Some(cursor), known, Some(known));
        }
        self.note(format!("follower {place} got {}", due.len()));
    }
}
