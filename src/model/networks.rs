//! Lists of addresses and ranges.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

/// Maximum number of ranges in a list.
const NETWORKS_MAX: usize = 100;

/// Reads a range, or an address as a range of one. An IPv4 address written as IPv6 is the same address. Host bits are cleared.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let invalid = |_| format!("must list addresses or ranges such as 10.0.0.0/8, not `{text}`");
    text.parse().map_err(invalid).map(|range: IpNet| range.trunc())
}

/// A list of ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Reads addresses and ranges separated by commas. An empty text is an empty list.
    pub fn parse(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let networks = items.map(parse_network).collect::<Result<Vec<_>, _>>()?;
        if networks.len() > NETWORKS_MAX {
            return Err(format!("must list at most {NETWORKS_MAX} addresses and ranges"));
        }
        Ok(Self(networks))
    }

    /// Whether the list has no range.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a range of the list has this address.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Each range as text.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(|network| one(*network)).collect()
    }
}

/// A range as text. A range of one is written as its address.
fn one(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() { network.addr().to_string() } else { network.to_string() }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_the_addresses_of_its_ranges() {
        let networks = Networks::parse(" 10.1.2.3/8, 192.0.2.7 ,2001:db8::/32,::ffff:198.51.100.1").unwrap();
        assert_eq!(networks.to_string(), "10.0.0.0/8,192.0.2.7,2001:db8::/32,198.51.100.1");
        assert_eq!(Networks::parse(&networks.to_string()), Ok(networks.clone()));
        for (address, is_in) in [
            ("10.255.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("198.51.100.1", true),
        ] {
            assert_eq!(networks.contain(address.parse().unwrap()), is_in, "{address}");
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in ["10.0.0.0/33", "ten", "10.0.0", "10.0.0.1-10.0.0.9", "example.com"] {
            assert!(Networks::parse(text).is_err(), "{text}");
        }
        assert!(Networks::parse(&vec!["192.0.2.1"; NETWORKS_MAX + 1].join(",")).is_err());
        assert!(Networks::parse("").unwrap().is_empty());
    }
}
