//! The terms of words that were met lately: what enters is a word, what leaves is its term, which is made once. Texts use few
//! words over and over, and making their terms is most of the work of reading them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// Words that are known at once, with some 100 bytes each. When there are more, all are forgotten: those that matter are soon
/// back.
const MOST: usize = 8_192;

/// Words and their terms; no term for a word that is left out of texts.
#[derive(Debug, Default)]
pub struct KnownWords(RwLock<HashMap<Box<str>, Option<Box<str>>>>);

impl KnownWords {
    /// The term of a word, which `make` makes when it is not known.
    pub fn term(&self, word: &str, make: impl FnOnce(&str) -> Option<String>) -> Option<String> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(term) = known.get(word) {
            return term.as_deref().map(str::to_owned);
        }
        drop(known);
        let term = make(word);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(word.into(), term.as_deref().map(Box::from));
        term
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_made_once_and_many_words_take_no_more_room() {
        let words = KnownWords::default();
        let term = |word: &str| words.term(word, |word| word.strip_prefix("w").map(str::to_owned));
        assert_eq!((term("w1"), term("the")), (Some("1".to_owned()), None));
        let not_made = |_: &str| -> Option<String> { panic!("it is known") };
        assert_eq!((words.term("w1", not_made), words.term("the", not_made)), (Some("1".to_owned()), None));
        for at in 0..2 * MOST {
            assert_eq!(term(&format!("w{at}")), Some(at.to_string()));
            assert!(words.0.read().unwrap().len() <= MOST);
        }
    }
}
