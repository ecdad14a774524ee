//! Which addresses may be dialed at all, whoever names them.
//!
//! # Why
//! Whoever writes a Connector chooses where the operator connects to, from a place in the network that they are not in. What
//! nobody's directory or payroll is, but what lets a stranger in, is closed: the operator's own machine, the addresses at
//! which clouds hand out credentials, the cluster's services and its API server.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;

/// Networks that no system is in, with the word that names them.
pub const CLOSED: [(&str, &str); 15] = [
    ("127.0.0.0/8", LOOPBACK),
    ("::1/128", LOOPBACK),
    ("0.0.0.0/8", "unspecified"),
    ("::/128", "unspecified"),
    ("169.254.0.0/16", "link-local"),
    ("fe80::/10", "link-local"),
    // AWS over IPv6, Alibaba, Azure's wire server, Oracle: where virtual machines get their credentials from.
    ("fd00:ec2::/32", "metadata"),
    ("100.100.100.200/32", "metadata"),
    ("168.63.129.16/32", "metadata"),
    ("192.0.0.0/24", "metadata"),
    ("fd20:ce::/32", "metadata"),
    ("224.0.0.0/4", "multicast"),
    ("ff00::/8", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("fec0::/10", "link-local"),
];

const LOOPBACK: &str = "loopback";

/// Which addresses are closed, and which of these are opened again.
#[derive(Debug, Clone)]
pub struct Egress {
    opened: Vec<IpNet>,
    closed: Vec<(IpNet, &'static str)>,
    named_loopback: bool,
}

/// Why an address is not dialed: the word for the network that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed(pub &'static str);

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "egress {}", self.0)
    }
}

impl Egress {
    /// For an operator in a cluster: `opened` wins over everything that is closed.
    pub fn new(opened: Vec<IpNet>) -> Self {
        let closed = CLOSED
            .iter()
            .filter_map(|(network, word)| Some((IpNet::from_str(network).ok()?, *word)))
            .collect();
        Self {
            opened,
            closed,
            named_loopback: false,
        }
    }

    /// The same, and this machine is open to whom its address is named for: where a person runs the program for themselves.
    #[must_use]
    pub fn with_named_loopback(mut self) -> Self {
        self.named_loopback = true;
        self
    }

    /// The same with one more closed network.
    #[must_use]
    pub fn without(mut self, network: IpNet, word: &'static str) -> Self {
        self.closed.push((network, word));
        self
    }

    /// Whether `address` may be dialed. `named`: somebody who answers for it has named the host.
    ///
    /// # Errors
    /// The word for the network that it is in.
    pub fn check(&self, address: IpAddr, named: bool) -> Result<(), Closed> {
        for address in meanings(address) {
            if self.opened.iter().any(|network| network.contains(&address)) {
                continue;
            }
            let mut closed = self.closed.iter();
            if let Some((_, word)) = closed.find(|(network, _)| network.contains(&address))
                && !(*word == LOOPBACK && named && self.named_loopback)
            {
                return Err(Closed(word));
            }
        }
        Ok(())
    }
}

/// The address, and the IPv4 address that routers, translators or the system itself take it for (RFC 4291, 6052, 3056, 4380,
/// 5214).
fn meanings(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(six) = address else {
        return vec![address];
    };
    if let Some(four) = six.to_ipv4_mapped() {
        return vec![four.into()];
    }
    let part = six.segments();
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::from([a, b, c, d])
    };
    let mut meanings = vec![address];
    match part {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => meanings.push(four(high, low)),
        // Teredo, first: its last part is the address with every bit turned.
        [0x2001, 0, .., high, low] => meanings.push(four(!high, !low)),
        [0x64, 0xff9b, .., high, low] | [0x2002, high, low, ..] | [.., 0x0 | 0x200, 0x5efe, high, low] => {
            meanings.push(four(high, low));
        }
        _ => {}
    }
    meanings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(egress: &Egress, address: &str, named: bool) -> Option<&'static str> {
        let checked = egress.check(address.parse().unwrap(), named);
        checked.err().map(|Closed(word)| word)
    }

    #[test]
    fn what_no_system_is_at_is_closed_in_every_spelling() {
        let egress = Egress::new(vec![]);
        for (address, word) in [
            ("127.0.0.1", "loopback"),
            ("127.255.1.9", "loopback"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::127.0.0.1", "loopback"),
            ("64:ff9b::7f00:1", "loopback"),
            ("64:ff9b:1::a9fe:a9fe", "link-local"),
            ("2002:7f00:1::", "loopback"),
            ("2001:0:4136:e378:8000:63bf:80ff:fffe", "loopback"),
            ("fe80::5efe:7f00:1", "link-local"),
            ("2001:db8::5efe:a9fe:a9fe", "link-local"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("::", "unspecified"),
            ("169.254.169.254", "link-local"),
            ("::ffff:169.254.169.254", "link-local"),
            ("fe80::1", "link-local"),
            ("fd00:ec2::254", "metadata"),
            ("100.100.100.200", "metadata"),
            ("168.63.129.16", "metadata"),
            ("192.0.0.192", "metadata"),
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
            ("255.255.255.255", "reserved"),
        ] {
            assert_eq!(closed(&egress, address, true), Some(word), "{address}");
        }
        for address in [
            "10.0.0.1",
            "192.168.1.1",
            "172.20.0.1",
            "8.8.8.8",
            "2001:4860::8888",
            "fd12::1",
        ] {
            assert_eq!(closed(&egress, address, false), None, "{address}");
        }
    }

    #[test]
    fn a_network_is_opened_by_the_allow_list_and_this_machine_by_its_name() {
        let cluster = || Egress::new(vec![]).without("10.96.0.0/12".parse().unwrap(), "service network");
        assert_eq!(closed(&cluster(), "10.97.0.1", true), Some("service network"));
        let opened = Egress {
            opened: vec!["10.96.3.0/24".parse().unwrap(), "127.0.0.1/32".parse().unwrap()],
            ..cluster()
        };
        assert_eq!(closed(&opened, "10.96.3.9", false), None);
        assert_eq!(closed(&opened, "10.96.4.9", false), Some("service network"));
        assert_eq!(closed(&opened, "127.0.0.1", false), None);
        assert_eq!(closed(&opened, "127.0.0.2", false), Some("loopback"));
        let folder = Egress::new(vec![]).with_named_loopback();
        assert_eq!(closed(&folder, "127.0.0.1", false), Some("loopback"));
        assert_eq!(closed(&folder, "::ffff:127.0.0.1", true), None);
        assert_eq!(closed(&folder, "169.254.169.254", true), Some("link-local"));
    }
}
