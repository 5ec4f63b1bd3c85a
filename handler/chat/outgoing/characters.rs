//! Characters that show nothing, turn text around or steer a terminal are taken out of an answer: they carry what nobody sees.
//! What enters are pieces of text, what leaves is the same without them. Joiners and emoji selectors stay where scripts and
//! emoji need them.

/// Cleans text piece by piece.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    /// The last character that was let through.
    before: Option<char>,
    /// A joiner that waits for what it joins.
    joiner: Option<char>,
}

impl Cleaner {
    /// The visible part of the next piece.
    pub(super) fn push(&mut self, piece: &str) -> String {
        let mut clean = String::with_capacity(piece.len());
        for c in piece.chars() {
            match c {
                '\u{200c}' | '\u{200d}' => self.joiner = self.joiner.or(Some(c).filter(|_| self.joins())),
                '\u{fe0e}' | '\u{fe0f}' if self.selects() => self.pass(c, &mut clean),
                '\u{2028}' | '\u{2029}' => self.pass(' ', &mut clean),
                '\n' | '\t' => self.pass(c, &mut clean),
                _ if c.is_control() || is_hidden(c) => {}
                _ => self.pass(c, &mut clean),
            }
        }
        clean
    }

    fn pass(&mut self, c: char, clean: &mut String) {
        clean.extend(self.joiner.take().filter(|_| !c.is_ascii()));
        clean.push(c);
        self.before = Some(c);
    }

    /// Persian, Indic scripts and families of emoji need joiners; text in ASCII never does, and one is enough.
    fn joins(&self) -> bool {
        self.before.is_some_and(|before| !before.is_ascii() && !before.is_whitespace())
    }

    fn selects(&self) -> bool {
        self.before.is_some_and(|before| {
            let is_selector = matches!(before, '\u{fe0e}' | '\u{fe0f}');
            !is_selector && (!before.is_ascii() || before.is_ascii_digit() || matches!(before, '#' | '*'))
        })
    }
}

/// Marks of direction, tags, fillers and all else without width.
fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(Cleaner::default().push(text), expected, "{text:?}");
        let mut cleaner = Cleaner::default();
        let pieces: String = text.split_inclusive(|_| true).map(|c| cleaner.push(c)).collect();
        assert_eq!(pieces, expected, "{text:?} in pieces");
    }

    #[test]
    fn what_nobody_sees_is_gone() {
        check("a\u{1b}[31mb\u{7}\u{0}\r\u{9b}c", "a[31mbc");
        check("a\u{200b}\u{202e}\u{2066}\u{feff}\u{ad}b\u{e0041}\u{e007f}", "ab");
        check("a\u{200d}b\u{fe0f}\u{fe01}", "ab");
        check("é\u{200d}\u{200c}\u{200d}é\u{200d}x", "é\u{200d}éx");
    }

    #[test]
    fn scripts_and_emoji_stay() {
        for honest in ["می‌خواهم", "👨‍👩‍👧 ❤️‍🔥 1️⃣", "क्‍ष", "naïve\ttab\nline", "日本語。"]
        {
            check(honest, honest);
        }
    }
}
