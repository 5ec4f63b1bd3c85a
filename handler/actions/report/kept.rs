//! Where reports are kept: one blob each, in a folder of whoever let it be made. The blob says all there is to know of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Format, ReportFile};
use crate::document::{Principal, content_hash};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::{BlobStore, Condition, PutOptions, list_all};

/// All reports.
#[derive(Clone, Debug)]
pub struct Reports {
    store: Arc<dyn BlobStore>,
}

/// A report that is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its title.
    pub title: String,
    /// What kind of file it is.
    pub format: Format,
    /// When it was made.
    pub made: DateTime<Utc>,
    /// The file.
    pub bytes: Bytes,
}

impl Reports {
    /// Reports in a blob store of their own.
    pub fn new(store: Arc<dyn BlobStore>) -> Self {
        Self { store }
    }

    /// Keeps a report; what is told of it.
    pub(in crate::actions) async fn put(&self, principal: &Principal, id: &str, file: ReportFile) -> Result<Value> {
        let ReportFile { title, format, passages, tokens, bytes } = file;
        let (name, _) = format.name_and_extension();
        let mut told = json!({
            "report_id": id,
            "url": format!("/api/reports/{id}"),
            "format": name,
            "passages": passages,
            "size_bytes": bytes.len(),
            "sha256": content_hash(&bytes),
        });
        if let Some(tokens) = tokens {
            told["tokens"] = json!(tokens);
        }
        // What is said of a blob travels in headers, which know ASCII alone.
        let title = utf8_percent_encode(&title, NON_ALPHANUMERIC).to_string();
        let metadata = BTreeMap::from([("format".to_owned(), name.to_owned()), ("title".to_owned(), title)]);
        let options = PutOptions { condition: Condition::Always, metadata };
        self.store.put_with(&name_of(principal, id), bytes.into(), options).await?;
        Ok(told)
    }

    /// A report of a principal. Somebody else's is as absent as one that never was.
    pub async fn get(&self, principal: &Principal, id: &str) -> Result<Kept> {
        check(id)?;
        let blob = self.store.get(&name_of(principal, id), None).await?.ok_or_else(unknown)?;
        let said = |name: &str| blob.meta.metadata.get(name).map(String::as_str).unwrap_or_default();
        let title = percent_decode_str(said("title")).decode_utf8_lossy().into_owned();
        let format = Format::of_name(said("format")).unwrap_or_default();
        Ok(Kept { title, format, made: blob.meta.modified, bytes: blob.bytes })
    }

    /// Deletes a report of a principal.
    pub async fn delete(&self, principal: &Principal, id: &str) -> Result<()> {
        check(id)?;
        self.store.delete(&name_of(principal, id)).await?.then_some(()).ok_or_else(unknown)
    }

    /// Deletes every report of a principal.
    pub(in crate::actions) async fn erase(&self, principal: &Principal) -> Result<()> {
        for blob in list_all(&self.store, &name_of(principal, "")).await? {
            self.store.delete(&blob.name).await?;
        }
        Ok(())
    }

    /// Where they are, for people.
    pub fn store(&self) -> &Arc<dyn BlobStore> {
        &self.store
    }
}

fn name_of(principal: &Principal, id: &str) -> String {
    format!("{}/{id}", &content_hash(principal.owner().as_bytes())[..32])
}

/// Lets nothing into the name of a blob but an id of ours.
fn check(id: &str) -> Result<()> {
    let is_id = id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then_some(()).ok_or_else(unknown)
}

fn unknown() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such report")
}
