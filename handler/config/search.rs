//! The search service among the settings: where it is, what proves who calls, and what it is asked to do.

use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use url::Url;

use super::source::Reader;
use crate::index::azure_search::AzureSearchSettings;
use crate::index::azure_search::authorization::Authorization;
use crate::index::segments::analyze::StemmerLanguage;
use crate::web_address::is_safe_for_secrets;

/// Reads where the search service is and how to use it; nothing when none is named. Problems are the reader's.
pub(super) fn service(
    reader: &mut Reader<'_>,
    credential: &Arc<dyn TokenCredential>,
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
    let authorization = match reader.text("AZURE_SEARCH_API_KEY") {
        Some(_) => reader.secret("AZURE_SEARCH_API_KEY").map(Authorization::ApiKey),
        None => Some(Authorization::Identity(Arc::clone(credential))),
    };
    let Some(endpoint) = service_address(&endpoint) else {
        let problem = "must be a web address without a path, with https unless it is on this machine";
        reader.problem("AZURE_SEARCH_ENDPOINT", problem);
        return None;
    };
    Some(AzureSearchSettings { endpoint, index, authorization: authorization?, semantic, refresh, language })
}

/// The address of a service that is sent a key or a token: never in the clear over a network.
pub(super) fn service_address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (is_safe_for_secrets(&url) && is_bare && url.password().is_none()).then_some(url)
}
