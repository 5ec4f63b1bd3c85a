//! Words that some program would turn into a link: addresses, hosts, e-mail. What enters is a word, what leaves is whether
//! one would, and the word in a form that none does. It errs on the side of seeing a link.

/// Endings of hosts that programs recognise without `http://` before them, besides all of two letters.
const HOST_ENDINGS: &[&str] = &[
    "biz", "com", "edu", "gov", "net", "org", "pro", "web", "xxx", "aero", "asia", "coop", "info", "museum", "name",
    "shop", "app", "dev", "рф",
];

/// Endings of files that are endings of hosts, too. `README.md` stays what it is.
const FILE_ENDINGS: &[&str] =
    &["cc", "cs", "gz", "hs", "js", "kt", "md", "ml", "pl", "ps", "py", "rb", "rs", "sh", "so", "tf", "ts", "vb"];

/// Entities that stand for a part of an address.
const ENTITIES: &[(&str, char)] = &[
    ("colon", ':'),
    ("sol", '/'),
    ("period", '.'),
    ("commat", '@'),
    ("amp", '&'),
    ("hyphen", '-'),
    ("dash", '-'),
    ("lowbar", '_'),
    ("quest", '?'),
    ("num", '#'),
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("nbsp", ' '),
    ("lt", '<'),
    ("gt", '>'),
    ("lpar", '('),
    ("rpar", ')'),
];

/// Whether some program would make a link of a part of this word.
pub(super) fn is_linkable(word: &str) -> bool {
    // Most words have none of these, and need no second look.
    if !word.contains(['.', ':', '@', '&', '/']) {
        return false;
    }
    let read = as_read(word);
    let lower = read.to_lowercase();
    lower.contains("://")
        || has_other_scheme(&lower)
        || lower.contains("www.")
        || has_host(&lower)
        || has_mail(&read)
        || has_script(&lower)
}

/// The word without what may stand around a word.
pub(super) fn bare(word: &str) -> &str {
    let opening = |c| matches!(c, '(' | '[' | '"' | '\'' | '*' | '_' | '“' | '„' | '«');
    let closing =
        |c| matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '"' | '\'' | '*' | '_' | '”' | '“' | '»');
    word.trim_start_matches(opening).trim_end_matches(closing)
}

/// The word in a form that is no link for anybody.
pub(super) fn defanged(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 12);
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match c {
            '\\' => {}
            '@' => out.push_str("(at)"),
            ':' | '.' if next.is_some() || out.to_ascii_lowercase().ends_with("www") => out.extend(['(', c, ')']),
            '&' if next.is_some_and(|next| next == '#' || next.is_ascii_alphabetic()) => out.push_str("(&)"),
            _ => out.push(c),
        }
    }
    out
}

/// A word as a reader of Markdown sees it, with escapes and entities resolved.
fn as_read(word: &str) -> String {
    if !word.contains(['\\', '&']) {
        return word.to_owned();
    }
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match (c, entity(rest)) {
            ('\\', _) if after.starts_with(|next: char| next.is_ascii_punctuation()) => {}
            ('&', Some((read, length))) => {
                out.push(read);
                rest = &rest[length..];
                continue;
            }
            _ => out.push(c),
        }
        rest = after;
    }
    out
}

/// The entity that a text begins with, and its length. One that is not known may be a letter.
fn entity(text: &str) -> Option<(char, usize)> {
    let inside = text.strip_prefix('&')?;
    let end = inside.find(';').filter(|end| (1..=40).contains(end))?;
    let name = &inside[..end];
    let read = match name.strip_prefix('#') {
        Some(digits) => {
            let hexadecimal = digits.strip_prefix(['x', 'X']);
            let code = hexadecimal.map_or_else(|| digits.parse(), |digits| u32::from_str_radix(digits, 16));
            char::from_u32(code.ok()?)?
        }
        None if name.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            ENTITIES.iter().find(|(known, _)| *known == name).map_or('x', |(_, c)| *c)
        }
        None => return None,
    };
    Some((read, end + 2))
}

/// Whether the word holds a script or data of its own: no program makes a link of it, and nobody needs it.
fn has_script(lower: &str) -> bool {
    ["javascript:", "vbscript:", "data:text/", "data:image/", "data:application/"].iter().any(|s| lower.contains(s))
}

fn has_mail(read: &str) -> bool {
    read.match_indices('@').any(|(at, _)| !at_start(&read[..at]) && read[at + 1..].contains(char::is_alphanumeric))
}

fn at_start(before: &str) -> bool {
    before.chars().all(|c| "([{\"'*_".contains(c))
}

/// Whether it begins with two strokes, which stand for the scheme of the page.
fn has_other_scheme(lower: &str) -> bool {
    lower.match_indices("//").any(|(at, _)| {
        let rest = &lower[at + 2..];
        let host = rest.split(['(', ')']).next().unwrap_or_default();
        host.starts_with(char::is_alphanumeric) && host.contains('.')
    })
}

fn has_host(lower: &str) -> bool {
    lower.match_indices('.').any(|(at, _)| {
        let rest = &lower[at + 1..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '-').unwrap_or(rest.len());
        let (ending, after) = rest.split_at(end);
        let is_ending = ending.starts_with("xn--")
            || ending.len() == 2 && ending.bytes().all(|b| b.is_ascii_alphabetic())
            || HOST_ENDINGS.contains(&ending);
        let label = &lower[..at];
        is_ending && label.ends_with(|c: char| c.is_alphanumeric() || c == '-') && !is_file(label, ending, after)
    })
}

/// Whether this is the name of a file, with or without folders before it, and nothing after it.
fn is_file(label: &str, ending: &str, after: &str) -> bool {
    let stem = label.rsplit('/').next().unwrap_or(label);
    let is_alone = !stem.contains(['.', ':', '@', '&']);
    FILE_ENDINGS.contains(&ending) && is_alone && !after.contains(|c: char| c.is_alphanumeric() || "/?#:@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_seen_in_all_their_forms() {
        for word in [
            "https://evil.example/x",
            "HTTPS://evil",
            "https&colon;//evil.example",
            "https:&#47;&#x2f;evil.example",
            "https\\:\\/\\/evil.example",
            "www.evil.example",
            "x@evil.example",
            "evil.com",
            "(evil.com/?q=secret)",
            "secret.evil.io",
            "evil&period;com",
            "README.md/evil",
            "a.README.md",
            "xn--a.xn--p1ai",
            "ftp://x",
            "//evil.c",
            "s}@evil",
            "data:text/html,x",
            "javascript:alert(1)",
        ] {
            assert!(is_linkable(word), "{word}");
            let safe = defanged(word);
            assert!(!is_linkable(&safe), "{word}: {safe}");
        }
    }

    #[test]
    fn words_that_are_none_stay() {
        for word in [
            "e.g.",
            "z.B.",
            "1.5",
            "25,00",
            "handbook.pdf",
            "README.md",
            "src/main.rs,",
            "and/or",
            "10:30",
            "No.7",
            "a:b",
            "R&D",
            "AT&T",
            "U.S.",
            "p.m.",
            "3.14.",
            "data:",
            "…",
            "@home",
            "x.y.z",
            "config.yaml",
            "C:\\Users\\x",
            "§5.2",
        ] {
            assert!(!is_linkable(word), "{word}");
        }
    }
}
