//! `host.json`: enters as text, leaves as the few settings that the stand-in obeys. Unknown keys are ignored, as the host does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// How a function with exactly one HTTP trigger and one HTTP output reaches the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMode {
    /// The request as it is, streamed both ways.
    Proxying,
    /// A rebuilt copy, buffered (fact 12: forwarding does not stream).
    Forwarding,
    /// JSON Data and Metadata.
    Envelope,
}

/// The settings of a host, defaults filled in.
#[derive(Clone, Debug)]
pub struct HostJson {
    pub executable: PathBuf,
    pub arguments: Vec<String>,
    pub working_directory: PathBuf,
    pub http_mode: HttpMode,
    pub initialization_timeout: Duration,
    /// None: no limit.
    pub function_timeout: Option<Duration>,
    pub route_prefix: String,
    pub queues: Queues,
    pub poison_blob_threshold: u32,
    /// How many blobs are worked on at once, over all functions.
    pub blob_parallelism: usize,
}

/// `extensions.queues`.
#[derive(Clone, Debug)]
pub struct Queues {
    pub max_dequeue_count: u32,
    pub visibility_timeout: Duration,
    pub batch_size: usize,
    /// `messageEncoding` base64, the default: a plain text message ends in the poison queue.
    pub base64: bool,
}

impl HostJson {
    /// Reads `host.json` of the package in `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join("host.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(&text, root).with_context(|| format!("understand {}", path.display()))
    }

    fn parse(text: &str, root: &Path) -> Result<Self> {
        let file: File = serde_json::from_str(text)?;
        ensure!(file.version == "2.0", "version must be \"2.0\", it is \"{}\"", file.version);
        let handler = file.custom_handler.context("customHandler is missing: this would not be a custom handler")?;
        ensure!(handler.http.is_none(), "customHandler.http.routes cannot live beside a function.json (fact 13)");
        let description = handler.description;
        ensure!(!description.default_executable_path.is_empty(), "defaultExecutablePath is empty");
        if description.default_executable_path.starts_with("./") {
            bail!("defaultExecutablePath must be written exactly as in the zip, without ./ (fact 15)");
        }
        let queues = file.extensions.queues;
        Ok(Self {
            // A relative path is looked up under the script root, not under workingDirectory.
            executable: root.join(&description.default_executable_path),
            arguments: description.arguments,
            working_directory: root.join(&description.working_directory),
            http_mode: match (handler.enable_proxying_http_request, handler.enable_forwarding_http_request) {
                (true, _) => HttpMode::Proxying,
                (false, true) => HttpMode::Forwarding,
                (false, false) => HttpMode::Envelope,
            },
            initialization_timeout: match handler.initialization_timeout {
                Some(text) => time_span(&text)?,
                None => Duration::from_secs(30),
            },
            function_timeout: match file.function_timeout.as_deref() {
                Some("-1") => None,
                Some(text) => Some(time_span(text)?),
                None => Some(Duration::from_secs(5 * 60)),
            },
            route_prefix: file.extensions.http.route_prefix.unwrap_or_else(|| "api".into()).trim_matches('/').into(),
            queues: Queues {
                max_dequeue_count: queues.max_dequeue_count.unwrap_or(5),
                visibility_timeout: queues.visibility_timeout.map_or(Ok(Duration::ZERO), |text| time_span(&text))?,
                batch_size: queues.batch_size.unwrap_or(16).min(32),
                base64: !queues.message_encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case("none")),
            },
            poison_blob_threshold: file.extensions.blobs.poison_blob_threshold.unwrap_or(5),
            blob_parallelism: file.extensions.blobs.max_degree_of_parallelism.unwrap_or(8 * cores()),
        })
    }
}

/// Cores of this machine; several defaults are multiples of it.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A .NET `TimeSpan`: `hh:mm:ss`, or `d.hh:mm:ss`.
pub fn time_span(text: &str) -> Result<Duration> {
    let (days, clock) = match text.split_once('.') {
        Some((days, clock)) => (days.parse::<u64>()?, clock),
        None => (0, text),
    };
    let parts = clock.split(':').map(str::parse::<u64>).collect::<Result<Vec<_>, _>>();
    match parts.as_deref() {
        Ok([hours, minutes, seconds]) => Ok(Duration::from_secs(((days * 24 + hours) * 60 + minutes) * 60 + seconds)),
        _ => bail!("\"{text}\" is not a time span"),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    version: String,
    custom_handler: Option<CustomHandler>,
    function_timeout: Option<String>,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CustomHandler {
    description: Description,
    #[serde(default)]
    enable_proxying_http_request: bool,
    #[serde(default)]
    enable_forwarding_http_request: bool,
    initialization_timeout: Option<String>,
    http: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    default_executable_path: String,
    #[serde(default)]
    working_directory: String,
    #[serde(default)]
    arguments: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Extensions {
    http: HttpSection,
    queues: QueuesSection,
    blobs: BlobsSection,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct HttpSection {
    route_prefix: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct QueuesSection {
    max_dequeue_count: Option<u32>,
    visibility_timeout: Option<String>,
    batch_size: Option<usize>,
    message_encoding: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BlobsSection {
    poison_blob_threshold: Option<u32>,
    max_degree_of_parallelism: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_hosts() {
        let text = r#"{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"handler"}}}"#;
        let host = HostJson::parse(text, Path::new("/package")).expect("a minimal host.json is complete");
        assert_eq!(host.executable, Path::new("/package/handler"));
        assert_eq!(host.http_mode, HttpMode::Envelope);
        assert_eq!(host.initialization_timeout, Duration::from_secs(30));
        assert_eq!(host.function_timeout, Some(Duration::from_secs(300)));
        assert_eq!(host.route_prefix, "api");
        assert_eq!((host.queues.max_dequeue_count, host.queues.base64, host.poison_blob_threshold), (5, true, 5));
    }

    #[test]
    fn what_a_real_host_refuses_is_refused() {
        let with = |handler: &str, version: &str| {
            HostJson::parse(&format!(r#"{{"version":"{version}","customHandler":{handler}}}"#), Path::new("/p"))
        };
        assert!(with(r#"{"description":{"defaultExecutablePath":"h"}}"#, "1.0").is_err());
        assert!(with(r#"{"description":{"defaultExecutablePath":""}}"#, "2.0").is_err());
        assert!(with(r#"{"description":{"defaultExecutablePath":"./h"}}"#, "2.0").is_err());
        assert!(with(r#"{"description":{"defaultExecutablePath":"h"},"http":{"routes":[]}}"#, "2.0").is_err());
    }

    #[test]
    fn time_spans_are_read() {
        assert_eq!(time_span("00:10:00").expect("a span"), Duration::from_secs(600));
        assert_eq!(time_span("1.00:00:01").expect("a span"), Duration::from_secs(86_401));
        assert!(time_span("10").is_err());
    }
}
