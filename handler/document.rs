//! The words every module shares: a document, its version, its passages, and who is asking. Plain data, no input or output.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};

/// Longest name that Azure Blob Storage accepts, in characters.
pub const MAX_NAME_CHARS: usize = 1024;

/// The name of a document: its path inside the documents container, for example `handbook/leave.pdf`.
///
/// A name is what people see and what the blob store is asked for. It is never a path on disk: the local store maps it
/// to one itself. It holds 1 to 1,024 characters, none of them a control character.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, example = "handbook/leave.pdf")]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DocumentName(String);

impl DocumentName {
    /// Takes a name from outside. Refuses an empty or overlong one, control characters, and empty, `.` or `..` segments.
    pub fn parse(raw: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Err(Error::new(ErrorKind::InvalidName, format!("the document name {why}")));
        if raw.is_empty() {
            return refuse("is empty");
        }
        if raw.chars().count() > MAX_NAME_CHARS {
            return refuse("is longer than 1,024 characters");
        }
        if raw.chars().any(char::is_control) {
            return refuse("holds a control character");
        }
        if raw.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return refuse("has an empty, `.` or `..` segment");
        }
        Ok(Self(raw.to_owned()))
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment: what a person would call the file.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The text after the last dot of the file name, in lower case; empty when there is none.
    pub fn extension(&self) -> String {
        match self.file_name().rsplit_once('.') {
            Some((_, extension)) => extension.to_lowercase(),
            None => String::new(),
        }
    }
}

impl fmt::Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DocumentName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = String::deserialize(deserializer)?;
        Self::parse(&raw).map_err(serde::de::Error::custom)
    }
}

/// A stable, safe id for a document: 32 hexadecimal digits, the first half of the SHA-256 of its name.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocumentId(String);

impl DocumentId {
    /// The id that belongs to a name, on every machine and for ever.
    pub fn of(name: &DocumentName) -> Self {
        Self::of_raw(name.as_str())
    }

    /// The id under which a blob is recorded whose name no document can have.
    pub fn of_raw(name: &str) -> Self {
        Self(content_hash(name.as_bytes())[..32].to_owned())
    }

    /// Reads an id from outside: exactly 32 lower-case hexadecimal digits, else `None`.
    pub fn parse(raw: &str) -> Option<Self> {
        let well_formed = raw.len() == 32 && raw.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        well_formed.then(|| Self(raw.to_owned()))
    }

    /// The 32 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which state of a blob a passage was made from. Later versions replace earlier ones and never the other way.
#[derive(utoipa::ToSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentVersion {
    /// When the blob store says the blob last changed, with the store's own resolution (Azure: whole seconds).
    pub modified: DateTime<Utc>,
    /// The blob store's ETag; opaque.
    pub etag: String,
}

impl DocumentVersion {
    /// Whether this version was certainly written before `other`. Two versions of the same instant are not ordered.
    pub fn is_older_than(&self, other: &Self) -> bool {
        self.modified < other.modified
    }
}

/// A piece of a document, small enough to quote and to give to a model: the unit of retrieval and of citation.
#[derive(utoipa::ToSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// `<document id>-<ordinal>`: unique within one version of one document.
    pub id: String,
    /// The document it is part of.
    pub document_id: DocumentId,
    /// That document's name.
    pub name: DocumentName,
    /// The document's own title, else its file name.
    pub title: String,
    /// Position within the document, from 0.
    pub ordinal: u32,
    /// Page, counted from 1, for formats that have pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Where in the document, for formats whose places are no pages: `sheet=Prices!A2:D40`, `t=00:01:20`, `part=notes.txt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The headings above the passage, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heading_path: Vec<String>,
    /// The text itself, as read.
    pub text: String,
}

impl Passage {
    /// The id of the passage at `ordinal` in `document`.
    pub fn id_of(document: &DocumentId, ordinal: u32) -> String {
        format!("{document}-{ordinal}")
    }

    /// What a model is told of the passage: the document's title, the headings above, the text. A passage alone often does
    /// not say what it is about: "It is 25 days" stands under "Annual leave" in the "Handbook for Norway". A title that is
    /// only the file's name is left out: the index finds names by their words, and a copy or a renamed document costs nothing.
    pub fn in_context(&self) -> String {
        let title = Some(&self.title).filter(|title| title.as_str() != self.name.file_name());
        let title = title.filter(|title| self.heading_path.first() != Some(*title));
        let parts = title.into_iter().chain(&self.heading_path).chain([&self.text]);
        parts.map(String::as_str).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// Where to look, in the form that answers cite: `handbook.pdf#page=4`, `prices.xlsx#sheet=Prices!A2:D40`, or the bare
    /// name where there are neither pages nor places.
    pub fn source(&self) -> String {
        match (self.page, &self.place) {
            (Some(page), _) => format!("{}#page={page}", self.name),
            (None, Some(place)) => format!("{}#{place}", self.name),
            (None, None) => self.name.to_string(),
        }
    }
}

/// What makes two embeddings comparable: vectors of different spaces never meet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EmbeddingSpace {
    /// The model, as its server calls it.
    pub model: String,
    /// Length of every vector.
    pub dimensions: u32,
}

/// The meaning of a text as a vector.
#[derive(Clone, PartialEq)]
pub struct Embedding {
    /// Where the vector lives.
    pub space: Arc<EmbeddingSpace>,
    /// As many finite numbers as the space has dimensions. Only the direction counts; the length is ignored.
    pub values: Vec<f32>,
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedding").field("space", &self.space).finish_non_exhaustive()
    }
}

/// What somebody may do here besides reading what is for them. Each role may do all that the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Asks, searches and reads.
    Reader,
    /// Brings documents, and takes back what they brought.
    Contributor,
    /// Runs the product: any document that they may read, and what is told of the whole.
    Operator,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Contributor, Self::Operator];

    /// The word for it, in settings and sentences.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Contributor => "contributor",
            Self::Operator => "operator",
        }
    }

    /// The role with that word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// Who is asking. Every read of passages takes one; it decides which passages exist for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    readers: Vec<String>,
    owner: String,
    role: Role,
}

impl Principal {
    /// The mark on a passage that everybody may read.
    pub const EVERYONE: &'static str = "everyone";

    /// The owner of what a caller brings of whom nothing is known.
    pub const ANONYMOUS: &'static str = "anonymous";

    /// The tenant of users and groups that are named without one.
    pub const HOME_TENANT: &'static str = "home";

    /// A caller of whom nothing is known: reads what everybody may read.
    pub fn anonymous() -> Self {
        let (readers, owner) = (vec![Self::EVERYONE.to_owned()], Self::ANONYMOUS.to_owned());
        Self { readers, owner, role: Role::Reader }
    }

    /// Whoever runs the product, at the command line of its machine: for what is noted, and with no more rights than others.
    pub fn operator() -> Self {
        Self { owner: "operator".to_owned(), role: Role::Operator, ..Self::anonymous() }
    }

    /// A user who is known, with the groups they are in. Without groups they read what is for them and for everybody.
    pub fn user<'a>(tenant: &str, subject: &str, groups: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let groups: Vec<&str> = groups.into_iter().collect();
        // A slash in a tenant could make the mark of another tenant's user.
        let unfit = tenant.is_empty() || tenant.contains('/') || subject.is_empty() || groups.contains(&"");
        if unfit {
            return Err(Error::new(ErrorKind::InvalidRequest, "the caller's identity is not one that can be used"));
        }
        let own = [Self::EVERYONE.to_owned(), format!("user:{tenant}/{subject}")];
        let of_groups = groups.iter().map(|group| format!("group:{tenant}/{group}"));
        let readers = own.into_iter().chain(of_groups).collect();
        Ok(Self { readers, owner: format!("{tenant}/{subject}"), role: Role::Reader })
    }

    /// The same principal with a role.
    pub fn with_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// The same of whom is also meant by what names users and groups without a tenant.
    pub fn at_home(mut self) -> Self {
        let at_home = |mark: &String| {
            let (kind, rest) = mark.split_once(':')?;
            let (_, id) = rest.split_once('/')?;
            Some(format!("{kind}:{}/{id}", Self::HOME_TENANT))
        };
        let more: Vec<String> =
            self.readers.iter().filter_map(at_home).filter(|mark| !self.readers.contains(mark)).collect();
        self.readers.extend(more);
        self
    }

    /// What this principal may do.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether this principal brought what has that owner.
    pub fn owns(&self, owner: Option<&str>) -> bool {
        owner == Some(self.owner.as_str())
    }

    /// The name under which what this principal brings is kept and counted.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Whether this principal may read what carries these marks. Without a mark nobody may.
    pub fn may_read(&self, marks: &[String]) -> bool {
        marks.iter().any(|mark| self.readers.contains(mark))
    }

    /// The marks that let this principal read a passage: one of them has to be on it.
    pub fn readers(&self) -> &[String] {
        &self.readers
    }
}

/// The SHA-256 of some bytes as 64 hexadecimal digits.
pub fn content_hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        write!(out, "{byte:02x}").expect("writing to a string cannot fail");
        out
    })
}
