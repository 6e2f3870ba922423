//! The client of plain web servers: the one that was named may be anywhere, where its redirects lead may not.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Attempt, Policy};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use url::Host;

const MOST_REDIRECTS: usize = 5;
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// A client for `origin`, a scheme with a host and perhaps a port.
///
/// # Errors
/// Text, where TLS cannot be set up.
pub(super) fn client(origin: &str, timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    let host = url::Url::parse(origin).ok().and_then(|url| url.host_str().map(str::to_string));
    let named = host.unwrap_or_default();
    let redirects = Policy::custom({
        let named = named.clone();
        move |attempt| follow(attempt, &named)
    });
    reqwest::Client::builder()
        .redirect(redirects)
        .dns_resolver(PublicUnless { named })
        .connect_timeout(CONNECT_WAIT)
        .timeout(timeout)
        .http1_only()
        .build()
}

fn follow(attempt: Attempt<'_>, named: &str) -> reqwest::redirect::Action {
    if attempt.previous().len() > MOST_REDIRECTS {
        return attempt.error(format!("more than {MOST_REDIRECTS} redirects"));
    }
    let url = attempt.url();
    if !matches!(url.scheme(), "http" | "https") {
        return attempt.error("a redirect to neither http nor https");
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::from(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::from(address)),
        _ => None,
    };
    let elsewhere = url.host_str() != Some(named);
    if elsewhere && address.is_some_and(|address| !is_public(address)) {
        return attempt.error("a redirect to a private address");
    }
    attempt.follow()
}

/// Looks names up; of other names than the named host it tells public addresses alone.
struct PublicUnless {
    named: String,
}

impl Resolve for PublicUnless {
    fn resolve(&self, name: Name) -> Resolving {
        let is_named = name.as_str() == self.named;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> =
                found.filter(|address| is_named || is_public(address.ip())).collect();
            if addresses.is_empty() {
                return Err(format!("{}: a private address, or none", name.as_str()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is of the open internet, and not of this machine, its network or its cloud.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped().or_else(|| embedded_v4(address.segments())) {
            Some(address) => is_public_v4(address),
            None => {
                !(address.is_loopback()
                    || address.is_unspecified()
                    || address.is_multicast()
                    || address.is_unique_local()
                    || address.is_unicast_link_local()
                    // documentation, 2001:db8::/32
                    || address.segments()[..2] == [0x2001, 0xdb8])
            }
        },
    }
}

/// The IPv4 address in one of NAT64 (64:ff9b::/96) or 6to4 (2002::/16).
fn embedded_v4(segments: [u16; 8]) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        // shared by carriers, 100.64.0.0/10; benchmarks, 198.18.0.0/15; reserved, 240.0.0.0/4
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
        || a >= 240)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones_in_every_spelling() {
        for address in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:a00:1::",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }
}
