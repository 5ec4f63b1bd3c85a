//! The blob store in a container of Azure Blob Storage (or Azurite), through the official client.
//!
//! Signs in with an Entra token, or with what a connection string holds for Azurite and local work. Blobs are never leased:
//! every write that must not be lost names the ETag that it replaces. ETags are kept without their quotes, because a listing
//! gives them bare and a header quoted.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::error::ErrorKind as ClientErrorKind;
use azure_core::http::{
    ClientOptions, Etag, ExponentialRetryOptions, NoFormat, RequestContent, RetryOptions, StatusCode,
};
use azure_storage_blob::models::{
    BlobClientDownloadOptions, BlobClientGetPropertiesResultHeaders, BlobClientUploadOptions,
    BlobContainerClientListBlobsOptions, ListBlobsIncludeItem,
};
use azure_storage_blob::{BlobContainerClient, BlobContainerClientOptions};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use secrecy::ExposeSecret;
use url::Url;

use super::{Blob, BlobMeta, BlobPage, BlobStore, Condition, PutOptions, Reread};
use crate::document::DocumentName;
use crate::error::{Error, ErrorKind, Result};
use crate::reason::{Reason, innermost};
use crate::stores::shared_key::SharedKey;
use crate::stores::storage_account::{Access, StorageAccount};
use crate::telemetry::azure::EachTry;

/// The longest that one call may take, its retries included.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a failed call is tried again, and for how long at most.
const MAX_RETRIES: u32 = 2;

/// What a value of metadata, which travels in a header, is not sent as it is: whatever is not printable ASCII.
const UNFIT_FOR_HEADER: &AsciiSet = &CONTROLS.add(b'%');

/// A blob store in one container.
#[derive(Clone)]
pub struct AzureBlobs {
    account: StorageAccount,
    url: Url,
    // Made with the first request, as the connections are.
    container: OnceLock<Arc<BlobContainerClient>>,
}

impl std::fmt::Debug for AzureBlobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureBlobs").field("address", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl AzureBlobs {
    /// A client for `container` of an account. Makes no call: a container that is missing is made at the first write.
    pub fn open(account: &StorageAccount, container: &str) -> Result<Self> {
        let mut url = account.blob_endpoint().clone();
        url.path_segments_mut()
            .map_err(|()| Error::new(ErrorKind::Misconfigured, "the storage endpoint is not a web address"))?
            .pop_if_empty()
            .push(container);
        Ok(Self { account: account.clone(), url, container: OnceLock::new() })
    }

    fn container(&self) -> azure_core::Result<&BlobContainerClient> {
        if let Some(container) = self.container.get() {
            return Ok(container);
        }
        let retry = RetryOptions::exponential(ExponentialRetryOptions {
            max_retries: MAX_RETRIES,
            max_total_elapsed: azure_core::time::Duration::seconds(30),
            ..Default::default()
        });
        let transport = Some(self.account.connections.transport());
        let mut client_options = ClientOptions { retry, transport, ..Default::default() };
        client_options.per_try_policies.push(Arc::new(EachTry));
        let (mut url, mut credential) = (self.url.clone(), None);
        match &self.account.access {
            Access::Key { name, key } => {
                client_options.per_try_policies.push(Arc::new(SharedKey::new(name.clone(), key.clone())));
            }
            Access::Signature(signature) => url.set_query(Some(signature.expose_secret())),
            Access::Identity(identity) => credential = Some(Arc::clone(identity)),
        }
        let options = BlobContainerClientOptions { client_options, ..Default::default() };
        let client = Arc::new(BlobContainerClient::new(url, credential, Some(options))?);
        Ok(self.container.get_or_init(|| client))
    }

    /// Makes a call in bounded time, unless the account is left alone after too many failures.
    async fn call<T>(&self, work: impl Future<Output = azure_core::Result<T>>) -> Result<T, Failure> {
        let work = async {
            match tokio::time::timeout(CALL_TIMEOUT, work).await {
                Ok(answer) => answer.map_err(Failure::Client),
                Err(_) => Err(Failure::Timeout),
            }
        };
        let breaker = &self.account.connections.breaker;
        breaker.call(work, Failure::is_of_the_service).await.unwrap_or(Err(Failure::LeftAlone))
    }

    async fn upload(&self, name: &str, bytes: Bytes, put: &PutOptions) -> azure_core::Result<BlobMeta> {
        let size_bytes = bytes.len() as u64;
        let metadata = (!put.metadata.is_empty()).then(|| encoded(&put.metadata));
        let mut options = BlobClientUploadOptions { metadata, ..Default::default() };
        match &put.condition {
            Condition::Always => {}
            Condition::IfAbsent => options.if_none_match = Some(Etag::from("*")),
            Condition::IfMatch(etag) => options.if_match = Some(quoted(etag)),
        }
        let content: RequestContent<Bytes, NoFormat> = bytes.into();
        let stored = self.container()?.blob_client(name).upload(content, Some(options)).await?;
        Ok(BlobMeta {
            name: name.to_owned(),
            size_bytes,
            etag: stored.etag.map(bare).unwrap_or_default(),
            modified: time_of(stored.last_modified),
            metadata: put.metadata.clone(),
        })
    }

    async fn download(&self, name: &str, options: BlobClientDownloadOptions<'_>) -> azure_core::Result<Blob> {
        let found = self.container()?.blob_client(name).download(Some(options)).await?;
        let properties = found.properties;
        let bytes = found.body.collect().await?;
        let size_bytes = bytes.len() as u64;
        let etag = properties.etag.map(bare).unwrap_or_default();
        let modified = time_of(properties.last_modified);
        let metadata = decoded(properties.metadata);
        let meta = BlobMeta { name: name.to_owned(), size_bytes, etag, modified, metadata };
        Ok(Blob { meta, bytes })
    }
}

#[async_trait]
impl BlobStore for AzureBlobs {
    async fn head(&self, name: &str) -> Result<Option<BlobMeta>> {
        let checked = checked(name)?;
        let answer = self.call(async { self.container()?.blob_client(checked).get_properties(None).await }).await;
        let Some(properties) = unless_absent(answer)? else { return Ok(None) };
        let read = || -> azure_core::Result<BlobMeta> {
            Ok(BlobMeta {
                name: checked.to_owned(),
                size_bytes: properties.content_length()?.unwrap_or(0),
                etag: properties.etag()?.map(bare).unwrap_or_default(),
                modified: time_of(properties.last_modified()?),
                metadata: decoded(properties.metadata()?),
            })
        };
        read().map(Some).map_err(|e| unavailable(Failure::Client(e)))
    }

    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Blob>> {
        let checked = checked(name)?;
        let Some(range) = range else {
            return unless_absent(self.call(self.download(checked, BlobClientDownloadOptions::default())).await);
        };
        // The service refuses a range that starts past the end, so the size is asked first.
        let Some(meta) = self.head(checked).await? else { return Ok(None) };
        let (start, end) = (range.start.min(meta.size_bytes), range.end.min(meta.size_bytes));
        if start >= end {
            return Ok(Some(Blob { meta, bytes: Bytes::new() }));
        }
        let options = BlobClientDownloadOptions {
            range: Some((start..end).into()),
            if_match: Some(quoted(&meta.etag)),
            ..Default::default()
        };
        let part = unless_absent(self.call(self.download(checked, options)).await)?;
        Ok(part.map(|part| Blob { meta, bytes: part.bytes }))
    }

    async fn get_unless(&self, name: &str, known: &str) -> Result<Reread> {
        let options = BlobClientDownloadOptions { if_none_match: Some(quoted(known)), ..Default::default() };
        match self.call(self.download(checked(name)?, options)).await {
            Ok(blob) => Ok(Reread::Changed(blob)),
            Err(e) if e.status() == Some(StatusCode::NotModified) => Ok(Reread::Unchanged),
            Err(e) if e.status() == Some(StatusCode::NotFound) => Ok(Reread::Absent),
            Err(e) => Err(unavailable(e)),
        }
    }

    async fn put_with(&self, name: &str, bytes: Bytes, options: PutOptions) -> Result<BlobMeta> {
        let checked = checked(name)?;
        let mut stored = self.call(self.upload(checked, bytes.clone(), &options)).await;
        if matches!(&stored, Err(e) if e.status() == Some(StatusCode::NotFound)) {
            // Two first writers may both make the container; the second one's refusal does no harm.
            let _made = self.call(async { self.container()?.create(None).await.map(|_| ()) }).await;
            stored = self.call(self.upload(checked, bytes, &options)).await;
        }
        stored.map_err(|e| match e.status() {
            Some(StatusCode::PreconditionFailed | StatusCode::Conflict) => {
                let sentence = format!("blob `{checked}` was changed by somebody else");
                Error::new(ErrorKind::PreconditionFailed, sentence).caused_by(e)
            }
            _ => unavailable(e),
        })
    }

    async fn delete(&self, name: &str) -> Result<bool> {
        let checked = checked(name)?;
        let answer = self.call(async { self.container()?.blob_client(checked).delete(None).await.map(|_| ()) }).await;
        unless_absent(answer).map(|deleted| deleted.is_some())
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<BlobPage> {
        let options = BlobContainerClientListBlobsOptions {
            prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
            include: Some(vec![ListBlobsIncludeItem::Metadata]),
            marker: after.map(str::to_owned),
            maxresults: Some(i32::try_from(limit).unwrap_or(i32::MAX).clamp(1, 5_000)),
            ..Default::default()
        };
        let answer = self
            .call(async {
                let mut pages = self.container()?.list_blobs(Some(options))?.into_pages();
                match pages.next().await {
                    Some(page) => page?.into_model().map(Some),
                    None => Ok(None),
                }
            })
            .await;
        let Some(page) = unless_absent(answer)?.flatten() else { return Ok(BlobPage::default()) };
        let blobs = page.blob_items.into_iter().filter_map(|item| {
            let properties = item.properties?;
            let metadata = item.metadata.and_then(|metadata| metadata.values).unwrap_or_default();
            Some(BlobMeta {
                name: item.name?,
                size_bytes: properties.content_length.unwrap_or(0),
                etag: properties.etag.map(bare).unwrap_or_default(),
                modified: time_of(properties.last_modified),
                metadata: decoded(metadata),
            })
        });
        Ok(BlobPage { blobs: blobs.collect(), next: page.next_marker.filter(|marker| !marker.is_empty()) })
    }

    fn location(&self) -> String {
        self.url.to_string()
    }
}

/// Why a call brought nothing.
enum Failure {
    Client(azure_core::Error),
    Timeout,
    /// It failed again and again a moment ago, so it was not called.
    LeftAlone,
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client's own form quotes the address, and with it the signature that opens the account.
        std::fmt::Display::fmt(self, f)
    }
}

impl Failure {
    fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Client(e) => e.http_status(),
            Self::Timeout | Self::LeftAlone => None,
        }
    }

    /// Whether it shows that the service does not work, whatever it is asked.
    fn is_of_the_service(&self) -> bool {
        let signs = [Reason::Failed, Reason::NoAddress, Reason::NoConnection, Reason::TooSlow];
        !matches!(self, Self::LeftAlone) && self.reason().is_some_and(|reason| signs.contains(&reason))
    }

    /// Why, for a person.
    fn reason(&self) -> Option<Reason> {
        match self {
            Self::Timeout => Some(Reason::TooSlow),
            Self::LeftAlone => Some(Reason::Failed),
            Self::Client(e) => match e.kind() {
                ClientErrorKind::HttpResponse { status: StatusCode::Forbidden, error_code: Some(code), .. } => {
                    Some(forbidden(code))
                }
                _ => Reason::of_client(e),
            },
        }
    }
}

/// What a 403 of storage means; its codes tell apart what its status does not.
/// Codes: <https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes>
fn forbidden(code: &str) -> Reason {
    match code {
        "AuthenticationFailed" => Reason::NotKnown,
        "AuthorizationFailure" => Reason::KeptOut,
        _ => Reason::NotAllowed,
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client(e) => innermost(e).fmt(f),
            Self::Timeout => write!(f, "no answer within {} s", CALL_TIMEOUT.as_secs()),
            Self::LeftAlone => f.write_str("left alone for a moment after failures"),
        }
    }
}

impl std::error::Error for Failure {}

fn unless_absent<T>(answer: Result<T, Failure>) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.status() == Some(StatusCode::NotFound) => Ok(None),
        Err(e) => Err(unavailable(e)),
    }
}

fn unavailable(cause: Failure) -> Error {
    let reason = cause.reason();
    Error::new(ErrorKind::StoreUnavailable, "blob storage cannot be used").because(reason).caused_by(cause)
}

fn checked(name: &str) -> Result<&str> {
    DocumentName::parse(name).map(|_| name)
}

fn encoded(metadata: &BTreeMap<String, String>) -> HashMap<String, String> {
    let encode = |value: &String| utf8_percent_encode(value, UNFIT_FOR_HEADER).to_string();
    metadata.iter().map(|(name, value)| (name.clone(), encode(value))).collect()
}

/// Metadata as we or somebody else set them. Names come back in the case they were written in by whoever.
fn decoded(metadata: HashMap<String, String>) -> BTreeMap<String, String> {
    let decode = |value: String| percent_decode_str(&value).decode_utf8_lossy().into_owned();
    metadata.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), decode(value))).collect()
}

fn bare(etag: Etag) -> String {
    etag.to_string().trim_matches('"').to_owned()
}

fn quoted(etag: &str) -> Etag {
    Etag::from(format!("\"{etag}\""))
}

fn time_of(time: Option<azure_core::time::OffsetDateTime>) -> DateTime<Utc> {
    time.and_then(|time| DateTime::from_timestamp(time.unix_timestamp(), 0)).unwrap_or_default()
}
