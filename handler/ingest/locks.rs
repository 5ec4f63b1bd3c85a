//! Locks by document. Enters: a document's id. Leaves: a guard that keeps others in this process from the same document.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::document::DocumentId;

/// Locks by document, so that one process works on a document once at a time. Other processes are kept apart by versions.
#[derive(Clone, Debug, Default)]
pub struct NameLocks {
    held: Arc<Mutex<HashMap<DocumentId, Arc<tokio::sync::Mutex<()>>>>>,
}

/// Held while a document is worked on.
pub struct NameLock {
    locks: NameLocks,
    id: DocumentId,
    guard: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl NameLocks {
    /// Waits until nobody else in this process works on the document.
    pub async fn lock(&self, id: &DocumentId) -> NameLock {
        let lock = {
            let mut held = self.held.lock().expect("no holder of this lock panics");
            Arc::clone(held.entry(id.clone()).or_default())
        };
        let guard = lock.lock_owned().await;
        NameLock { locks: self.clone(), id: id.clone(), guard: Some(guard) }
    }
}

impl Drop for NameLock {
    fn drop(&mut self) {
        self.guard = None;
        let mut held = self.locks.held.lock().expect("no holder of this lock panics");
        // Nobody else waits when the map alone still holds the lock.
        if held.get(&self.id).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            held.remove(&self.id);
        }
    }
}
