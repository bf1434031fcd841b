//! Routes: addresses to which other systems deliver records, `[[routes]]` of the configuration.
//!
//! A route names the preset that maps its records, the credential that it acts as, and how its sender proves itself. What belongs
//! here: the description of a route, read from the configuration. What does not: requests.

pub(super) mod read;
mod scheme;
pub mod signature;

use crate::model::{credential::CredentialName, mapping::RecordKey, route::signature::Signature};

/// The section of the configuration that holds routes.
pub const SECTION: &str = "routes";

/// An address to which another system delivers records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The last part of its address, `/in/<name>`.
    pub name: String,
    /// The name of the preset that maps its records.
    pub preset: String,
    /// The credential that it acts as. A route without a signature may have none: then any sender's credential opens it.
    pub credential: Option<CredentialName>,
    /// Which records count as the same.
    pub dedupe: Dedupe,
    /// The headers that name a delivery, in the order in which they are tried.
    pub key_headers: Vec<String>,
    /// How its sender signs. Without it, the sender presents a secret of the credential.
    pub signature: Option<Signature>,
    /// Maximum number of bytes of a body after decompression; without it, that of all requests.
    pub body_bytes_max: Option<usize>,
    /// Maximum number of requests in a second; without it, requests are not limited.
    pub requests_per_second_max: Option<u32>,
}

/// How a record without an identifier gets one, and so which records count as the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dedupe {
    /// The header that names the delivery, and the place of the record in it.
    Delivery,
    /// The text of the record.
    Content,
    /// The value in this place of the record.
    Key(RecordKey),
    /// A new one.
    None,
}
