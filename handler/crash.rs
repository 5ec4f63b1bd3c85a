//! Named places where a test may stop the process as the platform would, with SIGKILL. Without the feature `crash-points`
//! they compile to nothing.

/// The steps of ingestion after each of which the process can be stopped. Backups have others: `backup-copied`,
/// `restore-copied` and `restore-swapped`; actions have
/// `action-running` and `action-done`.
pub const POINTS: &[&str] =
    &["claimed", "fetched", "extracted", "embedded", "segment-stored", "swapped", "finished", "removed"];

#[cfg(feature = "crash-points")]
static ARMED: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Arms one point for the life of the process; called by `main` alone.
#[cfg(feature = "crash-points")]
pub fn arm(point: String) {
    let _armed_already = ARMED.set(point);
}

/// Stops the process with SIGKILL if `point` is armed.
#[cfg(feature = "crash-points")]
pub fn point(point: &str) {
    if ARMED.get().is_some_and(|armed| armed == point) {
        let myself = std::process::id().to_string();
        // A signal nobody can catch; waiting for it keeps the next step from starting.
        let _killed = std::process::Command::new("kill").args(["-KILL", &myself]).status();
        loop {
            std::thread::park();
        }
    }
}

/// Does nothing in a release.
#[cfg(not(feature = "crash-points"))]
pub fn point(_point: &str) {}
