//! A model with tools, in a few rounds. What enters is a request with what was found for it, what leaves are the model's words,
//! what it used and which passages that brought. A call of a tool is answered before anything else is said, under its id; what
//! a tool says is data behind the mark of the request, and a tool that is not offered is never used.
//!
//! Where too little was found, the words wait until a tool has brought something that an answer can rest on. When none does,
//! nothing is said.

use std::sync::Arc;

use futures_util::stream::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use crate::chat::outgoing::OutgoingFilter;
use crate::chat::tools::shelf::Shelf;
use crate::chat::tools::{Desk, Told, ToolUse, refused};
use crate::chat::{Chat, ChatRequest, CitedPassage, Turn, prompt};
use crate::document::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::models::openai::OpenAiModel;
use crate::models::{Finish, Message, ModelEvent, ModelRequest, ToolCall, ToolDefinition, Usage};
use crate::telemetry::calls;
use crate::tokens::estimate;

/// Calls of one round that are answered; the others are told to wait.
const CALLS: usize = 4;
/// With less room than this, in tokens, a tool could say nothing.
const LEAST_ROOM: usize = 300;
/// Characters of the line that tells a person of a tool.
const SUMMARY_CHARS: usize = 200;

/// What happens while a model answers.
pub enum Said {
    /// The next words.
    Words(String),
    /// What a call of a model cost.
    Spent(Usage),
    /// A tool was used.
    Used(ToolUse),
    /// Passages that can be cited from now on.
    Found(Vec<CitedPassage>),
    /// Names of documents that can be told without a passage.
    Named(Vec<String>),
    /// There is nothing to say: too little was found.
    Nothing,
    /// The answer is over.
    Ended(Finish),
}

/// What a model answers from.
pub struct Task<'a> {
    /// Model, tools and settings.
    pub chat: &'a Chat,
    /// Who asks.
    pub principal: &'a Principal,
    /// What is asked.
    pub request: &'a ChatRequest,
    /// What was said before, as far as it is shown.
    pub history: &'a [Turn],
    /// What was found.
    pub passages: Vec<CitedPassage>,
    /// The estimated tokens of all of this.
    pub tokens: usize,
    /// Whether that is enough for an answer.
    pub is_enough: bool,
    /// When the last word has to be there.
    pub deadline: Instant,
}

/// Has a model answer.
pub fn run<'a>(model: &'a OpenAiModel, mut task: Task<'a>) -> impl Stream<Item = Result<Said>> + Send + 'a {
    async_stream::try_stream! {
        let mut conversation = Conversation::begin(model, &mut task);
        let mut is_open = task.is_enough;
        let mut finish = Finish::Complete;
        for round in 0..=task.chat.settings.tool_rounds {
            let request = conversation.request(round < task.chat.settings.tool_rounds, is_open, &task);
            let may_call = request.may_call;
            if !is_open && !may_call {
                break;
            }
            let (mut said, mut wanted) = (String::new(), Vec::new());
            let words = calls::outside("model", "chat").with_model(model.name()).stream(model.stream(request).boxed());
            for await event in words {
                let event = match event {
                    // Nobody has been told anything yet, and without tools there is nothing to tell.
                    Err(_) if !is_open => break,
                    event => event?,
                };
                match event {
                    ModelEvent::Text(words) => {
                        said.push_str(&words);
                        if is_open {
                            yield Said::Words(words);
                        }
                    }
                    ModelEvent::Usage(usage) => yield Said::Spent(usage),
                    ModelEvent::ToolCalls(calls) => wanted = calls,
                    ModelEvent::Finished(how) => finish = how,
                }
            }
            if wanted.is_empty() {
                break;
            }
            if is_open && !said.trim().is_empty() {
                yield Said::Words("\n\n".to_owned());
            }
            conversation.wants(said, &wanted);
            for (at, call) in wanted.iter().enumerate() {
                let room = conversation.room(&task) / (wanted.len().min(CALLS).saturating_sub(at)).max(1);
                let (used, told) = conversation.answer(call, at, room, &task).await?;
                is_open |= told.is_evidence;
                if let Some(usage) = told.usage {
                    yield Said::Spent(usage);
                }
                if let Some(used) = used {
                    yield Said::Used(seen(used, task.chat));
                }
                let new = conversation.shelf.take_new();
                if !new.is_empty() {
                    yield Said::Found(new);
                }
                if !told.names.is_empty() {
                    yield Said::Named(told.names);
                }
            }
        }
        if !is_open {
            yield Said::Nothing;
        }
        yield Said::Ended(finish);
    }
}

/// The messages so far, and what their numbers stand for.
struct Conversation {
    code: String,
    messages: Vec<Message>,
    /// Their estimated tokens, those of the tools among them.
    tokens: usize,
    tools: Arc<[ToolDefinition]>,
    shelf: Shelf,
}

impl Conversation {
    fn begin(model: &OpenAiModel, task: &mut Task<'_>) -> Self {
        let code = prompt::random_code();
        let messages = prompt::messages(task.request, task.history, &task.passages, &code);
        let mut tokens = task.tokens;
        let mut tools = Arc::default();
        if task.chat.settings.tool_rounds > 0 && model.takes_tools() {
            let offer = task.chat.tools.offer(task.request.may_propose);
            tokens += offer.tokens;
            tools = Arc::clone(&offer.tools);
        }
        Self { code, messages, tokens, tools, shelf: Shelf::of(std::mem::take(&mut task.passages)) }
    }

    /// What the model is asked next. Where there may be nothing to say, nobody waits for it all of the time.
    fn request(&self, is_round_of_tools: bool, is_open: bool, task: &Task<'_>) -> ModelRequest {
        let left = task.deadline.saturating_duration_since(Instant::now());
        ModelRequest {
            messages: self.messages.clone(),
            max_answer_tokens: task.chat.settings.max_answer_tokens,
            deadline: if is_open { task.deadline } else { task.deadline - left / 2 },
            tools: Arc::clone(&self.tools),
            may_call: is_round_of_tools && !self.tools.is_empty() && self.room(task) >= LEAST_ROOM,
            is_streamed: task.request.is_streamed,
        }
    }

    /// The tokens that are left for what tools say.
    fn room(&self, task: &Task<'_>) -> usize {
        let answer = usize::try_from(task.chat.settings.max_answer_tokens).unwrap_or(usize::MAX);
        task.chat.settings.context_tokens.saturating_sub(self.tokens.saturating_add(answer))
    }

    /// Notes what the model wants, in a form that every server takes back: arguments that are no JSON would be refused.
    fn wants(&mut self, text: String, calls: &[ToolCall]) {
        let is_json = |call: &ToolCall| serde_json::from_str::<serde_json::Value>(&call.arguments).is_ok();
        let kept = |call: &ToolCall| match is_json(call) {
            true => call.clone(),
            false => ToolCall { arguments: "{}".to_owned(), ..call.clone() },
        };
        self.push(Message::Called { text, calls: calls.iter().map(kept).collect() });
    }

    /// Uses the tool of a call, and tells the model what came of it.
    async fn answer(
        &mut self,
        call: &ToolCall,
        at: usize,
        room: usize,
        task: &Task<'_>,
    ) -> Result<(Option<ToolUse>, Told)> {
        let desk = Desk {
            chat: task.chat,
            principal: task.principal,
            filter: &task.request.filter,
            may_propose: task.request.may_propose,
            deadline: task.deadline,
            room,
        };
        let (used, told) = match at < CALLS && room >= LEAST_ROOM / CALLS {
            true => {
                let running = task.chat.tools.run(desk, call, &mut self.shelf);
                let too_late = |_| Error::new(ErrorKind::DeadlineExceeded, "a tool was not done in time");
                timeout_at(task.deadline, running).await.map_err(too_late)??
            }
            false => (None, refused("there is no room for more; answer from what you have")),
        };
        let text = format!("material {0}\n{1}\nend of material {0}", self.code, told.text);
        self.push(Message::Answered { call: call.id.clone(), text });
        Ok((used, told))
    }

    fn push(&mut self, message: Message) {
        self.tokens += tokens_of(&message);
        self.messages.push(message);
    }
}

/// What a person is told of a tool: it may hold words of the model.
fn seen(used: ToolUse, chat: &Chat) -> ToolUse {
    let mut filter = OutgoingFilter::new(&chat.settings.links, Vec::new());
    let summary = filter.push(&used.summary) + &filter.finish();
    ToolUse { summary: summary.chars().take(SUMMARY_CHARS).collect(), ..used }
}

fn tokens_of(message: &Message) -> usize {
    match message {
        Message::Said(_, text) | Message::Answered { text, .. } => estimate(text),
        Message::Called { text, calls } => {
            estimate(text) + calls.iter().map(|call| estimate(&call.arguments) + estimate(&call.name)).sum::<usize>()
        }
    }
}
