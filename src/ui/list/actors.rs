//! The names of actors. The log counts an actor by identity: the user id, otherwise the e-mail address, otherwise the name. Pages
//! show the latest name instead of the identity.

use std::collections::HashMap;

use crate::{
    model::{field::Field, fold::fold, limits::QueryLimits, list_params::ListParams},
    store::{Lease, PageReader},
    ui::event_view::{ActorView, EventView},
};

/// Maximum number of actors that are looked up for one page.
const ACTORS_MAX: usize = 50;
/// Maximum number of an actor's newest events that are read to find a name.
const EVENTS_READ: usize = 4;
/// Maximum number of bytes of these events, except that one event is always read.
const BYTES_MAX: usize = 32 * 1024;

/// The latest names of actors by folded identity.
#[derive(Debug, Clone, Default)]
pub(in crate::ui) struct ActorNames(HashMap<String, String>);

impl ActorNames {
    /// Looks up the actors with these identities. Calls block. An actor whose events cannot be read has no name here.
    pub(super) fn find<'v>(
        lease: &Lease,
        identities: impl IntoIterator<Item = &'v str>,
        params: &ListParams,
        limits: &QueryLimits,
    ) -> Self {
        let mut names = HashMap::new();
        for identity in identities {
            let folded = fold(identity).into_owned();
            if names.len() < ACTORS_MAX && !names.contains_key(&folded) {
                let name = latest_name(lease, identity, params, limits).unwrap_or_default();
                names.insert(folded, name);
            }
        }
        names.retain(|_, name| !name.is_empty());
        Self(names)
    }

    /// The name of the actor with this identity, if it has another name. If two actors have the same one, their identities
    /// follow the names.
    pub(in crate::ui) fn label(&self, identity: &str) -> Option<String> {
        let name = self.0.get(fold(identity).as_ref())?;
        let is_shared = self.0.values().filter(|other| fold(other) == fold(name)).count() > 1;
        Some(if is_shared { format!("{name} ({identity})") } else { name.clone() })
    }
}

/// The name in the newest event of an actor, if it differs from the identity.
fn latest_name(lease: &Lease, identity: &str, params: &ListParams, limits: &QueryLimits) -> Option<String> {
    let all = ListParams { include_own: true, limit: Some(EVENTS_READ), ..params.all() };
    let query = all.with(Field::Actor, false, identity)?.query(limits).ok()?;
    let found = PageReader::list(lease, query, BYTES_MAX).ok()?;
    let actors = found.first.bodies().map(|body| EventView::read(body).actor);
    // The value may be another name of another actor.
    let mut own = actors.filter(|actor| actor.identity().is_some_and(|own| fold(own) == fold(identity)));
    let name = own.find_map(|ActorView { name, email, .. }| name.or(email));
    name.filter(|name| fold(name) != fold(identity))
}
