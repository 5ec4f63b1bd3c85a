//! How much anybody may ask for, what stands in front of this program, and whose pages may call it.

use http::HeaderValue;

use super::bounded;
use super::source::Reader;
use crate::access::address::Proxies;
use crate::access::limits::LimitSettings;

pub(super) fn settings(reader: &mut Reader<'_>, under_host: bool) -> LimitSettings {
    let mut limit = |name| u32::try_from(reader.number(name, 0, u64::from(u16::MAX))).unwrap_or_default();
    LimitSettings {
        questions: limit("CHAT_RATE_LIMIT_PER_MINUTE"),
        requests: limit("RATE_LIMIT_PER_MINUTE"),
        address: limit("ADDRESS_RATE_LIMIT_PER_MINUTE"),
        at_once: bounded(reader, "MAX_CONCURRENT_REQUESTS", 0, 100_000),
        proxies: proxies(reader, under_host),
    }
}

/// The platform writes one entry: the address that its front end was called from.
fn proxies(reader: &mut Reader<'_>, under_host: bool) -> Proxies {
    let hops = match reader.text("FORWARDED_HOPS") {
        Some(_) => bounded(reader, "FORWARDED_HOPS", 0, 10),
        None => usize::from(under_host),
    };
    Proxies { hops, front_door: reader.text("FRONT_DOOR_ID") }
}

/// Origins exactly as browsers send them.
pub(super) fn origins(reader: &mut Reader<'_>) -> Vec<HeaderValue> {
    let text = reader.text("CORS_ORIGINS").unwrap_or_default();
    let listed = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
    let origins: Option<Vec<HeaderValue>> = listed.map(origin).collect();
    origins.unwrap_or_else(|| {
        let problem = "must be origins like https://intranet.contoso.com, with commas between them; `*` is none";
        reader.problem("CORS_ORIGINS", problem);
        Vec::new()
    })
}

fn origin(text: &str) -> Option<HeaderValue> {
    let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    (!text.contains('*') && url.origin().ascii_serialization() == text)
        .then(|| HeaderValue::from_str(text).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Source;

    fn origins_of(text: &str) -> Option<usize> {
        let source = Source::of([("CORS_ORIGINS", text)]);
        let mut reader = Reader::new(&source);
        let origins = origins(&mut reader);
        reader.finish().ok().map(|_| origins.len())
    }

    #[test]
    fn an_origin_is_written_as_a_browser_sends_it() {
        assert_eq!(origins_of(""), Some(0));
        assert_eq!(origins_of("https://a.example, http://localhost:3000"), Some(2));
        for wrong in ["*", "https://*.a.example", "https://a.example/", "a.example", "https://A.example", "null"] {
            assert_eq!(origins_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn under_the_host_the_platform_writes_the_address() {
        let source = Source::of([]);
        let hops = |under_host| settings(&mut Reader::new(&source), under_host).proxies.hops;
        assert_eq!((hops(true), hops(false)), (1, 0));
    }
}
