//! What a local blob store keeps beside a file: the metadata of the blob, in a folder of the store's own that mirrors the
//! names. Bytes come in and go out; which files those are is not known here.
//!
//! Content and metadata are two files, and a process may die between the two writes. So a side file says to which content
//! its metadata belongs, and keeps those of the content before: whichever content is there finds its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::document::content_hash;

/// The folder of the store's own that holds the side files.
pub(super) const FOLDER: &str = ".kw-meta";

/// Metadata by name.
pub(super) type Metadata = BTreeMap<String, String>;

/// The content of a side file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SideFile {
    /// What was written last.
    pub(super) now: Said,
    /// What was there when it was written.
    pub(super) before: Option<Said>,
}

/// The metadata of one content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    /// SHA-256 of the content.
    pub(super) content: String,
    /// Its metadata.
    pub(super) metadata: Metadata,
}

impl SideFile {
    /// The metadata of a content. One that was put there by hand takes over what the name had.
    pub(super) fn of(self, content: &str) -> Metadata {
        match self.before {
            Some(before) if self.now.content != content && before.content == content => before.metadata,
            _ => self.now.metadata,
        }
    }
}

/// The ETag of a content with metadata; that of a content without any is the content's own.
pub(super) fn etag(content: &str, metadata: &Metadata) -> String {
    if metadata.is_empty() {
        return content.to_owned();
    }
    let said = metadata.iter().fold(content.to_owned(), |text, (name, value)| {
        // Lengths keep apart what separators in a value could join.
        format!("{text}\n{}:{name}{}:{value}", name.len(), value.len())
    });
    content_hash(said.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(content: &str, owner: &str) -> Said {
        Said { content: content.to_owned(), metadata: Metadata::from([("owner".to_owned(), owner.to_owned())]) }
    }

    #[test]
    fn each_content_finds_its_own_metadata() {
        let side = SideFile { now: said("new", "ann"), before: Some(said("old", "bob")) };
        assert_eq!(side.clone().of("new")["owner"], "ann");
        assert_eq!(side.clone().of("old")["owner"], "bob", "the process died before the content was replaced");
        assert_eq!(side.of("by hand")["owner"], "ann");
        let same = SideFile { now: said("same", "ann"), before: Some(said("same", "bob")) };
        assert_eq!(same.of("same")["owner"], "ann");
    }

    #[test]
    fn the_etag_follows_both() {
        let one = etag("c", &said("c", "ann").metadata);
        assert_ne!(one, etag("c", &said("c", "bob").metadata));
        assert_ne!(one, etag("d", &said("d", "ann").metadata));
        assert_eq!(etag("c", &Metadata::new()), "c");
    }
}
