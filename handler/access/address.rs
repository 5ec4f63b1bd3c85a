//! Where a request really comes from. Anybody may write addresses into a request, so only those count that were written by
//! what stands in front of this program: the connection itself, or the last entries of `X-Forwarded-For`, or, behind our own
//! Front Door, its `X-Azure-SocketIP`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::error::{Error, ErrorKind, Result};
use crate::host::server::Peer;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FRONT_DOOR_ID: &str = "x-azure-fdid";
const FRONT_DOOR_PEER: &str = "x-azure-socketip";

/// What stands between callers and this program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// How many of the last entries of `X-Forwarded-For` are written by proxies of ours. With none the connection tells.
    pub hops: usize,
    /// The id of the Front Door that every request must have come through.
    pub front_door: Option<String>,
}

impl Proxies {
    /// The caller's address, if there is a way to know it. `NotThroughFrontDoor` for who went around it.
    pub fn caller(&self, head: &Parts) -> Result<Option<IpAddr>> {
        if let Some(ours) = &self.front_door {
            let said = only(&head.headers, FRONT_DOOR_ID);
            if !said.is_some_and(|said| said.eq_ignore_ascii_case(ours)) {
                let sentence = "requests come through the Front Door of this service, and this one did not";
                return Err(Error::new(ErrorKind::NotThroughFrontDoor, sentence));
            }
            return Ok(only(&head.headers, FRONT_DOOR_PEER).and_then(parse));
        }
        if self.hops > 0 {
            // Two headers of one name are one list. An entry further left is what a caller may have written.
            let entries = head.headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
            let entries: Vec<&str> = entries.flat_map(|value| value.split(',')).collect();
            let at = entries.len().checked_sub(self.hops);
            return Ok(at.and_then(|at| parse(entries[at])));
        }
        Ok(head.extensions.get::<Peer>().map(|peer| peer.0))
    }
}

/// What shares one limit: an address, or the network of 64 bits that one who has IPv6 has for himself.
pub fn place(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
    }
}

/// The value of a header that came exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

/// An address, with a port or without: App Service writes one with a port.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn caller(proxies: &Proxies, headers: &[(&str, &str)]) -> Result<Option<String>> {
        let request = headers.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        head.extensions.insert(Peer([10, 0, 0, 1].into()));
        Ok(proxies.caller(&head)?.map(place))
    }

    fn check(hops: usize, headers: &[(&str, &str)], expected: Option<&str>) {
        let found = caller(&Proxies { hops, front_door: None }, headers).unwrap();
        assert_eq!(found.as_deref(), expected, "{hops} {headers:?}");
    }

    #[test]
    fn nothing_that_a_caller_writes_changes_its_address() {
        let forged = [
            (FORWARDED_FOR, "1.1.1.1"),
            ("forwarded", "for=2.2.2.2"),
            ("x-real-ip", "3.3.3.3"),
            ("x-client-ip", "4.4.4.4"),
            (FRONT_DOOR_PEER, "5.5.5.5"),
            ("x-azure-clientip", "6.6.6.6"),
        ];
        check(0, &forged, Some("10.0.0.1"));
        let behind_one = [&forged[..], &[(FORWARDED_FOR, "198.51.100.7:51234")]].concat();
        check(1, &behind_one, Some("198.51.100.7"));
        check(1, &[(FORWARDED_FOR, "1.1.1.1, 8.8.8.8, 198.51.100.7")], Some("198.51.100.7"));
        check(2, &[(FORWARDED_FOR, "1.1.1.1, 8.8.8.8"), (FORWARDED_FOR, "198.51.100.7")], Some("8.8.8.8"));
    }

    #[test]
    fn what_cannot_be_known_is_not_guessed() {
        check(1, &[], None);
        check(2, &[(FORWARDED_FOR, "198.51.100.7")], None);
        check(1, &[(FORWARDED_FOR, "1.1.1.1, unknown")], None);
    }

    #[test]
    fn a_network_of_64_bits_is_one_place() {
        check(1, &[(FORWARDED_FOR, "[2001:db8:1:2:3:4:5:6]:443")], Some("2001:db8:1:2::"));
        check(1, &[(FORWARDED_FOR, "2001:db8:1:2:ffff::1")], Some("2001:db8:1:2::"));
        check(1, &[(FORWARDED_FOR, "::ffff:192.0.2.1")], Some("192.0.2.1"));
    }

    #[test]
    fn who_goes_around_the_front_door_does_not_get_in() {
        let proxies = Proxies { hops: 1, front_door: Some("ab-12".to_owned()) };
        let (id, peer) = ((FRONT_DOOR_ID, "AB-12"), (FRONT_DOOR_PEER, "192.0.2.9"));
        assert_eq!(caller(&proxies, &[id, peer, (FORWARDED_FOR, "1.1.1.1")]).unwrap().as_deref(), Some("192.0.2.9"));
        for headers in [&[][..], &[peer], &[(FRONT_DOOR_ID, "ab-13"), peer], &[id, (FRONT_DOOR_ID, "ab-13"), peer]] {
            assert_eq!(caller(&proxies, headers).unwrap_err().kind(), ErrorKind::NotThroughFrontDoor, "{headers:?}");
        }
    }
}
