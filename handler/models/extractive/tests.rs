//! Questions with the sentence that answers them.

use super::*;
use crate::models::fixture::{passage, terms};

fn answer(question: &str, passages: &[Passage]) -> Vec<Extract> {
    let mut seen = HashSet::new();
    let terms_of_question: Vec<WeightedTerm> = terms(question)
        .into_iter()
        .filter(|term| !["do", "get", "many", "can", "have"].contains(&term.as_str()) && seen.insert(term.clone()))
        .map(|term| WeightedTerm {
            weight: if passages.iter().any(|p| terms(&p.text).contains(&term)) { 2.0 } else { 3.0 },
            term,
        })
        .collect();
    let passages: Vec<&Passage> = passages.iter().collect();
    extract(&Material { question, terms: &terms_of_question, passages: &passages, analyze: &terms })
}

fn check(question: &str, passages: &[Passage], expected: &[(usize, &str)]) {
    let found = answer(question, passages);
    let found: Vec<(usize, &str)> = found.iter().map(|extract| (extract.passage, extract.text.as_str())).collect();
    assert_eq!(found, expected, "{question}");
}

fn handbook() -> Vec<Passage> {
    vec![
        passage(
            "handbook.pdf",
            0,
            "Time off > Annual leave",
            "Annual leave is there to rest. Plan your annual leave early with your team. Every employee gets 25 days in a calendar \
             year. Up to 5 unused days may be carried over until 31 March.",
        ),
        passage(
            "handbook.pdf",
            1,
            "Time off > Sick leave",
            "If you are ill, call your manager before 9:00. A doctor's note is needed from day 4.",
        ),
        passage(
            "travel.md",
            0,
            "Travel",
            "The head of your department approves travel. Flights in economy class only. To book:\n- open the portal\n- choose a train or flight\n- send the request",
        ),
    ]
}

#[test]
fn picks_the_sentence_with_the_number() {
    let found = answer("How many days of annual leave do I get?", &handbook());
    assert_eq!(found[0].text, "Every employee gets 25 days in a calendar year.");
    check("When do I have to call if I am ill?", &handbook(), &[(1, "If you are ill, call your manager before 9:00.")]);
    check("Who approves travel?", &handbook(), &[(2, "The head of your department approves travel.")]);
}

#[test]
fn quotes_a_list_with_its_lead_in() {
    let found = answer("How do I book a train or flight?", &handbook());
    assert!(found.iter().any(|extract| extract.text.contains("choose a train or flight")), "{found:?}");
}

#[test]
fn reads_tables_data_and_question_lists() {
    let table = passage(
        "leave.xlsx",
        0,
        "",
        "| Country | Annual leave | Sick pay |\n|---|---|---|\n| Norway | 25 days | 16 days |\n| Japan | 20 days | none |",
    );
    check(
        "How many days of annual leave in Japan?",
        &[table],
        &[(0, "Country: Japan; Annual leave: 20 days; Sick pay: none")],
    );
    let data = passage("limits.json", 0, "", "{\n  \"hotel_limit_eur\": 140,\n  \"meal_limit_eur\": 35\n}");
    check("What is the meal limit?", &[data], &[(0, "\"meal_limit_eur\": 35")]);
    let records = "plans[1].name: Coast\nplans[1].price_eur: 3150\n\nplans[2].name: Ocean\nplans[2].price_eur: 18900";
    let records = passage("plans.json", 0, "", records);
    let ocean = (0, "plans(2).name: Ocean\nplans(2).price_eur: 18900");
    check("What does the Ocean plan cost?", std::slice::from_ref(&records), &[ocean]);
    let coast = (0, "plans(1).name: Coast\nplans(1).price_eur: 3150");
    check("What is the price in EUR?", &[records], &[coast, ocean]);
    let asked = passage(
        "faq.md",
        0,
        "",
        "Can I work from abroad?\nYes, for up to 30 days with approval.\n\nCan I bring a dog?\nOnly on Fridays.",
    );
    check("Can I bring my dog?", std::slice::from_ref(&asked), &[(0, "Only on Fridays.")]);
    check("Can I work from abroad?", &[asked], &[(0, "Yes, for up to 30 days with approval.")]);
}

#[test]
fn answers_in_chinese_and_japanese() {
    let chinese = passage("手册.docx", 0, "", "年假需要提前申请。员工每年有十五天年假。病假另行规定。");
    check("员工每年有多少天年假？", &[chinese], &[(0, "员工每年有十五天年假。")]);
    let japanese = passage("規程.pdf", 0, "", "年次有給休暇は20日です。申請は二週間前までに行います。");
    check("年次有給休暇は何日ですか？", &[japanese], &[(0, "年次有給休暇は20日です。")]);
}

#[test]
fn says_the_same_thing_once() {
    let twice = [
        passage("a.txt", 0, "", "Visitors wear a badge at all times."),
        passage("b.txt", 0, "", "All visitors wear a badge at all times."),
    ];
    check("What do visitors wear?", &twice, &[(0, "Visitors wear a badge at all times.")]);
}

#[test]
fn finds_nothing_in_nothing() {
    check("How many?", &[], &[]);
    check("What is the dress code?", &[passage("a.txt", 0, "", "The canteen opens at noon.")], &[]);
    check("?", &handbook(), &[]);
}

#[test]
fn leaves_no_square_brackets() {
    assert_eq!(plain("Leave is 25 days.[12] See [annex] and [^1]."), "Leave is 25 days. See (annex) and (^1).");
    assert_eq!(plain("\"days\": [25, 30]"), "\"days\": (25, 30)");
    assert_eq!(plain("open ["), "open (");
}

proptest::proptest! {
    #[test]
    fn never_fails_and_never_changes_its_mind(question in "\\PC{0,60}", text in "(\\PC|\n){0,400}") {
        let passages = [passage("a.txt", 0, "", &text)];
        let first = answer(&question, &passages);
        proptest::prop_assert_eq!(&first, &answer(&question, &passages));
        proptest::prop_assert!(first.len() <= MAX_EXTRACTS && first.iter().all(|extract| !extract.text.contains('[')));
    }
}
