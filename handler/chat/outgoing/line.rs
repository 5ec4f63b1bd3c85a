//! What the line so far allows the next character to mean. What enters are the characters that were let out, what leaves is
//! whether a colon or an equals sign would make a definition or an attribute of what stands before it.

/// What is known of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineSoFar {
    /// It has not begun.
    pub(super) is_at_start: bool,
    /// Nothing but white space and marks of lists and quotes.
    pub(super) has_only_marks: bool,
    /// A bracket that opens stands in it, after other words.
    has_inner_bracket: bool,
    /// The first thing in it is a bracket, or a bracket may be escaped.
    may_define: bool,
    /// How many characters ago a brace opened, and one more outside mathematics: what is inside may be attributes of a
    /// heading.
    since_brace: Option<usize>,
}

impl LineSoFar {
    pub(super) const NEW: Self = Self {
        is_at_start: true,
        has_only_marks: true,
        has_inner_bracket: false,
        may_define: false,
        since_brace: None,
    };

    /// Whether a colon after a bracket could make a definition of it.
    pub(super) fn defines(&self) -> bool {
        self.may_define || !self.has_inner_bracket
    }

    /// Whether an equals sign could make an attribute; `{i=1}` is mathematics.
    pub(super) fn may_be_attribute(&self) -> bool {
        self.since_brace.is_some_and(|chars| chars != 1)
    }

    /// A citation in brackets follows.
    pub(super) fn put_citation(&mut self) {
        self.has_inner_bracket |= !self.has_only_marks;
        self.may_define |= self.has_only_marks;
        self.is_at_start = false;
        self.has_only_marks = false;
    }

    /// A character follows; `is_mathematics` when the one before raises or lowers it.
    pub(super) fn put(&mut self, c: char, is_mathematics: bool) {
        match c {
            '\n' => *self = Self::NEW,
            '[' if self.has_only_marks => self.may_define = true,
            '[' => self.has_inner_bracket = true,
            '\\' => self.may_define = true,
            _ => {}
        }
        let opened = (c == '{').then_some(usize::from(!is_mathematics));
        self.since_brace = opened.or(self.since_brace.map(|chars| chars + 1));
        let is_mark = c.is_whitespace() || c.is_ascii_digit() || matches!(c, '>' | '*' | '+' | '-' | '.' | ')');
        self.has_only_marks &= is_mark;
    }
}
