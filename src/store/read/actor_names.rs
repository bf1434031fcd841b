//! The names of actors. The log counts an actor by identity: the user id, otherwise the e-mail address, otherwise the name. People
//! read the latest name instead of the identity.

use std::collections::HashMap;

use crate::{
    model::{
        event::{StoredActor, actor},
        field::Field,
        fold::fold,
        limits::QueryLimits,
        list_params::ListParams,
        stats::{FACET_VALUES_MAX, Stats},
    },
    store::{Lease, PageReader},
};

/// Maximum number of actors that are looked up for one response.
const ACTORS_MAX: usize = FACET_VALUES_MAX + 50;
/// Maximum number of an actor's newest events that are read to find a name.
const EVENTS_READ: usize = 4;
/// Maximum number of bytes of these events, except that one event is always read.
const BYTES_MAX: usize = 32 * 1024;

/// The latest names of some actors by folded identity; an empty name if an actor has none.
#[derive(Debug, Clone, Default)]
pub struct ActorNames(HashMap<String, String>);

impl ActorNames {
    /// Looks up the actors with these identities. Calls block. An actor whose events cannot be read has no name here.
    pub fn find<'v>(
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
        Self(names)
    }

    /// Looks up the actors of a facet. Calls block.
    pub fn of_facet(lease: &Lease, stats: &Stats, params: &ListParams, limits: &QueryLimits) -> Self {
        let facet = stats.facets.iter().filter(|facet| facet.field == Field::Actor);
        Self::find(lease, facet.flat_map(|facet| facet.values.iter().map(|value| value.value.as_str())), params, limits)
    }

    /// The name of the actor with this identity, if it has another name.
    pub fn name(&self, identity: &str) -> Option<&str> {
        self.0.get(fold(identity).as_ref()).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of the actor with this identity, if it has another name. If another actor has the same name, also as its identity,
    /// the identity follows the name.
    pub fn label(&self, identity: &str) -> Option<String> {
        let name = self.name(identity)?;
        let folded = fold(name.trim()).into_owned();
        let namesakes = self.0.values().filter(|other| fold(other.trim()) == folded).count();
        let is_shared = namesakes > 1 || self.0.keys().any(|other| other.trim() == folded);
        Some(if is_shared { format!("{name} ({identity})") } else { name.to_owned() })
    }
}

/// The name in the newest event of an actor, if it differs from the identity.
fn latest_name(lease: &Lease, identity: &str, params: &ListParams, limits: &QueryLimits) -> Option<String> {
    let all = ListParams { include_own: true, limit: Some(EVENTS_READ), ..params.all() };
    let query = all.with(Field::Actor, false, identity)?.query(limits).ok()?;
    let found = PageReader::list(lease, query, BYTES_MAX).ok()?;
    let actors = found.first.bodies().filter_map(actor);
    // The value may be another name of another actor.
    let mut own = actors.filter(|actor| actor.identity().is_some_and(|own| fold(own) == fold(identity)));
    let name = own
        .find_map(|StoredActor { name, email, .. }| [name, email].into_iter().flatten().find(|name| !is_blank(name)));
    name.filter(|name| fold(name) != fold(identity))
}

fn is_blank(name: &str) -> bool {
    name.trim().is_empty()
}
