//! The JSON of a chat completion, as sent and as it comes back. Only the fields that are used are read, and every one may
//! be missing: compatible servers agree on little more than the text. It knows the protocol and nothing of connections.

use async_openai::types::chat::{
    ChatCompletionMessageToolCall, ChatCompletionMessageToolCalls, ChatCompletionRequestAssistantMessage,
    ChatCompletionRequestMessage, ChatCompletionRequestSystemMessage, ChatCompletionRequestToolMessage,
    ChatCompletionRequestUserMessage, ChatCompletionStreamOptions, ChatCompletionTool, ChatCompletionToolChoiceOption,
    ChatCompletionTools, CreateChatCompletionRequest, FunctionCall, FunctionObject, ToolChoiceOptions,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure::{Failure, Reason, Refusal};
use super::tool_calls::ToolCallDelta;
use super::{OpenAiSettings, ServerKind};
use crate::error::Result;
use crate::models::{Finish, Message, ModelRequest, Speaker, ToolCall, ToolDefinition, Usage};

/// The host of OpenAI itself, whose newer models know only the newer name of the token limit.
const OPENAI_HOST: &str = "api.openai.com";

fn is_openai(settings: &OpenAiSettings) -> bool {
    settings.servers.iter().any(|server| server.endpoint.host_str() == Some(OPENAI_HOST))
}

/// The body of a request.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct RequestBody(CreateChatCompletionRequest);

impl RequestBody {
    pub(super) fn new(settings: &OpenAiSettings, request: &ModelRequest, is_streamed: bool) -> Self {
        let with_usage = ChatCompletionStreamOptions { include_usage: Some(true), include_obfuscation: None };
        let mut body = CreateChatCompletionRequest {
            model: settings.model.clone(),
            messages: request.messages.iter().map(message).collect(),
            stream: Some(is_streamed),
            stream_options: is_streamed.then_some(with_usage),
            ..CreateChatCompletionRequest::default()
        };
        if !request.tools.is_empty() {
            body.tools = Some(request.tools.iter().map(tool).collect());
            let none = ChatCompletionToolChoiceOption::Mode(ToolChoiceOptions::None);
            body.tool_choice = (!request.may_call).then_some(none);
        }
        let knows_new_name = settings.kind == ServerKind::Azure || is_openai(settings);
        if knows_new_name {
            body.max_completion_tokens = Some(request.max_answer_tokens);
        } else {
            set_max_tokens(&mut body, request.max_answer_tokens);
        }
        Self(body)
    }
}

#[expect(deprecated, reason = "OpenAI has renamed the field, most compatible servers only know the old name")]
fn set_max_tokens(body: &mut CreateChatCompletionRequest, limit: u32) {
    body.max_tokens = Some(limit);
}

fn message(message: &Message) -> ChatCompletionRequestMessage {
    match message {
        Message::Said(Speaker::System, text) => ChatCompletionRequestSystemMessage::from(text.as_str()).into(),
        Message::Said(Speaker::User, text) => ChatCompletionRequestUserMessage::from(text.as_str()).into(),
        Message::Said(Speaker::Assistant, text) => ChatCompletionRequestAssistantMessage::from(text.as_str()).into(),
        Message::Called { text, calls } => ChatCompletionRequestAssistantMessage {
            content: (!text.is_empty()).then(|| text.clone().into()),
            tool_calls: Some(calls.iter().map(tool_call).collect()),
            ..ChatCompletionRequestAssistantMessage::default()
        }
        .into(),
        Message::Answered { call, text } => {
            let content = text.clone().into();
            ChatCompletionRequestToolMessage { content, tool_call_id: call.clone() }.into()
        }
    }
}

fn tool_call(call: &ToolCall) -> ChatCompletionMessageToolCalls {
    let function = FunctionCall { name: call.name.clone(), arguments: call.arguments.clone() };
    ChatCompletionMessageToolCalls::Function(ChatCompletionMessageToolCall { id: call.id.clone(), function })
}

fn tool(tool: &ToolDefinition) -> ChatCompletionTools {
    let function = FunctionObject {
        name: tool.name.clone(),
        description: Some(tool.description.clone()),
        parameters: Some(tool.parameters.clone()),
        strict: None,
    };
    ChatCompletionTools::Function(ChatCompletionTool { function })
}

/// One event of the stream; or the whole answer, which has the same form but for one name.
#[derive(Deserialize)]
pub(super) struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<WireUsage>,
    prompt_filter_results: Option<Vec<PromptFilter>>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    delta: Option<Delta>,
    /// What a whole answer has in its place.
    message: Option<Delta>,
    finish_reason: Option<String>,
    content_filter_results: Option<FilterResults>,
    content_filter_result: Option<FilterResults>,
}

impl Choice {
    fn said(&self) -> Option<&Delta> {
        self.delta.as_ref().or(self.message.as_ref())
    }
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Vec<ToolCallDelta>>,
}

#[derive(Deserialize)]
struct PromptFilter {
    content_filter_results: Option<FilterResults>,
    content_filter_result: Option<FilterResults>,
}

/// What Azure's filter says. It has an error in it when the filter did not run.
#[derive(Deserialize)]
struct FilterResults {
    error: Option<Value>,
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
}

impl Chunk {
    /// Refuses a chunk that reports an error, was filtered, or was not looked at by the filter.
    pub(super) fn check(&self) -> Result<()> {
        match self.reason_to_stop() {
            Some(reason) => Err(Failure::Refused(Refusal::in_stream(reason)).into_error()),
            None => Ok(()),
        }
    }

    /// The words of the first choice; we never ask for more than one. A refusal in the model's words counts as its answer.
    pub(super) fn text(&self) -> Option<String> {
        let delta = self.choice()?.said()?;
        delta.content.as_ref().or(delta.refusal.as_ref()).filter(|text| !text.is_empty()).cloned()
    }

    /// Parts of the calls that the first choice makes.
    pub(super) fn tool_calls(&mut self) -> Vec<ToolCallDelta> {
        let choices = self.choices.as_mut().into_iter().flatten().filter(|choice| choice.index == 0);
        let deltas = choices.filter_map(|choice| choice.delta.as_mut().or(choice.message.as_mut())?.tool_calls.take());
        deltas.flatten().collect()
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let usage = self.usage.as_ref()?;
        Some(Usage { prompt_tokens: usage.prompt_tokens, completion_tokens: usage.completion_tokens })
    }

    pub(super) fn finish(&self) -> Option<Finish> {
        match self.choice()?.finish_reason.as_deref()? {
            "length" => Some(Finish::Truncated),
            _ => Some(Finish::Complete),
        }
    }

    fn choice(&self) -> Option<&Choice> {
        self.choices.as_ref()?.iter().find(|choice| choice.index == 0)
    }

    fn reason_to_stop(&self) -> Option<Reason> {
        if let Some(error) = &self.error {
            return Some(Reason::of(error));
        }
        let prompts = self
            .prompt_filter_results
            .iter()
            .flatten()
            .flat_map(|p| [&p.content_filter_results, &p.content_filter_result]);
        let answers = self.choices.iter().flatten().flat_map(|c| [&c.content_filter_results, &c.content_filter_result]);
        if prompts.chain(answers).flatten().any(|results| results.error.is_some()) {
            return Some(Reason::FilterDown);
        }
        let was_filtered = |choice: &Choice| choice.finish_reason.as_deref() == Some("content_filter");
        self.choices.iter().flatten().any(was_filtered).then_some(Reason::ContentFilter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn chunk(json: &str) -> Chunk {
        serde_json::from_str(json).expect("a chunk")
    }

    #[test]
    fn reads_text_usage_and_finish_from_sparse_chunks() {
        assert_eq!(chunk(r#"{"choices":[{"delta":{"content":"Hi"}}]}"#).text().as_deref(), Some("Hi"));
        assert_eq!(chunk(r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#).text(), None);
        assert_eq!(
            chunk(r#"{"choices":[{"index":0,"delta":{"content":null,"refusal":"No."}}]}"#).text().as_deref(),
            Some("No.")
        );
        assert_eq!(chunk(r#"{"choices":[{"index":1,"delta":{"content":"other"}}]}"#).text(), None);
        let usage =
            chunk(r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#).usage();
        assert_eq!(usage, Some(Usage { prompt_tokens: 7, completion_tokens: 2 }));
        assert_eq!(chunk(r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#).finish(), Some(Finish::Truncated));
        assert!(chunk("{}").check().is_ok());
    }

    #[test]
    fn stops_at_errors_filters_and_filters_that_did_not_run() {
        let kind = |json: &str| chunk(json).check().expect_err(json).kind();
        assert_eq!(kind(r#"{"error":{"message":"x","code":"rate_limit_exceeded"}}"#), ErrorKind::ModelBusy);
        assert_eq!(kind(r#"{"error":"x"}"#), ErrorKind::ModelFailed);
        assert_eq!(kind(r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#), ErrorKind::ContentFiltered);
        let down = r#"{"choices":[{"delta":{"content":"x"},"content_filter_results":{"error":{"code":"content_filter_error"}}}]}"#;
        assert_eq!(kind(down), ErrorKind::ModelFailed);
        let prompt = r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"error":{"code":"content_filter_error"}}}]}"#;
        assert_eq!(kind(prompt), ErrorKind::ModelFailed);
        assert!(
            chunk(r#"{"choices":[{"delta":{"content":"x"},"content_filter_results":{"hate":{"filtered":false}}}]}"#)
                .check()
                .is_ok()
        );
    }
}
