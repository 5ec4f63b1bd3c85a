//! The `function.json` folders of a package: files enter, functions with their one trigger leave. Whatever the stand-in
//! does not imitate is refused aloud, so that no test passes by being skipped.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use serde::Deserialize;
use serde_json::Value;

use super::blob_path::BlobPath;

/// App settings, as the host and the handler see them.
pub type AppSettings = BTreeMap<String, String>;

/// A function of the package; its name is that of its folder.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub disabled: bool,
    pub trigger: Trigger,
}

/// What starts a function.
#[derive(Clone, Debug)]
pub enum Trigger {
    Http { auth: AuthLevel, methods: Option<Vec<String>>, route: String },
    Queue { binding: String, queue: String },
    Blob { binding: String, path: BlobPath },
    Timer { binding: String, schedule: Box<Cron>, run_on_startup: bool, use_monitor: bool },
}

/// Who may call an HTTP function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthLevel {
    Anonymous,
    Function,
    Admin,
}

/// Reads every folder of `root` that has a `function.json`, in the order of names.
pub fn read_all(root: &Path, settings: &AppSettings) -> Result<Vec<Function>> {
    let mut functions = Vec::new();
    for entry in std::fs::read_dir(root).with_context(|| format!("list {}", root.display()))? {
        let folder = entry?.path();
        let file = folder.join("function.json");
        if !file.is_file() {
            continue;
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        functions.push(parse(&name, &text, settings).with_context(|| format!("understand {}", file.display()))?);
    }
    functions.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(functions)
}

fn parse(name: &str, text: &str, settings: &AppSettings) -> Result<Function> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    ensure!(
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(good),
        "`{name}` is no function name"
    );
    let file: File = serde_json::from_str(text)?;
    let disabled = match file.disabled {
        Value::Bool(disabled) => disabled,
        Value::String(setting) => settings.get(&setting).is_some_and(|value| truthy(value)),
        _ => false,
    } || settings.get(&format!("AzureWebJobs.{name}.Disabled")).is_some_and(|value| truthy(value));
    let triggers = file.bindings.iter().filter(|binding| binding.kind.ends_with("Trigger")).count();
    ensure!(triggers == 1, "a function has exactly one trigger, this one has {triggers}");
    let is_http = file.bindings.iter().any(|binding| binding.kind == "httpTrigger");
    let http_outputs =
        file.bindings.iter().filter(|binding| binding.kind == "http" && binding.direction == "out").count();
    let others = file.bindings.len() - triggers - http_outputs;
    ensure!(others == 0, "bindings other than the trigger and an http output are not imitated");
    // Fact 12: proxying is only for functions with exactly one httpTrigger and one http output.
    ensure!(http_outputs == usize::from(is_http), "an HTTP function needs exactly one http output, others none");
    let trigger = file.bindings.into_iter().find(|binding| binding.kind.ends_with("Trigger"));
    let trigger = trigger.context("a function has a trigger")?.trigger(name, settings)?;
    Ok(Function { name: name.to_string(), disabled, trigger })
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    disabled: Value,
    bindings: Vec<Binding>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Binding {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default)]
    direction: String,
    auth_level: Option<String>,
    methods: Option<Vec<String>>,
    route: Option<String>,
    queue_name: Option<String>,
    path: Option<String>,
    source: Option<String>,
    connection: Option<String>,
    schedule: Option<String>,
    #[serde(default)]
    run_on_startup: bool,
    use_monitor: Option<bool>,
}

impl Binding {
    fn trigger(self, function: &str, settings: &AppSettings) -> Result<Trigger> {
        ensure!(self.direction == "in", "the direction of a trigger is \"in\"");
        match self.kind.as_str() {
            "httpTrigger" => Ok(Trigger::Http {
                auth: match self.auth_level.as_deref().map(str::to_ascii_lowercase).as_deref() {
                    Some("anonymous") => AuthLevel::Anonymous,
                    Some("function") | None => AuthLevel::Function,
                    Some("admin") => AuthLevel::Admin,
                    Some(other) => bail!("authLevel `{other}` is not imitated"),
                },
                methods: self.methods,
                // An empty route is no route: the function's name stands in.
                route: self.route.filter(|route| !route.is_empty()).unwrap_or_else(|| function.to_string()),
            }),
            "queueTrigger" => {
                check_connection(self.connection.as_deref(), settings)?;
                let queue = resolve(&self.queue_name.context("queueName is missing")?, settings)?;
                Ok(Trigger::Queue { binding: self.name, queue })
            }
            "blobTrigger" => {
                ensure!(self.source.is_none_or(|source| source != "EventGrid"), "source EventGrid is not imitated");
                check_connection(self.connection.as_deref(), settings)?;
                let path = BlobPath::parse(&resolve(&self.path.context("path is missing")?, settings)?)?;
                Ok(Trigger::Blob { binding: self.name, path })
            }
            "timerTrigger" => {
                let text = resolve(&self.schedule.context("schedule is missing")?, settings)?;
                let schedule = Box::new(parse_schedule(&text)?);
                let (run_on_startup, use_monitor) = (self.run_on_startup, self.use_monitor.unwrap_or(true));
                Ok(Trigger::Timer { binding: self.name, schedule, run_on_startup, use_monitor })
            }
            other => bail!("a {other} is not imitated"),
        }
    }
}

/// Six fields, seconds first; a day must satisfy both day fields, as NCRONTAB has it.
pub fn parse_schedule(text: &str) -> Result<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
    parser.parse(text).map_err(|error| anyhow::anyhow!("schedule `{text}`: {error}"))
}

/// Replaces each `%NAME%` by the app setting of that name; a missing one stops the function from being indexed.
fn resolve(text: &str, settings: &AppSettings) -> Result<String> {
    let mut resolved = String::new();
    for (position, part) in text.split('%').enumerate() {
        if position % 2 == 0 {
            resolved.push_str(part);
        } else {
            let value = settings.get(part).with_context(|| format!("app setting `{part}` of `{text}` is missing"))?;
            resolved.push_str(value);
        }
    }
    Ok(resolved)
}

/// A connection is an app setting (also under the prefix AzureWebJobs), or a group of settings `name__key`.
fn check_connection(connection: Option<&str>, settings: &AppSettings) -> Result<()> {
    let name = connection.filter(|name| !name.is_empty()).unwrap_or("AzureWebJobsStorage");
    let prefixed = format!("AzureWebJobs{name}");
    let group = format!("{name}__");
    let known = settings.keys().any(|key| *key == name || *key == prefixed || key.starts_with(&group));
    ensure!(known, "no app setting for connection `{name}`");
    Ok(())
}

fn truthy(value: &str) -> bool {
    value == "1" || value.eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> AppSettings {
        [("AzureWebJobsStorage", "x"), ("DOCUMENTS", "documents"), ("AzureWebJobs.off.Disabled", "1")]
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .into()
    }

    #[test]
    fn each_kind_of_trigger_is_read() {
        let http = r#"{"bindings":[{"type":"httpTrigger","direction":"in","name":"req","authLevel":"anonymous","methods":["get"],"route":"chat"},
            {"type":"http","direction":"out","name":"res"}]}"#;
        let function = parse("chat", http, &settings()).expect("the function is good");
        assert!(matches!(function.trigger, Trigger::Http { auth: AuthLevel::Anonymous, .. }));
        let blob =
            r#"{"bindings":[{"type":"blobTrigger","direction":"in","name":"blob","path":"%DOCUMENTS%/{name}"}]}"#;
        let function = parse("off", blob, &settings()).expect("the function is good");
        assert!(function.disabled);
        assert!(matches!(function.trigger, Trigger::Blob { path, .. } if path.container == "documents"));
    }

    #[test]
    fn what_is_not_imitated_is_refused() {
        let refused = [
            r#"{"bindings":[{"type":"queueTrigger","direction":"in","name":"m","queueName":"q","connection":"Elsewhere"}]}"#,
            r#"{"bindings":[{"type":"queueTrigger","direction":"in","name":"m","queueName":"%MISSING%"}]}"#,
            r#"{"bindings":[{"type":"queueTrigger","direction":"in","name":"m","queueName":"q"},{"type":"queue","direction":"out","name":"o"}]}"#,
            r#"{"bindings":[{"type":"httpTrigger","direction":"in","name":"req"}]}"#,
            r#"{"bindings":[{"type":"timerTrigger","direction":"in","name":"t","schedule":"*/5 * * * *"}]}"#,
        ];
        for text in refused {
            assert!(parse("f", text, &settings()).is_err(), "{text}");
        }
    }
}
