//! The search service among the settings: where it is, what proves who calls, and what it is asked to do.

use std::time::Duration;

use url::Url;

use super::source::Reader;
use crate::index::azure_search::AzureSearchSettings;
use crate::index::azure_search::authorization::Authorization;
use crate::index::segments::analyze::StemmerLanguage;

/// Reads where the search service is and how to use it; nothing when none is named. Problems are the reader's.
pub(super) fn service(
    reader: &mut Reader<'_>,
    language: StemmerLanguage,
    refresh: Duration,
) -> Option<AzureSearchSettings> {
    let endpoint = reader.text("AZURE_SEARCH_ENDPOINT")?;
    let index = reader.text("AZURE_SEARCH_INDEX").unwrap_or_default();
    // Room is left for the `-v…` of the indexes behind the alias.
    let fits = (2..=120).contains(&index.len()) && !index.contains("--");
    let is_name = index.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !fits || !is_name || index.starts_with('-') || index.ends_with('-') {
        reader.problem(
            "AZURE_SEARCH_INDEX",
            "must have 2 to 120 lower-case letters, digits or single hyphens between them",
        );
    }
    let semantic = match reader.text("AZURE_SEARCH_SEMANTIC_RANKER").as_deref() {
        Some("on") => true,
        Some("off") => false,
        _ => {
            reader.problem("AZURE_SEARCH_SEMANTIC_RANKER", "must be on or off");
            false
        }
    };
    let key = reader.secret("AZURE_SEARCH_API_KEY");
    if key.is_none() {
        reader.problem("AZURE_SEARCH_API_KEY", "must be set with AZURE_SEARCH_ENDPOINT");
    }
    let Some(endpoint) = service_address(&endpoint) else {
        let problem = "must be a web address without a path, with https unless it is on this machine";
        reader.problem("AZURE_SEARCH_ENDPOINT", problem);
        return None;
    };
    Some(AzureSearchSettings {
        endpoint,
        index,
        authorization: Authorization::ApiKey(key?),
        semantic,
        refresh,
        language,
    })
}

/// The address of a service that is sent a key: never in the clear over a network.
pub(super) fn service_address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_this_machine = match url.host()? {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    };
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_this_machine);
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (is_safe && is_bare && url.password().is_none()).then_some(url)
}
