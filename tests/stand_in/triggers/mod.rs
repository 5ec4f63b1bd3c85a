//! The listeners that turn storage and time into deliveries: one file each kind of trigger.

pub mod blob;
pub mod queue;
pub mod timer;

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::functions::Trigger;
use super::host::Host;
use super::log::Level;

/// Starts the listener of every enabled function; they end with the host's background work.
pub fn start(host: &Arc<Host>, run_schedules: bool) {
    let permits = Arc::new(Semaphore::new(host.settings.blob_parallelism));
    for function in host.functions.iter().filter(|function| !function.disabled) {
        let (own, function) = (host.clone(), function.clone());
        match (&function.trigger, &host.storage) {
            (Trigger::Http { .. }, _) => {}
            (Trigger::Timer { .. }, _) if run_schedules => {
                host.spawn(async move { timer::listen(own, function).await })
            }
            (Trigger::Timer { .. }, _) => {}
            (Trigger::Queue { .. }, Some(storage)) => {
                let storage = storage.clone();
                host.spawn(async move { queue::listen(own, storage, function).await });
            }
            (Trigger::Blob { .. }, Some(storage)) => {
                let (storage, permits) = (storage.clone(), permits.clone());
                host.spawn(async move { blob::listen(own, storage, function, permits).await });
            }
            (_, None) => host.log.host(Level::Warning, format!("no storage: nothing will start '{}'", function.name)),
        }
    }
}
