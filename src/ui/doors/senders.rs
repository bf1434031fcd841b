//! The senders that can be set up from the page, and the lines of configuration for each.
//!
//! The text of a sender is a file: paragraphs, each with the lines that it introduces. The pages of the guide have the same lines.

use crate::model::door::Door;

/// A sender.
#[derive(Debug)]
pub(super) struct Sender {
    /// Its name in addresses, and by default that of its credential.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// The door to which it delivers; `None` if it uses a route or the API.
    pub(super) door: Option<Door>,
    text: &'static str,
}

macro_rules! senders {
    ($($id:literal, $title:literal, $door:expr;)*) => {
        /// All senders.
        pub(super) const SENDERS: &[Sender] = &[$(
            Sender { id: $id, title: $title, door: $door, text: include_str!(concat!("senders/", $id, ".md")) },
        )*];
    };
}

senders! {
    "opentelemetry-collector", "OpenTelemetry Collector", Some(Door::Otlp);
    "opentelemetry-sdk", "OpenTelemetry SDK", Some(Door::Otlp);
    "fluent-bit", "Fluent Bit", Some(Door::Hec);
    "vector", "Vector", Some(Door::Hec);
    "filebeat", "Filebeat", Some(Door::Bulk);
    "logstash", "Logstash", Some(Door::Bulk);
    "rsyslog", "rsyslog", None;
    "syslog-ng", "syslog-ng", None;
    "kube-apiserver", "Kubernetes (kube-apiserver)", Some(Door::Kubernetes);
    "github-streaming", "GitHub audit log streaming", Some(Door::Hec);
    "github-webhook", "GitHub webhook", None;
    "okta", "Okta event hook", None;
    "docker-registry", "Docker registry", Some(Door::Registry);
    "caddy", "Caddy", None;
    "nginx", "nginx", None;
    "cloudevents", "CloudEvents", Some(Door::CloudEvents);
    "curl", "curl", None;
}

/// What the lines of a sender contain. It has no `Debug`, because it holds a secret.
pub(super) struct Values {
    pub(super) is_secure: bool,
    /// The host by which the sender reaches this server, with the port if it is not the usual one.
    pub(super) host: String,
    /// What precedes the paths of doors.
    pub(super) prefix: String,
    /// The name of the credential.
    pub(super) name: String,
    pub(super) client_id: String,
    pub(super) secret: String,
    pub(super) token: String,
}

/// A step of a setup: what to do, and the lines for it. It has no `Debug`, because the lines may hold a secret.
pub(super) struct Step {
    /// The parts of the text, and whether each is code.
    pub(super) text: Vec<(bool, String)>,
    pub(super) lines: String,
}

impl Sender {
    /// The sender with this name.
    pub(super) fn named(id: &str) -> Option<&'static Self> {
        SENDERS.iter().find(|sender| sender.id == id)
    }

    /// Whether its lines contain the secret of the credential.
    pub(super) fn needs_secret(&self) -> bool {
        ["@TOKEN@", "@SECRET@"].iter().any(|place| self.text.contains(place))
    }

    /// The steps, with these values.
    pub(super) fn steps(&self, values: &Values) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut parts = self.text.split("```");
        while let (Some(text), Some(block)) = (parts.next(), parts.next()) {
            let text = text.trim().split('`').enumerate();
            // The first line names the language.
            let lines = block.split_once('\n').map_or("", |(_, lines)| lines);
            steps.push(Step {
                text: text.map(|(index, part)| (index % 2 == 1, part.to_owned())).collect(),
                lines: values.fill(lines.trim_end()),
            });
        }
        steps
    }
}

impl Values {
    /// Placeholders, before a secret exists.
    pub(super) fn without_secret(is_secure: bool, host: String, prefix: String, name: String) -> Self {
        let [client_id, secret, token] = ["YOUR_CLIENT_ID", "YOUR_SECRET", "YOUR_TOKEN"].map(str::to_owned);
        Self { is_secure, host, prefix, name, client_id, secret, token }
    }

    fn fill(&self, lines: &str) -> String {
        let (scheme, usual_port, tls) = if self.is_secure { ("https", "443", "On") } else { ("http", "80", "Off") };
        let port = self.host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let (hostname, port) = port.unwrap_or((&self.host, usual_port));
        let origin = format!("{scheme}://{}", self.host);
        // The name is within quotation marks.
        let name = self.name.replace('\\', "\\\\").replace('"', "\\\"");
        let values = [
            ("@URL@", format!("{origin}{}", self.prefix)),
            ("@URL_WITH_PORT@", format!("{scheme}://{hostname}:{port}{}", self.prefix)),
            ("@ORIGIN@", origin),
            ("@HOSTNAME@", hostname.to_owned()),
            ("@PORT@", port.to_owned()),
            ("@TLS@", tls.to_owned()),
            ("@CLIENT_ID@", self.client_id.clone()),
            ("@SECRET@", self.secret.clone()),
            ("@TOKEN@", self.token.clone()),
            ("@NAME@", name),
        ];
        values.iter().fold(lines.to_owned(), |lines, (place, value)| lines.replace(place, value))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn example(name: &str) -> Values {
        Values::without_secret(true, "audit.example.org".to_owned(), String::new(), name.to_owned())
    }

    #[test]
    fn every_place_in_every_text_is_filled() {
        for sender in SENDERS {
            let steps = sender.steps(&example(sender.id));
            assert!(!steps.is_empty(), "{}", sender.id);
            for Step { text, lines } in steps {
                let text: String = text.into_iter().map(|(_, part)| part).collect();
                assert!(text.ends_with([':', '.']) && !text.contains('\n'), "{}: {text}", sender.id);
                assert!(!lines.is_empty() && !lines.contains('@') && !text.contains('@'), "{}: {lines}", sender.id);
            }
        }
    }

    #[test]
    fn addresses_have_the_scheme_the_port_and_the_prefix_that_the_sender_needs() {
        let values = |is_secure, host: &str| {
            let values = Values::without_secret(is_secure, host.to_owned(), "/from".to_owned(), "a \"b\\\"".to_owned());
            values.fill("@URL@ @URL_WITH_PORT@ @ORIGIN@ @HOSTNAME@ @PORT@ @TLS@ \"@NAME@\"")
        };
        assert_eq!(
            values(true, "a.example"),
            "https://a.example/from https://a.example:443/from https://a.example a.example 443 On \"a \\\"b\\\\\\\"\""
        );
        assert!(
            values(false, "[::1]:8686")
                .starts_with("http://[::1]:8686/from http://[::1]:8686/from http://[::1]:8686 [::1] 8686 Off")
        );
    }

    /// The blocks of lines in a text.
    fn blocks(text: &str) -> Vec<&str> {
        let blocks = text.split("```").skip(1).step_by(2);
        blocks.map(|block| block.split_once('\n').map_or("", |(_, lines)| lines).trim_end()).collect()
    }

    #[test]
    fn the_guide_has_the_lines_of_the_page() {
        let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/senders");
        let (mut files, mut compared) = (0, Vec::new());
        for entry in fs::read_dir(&guide).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            files += 1;
            for marked in text.split("<!-- lines of the page /doors: ").skip(1) {
                let id = marked.split(" -->").next().unwrap();
                let sender = Sender::named(id).unwrap_or_else(|| panic!("{}: no sender {id}", path.display()));
                for step in sender.steps(&example(id)) {
                    assert!(blocks(marked).contains(&&*step.lines), "{}, {id}:\n{}", path.display(), step.lines);
                }
                compared.push(id.to_owned());
            }
        }
        assert!(files > 3 && compared.len() > 3, "{files} {compared:?}");
        for id in ["kube-apiserver", "github-streaming", "github-webhook", "okta"] {
            assert!(compared.iter().any(|known| known == id), "the guide does not have the lines of {id}");
        }
    }
}
