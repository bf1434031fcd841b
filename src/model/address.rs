//! The address in a text that names a client.

use std::net::IpAddr;

/// The address of the client in `203.0.113.7`, `203.0.113.7:443`, `[2001:db8::1]:443`, `fe80::1%eth0`, or at the beginning of a list
/// of forwarded addresses (`203.0.113.7, 10.0.0.1`). `None` for other text. An IPv4 address that arrived over an IPv6 socket is the
/// same address.
pub fn client(text: &str) -> Option<IpAddr> {
    let first = text.split(',').next().unwrap_or_default().trim_end();
    let in_brackets = first.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let address = in_brackets.unwrap_or(first).split('%').next().unwrap_or_default();
    let parsed = address.parse::<IpAddr>().ok();
    let before_port = || {
        let (host, port) = address.split_once(':')?;
        port.parse::<u16>().ok().and_then(|_| host.parse::<IpAddr>().ok())
    };
    parsed.or_else(before_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_host_of_the_first_address() {
        for (text, expected) in [
            ("203.0.113.7", Some("203.0.113.7")),
            ("203.0.113.7:443", Some("203.0.113.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("[fe80::1%eth0]:443", Some("fe80::1")),
            ("::ffff:203.0.113.7", Some("203.0.113.7")),
            ("[::ffff:203.0.113.7]:80", Some("203.0.113.7")),
            ("203.0.113.7, 10.0.0.1", Some("203.0.113.7")),
            ("203.0.113.7:51000,10.0.0.1", Some("203.0.113.7")),
            ("unknown, 10.0.0.1", None),
            ("203.0.113.7:99999", None),
            ("203.0.113.7:", None),
            ("lambda.amazonaws.com", None),
            ("private", None),
            ("", None),
            ("[", None),
        ] {
            assert_eq!(client(text).map(|address| address.to_string()).as_deref(), expected, "{text}");
        }
    }
}
