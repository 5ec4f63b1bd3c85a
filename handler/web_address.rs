//! Web addresses from settings and secrets: whether what proves who asks may be sent there.

use url::{Host, Url};

/// Whether a key or token sent there cannot be read on the way.
pub fn is_safe_for_secrets(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(url))
}

/// Whether an address stays on this machine.
pub fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        // Only of schemes that the web knows, hosts are read as addresses.
        Some(Host::Domain(name)) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
