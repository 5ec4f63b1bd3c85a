//! Web addresses among the settings.

use url::{Host, Url};

/// Whether a key or token sent there cannot be read on the way.
pub(super) fn is_safe_for_secrets(url: &Url) -> bool {
    let is_this_machine = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_this_machine)
}
