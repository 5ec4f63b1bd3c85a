//! The marks inside a line of Markdown. A line comes in, the words that a reader would see go out: links and images give
//! their text, emphasis and code give what they hold.

/// A line of Markdown as plain text.
pub fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '\\' => escaped(rest, &mut out),
            '`' => code(rest, &mut out),
            '!' if rest.starts_with("![") => 1,
            '[' | ']' => bracket(rest),
            '<' => tag(rest, &mut out),
            '&' => entity(rest, &mut out),
            '*' | '~' | '_' => mark(rest, c, &mut out),
            _ => 0,
        };
        if taken == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            rest = &rest[taken..];
        }
    }
    out
}

// Each of these looks at the start of `rest`, writes what a reader sees and says how many bytes it took; 0 means that the
// sign stands for itself.

fn escaped(rest: &str, out: &mut String) -> usize {
    match rest[1..].chars().next().filter(char::is_ascii_punctuation) {
        Some(sign) => {
            out.push(sign);
            2
        }
        None => 0,
    }
}

/// Code between backticks, taken as it stands.
fn code(rest: &str, out: &mut String) -> usize {
    let length = rest.bytes().take_while(|&byte| byte == b'`').count();
    let fence = &rest[..length];
    match reach(&rest[length..]).find(fence) {
        Some(end) => {
            out.push_str(rest[length..length + end].trim());
            end + 2 * length
        }
        // Without an end the backticks stand for themselves, all of them at once.
        None => {
            out.push_str(fence);
            length
        }
    }
}

/// The brackets of a link go, and so does the address behind them; the text between them is read like any other.
fn bracket(rest: &str) -> usize {
    if rest.starts_with(']') {
        return match target(rest) {
            Some(length) => 1 + length,
            None => 0,
        };
    }
    // A box of a task list, a footnote and brackets without a target stay as they are.
    let is_note = rest.starts_with("[^");
    let has_target = balanced(rest, '[', ']').is_some_and(|end| target(&rest[end..]).is_some());
    usize::from(has_target && !is_note)
}

/// The length of the `(address)` or `[reference]` behind a closing bracket.
fn target(rest: &str) -> Option<usize> {
    let behind = &rest[1..];
    let end = match behind.as_bytes().first()? {
        b'(' => balanced(behind, '(', ')')?,
        b'[' => balanced(behind, '[', ']')?,
        _ => return None,
    };
    Some(end + 1)
}

/// Where the bracket that `text` starts with is closed, not looking far: the reader stays linear on any input.
fn balanced(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0;
    for (position, c) in reach(text).char_indices() {
        depth += usize::from(c == open);
        if c == close {
            depth -= 1;
            if depth == 0 {
                return Some(position);
            }
        }
    }
    None
}

/// The part of a text in which the end of a link or a tag is looked for.
fn reach(text: &str) -> &str {
    &text[..text.floor_char_boundary(2000)]
}

/// A tag of HTML goes; an address in angle brackets stays.
fn tag(rest: &str, out: &mut String) -> usize {
    let Some(end) = reach(rest).find('>') else { return 0 };
    let inside = &rest[1..end];
    if inside.contains("://") && !inside.contains(' ') || inside.contains('@') && !inside.contains(['=', ' ']) {
        out.push_str(inside);
        return end + 1;
    }
    let is_tag = inside.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
    if is_tag { end + 1 } else { 0 }
}

fn entity(rest: &str, out: &mut String) -> usize {
    const ENTITIES: [(&str, char); 6] =
        [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&nbsp;", ' '), ("&#39;", '\'')];
    match ENTITIES.iter().find(|(name, _)| rest.starts_with(name)) {
        Some((name, sign)) => {
            out.push(*sign);
            name.len()
        }
        None => 0,
    }
}

/// The marks of emphasis: a run that leans on a word at one side at least. An underscore inside a word is a letter, and
/// a star or a tilde alone among spaces is a sign. A star at the start of a line is a bullet.
fn mark(rest: &str, sign: char, out: &mut String) -> usize {
    let length = rest.bytes().take_while(|&byte| byte == sign as u8).count();
    let before = out.chars().next_back();
    let after = rest[length..].chars().next();
    let is_space = |side: Option<char>| side.is_none_or(char::is_whitespace);
    let is_word = |side: Option<char>| side.is_some_and(char::is_alphanumeric);
    let is_digit = |side: Option<char>| side.is_some_and(|c| c.is_ascii_digit());
    let stands_for_itself = (is_space(before) && is_space(after))
        || (length == 1 && is_digit(before) && is_digit(after))
        || (sign == '_' && is_word(before) && is_word(after))
        || (sign == '~' && length != 2);
    if stands_for_itself {
        out.push_str(&rest[..length]);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn leaves_the_words() {
        let cases = [
            ("see [the *policy*](https://x.example/a) now", "see the policy now"),
            ("![a chart](c.png) and [text][ref]", "a chart and text"),
            ("**bold** __bold__ _it_ ~~gone~~ `x = *y*`", "bold bold it gone x = *y*"),
            ("snake_case 2*3 2 * 3 and \\*stars\\*", "snake_case 2*3 2 * 3 and *stars*"),
            ("<b>AT&amp;T</b> <https://x.example> a < b", "AT&T https://x.example a < b"),
            ("- [ ] open, [note] and [^1]", "- [ ] open, [note] and [^1]"),
            ("* bullet", "* bullet"),
            ("``", "``"),
            ("[broken](", "[broken]("),
            ("[![logo](a.png)](https://x.example/a_(b)) [note] [x](y)", "logo [note] x"),
        ];
        for (line, words) in cases {
            assert_eq!(plain(line), words, "{line}");
        }
    }
}
