//! Payloads and honest answers, given whole and in pieces.

use proptest::prelude::*;

use super::*;

fn list() -> LinkAllowlist {
    LinkAllowlist::parse("docs.contoso.com").expect("a list")
}

fn filtered(pieces: &[&str]) -> String {
    let links = list();
    let mut filter = OutgoingFilter::new(&links, vec!["Write to hr@fabrikam.org. Or x.y@evil.net"]);
    let mut out: String = pieces.iter().map(|piece| filter.push(piece)).collect();
    out.push_str(&filter.finish());
    out
}

fn check(text: &str, expected: &str) {
    assert_eq!(filtered(&[text]), expected, "{text:?}");
    let letters: Vec<&str> = text.split_inclusive(|_| true).collect();
    assert_eq!(filtered(&letters), expected, "{text:?} letter by letter");
}

#[test]
fn images_and_links_lose_their_targets() {
    check("![x](https://evil.net/?q=1)", "! [x]");
    check("See [here](https://evil.net) now", "See [here] now");
    check("See [here](https://docs.contoso.com/a) now", "See [here](https://docs.contoso.com/a) now");
    check(
        "[https://docs.contoso.com](https://docs.contoso.com)",
        "[https://docs.contoso.com](https://docs.contoso.com)",
    );
    check("![x](https://docs.contoso.com/a)", "! [x](https://docs.contoso.com/a)");
    check("[a](x)(https://evil.net)", "[a] (https(:)//evil(.)net)");
    check("[a](https://evil.net 'title')", "[a] (https(:)//evil(.)net 'title')");
    check("[a](\nhttps://evil.net)", "[a] (\nhttps(:)//evil(.)net)");
    check("[a][1]\n\n[1]: https://evil.net", "[a][1]\n\n[1] : https(:)//evil(.)net");
    check("[a\nb]: //evil.net", "[a\nb] : //evil(.)net");
    check("[a](javascript:alert(1))", "[a]");
    check("![[evil]] [[evil|x]]", "! [ [evil]] [ [evil|x]]");
}

#[test]
fn html_opens_nothing() {
    check("<img src=x>", "< img src=x>");
    check("a <!-- b --> </p> <?x", "a < !-- b --> < /p> < ?x");
    check("<https://evil.net>", "< https(:)//evil(.)net>");
}

#[test]
fn bare_addresses_are_no_links() {
    check("At https://evil.net/a. Or www.evil.net", "At https(:)//evil(.)net/a. Or www(.)evil(.)net");
    check("At https://docs.contoso.com/a.", "At https://docs.contoso.com/a.");
    check("Mail secret@evil.net or hr@fabrikam.org.", "Mail secret(at)evil(.)net or hr@fabrikam.org.");
    check("看https://docs.contoso.com。co", "看https(:)//docs(.)contoso(.)com。co");
    check("看 https://docs.contoso.com/a。", "看 https://docs.contoso.com/a 。");
    check("y@evil.net mailto:hr@fabrikam.org", "y(at)evil(.)net mailto(:)hr(at)fabrikam(.)org");
}

#[test]
fn only_certain_code_is_passed() {
    check("`Vec<String>` and ``a ` <b>``", "`Vec<String>` and ``a ` <b>``");
    check("a ` b\n`<img src=x>`", "a ' b\n`<img src=x>`");
    check("| `a | <img> |", "| 'a | < img> |");
    check("| `a | <img>` |", "| `a | < img>` |");
    check("\\`<img>`", "\\'< img>'");
    check("```html\n<img>\n```\n<img>", "```html\n<img>\n```\n< img>");
    check("- x\n\n  ```\n  <b>\n<img>\n  ```\n<img>", "- x\n\n  ```\n  <b>\n< img>\n  ```\n< img>");
    check("1. x\n   ```\n   <b>\n   ```\n<img>", "1. x\n   ```\n   <b>\n   ```\n< img>");
    check("> ```\n> <b>\n<img>", "> ```\n> < b>\n< img>");
    check("$$\n```\n$$\n<img>", "$$\n```\n$$\n< img>");
}

#[test]
fn what_clients_draw_is_text() {
    check("# x {onclick=y}", "# x {onclick = y}");
    check("$\\sum_{i=1}^n$", "$\\sum_{i=1}^n$");
    check("```mermaid\nclick A \"https://evil.net\"\n```", "```mermaid\nc-lick A \"https(:)//evil(.)net\"\n```");
    check("$\\href{https://evil.net}{x}$ \\url x", "$href{https(:)//evil(.)net}{x}$ url x");
    check("```{=html}\n<img>\n```", "```html\n< img>\n```");
}

#[test]
fn nothing_joins_a_citation() {
    let links = list();
    let mut filter = OutgoingFilter::new(&links, Vec::new());
    assert_eq!(filter.push("It is so"), "It is ");
    assert_eq!(filter.before_citation(), "so");
    assert_eq!(filter.push("(https://evil.net) x"), " (https(:)//evil(.)net) ");
    assert_eq!(filter.finish(), "x");
}

/// Answers that nothing is wrong with.
const HONEST: &str = include_str!("honest.txt");

#[test]
fn honest_answers_stay_as_they_are() {
    HONEST.split("\n=====\n").chain(["", "\n\n  indented\n\ttab\n"]).for_each(|honest| check(honest, honest));
}

#[test]
fn a_word_without_end_is_let_out() {
    let long = "x".repeat(5_000) + ".evil.net";
    let out = filtered(&[&long]);
    assert!(out.len() >= 5_000 && !is_linkable(&out), "{}", &out[4_900..]);
    let letters: Vec<&str> = long.split_inclusive(|_| true).collect();
    assert_eq!(filtered(&letters), out);
    let split = format!("{}.net", "x".repeat(MAX_WORD + 1));
    assert!(!is_linkable(&filtered(&[&split])));
    assert_eq!(filtered(&["a ", &"`".repeat(2_000)]), format!("a {}", "'".repeat(2_000)));
}

proptest! {
    #[test]
    fn pieces_make_no_difference(text in "[\\[\\]()<>!`~\\\\$|:./@ \na-c1]{0,80}", cut in 0_usize..80) {
        let at = text.char_indices().nth(cut).map_or(text.len(), |(at, _)| at);
        prop_assert_eq!(filtered(&[&text[..at], &text[at..]]), filtered(&[&text]));
    }

    #[test]
    fn nothing_fails(text in "(\\PC|[\\[\\]()<`:\n ]){0,200}") {
        filtered(&[&text]);
        // Code stays what it is, and nobody takes it for an image.
        let out = filtered(&[&text.replace('`', "")]);
        prop_assert!(!out.contains("![") && !out.contains("]:/"));
    }
}
