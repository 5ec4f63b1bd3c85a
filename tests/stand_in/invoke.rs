//! One delivery of an envelope: posted to `/{FunctionName}`, and the answer held against the contract.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use serde_json::{Map, Value};

use super::host::Host;
use super::log::{Invocation, Level, LogLine, Outcome, Source};
use super::wire::{self, HOST_VERSION};

/// Size of the pieces in which the envelope is sent.
const CHUNK: usize = 64 * 1024;

/// What to deliver.
pub struct Delivery<'a> {
    pub function: &'a str,
    pub subject: &'a str,
    pub attempt: u32,
    pub envelope: Value,
}

/// The parts of a good answer.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    logs: Vec<String>,
    outputs: Value,
}

/// What an answer's bytes mean.
#[derive(Debug, PartialEq)]
enum Verdict {
    Good(Answer),
    Bad(String),
    /// Fact 1: a 2xx without a result never completes the invocation.
    Never,
}

impl Host {
    /// Delivers, waits for the outcome, writes it down.
    pub async fn deliver(&self, delivery: Delivery<'_>) -> Invocation {
        let mut invocation = self.begin(delivery.function, delivery.subject, delivery.attempt);
        if let Err(error) = self.process.ready().await {
            invocation.outcome = Outcome::Failed(format!("{error:#}"));
            self.finish(invocation.clone());
            return invocation;
        }
        let exchange = self.exchange(&delivery, &mut invocation);
        let outcome = match self.settings.function_timeout {
            None => exchange.await,
            Some(limit) => match tokio::time::timeout(limit, exchange).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    // Fact 10: the timeout of one kills the process, and with it all the others.
                    self.process.restart_after_timeout().await;
                    Outcome::Failed(timeout_text(delivery.function, limit))
                }
            },
        };
        invocation.outcome = outcome;
        self.finish(invocation.clone());
        invocation
    }

    async fn exchange(&self, delivery: &Delivery<'_>, invocation: &mut Invocation) -> Outcome {
        let (status, headers, body) = match self.post(delivery, &invocation.invocation_id).await {
            Ok(answer) => answer,
            Err(error) => return Outcome::Failed(format!("the handler did not answer: {error:#}")),
        };
        invocation.status = Some(status);
        match judge(status, &headers, &body) {
            Verdict::Bad(reason) => Outcome::Failed(reason),
            Verdict::Never => std::future::pending().await,
            Verdict::Good(answer) => {
                for text in &answer.logs {
                    let source = Source::Function {
                        name: invocation.function.clone(),
                        invocation_id: invocation.invocation_id.clone(),
                    };
                    self.log.write(LogLine { level: Level::Information, source, text: text.clone() });
                }
                invocation.logs = answer.logs;
                invocation.outputs = answer.outputs;
                Outcome::Succeeded
            }
        }
    }

    async fn post(&self, delivery: &Delivery<'_>, invocation_id: &str) -> anyhow::Result<(u16, HeaderMap, Bytes)> {
        let port = self.process.port;
        let envelope = Bytes::from(serde_json::to_vec(&delivery.envelope)?);
        let starts = (0..envelope.len()).step_by(CHUNK);
        let pieces: Vec<_> = starts.map(|start| envelope.slice(start..envelope.len().min(start + CHUNK))).collect();
        // Fact 5: a body of unknown length, so it goes out chunked and without Content-Length.
        let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::convert::Infallible>)));
        let request = Request::post(format!("/{}", delivery.function))
            .header(HOST, format!("127.0.0.1:{port}"))
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .header("X-Azure-Functions-HostVersion", HOST_VERSION)
            .header("X-Azure-Functions-InvocationId", invocation_id)
            .header(USER_AGENT, format!("Azure-Functions-Host/{HOST_VERSION}"))
            .body(body)?;
        let (response, _connection) = wire::send(wire::connect(port).await?, request).await?;
        let (head, body) = response.into_parts();
        Ok((head.status.as_u16(), head.headers, body.collect().await?.to_bytes()))
    }
}

/// How the host words a timeout.
pub fn timeout_text(function: &str, limit: Duration) -> String {
    format!("timeout of {limit:?} exceeded by function '{function}', the handler is restarted")
}

fn judge(status: u16, headers: &HeaderMap, body: &[u8]) -> Verdict {
    if !(200..300).contains(&status) {
        return Verdict::Bad(format!("the handler answered {status}"));
    }
    if body.is_empty() {
        return Verdict::Never;
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type != "application/json" && media_type != "text/json" {
        return Verdict::Bad(format!("invalid answer: content type `{content_type}` is not JSON"));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Null) => Verdict::Never,
        Ok(Value::Object(members)) => read_members(members),
        Ok(_) => Verdict::Bad("invalid answer: not a JSON object".into()),
        Err(error) => Verdict::Bad(format!("invalid answer: {error}")),
    }
}

/// Names of members are read without regard to case; all of them may be missing.
fn read_members(members: Map<String, Value>) -> Verdict {
    let mut answer = Answer::default();
    for (name, value) in members {
        match (name.to_ascii_lowercase().as_str(), value) {
            ("logs", Value::Array(lines)) => {
                for line in lines {
                    match line {
                        Value::String(text) => answer.logs.push(text),
                        Value::Null => {}
                        Value::Array(_) | Value::Object(_) => {
                            return Verdict::Bad("invalid answer: Logs holds no scalar".into());
                        }
                        scalar => answer.logs.push(scalar.to_string()),
                    }
                }
            }
            ("outputs", outputs @ Value::Object(_)) => answer.outputs = outputs,
            ("logs" | "outputs", Value::Null) => {}
            ("logs" | "outputs", _) => return Verdict::Bad(format!("invalid answer: {name} has the wrong type")),
            _ => {}
        }
    }
    Verdict::Good(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, content_type: &str, body: &str) -> Verdict {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, content_type.parse().expect("a header value"));
        }
        judge(status, &headers, body.as_bytes())
    }

    #[test]
    fn the_contract_of_answers_is_kept() {
        let json = "application/json";
        assert_eq!(judged(200, json, "{}"), Verdict::Good(Answer::default()));
        let full = judged(201, "text/json; charset=utf-8", r#"{"outputs":{"a":1},"LOGS":["x",1],"ReturnValue":2}"#);
        let logs = vec!["x".to_string(), "1".to_string()];
        assert_eq!(full, Verdict::Good(Answer { logs, outputs: serde_json::json!({"a": 1}) }));
        for (status, content_type, body) in [(204, "", ""), (200, json, ""), (200, json, " null ")] {
            assert_eq!(judged(status, content_type, body), Verdict::Never, "{status} {body}");
        }
        for (status, content_type, body) in [
            (500, json, "{}"),
            (302, json, "{}"),
            (200, "text/plain", "{}"),
            (200, "", "{}"),
            (200, json, "{"),
            (200, json, "[]"),
            (200, json, r#"{"Logs":"x"}"#),
            (200, json, r#"{"Logs":[{}]}"#),
        ] {
            assert!(matches!(judged(status, content_type, body), Verdict::Bad(_)), "{status} {content_type} {body}");
        }
    }
}
