//! The embeddings of recent questions. What enters is the hash of a question with its model's word, so that no question is
//! kept. The embedding of a question is the same for everybody who asks it, so it gives nothing away.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::document::Embedding;

/// Embeddings that are kept: 3 MB with vectors of 3,072 numbers.
const MOST: usize = 256;

/// What a question is known by.
pub(super) type Key = [u8; 32];

/// A bounded memory; what was not asked for longest goes first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    embeddings: HashMap<Key, (u64, Embedding)>,
    uses: u64,
}

impl Recent {
    /// The key of a question put to a model.
    pub(super) fn key(model: &str, question: &str) -> Key {
        // The length parts the two, whatever they hold.
        let parted = Sha256::new().chain_update(model.len().to_le_bytes()).chain_update(model).chain_update(question);
        parted.finalize().into()
    }

    pub(super) fn get(&self, key: &Key) -> Option<Embedding> {
        let mut kept = self.lock();
        kept.uses += 1;
        let now = kept.uses;
        let (used, embedding) = kept.embeddings.get_mut(key)?;
        *used = now;
        Some(embedding.clone())
    }

    pub(super) fn put(&self, key: Key, embedding: Embedding) {
        let mut kept = self.lock();
        kept.uses += 1;
        let now = kept.uses;
        kept.embeddings.insert(key, (now, embedding));
        if kept.embeddings.len() > MOST {
            let oldest = kept.embeddings.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key);
            oldest.map(|key| kept.embeddings.remove(&key));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::document::EmbeddingSpace;

    fn embedding(value: f32) -> Embedding {
        Embedding { space: Arc::new(EmbeddingSpace { model: "m".to_owned(), dimensions: 1 }), values: vec![value] }
    }

    #[test]
    fn what_was_not_asked_for_longest_goes_first() {
        let recent = Recent::default();
        let key = |number: usize| Recent::key("m", &number.to_string());
        (0..MOST).for_each(|number| recent.put(key(number), embedding(1.0)));
        assert!(recent.get(&key(0)).is_some());
        recent.put(key(MOST), embedding(2.0));
        assert_eq!(recent.get(&key(1)), None, "one had to go");
        assert_eq!(recent.get(&key(MOST)), Some(embedding(2.0)));
        assert!(recent.get(&key(0)).is_some() && recent.get(&key(2)).is_some());
        assert_eq!(recent.lock().embeddings.len(), MOST);
    }

    #[test]
    fn models_and_questions_are_told_apart() {
        let keys = [Recent::key("a", "bc"), Recent::key("ab", "c"), Recent::key("a", "bd"), Recent::key("", "abc")];
        assert!((1..keys.len()).all(|at| !keys[..at].contains(&keys[at])));
    }
}
