//! The language of a question, as far as it is one of those that the product itself speaks, and what it says in each. What
//! enters is text, what leaves is a language or none: a text too short to tell has none.

/// A language in which the product has sentences of its own; the page has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
}

/// Small words that hardly any of the other languages has.
const WORDS: [(Language, &[&str]); 4] = [
    (
        Language::English,
        &[
            "the", "is", "are", "what", "when", "how", "does", "do", "did", "who", "which", "where", "why", "of",
            "and", "to", "for", "can", "my", "many", "much", "i", "you", "must", "from", "with", "at", "by", "be",
            "it", "that", "this", "if", "or", "not", "should", "may",
        ],
    ),
    (
        Language::German,
        &[
            "der", "die", "das", "ist", "sind", "wann", "wie", "wer", "welche", "welcher", "welches", "welchen", "wo",
            "wieso", "warum", "und", "zu", "zum", "zur", "für", "kann", "ich", "viele", "viel", "mein", "meine",
            "gibt", "ein", "eine", "einen", "einer", "nicht", "im", "von", "vom", "den", "dem", "auf", "mit", "wird",
            "werden", "muss", "müssen", "bei", "beim", "oder", "sich", "wenn", "nach", "darf", "bis", "ab",
        ],
    ),
    (
        Language::French,
        &[
            "le", "les", "est", "sont", "quel", "quelle", "quels", "quelles", "quand", "combien", "qui", "où", "et",
            "pour", "je", "mon", "ma", "mes", "du", "une", "dans", "comment", "puis", "peut", "au", "aux", "cette",
            "pas", "il", "à", "faut", "doit", "sur", "avec", "ou", "pourquoi", "d", "l", "qu", "c",
        ],
    ),
    (
        Language::Spanish,
        &[
            "el", "los", "las", "es", "son", "qué", "cuál", "cuáles", "cuándo", "cuánto", "cuánta", "cuántos",
            "cuántas", "quién", "dónde", "cómo", "para", "del", "una", "por", "hay", "puedo", "se", "y", "con", "mi",
            "mis", "debe", "al", "su", "hasta", "desde",
        ],
    ),
];

impl Language {
    /// The language of a text; none when its small words do not tell, or tell of two.
    pub fn of(text: &str) -> Option<Self> {
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let mut counted = WORDS.map(|(language, known)| {
            let is_spanish_mark = language == Self::Spanish && lower.contains(['¿', '¡']);
            (words.iter().filter(|word| known.contains(*word)).count() + usize::from(is_spanish_mark), language)
        });
        counted.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let [(most, language), (next, _), ..] = counted;
        (most > next).then_some(language)
    }

    /// The answer when the documents do not say.
    pub fn abstention(self) -> &'static str {
        match self {
            Self::English => "I don't know: the documents I may read do not say.",
            Self::German => "Das weiß ich nicht: Die Dokumente, die ich lesen darf, sagen es nicht.",
            Self::French => "Je ne sais pas : les documents que je peux lire ne le disent pas.",
            Self::Spanish => "No lo sé: los documentos que puedo leer no lo dicen.",
        }
    }

    /// What follows an answer of a model in which nothing could be traced to a passage.
    pub fn unsupported(self) -> &'static str {
        match self {
            Self::English => {
                "(None of this could be traced to a passage in the documents. Please check it before relying on it.)"
            }
            Self::German => {
                "(Nichts davon ließ sich auf eine Stelle in den Dokumenten zurückführen. Bitte prüfen Sie es, bevor Sie \
                 sich darauf verlassen.)"
            }
            Self::French => {
                "(Rien de tout cela n’a pu être rattaché à un passage des documents. Vérifiez-le avant de vous y fier.)"
            }
            Self::Spanish => {
                "(Nada de esto se ha podido atribuir a un pasaje de los documentos. Compruébelo antes de confiar en ello.)"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_tell_their_language() {
        let cases = [
            ("When does the ferry leave?", Some(Language::English)),
            ("Wie viele Tage Urlaub habe ich?", Some(Language::German)),
            ("Combien de jours de congé est-ce que j'ai ?", Some(Language::French)),
            ("¿Cuántos días de vacaciones tengo?", Some(Language::Spanish)),
            ("Und im Mai?", Some(Language::German)),
            ("Lindesvik", None),
            ("年假有多少天", None),
            ("", None),
            ("the der", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Language::of(text), expected, "{text}");
        }
    }
}
