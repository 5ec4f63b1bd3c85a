//! An estimate of how many model tokens a text costs, from the text alone. No tables, so no megabytes in the binary and
//! nothing to load at start; good to about a fifth either way, which is enough to fill a passage or a prompt with care.

/// Letters of the Latin alphabet that one token holds on average in words that the model has not learned whole.
const ASCII_LETTERS_PER_TOKEN: usize = 6;
/// Letters of other alphabets, among them Latin ones with accents: models learn fewer of those words whole.
const OTHER_LETTERS_PER_TOKEN: usize = 3;
/// Models cut numbers into groups of three digits.
const DIGITS_PER_TOKEN: usize = 3;

/// What a run of characters is made of; a token never crosses from one class to another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Word,
    Digit,
    Ideograph,
    Punctuation,
}

/// The estimated number of tokens of `text`: a word costs one token for each six letters begun (three outside ASCII), a
/// number one for each three digits, a Chinese, Japanese or Korean character one, a run of punctuation one.
pub fn estimate(text: &str) -> usize {
    let mut tokens = 0;
    let mut run = Run { class: Class::Space, chars: 0, ascii: true };
    for c in text.chars() {
        let class = classify(c);
        if class != run.class {
            tokens += run.tokens();
            run = Run { class, chars: 0, ascii: true };
        }
        run.chars += 1;
        run.ascii &= c.is_ascii();
    }
    tokens + run.tokens()
}

/// Neighbouring characters of one class.
struct Run {
    class: Class,
    chars: usize,
    ascii: bool,
}

impl Run {
    fn tokens(&self) -> usize {
        match self.class {
            // A space belongs to the word after it.
            Class::Space => 0,
            Class::Word if self.ascii => self.chars.div_ceil(ASCII_LETTERS_PER_TOKEN),
            Class::Word => self.chars.div_ceil(OTHER_LETTERS_PER_TOKEN),
            Class::Digit => self.chars.div_ceil(DIGITS_PER_TOKEN),
            Class::Ideograph => self.chars,
            // A long rule such as `--------` is one or two tokens, a run of mixed signs about one for each four.
            Class::Punctuation => self.chars.div_ceil(4),
        }
    }
}

/// The classes of ASCII, which is most of most texts.
const ASCII: [Class; 128] = {
    let mut classes = [Class::Punctuation; 128];
    let mut c = 0;
    while c < 128 {
        classes[c as usize] = match c {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Word,
            b' ' | b'\t'..=b'\r' => Class::Space,
            b'0'..=b'9' => Class::Digit,
            _ => Class::Punctuation,
        };
        c += 1;
    }
    classes
};

fn classify(c: char) -> Class {
    if let Some(class) = ASCII.get(c as usize) {
        return *class;
    }
    match c {
        '\u{300}'..='\u{36f}' => Class::Word,
        _ if c.is_whitespace() => Class::Space,
        _ if is_ideograph(c) => Class::Ideograph,
        _ if c.is_alphanumeric() => Class::Word,
        _ => Class::Punctuation,
    }
}

/// Whether a character belongs to a script that is written without spaces between words: Chinese, Japanese, Korean
/// syllables, and the full-width forms used beside them. Readers put no space between two of these, either.
pub fn is_ideograph(c: char) -> bool {
    matches!(c,
        '\u{2e80}'..='\u{303f}'       // radicals, ideographic punctuation
        | '\u{3040}'..='\u{30ff}'     // hiragana, katakana
        | '\u{3100}'..='\u{31ff}'     // bopomofo and extensions
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{ac00}'..='\u{d7af}'     // hangul syllables
        | '\u{ff00}'..='\u{ffef}'     // full-width forms
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::estimate;

    #[test]
    fn counts_words_numbers_signs_and_ideographs() {
        let cases = [
            ("", 0),
            ("   \n", 0),
            ("leave", 1),
            ("The leave year starts in April.", 7),
            ("12345", 2),
            ("understandable", 3),
            ("Überstunden", 4),
            ("有給休暇", 4),
            ("--------", 2),
        ];
        for (text, tokens) in cases {
            assert_eq!(estimate(text), tokens, "{text:?}");
        }
    }

    #[test]
    fn adds_up_over_parts() {
        let parts = ["One sentence of seven words, I think.", " ", "Zwei Sätze: 42 Wörter."];
        let sum: usize = parts.iter().map(|part| estimate(part)).sum();
        assert_eq!(estimate(&parts.concat()), sum);
    }
}
