//! Logs: one JSON line an event, on standard output (the host takes every line on standard error for an error). What may
//! hold a secret is cut out before it is logged.

use std::io;

use percent_encoding::percent_decode_str;
use tracing::{Level, error};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, filter};

/// Who reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogReader {
    /// A machine: JSON lines on standard output.
    Machine,
    /// A person at a terminal, who is waiting for a command's own output: short lines on standard error.
    Person,
}

/// Starts logging, and hands everything to `traces` too, if there are any. Lines of libraries are kept from `warn` on; a
/// second call does nothing.
pub(super) fn start(level: Level, reader: LogReader, traces: Option<Box<dyn Layer<Registry> + Send + Sync>>) {
    let targets = filter::Targets::new()
        .with_default(LevelFilter::WARN.min(LevelFilter::from_level(level)))
        .with_target("knowledge_worker", level)
        .with_target("handler", level)
        // It logs what a server sent when that is no answer, and that may be anything.
        .with_target("async_openai", LevelFilter::OFF)
        // It quotes the addresses and answers of whoever takes traces; what matters of it we say ourselves.
        .with_target("opentelemetry", LevelFilter::OFF);
    let layer = match reader {
        LogReader::Machine => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(BoxMakeWriter::new(io::stdout))
            .boxed(),
        LogReader::Person => tracing_subscriber::fmt::layer()
            .compact()
            .with_target(false)
            .with_ansi(false)
            .with_writer(BoxMakeWriter::new(io::stderr))
            .boxed(),
    };
    let _started_already = tracing_subscriber::registry().with(traces).with(layer.with_filter(targets)).try_init();
    std::panic::set_hook(Box::new(|panic| {
        // Its message may hold a document's text; the place is enough to find it.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(place, "a panic");
    }));
}

/// A path and query for the log: the value of every parameter that can be a key or a token is cut out.
pub fn without_secrets(path_and_query: &str) -> String {
    let Some((path, query)) = path_and_query.split_once('?') else { return path_and_query.to_owned() };
    let shown = query.split('&').map(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        // Whoever reads the query decodes its names, too.
        let decoded = percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
        let is_secret = ["code", "key", "sig", "token", "secret", "password"].iter().any(|word| decoded.contains(word));
        if is_secret { format!("{name}=***") } else { pair.to_owned() }
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&"))
}

/// Where a JSON text is wrong, for the log. The parser's own words repeat what stands there, which may be a question.
pub fn place_in_json(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

/// Text from outside for the log: whatever could end a line, hide or reorder text is written as its code.
pub fn one_line(text: &str) -> String {
    let deceptive = |c: char| {
        let unseen = matches!(c, '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}');
        c.is_control() || unseen || matches!(c, '\u{2028}'..='\u{202E}' | '\u{E0000}'..='\u{E007F}')
    };
    text.chars().flat_map(|c| if deceptive(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::{one_line, without_secrets};

    #[test]
    fn no_text_can_forge_a_line() {
        assert_eq!(one_line("a\nb\u{1b}[31m\u{202e}c"), "a\\nb\\u{1b}[31m\\u{202e}c");
    }

    #[test]
    fn keys_in_a_query_are_cut_out() {
        assert_eq!(
            without_secrets("/api/chat?code=abc&top=3&x-functions-key=k"),
            "/api/chat?code=***&top=3&x-functions-key=***"
        );
        assert_eq!(without_secrets("/api/documents?c%6Fde=abc"), "/api/documents?c%6Fde=***");
        assert_eq!(without_secrets("/api/chat"), "/api/chat");
    }
}
