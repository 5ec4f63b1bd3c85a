//! Which lines of an answer are a block of code, whoever reads it. What enters is the beginning of a line, what leaves is how
//! the line is to be taken. Where readers of Markdown could differ, nothing is code any more until the end of the answer.

/// The most bytes of a line that decide what it is.
const MAX_LINE: usize = 500;

/// The most white space and marks of lists before a line that decide what it is.
const MAX_PREFIX: usize = 64;

/// Languages of blocks that clients draw instead of showing them.
const DRAWN: &[&str] = &[
    "mermaid", "math", "tex", "katex", "plantuml", "puml", "dot", "graphviz", "d2", "vega", "echarts", "svg", "markmap",
];

/// Where in the blocks of an answer we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// In text.
    Text,
    /// In a block of code.
    Code(Fence),
    /// Readers could differ about what is code: all is text, and no line of back quotes means anything.
    Doubtful,
}

/// How a block of code was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fence {
    mark: char,
    length: usize,
    indent: usize,
    /// Whether clients draw it, so that its words are text.
    pub(super) is_drawn: bool,
}

/// How a line is to be taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// More of it has to come first.
    Unknown,
    /// It opens or closes a block: it is given out like this, in place of so many bytes.
    Fence(String, usize),
    /// Its words count.
    Words,
}

impl Block {
    /// Takes the beginning of a line, of which `is_all` says that nothing comes after it.
    pub(super) fn line(&mut self, rest: &str, is_all: bool) -> Line {
        match *self {
            Self::Doubtful => Line::Words,
            Self::Code(fence) => self.line_of_code(rest, is_all, fence),
            Self::Text => self.line_of_text(rest, is_all),
        }
    }

    fn line_of_code(&mut self, rest: &str, is_all: bool, fence: Fence) -> Line {
        let body = rest.trim_start_matches([' ', '\t']);
        let indent = rest.len() - body.len();
        let run = body.len() - body.trim_start_matches(fence.mark).len();
        if run == body.len() && !is_all && indent < MAX_PREFIX {
            return Line::Unknown;
        }
        let is_spaces = rest.bytes().take(indent).all(|b| b == b' ');
        if run >= fence.length {
            return match whole_line(rest, is_all) {
                None if rest.len() < MAX_LINE => Line::Unknown,
                Some(line)
                    if is_spaces && indent == fence.indent && run == line.trim_end_matches('\n').len() - indent =>
                {
                    *self = Self::Text;
                    Line::Fence(line.to_owned(), line.len())
                }
                _ => self.doubt(),
            };
        }
        // Less indented than its opening, it may have left the list that the block stands in.
        let is_blank = body.is_empty() || body.starts_with('\n');
        if fence.indent > 0 && !is_blank && !(is_spaces && indent >= fence.indent) {
            return self.doubt();
        }
        Line::Words
    }

    fn line_of_text(&mut self, rest: &str, is_all: bool) -> Line {
        let body = rest.trim_start_matches(|c: char| {
            c.is_ascii_digit() || matches!(c, ' ' | '\t' | '>' | '*' | '+' | '-' | '.' | ')')
        });
        let prefix = rest.len() - body.len();
        let (is_short, Some(mark)) = (body.len() < 3, body.chars().next()) else {
            return if is_all || prefix >= MAX_PREFIX { Line::Words } else { Line::Unknown };
        };
        if !matches!(mark, '`' | '~' | '$' | ':') && !rest[..prefix].contains(">>>") {
            return Line::Words;
        }
        let run = body.len() - body.trim_start_matches(mark).len();
        if is_short && run == body.len() && !is_all {
            return Line::Unknown;
        }
        match mark {
            '`' | '~' if run >= 3 => match whole_line(rest, is_all) {
                None if rest.len() < MAX_LINE => Line::Unknown,
                Some(line) => self.opening(line, mark, run, prefix),
                None => self.doubt(),
            },
            // Blocks of other kinds, which only some readers know.
            '$' if run >= 2 => self.doubt(),
            ':' if run >= 3 => self.doubt(),
            _ if rest[..prefix].contains(">>>") => self.doubt(),
            _ => Line::Words,
        }
    }

    fn opening(&mut self, line: &str, mark: char, length: usize, indent: usize) -> Line {
        let text = line.trim_end_matches('\n');
        let language = &text[indent + length..];
        let is_plain = indent <= 3 && text.bytes().take(indent).all(|b| b == b' ') && !language.contains(['`', '~']);
        if !is_plain {
            return self.doubt();
        }
        let is_known = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '#' | '_' | '.' | '-' | ' ');
        let kept: String = language.chars().filter(is_known).collect();
        let lower = kept.to_ascii_lowercase();
        let is_drawn = kept != language || DRAWN.iter().any(|drawn| lower.contains(drawn));
        *self = Self::Code(Fence { mark, length, indent, is_drawn });
        Line::Fence(format!("{}{kept}{}", &text[..indent + length], &line[text.len()..]), line.len())
    }

    fn doubt(&mut self) -> Line {
        *self = Self::Doubtful;
        Line::Words
    }
}

/// The first line of a text with its end, if it is all there.
fn whole_line(rest: &str, is_all: bool) -> Option<&str> {
    match rest.find('\n') {
        Some(end) => Some(&rest[..=end]),
        None => Some(rest).filter(|_| is_all),
    }
}
