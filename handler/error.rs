//! The one error type and the one table of its kinds. A kind says what the caller can do; the table gives it a code, an
//! HTTP status and whether trying again can help. The cause stays inside, for the log; the sentence may be shown.

use std::fmt;
use std::time::Duration;

use crate::reason::Reason;

/// What callers are told to wait when nothing says how long a service will be away.
const UNAVAILABLE_SECONDS: u32 = 5;

/// What went wrong, sorted by what can be done about it. The table in [`ErrorKind::row`] is the only place that maps kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table says what each kind is called")]
pub enum ErrorKind {
    MalformedJson,
    InvalidRequest,
    InvalidName,
    UnsupportedMediaType,
    BodyTooLarge,
    Unauthenticated,
    InvalidToken,
    InsufficientScope,
    GroupsOverage,
    AuthUnavailable,
    ForeignOrigin,
    NotFound,
    MethodNotAllowed,
    PreconditionFailed,
    QuotaExceeded,
    TooManyRequests,
    TokenBudgetUsed,
    Overloaded,
    NotThroughFrontDoor,
    ConversationBusy,
    KeyInUse,
    KeyReused,
    AddressRefused,
    FetchFailed,
    ActionNotAllowed,
    ActionDecided,
    ActionFailed,
    ActionUnknown,
    ContentFiltered,
    DocumentTooLarge,
    DocumentUnsupported,
    DocumentEmpty,
    DocumentDamaged,
    DocumentEncrypted,
    DocumentWithoutText,
    DocumentOverLimit,
    StoreUnavailable,
    IndexDamaged,
    BackupDamaged,
    EmbeddingMismatch,
    ModelBusy,
    ModelFailed,
    DeadlineExceeded,
    Misconfigured,
    Internal,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// Stable word for programs; the last part of the problem's `type`.
    pub code: &'static str,
    /// HTTP status of the answer.
    pub status: u16,
    /// Short human name of the problem.
    pub title: &'static str,
    /// Whether the same call may succeed later without a change.
    pub passing: bool,
}

impl ErrorKind {
    /// Every kind, for listings and tests.
    pub const ALL: &'static [ErrorKind] = &[
        Self::MalformedJson,
        Self::InvalidRequest,
        Self::InvalidName,
        Self::UnsupportedMediaType,
        Self::BodyTooLarge,
        Self::Unauthenticated,
        Self::InvalidToken,
        Self::InsufficientScope,
        Self::GroupsOverage,
        Self::AuthUnavailable,
        Self::ForeignOrigin,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::PreconditionFailed,
        Self::QuotaExceeded,
        Self::TooManyRequests,
        Self::TokenBudgetUsed,
        Self::Overloaded,
        Self::NotThroughFrontDoor,
        Self::ConversationBusy,
        Self::KeyInUse,
        Self::KeyReused,
        Self::AddressRefused,
        Self::FetchFailed,
        Self::ActionNotAllowed,
        Self::ActionDecided,
        Self::ActionFailed,
        Self::ActionUnknown,
        Self::ContentFiltered,
        Self::DocumentTooLarge,
        Self::DocumentUnsupported,
        Self::DocumentEmpty,
        Self::DocumentDamaged,
        Self::DocumentEncrypted,
        Self::DocumentWithoutText,
        Self::DocumentOverLimit,
        Self::StoreUnavailable,
        Self::IndexDamaged,
        Self::BackupDamaged,
        Self::EmbeddingMismatch,
        Self::ModelBusy,
        Self::ModelFailed,
        Self::DeadlineExceeded,
        Self::Misconfigured,
        Self::Internal,
    ];

    /// The kind with a code; none for a code that no kind has.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.row().code == code)
    }

    /// The table: code, status, title, whether it passes.
    pub fn row(self) -> ErrorRow {
        let (code, status, title, passing) = match self {
            Self::MalformedJson => ("malformed-json", 400, "The body is not valid JSON", false),
            Self::InvalidRequest => ("invalid-request", 422, "The request cannot be understood", false),
            Self::InvalidName => ("invalid-name", 422, "The document name cannot be used", false),
            Self::UnsupportedMediaType => ("unsupported-media-type", 415, "The content type is not accepted", false),
            Self::BodyTooLarge => ("body-too-large", 413, "The body is too large", false),
            Self::Unauthenticated => ("unauthenticated", 401, "Sign in first", false),
            Self::InvalidToken => ("invalid-token", 401, "The token is not valid here", false),
            Self::InsufficientScope => ("insufficient-scope", 403, "The caller may not do this", false),
            Self::GroupsOverage => ("groups-overage", 403, "The token does not name all groups", false),
            Self::AuthUnavailable => ("auth-unavailable", 503, "Nobody can be authenticated now", true),
            Self::ForeignOrigin => ("foreign-origin", 403, "The request comes from another site", false),
            Self::NotFound => ("not-found", 404, "There is no such thing", false),
            Self::MethodNotAllowed => ("method-not-allowed", 405, "The method is not allowed here", false),
            Self::PreconditionFailed => ("precondition-failed", 412, "Somebody else changed it first", true),
            Self::QuotaExceeded => ("quota-exceeded", 409, "A quota is used up", false),
            Self::TooManyRequests => ("too-many-requests", 429, "Too many requests", true),
            Self::TokenBudgetUsed => ("token-budget-used", 429, "The tokens of the day are used up", true),
            Self::Overloaded => ("overloaded", 503, "Too much is going on", true),
            Self::NotThroughFrontDoor => {
                ("not-through-front-door", 403, "The request went around the front door", false)
            }
            Self::ConversationBusy => ("conversation-busy", 409, "Others ask in this conversation", true),
            Self::KeyInUse => ("idempotency-key-in-use", 409, "The same request is being answered", true),
            Self::KeyReused => ("idempotency-key-reused", 422, "The key came with another body before", false),
            Self::AddressRefused => ("address-refused", 422, "The address may not be fetched", false),
            Self::FetchFailed => ("fetch-failed", 502, "The address could not be fetched", true),
            Self::ActionNotAllowed => ("action-not-allowed", 403, "The action is not allowed here", false),
            Self::ActionDecided => ("action-decided", 409, "The action was decided otherwise", false),
            Self::ActionFailed => ("action-failed", 502, "The action was not done", false),
            Self::ActionUnknown => ("action-unknown", 502, "Nobody can say whether the action was done", false),
            Self::ContentFiltered => ("content-filtered", 400, "The content filter refused the text", false),
            Self::DocumentTooLarge => ("document-too-large", 413, "The document is too large", false),
            Self::DocumentUnsupported => ("document-unsupported", 415, "The format is not supported", false),
            Self::DocumentEmpty => ("document-empty", 422, "The document is empty", false),
            Self::DocumentDamaged => ("document-damaged", 422, "The document is damaged", false),
            Self::DocumentEncrypted => ("document-encrypted", 422, "The document is encrypted", false),
            Self::DocumentWithoutText => ("document-without-text", 422, "The document holds no text", false),
            Self::DocumentOverLimit => ("document-over-limit", 422, "Reading the document broke a limit", false),
            Self::StoreUnavailable => ("store-unavailable", 503, "A store does not answer", true),
            Self::IndexDamaged => ("index-damaged", 503, "The index is damaged", true),
            Self::BackupDamaged => ("backup-damaged", 500, "The backup is damaged", false),
            Self::EmbeddingMismatch => {
                ("embedding-mismatch", 503, "The embedding model is not the one the index was made with", false)
            }
            Self::ModelBusy => ("model-busy", 503, "The model is busy", true),
            Self::ModelFailed => ("model-failed", 502, "The model failed", true),
            Self::DeadlineExceeded => ("deadline-exceeded", 504, "It took too long", true),
            Self::Misconfigured => ("misconfigured", 503, "The settings need attention", false),
            Self::Internal => ("internal", 500, "Something broke inside", true),
        };
        ErrorRow { code, status, title, passing }
    }
}

/// Any failure of the product: a kind, a sentence that may be shown to the caller, and the cause for the log.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    reason: Option<Reason>,
    wait_seconds: Option<u32>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failure with a sentence for the caller. The sentence never holds a secret, a question or text of a document.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), reason: None, wait_seconds: None, source: None }
    }

    /// The same failure with its cause, which goes to the log alone.
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same failure with why a service outside could not be used, where that can be told.
    pub fn because(mut self, reason: impl Into<Option<Reason>>) -> Self {
        self.reason = reason.into();
        self
    }

    /// The same failure with the time after which trying again is worth it.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1_000);
        self.wait_seconds = Some(seconds.try_into().unwrap_or(u32::MAX));
        self
    }

    /// How many seconds to wait before trying again: what was said, else a few where a service is at fault.
    pub fn seconds_to_wait(&self) -> Option<u32> {
        self.wait_seconds.or_else(|| (self.kind.row().status == 503).then_some(UNAVAILABLE_SECONDS))
    }

    /// Why a service outside could not be used.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// What can be done about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether trying again later may help.
    pub fn is_passing(&self) -> bool {
        self.kind.row().passing
    }

    /// The sentence and every cause behind it, for the log.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What almost every function of the product returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
