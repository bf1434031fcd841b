//! The IP addresses in a text.
//!
//! Senders store what they have: an address, an address with a port, or a whole `X-Forwarded-For` or `Forwarded` header. The
//! text does not change, and a filter by address finds each address in it.

use std::net::IpAddr;

/// The addresses in a text, in order. An IPv4 address that arrived over an IPv6 socket is the IPv4 address.
///
/// Recognized forms: an address alone, with a port (`10.0.0.1:443`, `[2001:db8::1]:443`), with a zone (`fe80::1%eth0`, RFC 4007
/// section 11), in a list, in the `for` of a `Forwarded` header (RFC 7239 section 6), and in other text that separates it
/// (`tcp://10.0.0.1:80`).
pub fn addresses(text: &str) -> impl Iterator<Item = IpAddr> {
    text.split(is_separator).filter_map(address_in)
}

/// An address alone.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Whether a character is neither part of an address nor of what may follow one without a separator.
fn is_separator(char: char) -> bool {
    !(char.is_alphanumeric() || matches!(char, '.' | ':' | '%' | '[' | ']'))
}

/// The address in a text without separators.
fn address_in(text: &str) -> Option<IpAddr> {
    if let Some((_, bracketed)) = text.split_once('[') {
        return parse_address(without_zone(bracketed.split(']').next().unwrap_or_default()));
    }
    let text = without_zone(text).trim_matches('.').trim_end_matches(']');
    if let Some(address) = parse_address(text) {
        return Some(address);
    }
    // All eight groups and a port: with fewer groups, the port looks like a group.
    if let Some(address) = text.rsplit_once(':').and_then(|(before, _)| parse_address(before)) {
        return Some(address);
    }
    // `ipv4:10.0.0.1:443`
    text.split(':').filter(|part| part.contains('.')).find_map(parse_address)
}

fn without_zone(text: &str) -> &str {
    text.split('%').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_a_text_is_found() {
        for (text, found) in [
            ("10.0.0.1", "10.0.0.1"),
            ("198.51.100.196:50332", "198.51.100.196"),
            ("203.0.113.7, 10.0.0.1", "203.0.113.7 10.0.0.1"),
            ("203.0.113.7,10.0.0.1:80\t2001:db8::1", "203.0.113.7 10.0.0.1 2001:db8::1"),
            ("[2001:db8::2]:443", "2001:db8::2"),
            ("[2001:DB8::2]", "2001:db8::2"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0.100]:80", "fe80::1"),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60 203.0.113.43"),
            ("For=\"[2001:db8:cafe::17]:4711\", for=unknown, for=_hidden", "2001:db8:cafe::17"),
            ("\"10.0.0.1\"", "10.0.0.1"),
            ("('10.0.0.1', 50332)", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("[::ffff:10.0.0.1]:443", "10.0.0.1"),
            ("::ffff:10.0.0.1:443", "10.0.0.1"),
            ("2001:db8:0:0:0:0:0:2:443", "2001:db8::2"),
            ("ipv4:10.0.0.1:443", "10.0.0.1"),
            ("ipv6:[2001:db8::2]:443", "2001:db8::2"),
            ("tcp://10.0.0.1:80/", "10.0.0.1"),
            ("10.0.0.1->10.0.0.2", "10.0.0.1 10.0.0.2"),
            ("10.0.0.1.", "10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.0"),
            ("pod/10.0.0.1", "10.0.0.1"),
            ("2001:db8::", "2001:db8::"),
            ("unknown", ""),
            ("AWS Internal", ""),
            ("10.0.0.07", ""),
            ("v10.0.0.1", ""),
            ("10.0.0.1.5", ""),
            ("ip-10-0-0-1.ec2.internal:80", ""),
            ("12:30", ""),
            ("", ""),
        ] {
            let all: Vec<_> = addresses(text).map(|address| address.to_string()).collect();
            assert_eq!(all.join(" "), found, "{text}");
        }
    }
}
