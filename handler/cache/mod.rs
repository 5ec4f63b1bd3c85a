//! What was found or answered a moment ago, so that the same question need not be paid for twice: in this process first, and
//! in Redis for all instances where there is one. What enters is a key that holds all that the value depends on, and a value;
//! what leaves is that value, for as long as it may live. A cache that does not answer is as good as an empty one.
//!
//! Nothing is ever taken out by name. Whoever makes a key puts into it who asks and the state of the index, so that what was
//! kept before a change is never asked for after it.

pub mod redis;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::Expiry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

use self::redis::Redis;
use crate::document::hex;

/// A larger value is not kept, in bytes.
const MOST_BYTES: usize = 256 << 10;
/// What an entry takes beside its value, in bytes.
const OVERHEAD_BYTES: usize = 200;

/// What a value is kept under: a kind of value, and the hash of all that it depends on. No question can be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    kind: &'static str,
    hash: [u8; 32],
}

impl Key {
    /// The key of a value of some kind that depends on `parts` and on the version of this program.
    pub fn of(kind: &'static str, parts: &impl Serialize) -> Self {
        let parts = serde_json::to_vec(&(env!("CARGO_PKG_VERSION"), parts)).expect("parts of a key are plain data");
        Self { kind, hash: Sha256::digest(parts).into() }
    }

    /// The key as Redis has it.
    fn shared(&self) -> String {
        format!("knowledge-worker:{}:{}", self.kind, hex(&self.hash))
    }
}

/// Keeps values for a while.
pub struct Cache {
    memory: moka::sync::Cache<Key, Entry>,
    shared: Option<Arc<Redis>>,
    turns: Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>,
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    ends: Instant,
}

/// The turn of one who makes a value that others wait for. It ends when this is dropped.
#[must_use = "others go on as soon as it is dropped"]
pub struct Turn {
    _held: OwnedMutexGuard<()>,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("entries", &self.memory.entry_count()).field("shared", &self.shared).finish()
    }
}

impl Cache {
    /// A cache of at most `memory_bytes` in this process, in front of Redis where there is one.
    pub fn new(memory_bytes: u64, shared: Option<Arc<Redis>>) -> Self {
        let weight = |_: &Key, entry: &Entry| u32::try_from(entry.value.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX);
        let memory = moka::sync::Cache::builder().max_capacity(memory_bytes).weigher(weight).expire_after(UntilItsEnd);
        Self { memory: memory.build(), shared, turns: Mutex::default() }
    }

    /// The value under a key, if it is still there.
    pub async fn get<T: DeserializeOwned>(&self, key: &Key) -> Option<T> {
        if let Some(entry) = self.memory.get(key).filter(|entry| Instant::now() < entry.ends) {
            return serde_json::from_slice(&entry.value).ok();
        }
        let (value, left) = self.shared.as_ref()?.get(&key.shared()).await?;
        // Somebody else may have written it; what cannot be read is not there.
        let read = serde_json::from_slice(&value).ok()?;
        self.memory.insert(*key, Entry { value: value.into(), ends: Instant::now() + left });
        Some(read)
    }

    /// Keeps a value for `time`.
    pub async fn put(&self, key: Key, value: &impl Serialize, time: Duration) {
        let Ok(value) = serde_json::to_vec(value) else { return };
        if value.len() > MOST_BYTES || time.is_zero() {
            return;
        }
        let value = Bytes::from(value);
        self.memory.insert(key, Entry { value: value.clone(), ends: Instant::now() + time });
        if let Some(shared) = &self.shared {
            shared.put(&key.shared(), &value, time).await;
        }
    }

    /// Waits until nobody else makes the value of a key. Ask for the value again then: it may be there.
    pub async fn turn(&self, key: &Key) -> Turn {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            match turns.get(key).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    turns.retain(|_, turn| turn.strong_count() > 0);
                    let turn = Arc::default();
                    turns.insert(*key, Arc::downgrade(&turn));
                    turn
                }
            }
        };
        Turn { _held: turn.lock_owned().await }
    }
}

/// Entries go when they end.
struct UntilItsEnd;

impl Expiry<Key, Entry> for UntilItsEnd {
    fn expire_after_create(&self, _: &Key, entry: &Entry, created_at: Instant) -> Option<Duration> {
        Some(entry.ends.saturating_duration_since(created_at))
    }

    fn expire_after_update(
        &self,
        _: &Key,
        entry: &Entry,
        updated_at: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ends.saturating_duration_since(updated_at))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn keeps_what_fits_for_its_time() {
        let cache = Cache::new(1 << 20, None);
        let key = |part: u32| Key::of("test", &("who", part));
        cache.put(key(1), &"one", MINUTE).await;
        cache.put(key(2), &"gone", Duration::ZERO).await;
        cache.put(key(3), &"x".repeat(MOST_BYTES), MINUTE).await;
        assert_eq!(cache.get::<String>(&key(1)).await.as_deref(), Some("one"));
        assert_eq!(cache.get::<String>(&key(2)).await, None);
        assert_eq!(cache.get::<String>(&key(3)).await, None);
        assert_eq!(cache.get::<u32>(&key(1)).await, None, "what cannot be read is not there");
        assert_ne!(key(1), Key::of("other", &("who", 1)));
        assert_ne!(key(1), Key::of("test", &("wh", "o1")));
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let cache = Cache::new(100_000, None);
        for number in 0..200 {
            cache.put(Key::of("test", &number), &"x".repeat(10_000), MINUTE).await;
        }
        cache.memory.run_pending_tasks();
        assert!(cache.memory.weighted_size() <= 100_000, "{}", cache.memory.weighted_size());
        assert!(cache.memory.entry_count() > 0);
    }

    #[tokio::test]
    async fn one_makes_what_many_ask_for() {
        let cache = Cache::new(1 << 20, None);
        let (key, made) = (Key::of("test", &1), AtomicUsize::new(0));
        let ask = async || {
            let _turn = cache.turn(&key).await;
            if let Some(value) = cache.get::<String>(&key).await {
                return value;
            }
            made.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            cache.put(key, &"made", MINUTE).await;
            "made".to_owned()
        };
        let all = futures_util::future::join_all((0..20).map(|_| ask())).await;
        assert!(all.iter().all(|value| value == "made"));
        assert_eq!(made.load(Ordering::Relaxed), 1);
        drop(cache.turn(&key).await);
        let _other = cache.turn(&Key::of("test", &2)).await;
        assert_eq!(cache.turns.lock().unwrap().len(), 1, "turns that are over are forgotten");
    }

    #[tokio::test]
    async fn one_who_leaves_lets_the_next_go_on() {
        let cache = Cache::new(1 << 20, None);
        let key = Key::of("test", &1);
        let first = cache.turn(&key).await;
        let mut second = Box::pin(cache.turn(&key));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        let _second = second.await;
    }
}
