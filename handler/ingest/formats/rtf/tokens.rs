//! The syntax of rich text: groups, control words and text, one after the other.

/// A step through a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Token<'b> {
    /// `{`
    Open,
    /// `}`
    Close,
    /// `\par`, `\u8364`, `\~`: letters or one sign, and a number where one follows.
    Control(&'b str, Option<i32>),
    /// `\'e4`: one byte in the code page at hand.
    Byte(u8),
    /// Anything else, up to the next of these; line ends mean nothing and are left out.
    Text(&'b [u8]),
}

/// Cuts a file into tokens. Nothing is wrong for it: what is no control word is text.
pub struct Tokens<'b> {
    rest: &'b [u8],
}

impl<'b> Tokens<'b> {
    /// The tokens of these bytes.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, count: usize) -> &'b [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'b [u8] {
        let end = self.rest.iter().position(|byte| !wanted(*byte)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn control(&mut self) -> Token<'b> {
        const LONGEST_WORD: usize = 32;
        let word = self.take_while(|byte| byte.is_ascii_alphabetic());
        if word.is_empty() {
            return match self.take(1) {
                b"'" => self.byte(),
                // An escaped sign, or one that stands for another; no sign outside of ASCII stands for anything.
                sign => Token::Control(std::str::from_utf8(sign).unwrap_or_default(), None),
            };
        }
        let word = std::str::from_utf8(&word[..word.len().min(LONGEST_WORD)]).unwrap_or_default();
        let is_negative = self.rest.starts_with(b"-") && self.rest.get(1).is_some_and(u8::is_ascii_digit);
        if is_negative {
            self.take(1);
        }
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i32>().ok());
        if self.rest.starts_with(b" ") {
            self.take(1);
        }
        if word == "bin" {
            self.take(number.and_then(|size| usize::try_from(size).ok()).unwrap_or(0));
        }
        Token::Control(word, number.map(|number| if is_negative { -number } else { number }))
    }

    fn byte(&mut self) -> Token<'b> {
        let digits = std::str::from_utf8(self.take(2)).unwrap_or_default();
        Token::Byte(u8::from_str_radix(digits, 16).unwrap_or(b' '))
    }
}

impl<'b> Iterator for Tokens<'b> {
    type Item = Token<'b>;

    fn next(&mut self) -> Option<Token<'b>> {
        loop {
            let start = self.rest;
            return Some(match self.take(1) {
                [] => return None,
                b"{" => Token::Open,
                b"}" => Token::Close,
                b"\\" => self.control(),
                b"\r" | b"\n" => continue,
                _ => {
                    self.rest = start;
                    Token::Text(self.take_while(|byte| !matches!(byte, b'{' | b'}' | b'\\' | b'\r' | b'\n')))
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_file_apart() {
        let tokens: Vec<_> = Tokens::new(b"{\\b1 a\r\nb\\'e4\\u-10179 ?\\{\\bin3 {{{c}\\").collect();
        let expected = [
            Token::Open,
            Token::Control("b", Some(1)),
            Token::Text(b"a"),
            Token::Text(b"b"),
            Token::Byte(0xe4),
            Token::Control("u", Some(-10179)),
            Token::Text(b"?"),
            Token::Control("{", None),
            Token::Control("bin", Some(3)),
            Token::Text(b"c"),
            Token::Close,
            Token::Control("", None),
        ];
        assert_eq!(tokens, expected);
    }
}
