//! The handler's stdout and stderr: lines enter, entries of the host's log leave.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::log::{HostLog, Level, LogLine, Source};

/// Fact 14: a line on stderr is an error in the host's log, or a warning when it says so.
pub async fn read_lines(stream: impl AsyncRead + Unpin, is_stderr: bool, log: Arc<HostLog>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while let Ok(read) = stream.read_until(b'\n', &mut line).await
        && read > 0
    {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_string();
        line.clear();
        let level = match is_stderr {
            false => Level::Information,
            true if text.to_ascii_lowercase().contains("warn") => Level::Warning,
            true => Level::Error,
        };
        let source = if text.starts_with("LanguageWorkerConsoleLog") { Source::Host } else { Source::Console };
        log.write(LogLine { level, source, text });
    }
}
