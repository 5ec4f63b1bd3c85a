//! Queue triggers: messages taken under a lease, delivered, deleted when done, shown again when not, and at last put aside.

use std::sync::Arc;

use anyhow::Result;
use tokio::task::JoinSet;

use super::super::clock;
use super::super::envelope;
use super::super::functions::{Function, Trigger};
use super::super::host::Host;
use super::super::host_json::cores;
use super::super::invoke::Delivery;
use super::super::log::{Invocation, Level};
use super::super::storage::Storage;
use super::super::storage::queues::{self, QueueMessage};

/// Polls the queue of `function` until dropped.
pub async fn listen(host: Arc<Host>, storage: Storage, function: Function) {
    let Trigger::Queue { binding, queue } = &function.trigger else { return };
    let worker = Arc::new(Worker {
        host: host.clone(),
        storage,
        function: function.name.clone(),
        binding: binding.clone(),
        queue: queue.clone(),
    });
    let batch_size = host.settings.queues.batch_size;
    let new_batch_threshold = batch_size / 2 * cores();
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        if running.len() <= new_batch_threshold {
            match worker.storage.get_messages(queue, batch_size, host.intervals.message_lease).await {
                Ok(messages) => {
                    for message in messages {
                        let worker = worker.clone();
                        running.spawn(async move { worker.process(message).await });
                    }
                }
                Err(error) => host.log.host(Level::Warning, format!("poll of queue {queue}: {error:#}")),
            }
        }
        tokio::time::sleep(host.intervals.queue_poll).await;
    }
}

/// One delivery of one message's text.
pub async fn deliver(host: &Host, function: &str, binding: &str, message: &QueueMessage, text: &str) -> Invocation {
    let envelope = envelope::queue(function, binding, message, text, clock::now());
    host.deliver(Delivery { function, subject: text, attempt: message.dequeue_count.max(1), envelope }).await
}

struct Worker {
    host: Arc<Host>,
    storage: Storage,
    function: String,
    binding: String,
    queue: String,
}

impl Worker {
    async fn process(&self, message: QueueMessage) {
        if let Err(error) = self.try_process(message).await {
            self.host.log.host(Level::Warning, format!("message of queue {}: {error:#}", self.queue));
        }
    }

    async fn try_process(&self, mut message: QueueMessage) -> Result<()> {
        let settings = &self.host.settings.queues;
        // A message whose earlier deliveries ended with their host is not delivered once more.
        if message.dequeue_count > settings.max_dequeue_count {
            return self.put_aside(&message).await;
        }
        let text = match settings.base64 {
            true => queues::decode(&message.text),
            false => Some(message.text.clone()),
        };
        let Some(text) = text else {
            self.host.log.host(Level::Error, format!("a message of queue {} is not base64", self.queue));
            return self.put_aside(&message).await;
        };
        let delivered = message.clone();
        let invocation = {
            let delivery = deliver(&self.host, &self.function, &self.binding, &delivered, &text);
            tokio::pin!(delivery);
            loop {
                tokio::select! {
                    invocation = &mut delivery => break invocation,
                    () = tokio::time::sleep(self.host.intervals.message_lease / 2) => self.renew(&mut message).await?,
                }
            }
        };
        if invocation.succeeded() {
            self.storage.delete_message(&self.queue, &message.id, &message.pop_receipt).await
        } else if message.dequeue_count >= settings.max_dequeue_count {
            self.put_aside(&message).await
        } else {
            let pause = settings.visibility_timeout;
            self.storage.hide_message(&self.queue, &message.id, &message.pop_receipt, pause).await.map(drop)
        }
    }

    async fn renew(&self, message: &mut QueueMessage) -> Result<()> {
        let lease = self.host.intervals.message_lease;
        message.pop_receipt = self.storage.hide_message(&self.queue, &message.id, &message.pop_receipt, lease).await?;
        Ok(())
    }

    /// Copied first, deleted second: a message may end up twice in the poison queue, but never in none.
    async fn put_aside(&self, message: &QueueMessage) -> Result<()> {
        let poison = format!("{}-poison", self.queue);
        self.host.log.host(Level::Warning, format!("message {} moves to queue {poison}", message.id));
        self.storage.create_queue(&poison).await?;
        self.storage.put_message_raw(&poison, &message.text).await?;
        self.storage.delete_message(&self.queue, &message.id, &message.pop_receipt).await
    }
}
