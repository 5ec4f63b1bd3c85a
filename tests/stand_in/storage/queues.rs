//! Queues: send, receive with a lease, renew, delete.

use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use reqwest::Method;

use super::{Call, Storage, expect, is_missing, xml};

/// A received message. Its text is as it lies in the queue, base64 or not.
#[derive(Clone, Debug)]
pub struct QueueMessage {
    pub id: String,
    pub pop_receipt: String,
    pub dequeue_count: u32,
    pub insertion_time: DateTime<Utc>,
    pub expiration_time: DateTime<Utc>,
    pub next_visible_time: DateTime<Utc>,
    pub text: String,
}

impl Storage {
    /// Creates a queue; one that exists is left alone.
    pub async fn create_queue(&self, queue: &str) -> Result<()> {
        expect(self.queue_call(Method::PUT, queue, &[], Vec::new()).await?, &[201, 204]).await?;
        Ok(())
    }

    /// Sends text as base64, which is what the host expects by default.
    pub async fn put_message(&self, queue: &str, text: &str) -> Result<()> {
        self.put_message_raw(queue, &STANDARD.encode(text)).await
    }

    /// Sends text as it is.
    pub async fn put_message_raw(&self, queue: &str, text: &str) -> Result<()> {
        let body = format!("<QueueMessage><MessageText>{}</MessageText></QueueMessage>", xml::escape(text));
        let path = format!("{queue}/messages");
        // messagettl=-1: the message does not expire while a test thinks.
        let query = [("messagettl", "-1")];
        expect(self.queue_call(Method::POST, &path, &query, body.into_bytes()).await?, &[201]).await?;
        Ok(())
    }

    /// Takes up to `count` messages (32 at most) and hides them for `lease`. A missing queue is an empty one.
    pub async fn get_messages(&self, queue: &str, count: usize, lease: Duration) -> Result<Vec<QueueMessage>> {
        let (count, lease) = (count.to_string(), lease.as_secs().max(1).to_string());
        let query = [("numofmessages", count.as_str()), ("visibilitytimeout", lease.as_str())];
        let response = self.queue_call(Method::GET, &format!("{queue}/messages"), &query, Vec::new()).await?;
        if is_missing(&response) {
            return Ok(Vec::new());
        }
        let list = expect(response, &[200]).await?.text().await.context("read messages")?;
        xml::elements(&list, "QueueMessage").into_iter().map(parse_message).collect()
    }

    /// Texts of the first 32 visible messages, decoded where they are base64; they stay where they are.
    pub async fn peek_messages(&self, queue: &str) -> Result<Vec<String>> {
        let query = [("peekonly", "true"), ("numofmessages", "32")];
        let response = self.queue_call(Method::GET, &format!("{queue}/messages"), &query, Vec::new()).await?;
        if is_missing(&response) {
            return Ok(Vec::new());
        }
        let list = expect(response, &[200]).await?.text().await.context("read messages")?;
        let texts = xml::elements(&list, "QueueMessage").into_iter().filter_map(|one| xml::text(one, "MessageText"));
        Ok(texts.map(|text| decode(&text).unwrap_or(text)).collect())
    }

    /// Hides a message for `lease` from now, or shows it at once, and gives its new pop receipt.
    pub async fn hide_message(&self, queue: &str, id: &str, pop_receipt: &str, lease: Duration) -> Result<String> {
        let seconds = lease.as_secs().to_string();
        let query = [("popreceipt", pop_receipt), ("visibilitytimeout", seconds.as_str())];
        let path = format!("{queue}/messages/{id}");
        let response = expect(self.queue_call(Method::PUT, &path, &query, Vec::new()).await?, &[204]).await?;
        let receipt = response.headers().get("x-ms-popreceipt").context("an updated message has a pop receipt")?;
        Ok(receipt.to_str().context("a pop receipt is text")?.to_string())
    }

    /// Deletes a message; one that somebody else took meanwhile is left to them.
    pub async fn delete_message(&self, queue: &str, id: &str, pop_receipt: &str) -> Result<()> {
        let query = [("popreceipt", pop_receipt)];
        let path = format!("{queue}/messages/{id}");
        expect(self.queue_call(Method::DELETE, &path, &query, Vec::new()).await?, &[204, 404]).await?;
        Ok(())
    }

    async fn queue_call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<reqwest::Response> {
        let headers: &[_] = if body.is_empty() { &[] } else { &[("content-type", "application/xml")] };
        self.send(Call { method, service: &self.queue, path, query, headers, body }).await
    }
}

/// The text inside a base64 message, or None when it is not base64.
pub fn decode(text: &str) -> Option<String> {
    Some(String::from_utf8_lossy(&STANDARD.decode(text).ok()?).into_owned())
}

fn parse_message(element: &str) -> Result<QueueMessage> {
    let field = |name: &str| xml::text(element, name).with_context(|| format!("a message has {name}"));
    let time = |name: &str| -> Result<DateTime<Utc>> {
        let text = field(name)?;
        Ok(DateTime::parse_from_rfc2822(&text).with_context(|| format!("read time `{text}`"))?.to_utc())
    };
    Ok(QueueMessage {
        id: field("MessageId")?,
        pop_receipt: field("PopReceipt")?,
        dequeue_count: field("DequeueCount")?.parse().context("a dequeue count is a number")?,
        insertion_time: time("InsertionTime")?,
        expiration_time: time("ExpirationTime")?,
        next_visible_time: time("TimeNextVisible")?,
        text: field("MessageText")?,
    })
}
