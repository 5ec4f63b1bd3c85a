//! The order to stop: Ctrl-C, or SIGTERM from a container or an init system.

use tokio::signal::unix::{SignalKind, signal};

/// Ends when the order comes.
pub async fn ordered() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
