//! The signatures of known senders, as data.

use super::signature::{Encoding, Form, KeyEncoding, Place, parse_signed};

/// A known way to sign.
pub(super) struct Scheme {
    pub(super) name: &'static str,
    pub(super) encoding: Encoding,
    pub(super) key_encoding: KeyEncoding,
    forms: &'static [SchemeForm],
    /// The headers that name a delivery. A second delivery with the same name is the first one again.
    pub(super) key_headers: &'static [&'static str],
}

struct SchemeForm {
    header: &'static str,
    prefix: &'static str,
    signed: &'static str,
    /// The header of the timestamp, and what precedes the timestamp in it.
    timestamp: Option<(&'static str, &'static str)>,
}

/// The scheme whose header the configuration names.
pub(super) const SECRET: &str = "secret";

const STANDARD_WEBHOOKS: &[SchemeForm] = &[
    SchemeForm {
        header: "webhook-signature",
        prefix: "v1,",
        signed: "{webhook-id}.{timestamp}.{body}",
        timestamp: Some(("webhook-timestamp", "")),
    },
    SchemeForm {
        header: "svix-signature",
        prefix: "v1,",
        signed: "{svix-id}.{timestamp}.{body}",
        timestamp: Some(("svix-timestamp", "")),
    },
];

const SCHEMES: &[Scheme] = &[
    // <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
    Scheme {
        name: "github",
        encoding: Encoding::Hex,
        key_encoding: KeyEncoding::Text,
        forms: &[SchemeForm { header: "X-Hub-Signature-256", prefix: "sha256=", signed: "{body}", timestamp: None }],
        key_headers: &["X-GitHub-Delivery"],
    },
    // A header for the token, and one that stays the same when a delivery is repeated.
    // <https://docs.gitlab.com/user/project/integrations/webhooks/>
    Scheme {
        name: "gitlab",
        encoding: Encoding::Plain,
        key_encoding: KeyEncoding::Text,
        forms: &[SchemeForm { header: "X-Gitlab-Token", prefix: "", signed: "{body}", timestamp: None }],
        key_headers: &["Idempotency-Key"],
    },
    // <https://docs.port.io/build-your-software-catalog/custom-integration/webhook/>
    Scheme {
        name: "port",
        encoding: Encoding::Base64,
        key_encoding: KeyEncoding::Text,
        forms: &[SchemeForm {
            header: "x-port-signature",
            prefix: "v1,",
            signed: "{timestamp}.{body}",
            timestamp: Some(("x-port-timestamp", "")),
        }],
        key_headers: &[],
    },
    // <https://docs.slack.dev/authentication/verifying-requests-from-slack/>
    Scheme {
        name: "slack",
        encoding: Encoding::Hex,
        key_encoding: KeyEncoding::Text,
        forms: &[SchemeForm {
            header: "X-Slack-Signature",
            prefix: "v0=",
            signed: "v0:{timestamp}:{body}",
            timestamp: Some(("X-Slack-Request-Timestamp", "")),
        }],
        key_headers: &[],
    },
    // <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
    Scheme {
        name: "standard-webhooks",
        encoding: Encoding::Base64,
        key_encoding: KeyEncoding::Base64,
        forms: STANDARD_WEBHOOKS,
        key_headers: &["webhook-id", "svix-id"],
    },
    // <https://docs.stripe.com/webhooks/signature>
    Scheme {
        name: "stripe",
        encoding: Encoding::Hex,
        key_encoding: KeyEncoding::Text,
        forms: &[SchemeForm {
            header: "Stripe-Signature",
            prefix: "v1=",
            signed: "{timestamp}.{body}",
            timestamp: Some(("Stripe-Signature", "t=")),
        }],
        key_headers: &[],
    },
    // <https://docs.svix.com/receiving/verifying-payloads/how-manual>
    Scheme {
        name: "svix",
        encoding: Encoding::Base64,
        key_encoding: KeyEncoding::Base64,
        forms: STANDARD_WEBHOOKS,
        key_headers: &["webhook-id", "svix-id"],
    },
];

impl Scheme {
    /// The scheme with this name. The error follows the key in a sentence.
    pub(super) fn named(name: &str) -> Result<&'static Self, String> {
        SCHEMES.iter().find(|scheme| scheme.name == name).ok_or_else(|| {
            let names: Vec<_> = SCHEMES.iter().map(|scheme| scheme.name).collect();
            format!("must be one of {}, {SECRET}", names.join(", "))
        })
    }

    pub(super) fn forms(&self) -> Vec<Form> {
        let place = |header: &str, prefix: &str| Place { header: header.to_owned(), prefix: prefix.to_owned() };
        let form = |form: &SchemeForm| Form {
            signature: place(form.header, form.prefix),
            // A test reads every scheme.
            signed: parse_signed(form.signed).unwrap_or_default(),
            timestamp: form.timestamp.map(|(header, prefix)| place(header, prefix)),
        };
        self.forms.iter().map(form).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::route::signature::Part;

    #[test]
    fn every_scheme_signs_the_body_and_its_timestamp() {
        for scheme in SCHEMES {
            for form in scheme.forms() {
                assert!(form.signed.contains(&Part::Body), "{}", scheme.name);
                assert_eq!(form.signed.contains(&Part::Timestamp), form.timestamp.is_some(), "{}", scheme.name);
            }
        }
        assert!(
            Scheme::named("none").is_err_and(|error| error.contains("github, gitlab") && error.ends_with("secret"))
        );
    }
}
