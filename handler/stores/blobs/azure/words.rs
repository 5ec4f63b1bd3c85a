//! What storage says of a blob beside its content, as it travels: values of metadata and tags, ETags, times.

use std::collections::{BTreeMap, HashMap};

use azure_core::http::Etag;
use azure_storage_blob::models::BlobTags;
use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What a value of metadata, which travels in a header, is not sent as it is: whatever is not printable ASCII.
const UNFIT_FOR_HEADER: &AsciiSet = &CONTROLS.add(b'%');

/// Metadata as it travels in headers.
pub(super) fn encoded(metadata: &BTreeMap<String, String>) -> HashMap<String, String> {
    let encode = |value: &String| utf8_percent_encode(value, UNFIT_FOR_HEADER).to_string();
    metadata.iter().map(|(name, value)| (name.clone(), encode(value))).collect()
}

/// Metadata as we or somebody else set them. Names come back in the case they were written in by whoever.
pub(super) fn decoded(metadata: HashMap<String, String>) -> BTreeMap<String, String> {
    let decode = |value: String| percent_decode_str(&value).decode_utf8_lossy().into_owned();
    metadata.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), decode(value))).collect()
}

/// The tags of a blob; names in lower case.
pub(super) fn tags_of(tags: Option<BlobTags>) -> BTreeMap<String, String> {
    let listed = tags.and_then(|tags| tags.blob_tag_set).unwrap_or_default().into_iter();
    listed.filter_map(|tag| Some((tag.key?.to_ascii_lowercase(), tag.value.unwrap_or_default()))).collect()
}

/// An ETag without its quotes.
pub(super) fn bare(etag: Etag) -> String {
    etag.to_string().trim_matches('"').to_owned()
}

/// An ETag as a header has it.
pub(super) fn quoted(etag: &str) -> Etag {
    Etag::from(format!("\"{etag}\""))
}

/// A time of the client; the beginning of time where it gives none.
pub(super) fn time_of(time: Option<azure_core::time::OffsetDateTime>) -> DateTime<Utc> {
    time.and_then(|time| DateTime::from_timestamp(time.unix_timestamp(), 0)).unwrap_or_default()
}
