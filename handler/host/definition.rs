//! Function definitions: what each `function-definitions/<name>/function.json` says, built into the binary, so that the
//! local host and the tests work from the very files that the Functions host reads.

use serde::Deserialize;

/// One function.json.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Definition {
    /// Trigger first, then outputs.
    pub bindings: Vec<Binding>,
}

/// One binding.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of function.json, and named as there")]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Binding {
    /// Someone asks.
    HttpTrigger { name: String, methods: Vec<String>, route: String, auth_level: String },
    /// The answer.
    Http { name: String },
    /// A blob was created or replaced.
    BlobTrigger { name: String, path: String, connection: String },
    /// A message came.
    QueueTrigger { name: String, queue_name: String, connection: String },
    /// Time passed.
    TimerTrigger { name: String, schedule: String },
}

impl Definition {
    /// Reads one function.json.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// The binding that starts the function.
    pub fn trigger(&self) -> Option<&Binding> {
        self.bindings.iter().find(|binding| !matches!(binding, Binding::Http { .. }))
    }
}
