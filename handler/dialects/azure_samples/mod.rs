//! The dialects of the frontends of Azure-Samples' azure-search-openai-demo and of its many relatives. What enters are the
//! fields of a request, the same in both; what leaves has one shape until April 2026 and another one since.

mod before;
mod current;

use serde_json::{Value, json};

use super::fields::{self, Fields, invalid};
use super::{Decoded, Dialect, Echo, RequestLimits};
use crate::chat::tools::ToolUse;
use crate::chat::{ChatEvent, ChatRequest, Citation, Context, Role, filter};
use crate::error::Result;
use crate::index::filter::Filter;
use crate::models::Usage;

pub(super) use self::before::{lines as lines_before, whole as whole_before};
pub(super) use self::current::{lines, whole};

/// Most passages that a frontend may ask for.
const MOST_PASSAGES: usize = 50;

/// Whether a body is one of these: it names its session state in snake case, as all of them do, even to say that there is
/// none.
pub(super) fn is_body(body: &Fields) -> bool {
    body.has("session_state")
}

/// Reads `messages`, the last of them the question, and of the overrides those that say where to look, how far, and whether
/// questions that could come next are wanted. All others tune parts that are not there, and every frontend sends them all; they change nothing.
pub(super) fn decode(mut body: Fields, limits: RequestLimits) -> Result<Decoded> {
    let messages = fields::array(body.take("messages"), "messages", limits)?;
    let context = body.take("context");
    let session_state = body.take("session_state");
    body.finish("`messages`, `context` and `session_state`")?;
    let overrides = &context["overrides"];
    let filter = filter_of(&context["filter"], overrides)?;
    let passages = passages(&overrides["top"])?;
    let wants_follow_ups = overrides["suggest_followup_questions"] == true;
    let conversation = fields::conversation(&context["conversation_id"], "context.conversation_id")?;
    let Some((last, earlier)) = messages.split_last() else {
        return Err(invalid("`messages` is empty"));
    };
    let history = fields::turns(earlier, "messages")?;
    let at = earlier.len();
    if fields::turn(last, "messages", at)?.is_none_or(|turn| turn.role != Role::User) {
        return Err(invalid(&format!("`messages[{at}]`, the last one, is not from the user")));
    }
    let question = fields::question(&last["content"], &format!("messages[{at}].content"), limits)?;
    let echo = Echo { dialect: dialect_of(overrides), session_state, turn: None };
    let request = ChatRequest { history, filter, passages, wants_follow_ups, ..ChatRequest::of(question) };
    Ok(Decoded { request, conversation, echo })
}

/// The requests are alike; only the settings that a frontend knows of tell how old it is. `use_agentic_knowledgebase` came
/// shortly before the shape changed.
fn dialect_of(overrides: &Value) -> Dialect {
    match overrides.get("use_agentic_knowledgebase") {
        Some(_) => Dialect::AzureSamples,
        None => Dialect::AzureSamplesBefore,
    }
}

fn filter_of(filter: &Value, overrides: &Value) -> Result<Filter> {
    let mut filter = filter::read(filter, "context.filter")?;
    for (name, field) in [("include_category", "category"), ("exclude_category", "exclude_category")] {
        let named = match &overrides[name] {
            Value::Null => continue,
            Value::String(named) => named.trim(),
            _ => return Err(invalid(&format!("`context.overrides.{name}` is not a string"))),
        };
        // What the select box says before anybody chose.
        if named.is_empty() || named == "All" {
            continue;
        }
        let read = filter::read(&json!({ field: named }), "context.overrides")?;
        filter.category = read.category.or(filter.category);
        filter.exclude_category = read.exclude_category.or(filter.exclude_category);
    }
    Ok(filter)
}

fn passages(top: &Value) -> Result<Option<usize>> {
    if top.is_null() {
        return Ok(None);
    }
    let count = top.as_u64().and_then(|top| usize::try_from(top).ok()).filter(|top| (1..=MOST_PASSAGES).contains(top));
    let refused = || invalid(&format!("`context.overrides.top` is not a number from 1 to {MOST_PASSAGES}"));
    count.map(Some).ok_or_else(refused)
}

/// What an answer rests on, as it gathers.
#[derive(Default)]
struct Gathered {
    found: Option<Context>,
    /// How many passages were found before a tool was used.
    first: usize,
    tools: Vec<ToolUse>,
    usage: Option<Usage>,
    model: Option<String>,
    follow_ups: Option<Vec<String>>,
}

impl Gathered {
    fn of(events: &[ChatEvent]) -> Self {
        let mut gathered = Self::default();
        events.iter().for_each(|event| gathered.add(event));
        gathered
    }

    fn add(&mut self, event: &ChatEvent) {
        match event {
            ChatEvent::Context(found) => {
                self.first = found.passages.len();
                self.found = Some(found.clone());
            }
            ChatEvent::FoundMore(found) => self.found = Some(found.clone()),
            ChatEvent::ToolCall(used) => self.tools.push(used.clone()),
            ChatEvent::Usage(usage) => self.usage = Some(*usage),
            ChatEvent::Done(done) => self.model = Some(done.model.clone()),
            ChatEvent::FollowUps(questions) => self.follow_ups = Some(questions.clone()),
            ChatEvent::Text(_) | ChatEvent::Citation(_) => {}
        }
    }

    /// `source: text` of each passage, with the source as answers cite it.
    fn texts(&self) -> Vec<String> {
        self.passages().map(|(source, passage)| format!("{source}: {}", passage.text)).collect()
    }

    fn passages(&self) -> impl Iterator<Item = (String, &crate::document::Passage)> {
        let cited = self.found.iter().flat_map(|found| &found.passages);
        cited.map(|cited| (escaped(&cited.passage.source()), &*cited.passage))
    }

    /// The steps that a frontend shows under "thought process".
    fn thoughts(&self) -> Vec<Value> {
        let Some(found) = &self.found else { return Vec::new() };
        let results: Vec<Value> = self
            .passages()
            .map(|(source, passage)| {
                json!({
                    "type": "searchIndex", "id": passage.id, "content": passage.text, "category": null,
                    "sourcepage": source, "sourcefile": passage.name, "oids": null, "groups": null, "captions": [],
                    "score": null, "reranker_score": null, "activity": null, "images": null,
                })
            })
            .collect();
        let how = json!({ "top": self.first, "retrieval": found.retrieval, "generation": found.generation });
        let mut thoughts = vec![
            json!({ "title": "Search using generated search query", "description": found.query, "props": how }),
            json!({ "title": "Search results", "description": results, "props": null }),
        ];
        for used in &self.tools {
            let props = json!({ "is_error": used.is_error, "proposal": used.proposal });
            thoughts.push(json!({ "title": used.name, "description": used.summary, "props": props }));
        }
        if let Some(model) = &self.model {
            let mut props = json!({ "model": model });
            if let Some(usage) = self.usage {
                props["token_usage"] = token_usage(usage);
            }
            // What a model was told is the product's own; frontends want the step.
            thoughts.push(json!({ "title": "Prompt to generate answer", "description": [], "props": props }));
        }
        thoughts
    }
}

fn token_usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "reasoning_tokens": 0,
        "total_tokens": usage.prompt_tokens.saturating_add(usage.completion_tokens),
    })
}

/// A source as it stands in an answer; frontends look for the very same among those of the passages.
fn escaped(source: &str) -> String {
    source.replace('[', "%5B").replace(']', "%5D")
}

/// A citation as it stands in an answer.
fn inline(citation: &Citation) -> String {
    super::inline(citation)
}

#[cfg(test)]
mod tests;
