//! Running text becomes sentences, in any script. What enters is text, what leaves are slices of it; it knows nothing of
//! questions, passages or models. The boundaries are those of Unicode, mended where an abbreviation's dot is taken for an end.

use unicode_segmentation::UnicodeSegmentation;

/// Words whose final dot rarely ends a sentence, without the dot, in lower case.
const ABBREVIATIONS: &[&str] = &[
    "abs", "approx", "art", "bzw", "ca", "cf", "dr", "e.g", "eq", "fig", "i.e", "incl", "max", "min", "mr", "mrs",
    "ms", "no", "nr", "p", "para", "pp", "prof", "resp", "sec", "sr", "st", "usw", "vgl", "vs", "z.b",
];

/// The German months: `am 3. März` has a dot that means "third", not the end.
const GERMAN_MONTHS: &[&str] = &[
    "januar",
    "jänner",
    "februar",
    "märz",
    "april",
    "mai",
    "juni",
    "juli",
    "august",
    "september",
    "oktober",
    "november",
    "dezember",
];

/// Nouns before a single capital that is a name of its own: `Annex B.` ends a sentence, `J. Doe` goes on.
const LABELS: &[&str] = &[
    "annex", "appendix", "building", "category", "class", "figure", "grade", "group", "level", "option", "part",
    "plan", "room", "section", "step", "table", "type", "vitamin",
];

/// The sentences of a text, trimmed, none of them empty. A line end is a boundary too: join wrapped lines before.
pub fn sentences(text: &str) -> Vec<&str> {
    text.lines().flat_map(sentences_of_line).collect()
}

/// Whether a text ends the way a sentence ends, closing quotes and brackets aside.
pub fn ends_sentence(text: &str) -> bool {
    let bare = text
        .trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '”' | '’' | '»' | ')' | '」' | '』'));
    bare.ends_with(['.', '!', '?', '…', '。', '！', '？', '؟', '।', '։'])
}

fn sentences_of_line(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut end = 0;
    for (offset, piece) in line.split_sentence_bound_indices() {
        let so_far = &line[start..end];
        if !so_far.trim().is_empty() && !continues(so_far, piece) {
            found.push(so_far.trim());
            start = offset;
        }
        end = offset + piece.len();
    }
    found.push(line[start..end].trim());
    found.retain(|sentence| !sentence.is_empty());
    found
}

/// Whether `next` goes on with the sentence that `before` seemed to end.
fn continues(before: &str, next: &str) -> bool {
    let Some(stem) = before.trim_end().strip_suffix('.') else {
        return false;
    };
    let mut words = stem.rsplit(|c: char| c.is_whitespace() || c == '(');
    let Some(word) = words.next().filter(|word| !word.is_empty()) else {
        return false;
    };
    if word.chars().all(|c| c.is_ascii_digit()) && word.len() <= 2 {
        let next_word = next.split(|c: char| !c.is_alphabetic()).next().unwrap_or("").to_lowercase();
        // A number alone at the start is the label of a list item.
        return word == stem.trim() || GERMAN_MONTHS.contains(&next_word.as_str());
    }
    let is_labelled = words.next().is_some_and(|label| LABELS.contains(&label.to_lowercase().as_str()));
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase) && !is_labelled;
    is_initial || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(sentences(text), expected, "{text:?}");
    }

    #[test]
    fn splits_sentences_of_many_scripts() {
        check("One. Two! Three? Four", &["One.", "Two!", "Three?", "Four"]);
        check(
            "年次有給休暇は20日です。申請は二週間前までに。",
            &["年次有給休暇は20日です。", "申請は二週間前までに。"],
        );
        check("每年有十五天年假。可以结转五天吗？可以。", &["每年有十五天年假。", "可以结转五天吗？", "可以。"]);
        check("Первое предложение. Второе.", &["Первое предложение.", "Второе."]);
        check("", &[]);
        check(" \n\t\n", &[]);
    }

    #[test]
    fn keeps_abbreviations_numbers_and_initials_together() {
        check("Ask Dr. Smith. He knows.", &["Ask Dr. Smith.", "He knows."]);
        check("It costs 3.50 euros. Pay now.", &["It costs 3.50 euros.", "Pay now."]);
        check("See e.g. Annex B. It lists them.", &["See e.g. Annex B.", "It lists them."]);
        check("Written by J. Doe in 2020. Revised later.", &["Written by J. Doe in 2020.", "Revised later."]);
        check("Abgabe am 3. März in Bonn. Danach nicht.", &["Abgabe am 3. März in Bonn.", "Danach nicht."]);
        check("1. Open the form. 2. Sign it.", &["1. Open the form.", "2. Sign it."]);
        check("It is on page 12. The next is not.", &["It is on page 12.", "The next is not."]);
    }

    #[test]
    fn line_ends_are_boundaries() {
        check("- one item\n- another\n\nText", &["- one item", "- another", "Text"]);
    }

    #[test]
    fn knows_how_sentences_end() {
        assert!(ends_sentence("He said \"no.\" "));
        assert!(ends_sentence("です。"));
        assert!(!ends_sentence("Heading"));
        assert!(!ends_sentence("as follows:"));
    }
}
