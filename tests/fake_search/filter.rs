//! The part of the filter language that is sent here: conditions joined by `and`, each an equality, a range of numbers
//! or times, or a list of values, for a field or for any element of one. Everything else is refused, and so are fields
//! that the index does not filter by.

use serde_json::{Map, Value};

/// A condition.
pub(super) enum Condition {
    Compare { field: String, operator: Operator, constant: Value },
    In { field: String, values: Vec<String> },
    AnyIn { field: String, values: Vec<String> },
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

/// Reads a filter.
pub(super) fn parse(text: &str, definition: &Value) -> Result<Vec<Condition>, String> {
    let mut rest = text.trim();
    let mut conditions = Vec::new();
    loop {
        let (condition, after) = condition(rest, definition)?;
        conditions.push(condition);
        match after.trim_start().strip_prefix("and ") {
            Some(next) => rest = next.trim_start(),
            None if after.trim().is_empty() => return Ok(conditions),
            None => return Err(format!("the filter is not understood at '{after}'")),
        }
    }
}

impl Condition {
    /// Whether a row meets it.
    pub(super) fn holds(&self, row: &Map<String, Value>) -> bool {
        let value = |field: &str| row.get(field).cloned().unwrap_or(Value::Null);
        match self {
            Self::In { field, values } => {
                value(field).as_str().is_some_and(|text| values.iter().any(|one| one == text))
            }
            Self::AnyIn { field, values } => value(field).as_array().is_some_and(|elements| {
                elements.iter().any(|element| element.as_str().is_some_and(|text| values.iter().any(|one| one == text)))
            }),
            Self::Compare { field, operator, constant } => compare(&value(field), *operator, constant),
        }
    }
}

fn compare(value: &Value, operator: Operator, constant: &Value) -> bool {
    let order = match (value, constant) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) if operator == Operator::Eq || operator == Operator::Ne => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => {
            let time = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
            time(a).zip(time(b)).map(|(a, b)| a.cmp(&b))
        }
        _ => None,
    };
    match operator {
        Operator::Eq => order.is_some_and(|order| order.is_eq()),
        Operator::Ne => order.is_none_or(|order| order.is_ne()),
        Operator::Gt => order.is_some_and(|order| order.is_gt()),
        Operator::Ge => order.is_some_and(|order| order.is_ge()),
        Operator::Lt => order.is_some_and(|order| order.is_lt()),
        Operator::Le => order.is_some_and(|order| order.is_le()),
    }
}

fn condition<'a>(text: &'a str, definition: &Value) -> Result<(Condition, &'a str), String> {
    if let Some(inner) = text.strip_prefix("search.in(") {
        let (field, values, rest) = values(inner)?;
        filterable(definition, &field, "Edm.String")?;
        return Ok((Condition::In { field, values }, rest));
    }
    let name_end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').ok_or("the filter ends too soon")?;
    let (field, rest) = (text[..name_end].to_owned(), &text[name_end..]);
    if let Some(lambda) = rest.strip_prefix("/any(") {
        filterable(definition, &field, "Collection(Edm.String)")?;
        let (variable, inner) = lambda.split_once(':').ok_or("a lambda names its variable")?;
        let inner = inner.trim_start();
        let (asked, values, rest) = match inner.strip_prefix("search.in(") {
            Some(list) => values(list)?,
            None => {
                let (asked, constant) =
                    inner.split_once(" eq ").ok_or("only eq and search.in are asked of elements here")?;
                let (value, rest) = literal(constant.trim_start())?;
                (asked.to_owned(), vec![value], rest)
            }
        };
        let rest = rest.trim_start().strip_prefix(')').ok_or("a parenthesis is missing")?;
        if asked != variable.trim() {
            return Err("the lambda asks of another variable".to_owned());
        }
        return Ok((Condition::AnyIn { field, values }, rest));
    }
    let operators = [
        ("eq", Operator::Eq),
        ("ne", Operator::Ne),
        ("gt", Operator::Gt),
        ("ge", Operator::Ge),
        ("lt", Operator::Lt),
        ("le", Operator::Le),
    ];
    let rest = rest.trim_start();
    let (_, operator) = operators
        .into_iter()
        .find(|(word, _)| rest.strip_prefix(word).is_some_and(|after| after.starts_with(' ')))
        .ok_or_else(|| format!("the filter is not understood at '{rest}'"))?;
    let (constant, rest) = constant(rest[2..].trim_start())?;
    let kind = kind_of(definition, &field)?;
    let fits = match kind.as_str() {
        // Texts are the same or not; the service documents no order of them.
        "Edm.String" => constant.is_string() && matches!(operator, Operator::Eq | Operator::Ne),
        "Edm.Int32" | "Edm.Int64" | "Edm.Double" => constant.is_number(),
        "Edm.DateTimeOffset" => {
            constant.as_str().is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok())
        }
        _ => false,
    };
    if !fits {
        return Err(format!("the field '{field}' cannot be compared so"));
    }
    Ok((Condition::Compare { field, operator, constant }, rest))
}

/// `field, 'a|b', '|')`: the field, the values, and what comes after.
fn values(text: &str) -> Result<(String, Vec<String>, &str), String> {
    let (field, rest) = text.split_once(',').ok_or("search.in has two or three arguments")?;
    let (list, rest) = literal(rest.trim_start())?;
    let rest = rest.trim_start();
    let (delimiters, rest) = match rest.strip_prefix(',') {
        Some(rest) => literal(rest.trim_start())?,
        None => (" ,".to_owned(), rest),
    };
    let rest = rest.trim_start().strip_prefix(')').ok_or("a parenthesis is missing")?;
    let values = list.split(|c| delimiters.contains(c)).filter(|value| !value.is_empty()).map(str::to_owned).collect();
    Ok((field.trim().to_owned(), values, rest))
}

/// A quoted text, whose quotes inside are doubled, and what comes after.
fn literal(text: &str) -> Result<(String, &str), String> {
    let mut rest = text.strip_prefix('\'').ok_or("a quote is missing")?;
    let mut value = String::new();
    loop {
        let (before, after) = rest.split_once('\'').ok_or("a quote is missing")?;
        value.push_str(before);
        match after.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Ok((value, after)),
        }
    }
}

fn constant(text: &str) -> Result<(Value, &str), String> {
    if text.starts_with('\'') {
        let (value, rest) = literal(text)?;
        return Ok((Value::String(value), rest));
    }
    let end = text.find(' ').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if let Ok(number) = word.parse::<i64>() {
        return Ok((Value::from(number), rest));
    }
    match chrono::DateTime::parse_from_rfc3339(word) {
        Ok(_) => Ok((Value::from(word), rest)),
        Err(_) => Err(format!("the constant '{word}' is not understood")),
    }
}

fn kind_of(definition: &Value, field: &str) -> Result<String, String> {
    let known = definition["fields"].as_array().into_iter().flatten().find(|known| known["name"] == field);
    let known = known.ok_or_else(|| format!("there is no field '{field}'"))?;
    if known["filterable"] != true {
        return Err(format!("the field '{field}' is not filterable"));
    }
    Ok(known["type"].as_str().unwrap_or_default().to_owned())
}

fn filterable(definition: &Value, field: &str, kind: &str) -> Result<(), String> {
    if kind_of(definition, field)? == kind { Ok(()) } else { Err(format!("the field '{field}' is of another type")) }
}
