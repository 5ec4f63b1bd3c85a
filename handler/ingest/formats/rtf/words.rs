//! The words of rich text that the reader knows: what begins a group that is no text, what stands for a sign, and which
//! encodings code pages and character sets mean.

use encoding_rs::{Encoding, WINDOWS_1252};

/// What the text of a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The document's own.
    Text,
    /// A footnote or an endnote.
    Note,
    /// The title of the document.
    Title,
    /// Names of fonts; only their character sets count.
    Fonts,
    /// Names of styles.
    Styles,
    /// Nothing that is read.
    Skipped,
}

/// Groups whose text is not the document's.
pub fn destination(word: &str) -> Option<Destination> {
    match word {
        "footnote" | "endnote" => Some(Destination::Note),
        "title" => Some(Destination::Title),
        "fonttbl" => Some(Destination::Fonts),
        "stylesheet" => Some(Destination::Styles),
        "info" | "colortbl" | "pict" | "header" | "headerl" | "headerr" | "headerf" | "footer" | "footerl"
        | "footerr" | "footerf" | "fldinst" | "objdata" | "author" | "operator" | "company" | "creatim" | "revtim"
        | "printim" | "doccomm" | "subject" | "keywords" | "comment" | "category" | "manager" | "nonshppict"
        | "annotation" | "atnid" | "atnauthor" | "xe" | "tc" | "private" | "themedata" | "datastore" | "listtable" => {
            Some(Destination::Skipped)
        }
        _ => None,
    }
}

/// Control words that stand for a sign.
pub fn sign(word: &str) -> Option<&'static str> {
    Some(match word {
        "line" | "\n" | "\r" => "\n",
        "tab" => "\t",
        "~" => "\u{a0}",
        "_" => "-",
        "{" => "{",
        "}" => "}",
        "\\" => "\\",
        "emdash" => "—",
        "endash" => "–",
        "lquote" => "‘",
        "rquote" => "’",
        "ldblquote" => "“",
        "rdblquote" => "”",
        "bullet" => "•",
        "emspace" | "enspace" | "qmspace" => " ",
        _ => return None,
    })
}

/// The encoding of a Windows code page. Those that the web does not know are rare and close to the Western one.
pub fn code_page(page: i32) -> &'static Encoding {
    let label = match page {
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        10000 => "macintosh".to_owned(),
        65001 => "utf-8".to_owned(),
        page => format!("windows-{page}"),
    };
    Encoding::for_label(label.as_bytes()).unwrap_or(WINDOWS_1252)
}

/// The encoding that the character set of a font means; `None` where it means that of the document.
pub fn encoding_of_charset(charset: i32) -> Option<&'static Encoding> {
    let page = match charset {
        0 => 1252,
        77 => 10000,
        128 => 932,
        129 => 949,
        134 => 936,
        136 => 950,
        161 => 1253,
        162 => 1254,
        163 => 1258,
        177 => 1255,
        178 => 1256,
        186 => 1257,
        204 => 1251,
        222 => 874,
        238 => 1250,
        _ => return None,
    };
    Some(code_page(page))
}
