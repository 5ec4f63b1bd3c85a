//! What a platform and its services offer to an identity, at the socket: tokens, and secrets in a vault. What enters are
//! requests of the real clients, what leaves are answers as the published interfaces have them, and counts.

pub mod identity;
pub mod key_vault;
pub mod tls;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lock that stays usable when a test that held it failed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
