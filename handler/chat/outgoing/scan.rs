//! Ends and beginnings that the filter looks for. What enters is text, what leaves is where something in it ends, or what is left
//! of it. It keeps nothing.

/// Commands of TeX that open or load something.
const TEX_COMMANDS: &[&str] = &["href", "url", "includegraphics", "htmlClass", "htmlData", "htmlId", "htmlStyle"];

/// Whether what follows a backslash is a command that opens or loads something.
pub(super) fn is_tex_command(rest: &str) -> bool {
    let is_end = |after: &str| !after.starts_with(|c: char| c.is_ascii_alphabetic());
    TEX_COMMANDS.iter().any(|name| rest.strip_prefix(name).is_some_and(is_end))
}

/// Where the same number of back quotes closes code, if they do.
pub(super) fn closing(within: &str, marks: usize) -> Option<usize> {
    let mut at = 0;
    while at < within.len() {
        let open = at + within[at..].find('`')?;
        let run = within.len() - open - within[open..].trim_start_matches('`').len();
        if run == marks {
            return (open > 0).then_some(open);
        }
        at = open + run;
    }
    None
}

/// How many bytes a target takes with its parentheses.
pub(super) fn closing_parenthesis(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return Some(at + 1),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A word of a diagram without what would make a part of it react to a click, or set how it is drawn.
pub(super) fn undrawn(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    let word = if lower.contains("click") { lower.replace("click", "c-lick") } else { word.to_owned() };
    word.replace("%%{", "%% {")
}
