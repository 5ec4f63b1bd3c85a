//! The blob store in a container of Azure Blob Storage (or Azurite), through the official client.
//!
//! Signs in with an Entra token, or with what a connection string holds for Azurite and local work. Blobs are never leased:
//! every write that must not be lost names the ETag that it replaces. ETags are kept without their quotes, because a listing
//! gives them bare and a header quoted.
//!
//! Index tags are read where somebody asks for them (`with_tags`), because they take a right of their own. They are no part of
//! what an ETag is about.

mod failure;
mod words;

use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::{
    ClientOptions, Etag, ExponentialRetryOptions, NoFormat, RequestContent, RetryOptions, StatusCode,
};
use azure_storage_blob::models::{
    BlobClientDownloadOptions, BlobClientGetPropertiesResultHeaders, BlobClientUploadOptions,
    BlobContainerClientListBlobsOptions, ListBlobsIncludeItem,
};
use azure_storage_blob::{BlobContainerClient, BlobContainerClientOptions};
use bytes::Bytes;
use futures_util::StreamExt;
use secrecy::ExposeSecret;
use url::Url;

use self::failure::{Failure, unavailable, unless_absent};
use self::words::{bare, decoded, encoded, quoted, tags_of, time_of};
use super::{Blob, BlobMeta, BlobPage, BlobStore, Condition, PutOptions, Reread, Words};
use crate::document::DocumentName;
use crate::error::{Error, ErrorKind, Result};
use crate::stores::shared_key::SharedKey;
use crate::stores::storage_account::{Access, Opened, StorageAccount};
use crate::telemetry::azure::EachTry;

/// The longest that one call may take, its retries included.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a failed call is tried again, and for how long at most.
const MAX_RETRIES: u32 = 2;
/// How often a blob is read that is replaced between its content and its tags.
const MAX_ROUNDS: u32 = 4;

/// A client of the container, and what it was made of. Made with the first request, as the connections are.
type Made = (Arc<Opened>, Arc<BlobContainerClient>);

/// A blob store in one container.
pub struct AzureBlobs {
    account: StorageAccount,
    container: String,
    reads_tags: bool,
    made: Mutex<Option<Made>>,
}

impl std::fmt::Debug for AzureBlobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureBlobs").field("address", &self.location()).finish_non_exhaustive()
    }
}

impl AzureBlobs {
    /// A client for `container` of an account. Makes no call: a container that is missing is made at the first write.
    pub fn open(account: &StorageAccount, container: &str) -> Self {
        Self { account: account.clone(), container: container.to_owned(), reads_tags: false, made: Mutex::default() }
    }

    /// The same, which also says what the index tags of blobs are.
    pub fn with_tags(self) -> Self {
        Self { reads_tags: true, ..self }
    }

    async fn client(&self) -> Result<Arc<BlobContainerClient>, Failure> {
        let opened = self.account.opened().await.map_err(Failure::Unopened)?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = made.as_ref().filter(|(of, _)| Arc::ptr_eq(of, &opened)) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(self.client_of(&opened)?);
        *made = Some((opened, Arc::clone(&client)));
        Ok(client)
    }

    fn client_of(&self, opened: &Opened) -> Result<BlobContainerClient, Failure> {
        let retry = RetryOptions::exponential(ExponentialRetryOptions {
            max_retries: MAX_RETRIES,
            max_total_elapsed: azure_core::time::Duration::seconds(30),
            ..Default::default()
        });
        let transport = Some(self.account.connections.transport());
        let mut client_options = ClientOptions { retry, transport, ..Default::default() };
        client_options.per_try_policies.push(Arc::new(EachTry));
        let (mut url, mut credential) = (address(&opened.blob_endpoint, &self.container), None);
        match &opened.access {
            Access::Key { name, key } => {
                client_options.per_try_policies.push(Arc::new(SharedKey::new(name.clone(), key.clone())));
            }
            Access::Signature(signature) => url.set_query(Some(signature.expose_secret())),
            Access::Identity(identity) => credential = Some(Arc::clone(identity)),
        }
        let options = BlobContainerClientOptions { client_options, ..Default::default() };
        BlobContainerClient::new(url, credential, Some(options)).map_err(Failure::Client)
    }

    /// Makes a call in bounded time, unless the account is left alone after too many failures.
    async fn call<T, W>(&self, work: impl FnOnce(Arc<BlobContainerClient>) -> W) -> Result<T, Failure>
    where
        W: Future<Output = azure_core::Result<T>>,
    {
        let container = self.client().await?;
        let work = async {
            match tokio::time::timeout(CALL_TIMEOUT, work(container)).await {
                Ok(answer) => answer.map_err(Failure::Client),
                Err(_) => Err(Failure::Timeout),
            }
        };
        let breaker = &self.account.connections.breaker;
        breaker.call(work, Failure::is_of_the_service).await.unwrap_or(Err(Failure::LeftAlone))
    }

    /// What is known about a blob without its tags, and whether it has any.
    async fn properties(&self, name: &str) -> Result<Option<(BlobMeta, bool)>, Failure> {
        let read = |container: Arc<BlobContainerClient>| async move {
            let properties = container.blob_client(name).get_properties(None).await?;
            let meta = BlobMeta {
                name: name.to_owned(),
                size_bytes: properties.content_length()?.unwrap_or(0),
                etag: properties.etag()?.map(bare).unwrap_or_default(),
                modified: time_of(properties.last_modified()?),
                metadata: decoded(properties.metadata()?),
                tags: Words::new(),
            };
            Ok((meta, properties.tag_count()?.unwrap_or(0) > 0))
        };
        failure::unless_absent_to(self.call(read).await)
    }

    /// The tags of a blob as they are now; none when it is gone.
    async fn tags(&self, name: &str) -> Result<Words, Failure> {
        let read = |container: Arc<BlobContainerClient>| async move {
            container.blob_client(name).get_tags(None).await?.into_model().map(|tags| tags_of(Some(tags)))
        };
        Ok(failure::unless_absent_to(self.call(read).await)?.unwrap_or_default())
    }

    /// A whole blob. Its tags come with a second call, and a third one shows that they are the tags of this content: rights
    /// may hang on them.
    async fn whole(&self, name: &str, known: Option<&str>) -> Result<Blob, Failure> {
        for _ in 0..MAX_ROUNDS {
            let options = BlobClientDownloadOptions { if_none_match: known.map(quoted), ..Default::default() };
            let (mut blob, is_tagged) = self.call(|container| download(container, name, options)).await?;
            if !is_tagged || !self.reads_tags {
                return Ok(blob);
            }
            blob.meta.tags = self.tags(name).await?;
            if self.properties(name).await?.is_some_and(|(now, _)| now.etag == blob.meta.etag) {
                return Ok(blob);
            }
        }
        Err(Failure::Restless)
    }
}

/// The address of a container.
fn address(blob_endpoint: &Url, container: &str) -> Url {
    let mut url = blob_endpoint.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push(container);
    }
    url
}

async fn upload(
    container: Arc<BlobContainerClient>,
    name: &str,
    bytes: Bytes,
    put: &PutOptions,
) -> azure_core::Result<BlobMeta> {
    let size_bytes = bytes.len() as u64;
    let metadata = (!put.metadata.is_empty()).then(|| encoded(&put.metadata));
    let mut options = BlobClientUploadOptions { metadata, ..Default::default() };
    match &put.condition {
        Condition::Always => {}
        Condition::IfAbsent => options.if_none_match = Some(Etag::from("*")),
        Condition::IfMatch(etag) => options.if_match = Some(quoted(etag)),
    }
    let content: RequestContent<Bytes, NoFormat> = bytes.into();
    let stored = container.blob_client(name).upload(content, Some(options)).await?;
    Ok(BlobMeta {
        name: name.to_owned(),
        size_bytes,
        etag: stored.etag.map(bare).unwrap_or_default(),
        modified: time_of(stored.last_modified),
        metadata: put.metadata.clone(),
        tags: Words::new(),
    })
}

/// A blob without its tags, and whether it has any.
async fn download(
    container: Arc<BlobContainerClient>,
    name: &str,
    options: BlobClientDownloadOptions<'_>,
) -> azure_core::Result<(Blob, bool)> {
    let found = container.blob_client(name).download(Some(options)).await?;
    let properties = found.properties;
    let bytes = found.body.collect().await?;
    let meta = BlobMeta {
        name: name.to_owned(),
        size_bytes: bytes.len() as u64,
        etag: properties.etag.map(bare).unwrap_or_default(),
        modified: time_of(properties.last_modified),
        metadata: decoded(properties.metadata),
        tags: Words::new(),
    };
    Ok((Blob { meta, bytes }, properties.tag_count.unwrap_or(0) > 0))
}

#[async_trait]
impl BlobStore for AzureBlobs {
    async fn head(&self, name: &str) -> Result<Option<BlobMeta>> {
        let checked = checked(name)?;
        let Some((mut meta, is_tagged)) = self.properties(checked).await.map_err(unavailable)? else { return Ok(None) };
        if is_tagged && self.reads_tags {
            meta.tags = self.tags(checked).await.map_err(unavailable)?;
        }
        Ok(Some(meta))
    }

    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Blob>> {
        let checked = checked(name)?;
        let Some(range) = range else { return unless_absent(self.whole(checked, None).await) };
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
        let part = unless_absent(self.call(|container| download(container, checked, options)).await)?;
        Ok(part.map(|(part, _)| Blob { meta, bytes: part.bytes }))
    }

    async fn get_unless(&self, name: &str, known: &str) -> Result<Reread> {
        match self.whole(checked(name)?, Some(known)).await {
            Ok(blob) => Ok(Reread::Changed(blob)),
            Err(e) if e.status() == Some(StatusCode::NotModified) => Ok(Reread::Unchanged),
            Err(e) if e.status() == Some(StatusCode::NotFound) => Ok(Reread::Absent),
            Err(e) => Err(unavailable(e)),
        }
    }

    async fn put_with(&self, name: &str, bytes: Bytes, options: PutOptions) -> Result<BlobMeta> {
        let checked = checked(name)?;
        let mut stored = self.call(|container| upload(container, checked, bytes.clone(), &options)).await;
        if matches!(&stored, Err(e) if e.status() == Some(StatusCode::NotFound)) {
            // Two first writers may both make the container; the second one's refusal does no harm.
            let _made = self.call(|container| async move { container.create(None).await.map(|_| ()) }).await;
            stored = self.call(|container| upload(container, checked, bytes, &options)).await;
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
        let delete = |container: Arc<BlobContainerClient>| async move {
            container.blob_client(checked).delete(None).await.map(|_| ())
        };
        let answer = self.call(delete).await;
        unless_absent(answer).map(|deleted| deleted.is_some())
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<BlobPage> {
        let mut include = vec![ListBlobsIncludeItem::Metadata];
        include.extend(self.reads_tags.then_some(ListBlobsIncludeItem::Tags));
        let options = BlobContainerClientListBlobsOptions {
            prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
            include: Some(include),
            marker: after.map(str::to_owned),
            maxresults: Some(i32::try_from(limit).unwrap_or(i32::MAX).clamp(1, 5_000)),
            ..Default::default()
        };
        let answer = self
            .call(|container| async move {
                let mut pages = container.list_blobs(Some(options))?.into_pages();
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
                tags: tags_of(item.blob_tags),
            })
        });
        Ok(BlobPage { blobs: blobs.collect(), next: page.next_marker.filter(|marker| !marker.is_empty()) })
    }

    fn location(&self) -> String {
        self.account.blob_endpoint().map_or_else(
            || format!("{} of the account in {}", self.container, self.account.place()),
            |endpoint| address(endpoint, &self.container).to_string(),
        )
    }
}

fn checked(name: &str) -> Result<&str> {
    DocumentName::parse(name).map(|_| name)
}
