//! What the host writes down: log lines and finished invocations, each in a journal that can be read and waited on.

use std::sync::Mutex;

use serde_json::Value;
use tokio::sync::watch;

/// How loud a line is in the host's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Information,
    Warning,
    Error,
}

/// Who wrote a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The host itself.
    Host,
    /// The handler's stdout or stderr; such a line carries no invocation id.
    Console,
    /// `Logs` of an answered envelope; only these are tied to their invocation.
    Function { name: String, invocation_id: String },
}

/// One line of the host's log.
#[derive(Clone, Debug)]
pub struct LogLine {
    pub level: Level,
    pub source: Source,
    pub text: String,
}

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    /// The reason, as the host would log it.
    Failed(String),
    /// An HTTP caller went away; the host counts it neither as success nor as failure of the handler.
    Disconnected,
}

/// A finished invocation.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub function: String,
    pub invocation_id: String,
    /// What was delivered: `container/name` of a blob, text of a queue message, `GET /path`, or the timer's name.
    pub subject: String,
    /// 1 for the first delivery of this message or blob version.
    pub attempt: u32,
    pub outcome: Outcome,
    /// `Logs` of the answer.
    pub logs: Vec<String>,
    /// Status of the handler's answer, when there was one.
    pub status: Option<u16>,
    /// `Outputs` of the answer; recorded, not carried out.
    pub outputs: Value,
}

impl Invocation {
    pub fn succeeded(&self) -> bool {
        self.outcome == Outcome::Succeeded
    }

    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }
}

/// A list that only grows, and that tells its waiters when it does.
pub struct Journal<T> {
    entries: Mutex<Vec<T>>,
    length: watch::Sender<usize>,
}

impl<T: Clone> Journal<T> {
    pub fn new() -> Self {
        Self { entries: Mutex::new(Vec::new()), length: watch::Sender::new(0) }
    }

    pub fn push(&self, entry: T) {
        let length = {
            let mut entries = self.entries.lock().expect("no holder of the journal panics");
            entries.push(entry);
            entries.len()
        };
        self.length.send_replace(length);
    }

    pub fn all(&self) -> Vec<T> {
        self.entries.lock().expect("no holder of the journal panics").clone()
    }

    pub fn len(&self) -> usize {
        *self.length.borrow()
    }

    /// The first entry at or after position `mark` that `wanted` accepts, waiting until there is one.
    pub async fn first_after(&self, mark: usize, wanted: impl Fn(&T) -> bool) -> T {
        let mut length = self.length.subscribe();
        let mut position = mark;
        loop {
            length.borrow_and_update();
            {
                let entries = self.entries.lock().expect("no holder of the journal panics");
                if let Some(found) = entries.iter().skip(position).find(|entry| wanted(entry)) {
                    return found.clone();
                }
                position = position.max(entries.len());
            }
            length.changed().await.expect("the journal outlives its waiters");
        }
    }
}

/// The host's log: kept for the tests, and printed when a person is watching.
pub struct HostLog {
    pub lines: Journal<LogLine>,
    echo: bool,
}

impl HostLog {
    pub fn new(echo: bool) -> Self {
        Self { lines: Journal::new(), echo }
    }

    pub fn host(&self, level: Level, text: impl Into<String>) {
        self.write(LogLine { level, source: Source::Host, text: text.into() });
    }

    pub fn write(&self, line: LogLine) {
        if self.echo {
            let source = match &line.source {
                Source::Host => "host",
                Source::Console => "handler",
                Source::Function { name, .. } => name,
            };
            println!("[{:?}] {source}: {}", line.level, line.text);
        }
        self.lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_waiter_sees_entries_from_before_and_after_it_came() {
        let journal = Journal::new();
        journal.push(1);
        journal.push(2);
        assert_eq!(journal.first_after(0, |entry| *entry == 2).await, 2);
        let (found, ()) = tokio::join!(journal.first_after(2, |entry| *entry > 0), async { journal.push(3) });
        assert_eq!(found, 3);
    }
}
