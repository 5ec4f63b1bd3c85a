//! Who may read a document, who owns it and what it is sorted under, from what storage says beside the content. Metadata of
//! the blob decides, and its index tags, where they are read; where they say nothing, the rule of the folder; where there is
//! none, the default. Nothing inside a document has a say.

use std::collections::BTreeMap;

use crate::document::{Principal, Role, content_hash};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::{BlobMeta, Words};

/// Metadata: who brought the document, as `<tenant>/<subject>`.
pub const OWNER: &str = "owner";
/// Metadata: what the document is sorted under.
pub const CATEGORY: &str = "category";
/// Metadata: users who may read it, with commas between them.
pub const ALLOWED_USERS: &str = "allowed_users";
/// Metadata: groups that may read it, with commas between them.
pub const ALLOWED_GROUPS: &str = "allowed_groups";

/// What storage says of a blob: its tags, and over them its metadata. In a tag users and groups have spaces between them,
/// because a tag may hold no comma. Source: <https://learn.microsoft.com/rest/api/storageservices/set-blob-tags>
pub fn said(meta: &BlobMeta) -> Words {
    let is_list = |name: &str| matches!(name, ALLOWED_USERS | ALLOWED_GROUPS);
    // Other tags are nothing to us, and their names may be none that metadata can have.
    let is_ours = |name: &str| is_list(name) || matches!(name, OWNER | CATEGORY);
    let tags = meta.tags.iter().filter(|(name, _)| is_ours(name)).map(|(name, value)| match is_list(name) {
        true => (name.clone(), value.split_whitespace().collect::<Vec<_>>().join(",")),
        false => (name.clone(), value.clone()),
    });
    // Whoever restricts a document in its metadata may not be overruled by a tag about the other half of its readers.
    let are_named = meta.metadata.keys().any(|name| is_list(name));
    let mut said: Words = tags.filter(|(name, _)| !(are_named && is_list(name))).collect();
    said.extend(meta.metadata.clone());
    said
}

/// Users and groups that a caller may share with at once.
const MAX_SHARED: usize = 100;
/// Characters of an id.
const MAX_ID_CHARS: usize = 200;

/// Who may read what says nothing of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RightsSettings {
    /// Rules of folders.
    pub folders: Vec<FolderRule>,
    /// Marks of those who may read documents that no rule is about.
    pub default_readers: Vec<String>,
}

/// Who may read the documents of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderRule {
    /// The folder, with the slash at its end.
    pub folder: String,
    /// Marks of those who may.
    pub readers: Vec<String>,
}

/// How a document stands among people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Who brought it.
    pub owner: Option<String>,
    /// What it is sorted under.
    pub category: Option<String>,
    /// Marks of those who may read it, in order and each once; none means nobody.
    pub readers: Vec<String>,
}

impl Standing {
    /// A word that changes when the readers or the category do.
    pub fn mark(&self) -> String {
        let category = self.category.as_deref().unwrap_or_default();
        content_hash(format!("{}\n\n{category}", self.readers.join("\n")).as_bytes())[..12].to_owned()
    }
}

impl RightsSettings {
    /// How the document of this name stands, of which storage says this.
    pub fn standing(&self, name: &str, metadata: &BTreeMap<String, String>) -> Standing {
        let said = |key: &str| metadata.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
        let owner = said(OWNER).map(str::to_owned);
        let mut readers = match (metadata.get(ALLOWED_USERS), metadata.get(ALLOWED_GROUPS)) {
            (None, None) => self.of_folder(name),
            // Metadata that names nobody says just that.
            (users, groups) => {
                let users = users.into_iter().flat_map(|users| marks("user", users));
                users.chain(groups.into_iter().flat_map(|groups| marks("group", groups))).collect()
            }
        };
        readers.extend(
            owner.as_deref().filter(|owner| *owner != Principal::ANONYMOUS).and_then(|owner| mark("user", owner)),
        );
        if readers.iter().any(|reader| reader == Principal::EVERYONE) {
            readers = vec![Principal::EVERYONE.to_owned()];
        }
        readers.sort_unstable();
        readers.dedup();
        Standing { owner, category: said(CATEGORY).map(str::to_owned), readers }
    }

    fn of_folder(&self, name: &str) -> Vec<String> {
        let rules = self.folders.iter().filter(|rule| name.starts_with(&rule.folder));
        rules
            .max_by_key(|rule| rule.folder.len())
            .map_or_else(|| self.default_readers.clone(), |rule| rule.readers.clone())
    }
}

/// Who is to read what a caller brings, as the caller says it, in the words of storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    users: String,
    groups: String,
}

impl Sharing {
    /// Reads ids with commas between them, as storage has them. A caller shares with users, with groups they are in, and with
    /// everyone; an operator with any group.
    pub fn parse(users: &str, groups: &str, by: &Principal) -> Result<Self> {
        let refuse = |sentence: &str| Err(Error::new(ErrorKind::InvalidRequest, sentence));
        let ids = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect()
        };
        let (users, groups) = (ids(users), ids(groups));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '_' | '+' | '-' | '/');
        let is_id = |id: &String| id.len() <= MAX_ID_CHARS && id.chars().all(is_plain) && mark("user", id).is_some();
        if users.len() + groups.len() > MAX_SHARED || !users.iter().chain(&groups).all(is_id) {
            return refuse(
                "`allowed_users` and `allowed_groups` are at most 100 ids, `<tenant>/<id>` or `<id>`, with commas between",
            );
        }
        let is_theirs = |group: &String| {
            group == Principal::EVERYONE || mark("group", group).is_some_and(|mark| by.may_read(&[mark]))
        };
        if by.role() < Role::Operator && !groups.iter().all(is_theirs) {
            return refuse("`allowed_groups` names a group that the caller is not in");
        }
        Ok(Self { users: users.join(","), groups: groups.join(",") })
    }

    /// What storage is told.
    pub fn metadata(&self) -> [(String, String); 2] {
        [(ALLOWED_USERS.to_owned(), self.users.clone()), (ALLOWED_GROUPS.to_owned(), self.groups.clone())]
    }
}

/// Reads rules such as `hr/=group:hr-team,user:boss;public/=everyone`.
pub fn folder_rules(text: &str) -> Result<Vec<FolderRule>> {
    let wrong = || {
        let sentence =
            "must be rules like `hr/=group:hr-team,user:boss;public/=everyone`, each folder with its slash and once";
        Error::new(ErrorKind::Misconfigured, sentence)
    };
    let mut rules: Vec<FolderRule> = Vec::new();
    for rule in text.split(';').map(str::trim).filter(|rule| !rule.is_empty()) {
        let (folder, readers) = rule.split_once('=').ok_or_else(wrong)?;
        let folder = folder.trim().trim_start_matches('/').to_owned();
        if folder.len() < 2 || !folder.ends_with('/') || rules.iter().any(|rule| rule.folder == folder) {
            return Err(wrong());
        }
        let readers =
            readers.split(',').map(|reader| reader_of(reader.trim()).ok_or_else(wrong)).collect::<Result<Vec<_>>>()?;
        rules.push(FolderRule { folder, readers: readers.into_iter().flatten().collect() });
    }
    Ok(rules)
}

/// `everyone`, `nobody`, `user:…` or `group:…`; the outer none is something else, the inner one nobody.
fn reader_of(text: &str) -> Option<Option<String>> {
    match text.split_once(':') {
        None if text == "nobody" => Some(None),
        None if text == Principal::EVERYONE => Some(Some(text.to_owned())),
        Some((kind @ ("user" | "group"), id)) => mark(kind, id).map(Some),
        _ => None,
    }
}

fn marks(kind: &'static str, ids: &str) -> impl Iterator<Item = String> {
    ids.split(',').filter_map(move |id| mark(kind, id))
}

/// The mark of a user or group. One that names no tenant is of the home tenant.
fn mark(kind: &str, id: &str) -> Option<String> {
    match id.trim() {
        "" => None,
        everyone if everyone == Principal::EVERYONE => Some(everyone.to_owned()),
        id => match id.split_once('/') {
            Some((tenant, id)) if !tenant.is_empty() && !id.is_empty() => Some(format!("{kind}:{tenant}/{id}")),
            Some(_) => None,
            None => Some(format!("{kind}:{}/{id}", Principal::HOME_TENANT)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_are_not_ours_are_nothing_to_us() {
        let tags = [("cost center", "7"), ("owner", "t/a"), ("allowed_users", "t/a t/b"), ("category", "hr")];
        let meta = BlobMeta {
            name: "a.txt".to_owned(),
            size_bytes: 1,
            etag: "1".to_owned(),
            modified: chrono::DateTime::UNIX_EPOCH,
            metadata: Words::from([("category".to_owned(), "it".to_owned())]),
            tags: tags.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        let expected = [("owner", "t/a"), ("allowed_users", "t/a,t/b"), ("category", "it")];
        assert_eq!(said(&meta), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    fn check(name: &str, metadata: &[(&str, &str)], expected: &[&str]) {
        let settings = RightsSettings {
            folders: folder_rules("hr/=group:hr-team;hr/public/=everyone; hr/secret/=nobody;x/=user:t/a,group:g")
                .expect("good rules"),
            default_readers: vec!["everyone".to_owned()],
        };
        let metadata = metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(settings.standing(name, &metadata).readers, expected, "{name} {metadata:?}");
    }

    #[test]
    fn the_longest_folder_decides_and_else_the_default() {
        check("a.txt", &[], &["everyone"]);
        check("hr/a.txt", &[], &["group:home/hr-team"]);
        check("hr/public/a.txt", &[], &["everyone"]);
        check("hr/secret/a.txt", &[], &[]);
        check("hr2/a.txt", &[], &["everyone"]);
        check("x/a.txt", &[], &["group:home/g", "user:t/a"]);
    }

    #[test]
    fn metadata_goes_before_folders_and_its_silence_is_no_permission() {
        check("hr/a.txt", &[("allowed_users", "t/ann, bob,")], &["user:home/bob", "user:t/ann"]);
        check("hr/a.txt", &[("allowed_groups", "everyone")], &["everyone"]);
        check("a.txt", &[("allowed_groups", " , ")], &[]);
        check("a.txt", &[("allowed_users", "/ann,t/")], &[]);
        check("a.txt", &[("allowed_users", "ann"), ("allowed_groups", "ann")], &["group:home/ann", "user:home/ann"]);
    }

    #[test]
    fn an_owner_reads_what_is_theirs_and_nobody_is_no_owner() {
        check("hr/a.txt", &[("owner", "t/ann")], &["group:home/hr-team", "user:t/ann"]);
        check("hr/secret/a.txt", &[("owner", "anonymous")], &[]);
        check("a.txt", &[("owner", "t/ann")], &["everyone"]);
    }

    #[test]
    fn tags_count_where_metadata_says_nothing() {
        let words = |pairs: &[(&str, &str)]| -> Words {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let told = |tags: &[(&str, &str)], metadata: &[(&str, &str)]| {
            let (tags, metadata) = (words(tags), words(metadata));
            let (name, etag) = ("a.txt".to_owned(), String::new());
            said(&BlobMeta { name, size_bytes: 0, etag, modified: Default::default(), metadata, tags })
        };
        let tagged = [("allowed_groups", "t/hr  home/it"), ("category", "two words"), ("owner", "t/ann")];
        let as_metadata = [("allowed_groups", "t/hr,home/it"), ("category", "two words"), ("owner", "t/ann")];
        assert_eq!(told(&tagged, &[]), words(&as_metadata));
        let mixed = told(&tagged, &[("allowed_users", "t/bob"), ("owner", "t/eve")]);
        let expected = [("allowed_users", "t/bob"), ("category", "two words"), ("owner", "t/eve")];
        assert_eq!(mixed, words(&expected), "the readers of metadata are all readers");
    }

    #[test]
    fn rules_that_are_none_are_refused() {
        for text in
            ["hr", "hr=everyone", "/=everyone", "hr/=", "hr/=all", "hr/=team:x", "hr/=group:", "a/=everyone;a/=nobody"]
        {
            assert!(folder_rules(text).is_err(), "{text}");
        }
        assert_eq!(folder_rules(" ; ").expect("no rules"), []);
    }
}
