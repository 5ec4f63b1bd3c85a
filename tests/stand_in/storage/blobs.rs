//! Blobs and containers: list, read, write, delete.

use anyhow::{Context, Result};
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;

use super::{Call, Storage, expect, is_missing, xml};

/// One row of a container's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedBlob {
    pub name: String,
    pub etag: String,
}

/// What a blob's headers say.
#[derive(Clone, Debug)]
pub struct BlobProperties {
    pub uri: String,
    pub headers: HeaderMap,
}

impl BlobProperties {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn etag(&self) -> String {
        unquoted(self.header("etag").unwrap_or_default())
    }

    /// The blob's own metadata, without the prefix.
    pub fn metadata(&self) -> Vec<(String, String)> {
        let named = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            Some((name.as_str().strip_prefix("x-ms-meta-")?.to_string(), value.to_str().ok()?.to_string()))
        };
        self.headers.iter().filter_map(named).collect()
    }
}

impl Storage {
    /// Creates a container; one that exists is left alone.
    pub async fn create_container(&self, container: &str) -> Result<()> {
        let query = [("restype", "container")];
        expect(self.blob_call(Method::PUT, container, &query, &[], Vec::new()).await?, &[201, 409]).await?;
        Ok(())
    }

    /// Every blob whose name begins with `prefix`; a missing container is an empty one.
    pub async fn list_blobs(&self, container: &str, prefix: &str) -> Result<Vec<ListedBlob>> {
        let mut blobs = Vec::new();
        let mut marker = String::new();
        loop {
            let query = [("restype", "container"), ("comp", "list"), ("prefix", prefix), ("marker", marker.as_str())];
            let query: Vec<_> = query.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            let response = self.blob_call(Method::GET, container, &query, &[], Vec::new()).await?;
            if is_missing(&response) {
                return Ok(blobs);
            }
            let page = expect(response, &[200]).await?.text().await.context("read a page of blobs")?;
            for blob in xml::elements(&page, "Blob") {
                let name = xml::text(blob, "Name").context("a listed blob has a name")?;
                let etag = unquoted(&xml::text(blob, "Etag").context("a listed blob has an ETag")?);
                blobs.push(ListedBlob { name, etag });
            }
            marker = xml::text(&page, "NextMarker").unwrap_or_default();
            if marker.is_empty() {
                return Ok(blobs);
            }
        }
    }

    /// Headers of a blob, or None when it is gone.
    pub async fn blob_properties(&self, container: &str, name: &str) -> Result<Option<BlobProperties>> {
        let path = format!("{container}/{name}");
        let response = self.blob_call(Method::HEAD, &path, &[], &[], Vec::new()).await?;
        if is_missing(&response) {
            return Ok(None);
        }
        let response = expect(response, &[200]).await?;
        Ok(Some(BlobProperties { uri: response.url().to_string(), headers: response.headers().clone() }))
    }

    /// Bytes of a blob, or None when it is gone.
    pub async fn get_blob(&self, container: &str, name: &str) -> Result<Option<Bytes>> {
        let response = self.blob_call(Method::GET, &format!("{container}/{name}"), &[], &[], Vec::new()).await?;
        if is_missing(&response) {
            return Ok(None);
        }
        Ok(Some(expect(response, &[200]).await?.bytes().await.context("read a blob")?))
    }

    /// Writes a block blob in one piece and gives its new ETag. Names of metadata must be in lower case.
    pub async fn put_blob(
        &self,
        container: &str,
        name: &str,
        content_type: &str,
        metadata: &[(&str, &str)],
        content: Vec<u8>,
    ) -> Result<String> {
        let metadata: Vec<_> = metadata.iter().map(|(key, value)| (format!("x-ms-meta-{key}"), *value)).collect();
        let mut headers = vec![("x-ms-blob-type", "BlockBlob"), ("content-type", content_type)];
        headers.extend(metadata.iter().map(|(key, value)| (key.as_str(), *value)));
        let path = format!("{container}/{name}");
        let response = expect(self.blob_call(Method::PUT, &path, &[], &headers, content).await?, &[201]).await?;
        let etag = response.headers().get("etag").context("a written blob has an ETag")?;
        Ok(unquoted(etag.to_str().context("an ETag is text")?))
    }

    /// Deletes a blob; false when there was none.
    pub async fn delete_blob(&self, container: &str, name: &str) -> Result<bool> {
        let response = self.blob_call(Method::DELETE, &format!("{container}/{name}"), &[], &[], Vec::new()).await?;
        Ok(expect(response, &[202, 404]).await?.status().as_u16() == 202)
    }

    async fn blob_call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<reqwest::Response> {
        self.send(Call { method, service: &self.blob, path, query, headers, body }).await
    }
}

/// The list writes an ETag without quotes, the headers with.
fn unquoted(etag: &str) -> String {
    etag.trim_matches('"').to_string()
}
