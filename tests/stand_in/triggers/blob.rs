//! Blob triggers by polling: every version of every blob that fits the path is delivered whole, tried again, put aside.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::blob_path::BlobPath;
use super::super::clock;
use super::super::envelope;
use super::super::functions::{Function, Trigger};
use super::super::host::Host;
use super::super::invoke::Delivery;
use super::super::log::{Invocation, Level};
use super::super::storage::Storage;

/// Where versions go that failed too often. The real host keeps its work queue hidden and shows only this one.
pub const POISON_QUEUE: &str = "webjobs-blobtrigger-poison";

/// Polls the container of `function` until dropped. Receipts live in memory: a new stand-in delivers everything again,
/// which a real host, that stores them, does only now and then.
pub async fn listen(host: Arc<Host>, storage: Storage, function: Function, permits: Arc<Semaphore>) {
    let Trigger::Blob { path, .. } = function.trigger.clone() else { return };
    let worker = Arc::new(Worker { host: host.clone(), storage, function });
    let mut receipts: HashMap<String, String> = HashMap::new();
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        match worker.storage.list_blobs(&path.container, path.prefix()).await {
            Ok(blobs) => {
                for blob in blobs {
                    let known = receipts.get(&blob.name).is_some_and(|etag| *etag == blob.etag);
                    if known || path.captures(&blob.name).is_none() {
                        continue;
                    }
                    receipts.insert(blob.name.clone(), blob.etag.clone());
                    let (worker, permits) = (worker.clone(), permits.clone());
                    running.spawn(async move { worker.process(&blob.name, &blob.etag, &permits).await });
                }
            }
            Err(error) => host.log.host(Level::Warning, format!("poll of container {}: {error:#}", path.container)),
        }
        tokio::time::sleep(host.intervals.blob_poll).await;
    }
}

/// One delivery of a blob as it is now, asked for through the admin surface.
pub async fn deliver_by_hand(host: &Arc<Host>, function: &Function, name: &str) {
    let Some(storage) = host.storage.clone() else { return };
    let worker = Worker { host: host.clone(), storage, function: function.clone() };
    match worker.deliver(name, None, 1).await {
        Ok(Some(_)) => {}
        Ok(None) => host.log.host(Level::Error, format!("blob {name} does not exist")),
        Err(error) => host.log.host(Level::Error, format!("blob {name}: {error:#}")),
    }
}

struct Worker {
    host: Arc<Host>,
    storage: Storage,
    function: Function,
}

impl Worker {
    async fn process(&self, name: &str, etag: &str, permits: &Semaphore) {
        if let Err(error) = self.try_process(name, etag, permits).await {
            self.host.log.host(Level::Warning, format!("blob {name}: {error:#}"));
        }
    }

    async fn try_process(&self, name: &str, etag: &str, permits: &Semaphore) -> Result<()> {
        for attempt in 1..=self.host.settings.poison_blob_threshold {
            let permit = permits.acquire().await?;
            match self.deliver(name, Some(etag), attempt).await? {
                None => return Ok(()),
                Some(invocation) if invocation.succeeded() => return Ok(()),
                Some(_) => {}
            }
            drop(permit);
            tokio::time::sleep(self.host.intervals.blob_poll).await;
        }
        self.put_aside(name, etag).await
    }

    /// None when the blob is gone, or is another version by now: that one has a delivery of its own.
    async fn deliver(&self, name: &str, etag: Option<&str>, attempt: u32) -> Result<Option<Invocation>> {
        let (binding, path) = self.trigger();
        let Some(properties) = self.storage.blob_properties(&path.container, name).await? else { return Ok(None) };
        if etag.is_some_and(|etag| etag != properties.etag()) {
            return Ok(None);
        }
        let Some(content) = self.storage.get_blob(&path.container, name).await? else { return Ok(None) };
        let captures = path.captures(name).unwrap_or_default();
        let function = self.function.name.as_str();
        let envelope = envelope::blob(function, binding, &captures, &properties, &content, clock::now());
        let subject = format!("{}/{name}", path.container);
        Ok(Some(self.host.deliver(Delivery { function, subject: &subject, attempt, envelope }).await))
    }

    async fn put_aside(&self, name: &str, etag: &str) -> Result<()> {
        let (_, path) = self.trigger();
        self.host.log.host(Level::Warning, format!("blob {name} moves to queue {POISON_QUEUE}"));
        let message = json!({
            "Type": "BlobTrigger",
            "FunctionId": format!("Host.Functions.{}", self.function.name),
            "BlobType": "BlockBlob",
            "ContainerName": path.container,
            "BlobName": name,
            // Quoted, as the header has it.
            "ETag": format!("\"{etag}\""),
        });
        self.storage.create_queue(POISON_QUEUE).await?;
        self.storage.put_message(POISON_QUEUE, &message.to_string()).await
    }

    fn trigger(&self) -> (&str, &BlobPath) {
        match &self.function.trigger {
            Trigger::Blob { binding, path } => (binding, path),
            _ => unreachable!("only blob functions get here"),
        }
    }
}
