//! Which addresses are dialled.
//!
//! A name says nothing about where it leads, so addresses are judged after resolution: those that
//! hand out a machine's own credentials, link-local ones, and those that are no single host are
//! refused. Loopback is for hosts that someone named in a setting, and for no others.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// An address that is not dialled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{host}` leads to {address}, {reason}; relctl does not connect to it")]
pub(crate) struct Forbidden {
    pub(crate) host: String,
    pub(crate) address: IpAddr,
    pub(crate) reason: &'static str,
}

/// A name that leads nowhere.
#[derive(Debug, thiserror::Error)]
#[error("`{host}` has no address; check the name, and this machine's DNS")]
pub(crate) struct Unresolved {
    host: String,
    source: io::Error,
}

/// Judges an address. `named`: a setting names the host, so loopback is meant.
pub(crate) fn judge(host: &str, address: IpAddr, named: bool) -> Result<(), Forbidden> {
    let reason = match embedded(address) {
        IpAddr::V4(v4) if v4.is_link_local() => "a link-local address, as metadata services have",
        IpAddr::V4(v4) if v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast() => {
            "which is no single host"
        }
        IpAddr::V6(v6) if v6.segments().starts_with(&[0xfd00, 0x0ec2]) => {
            "the address of a metadata service"
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "a link-local address",
        IpAddr::V6(v6) if v6.is_unspecified() || v6.is_multicast() => "which is no single host",
        other if other.is_loopback() && !named => {
            "this machine itself, and no setting names that host"
        }
        _ => return Ok(()),
    };
    Err(Forbidden { host: host.to_owned(), address, reason })
}

/// The IPv4 address inside an IPv6 address of a form that leads to one: mapped, compatible, NAT64.
fn embedded(address: IpAddr) -> IpAddr {
    const NAT64: u128 = 0x0064_ff9b_0000_0000_0000_0000;
    let IpAddr::V6(v6) = address else { return address };
    if v6 == Ipv6Addr::LOCALHOST || v6 == Ipv6Addr::UNSPECIFIED {
        return address;
    }
    let translated = u32::try_from(v6.to_bits() ^ (NAT64 << 32)).ok().map(Ipv4Addr::from_bits);
    v6.to_ipv4().or(translated).map_or(address, IpAddr::V4)
}

/// Judges a URL whose host is an address already: no resolver sees those.
pub(crate) fn judge_literal(url: &Url, named: bool) -> Result<(), Forbidden> {
    let address = match url.host() {
        Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
        Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    judge(url.host_str().unwrap_or_default(), address, named)
}

/// The system's resolver, with every address judged.
#[derive(Debug)]
pub(crate) struct Guarded {
    /// Hosts that settings name.
    pub(crate) named: BTreeSet<String>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let named = self.named.contains(name.as_str());
        Box::pin(async move {
            let host = name.as_str();
            let unresolved = |source| Unresolved { host: host.to_owned(), source };
            let found = tokio::net::lookup_host((host, 0)).await.map_err(unresolved)?;
            let found: Vec<SocketAddr> = found.collect();
            // One forbidden address among good ones is a trap, not a fallback.
            for address in &found {
                judge(host, address.ip(), named)?;
            }
            Ok::<Addrs, _>(Box::new(found.into_iter()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_addresses() {
        let table = [
            ("169.254.169.254", true, false),
            ("169.254.170.2", true, false),
            ("::ffff:169.254.169.254", true, false),
            ("::169.254.169.254", true, false),
            ("64:ff9b::a9fe:a9fe", true, false),
            ("fd00:ec2::254", true, false),
            ("fd00:ec2::23", true, false),
            ("fe80::1", true, false),
            ("0.0.0.0", true, false),
            ("::", true, false),
            ("255.255.255.255", true, false),
            ("224.0.0.1", true, false),
            ("ff02::1", true, false),
            ("127.0.0.1", true, true),
            ("127.0.0.1", false, false),
            ("127.8.8.8", false, false),
            ("::1", true, true),
            ("::1", false, false),
            ("::ffff:127.0.0.1", false, false),
            ("10.0.0.7", false, true),
            ("fd12::7", false, true),
            ("203.0.113.9", false, true),
            ("2001:db8::1", false, true),
        ];
        for (address, named, expected) in table {
            let judged = judge("h", address.parse().unwrap(), named);
            assert_eq!(judged.is_ok(), expected, "{address}, named: {named}: {judged:?}");
        }
    }

    #[test]
    fn judges_every_spelling_of_an_address_in_a_url() {
        for spelling in [
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "0251.0376.0251.0376",
            "[::ffff:a9fe:a9fe]",
        ] {
            let url = Url::parse(&format!("http://{spelling}/")).unwrap();
            assert!(judge_literal(&url, true).is_err(), "{spelling}");
        }
    }

    #[tokio::test]
    async fn judges_what_a_name_leads_to() {
        let resolve = |named: &[&str], host: &str| {
            let named = named.iter().map(|name| (*name).to_owned()).collect();
            Guarded { named }.resolve(host.parse().unwrap())
        };
        let error = resolve(&[], "localhost").await.err().unwrap();
        assert!(error.is::<Forbidden>(), "{error}");
        assert!(resolve(&["localhost"], "localhost").await.unwrap().count() > 0);
        // Never a name that resolves (RFC 6761).
        let error = resolve(&["nowhere.invalid"], "nowhere.invalid").await.err().unwrap();
        assert!(error.is::<Unresolved>(), "{error}");
    }
}
