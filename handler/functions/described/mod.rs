//! What every route takes and gives, for people and programs that call it: one [`Call`] for each, in the files below. What
//! leaves is an OpenAPI document. Its schemas are made from the very types that are read and written; a test compares its
//! calls with the routes and sends its examples.
//!
//! Format: <https://spec.openapis.org/oas/v3.1.1.html>

mod acting;
mod chat;
mod conversations;
mod documents;
mod service;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::routes::Route;
use crate::access::Need;
use crate::error::ErrorKind;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// The groups of calls, with what each is about.
const TAGS: &[(&str, &str)] = &[
    ("Chat", "Questions and answers whose every citation was checked."),
    ("Conversations", "What one has asked, kept for oneself, and what one says of it."),
    ("Documents", "What answers are made of."),
    ("Actions", "What is done beyond answering, when a person confirms it."),
    ("Service", "What runs here, and how it is."),
];

/// A description of one route.
pub(super) struct Call {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    tag: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
    fails: Vec<ErrorKind>,
    /// The shape of other failures, for clients that know another one than problems.
    refusal: Option<Value>,
    schemas: Schemas,
}

/// Schemas by their names.
type Schemas = BTreeMap<String, Value>;

/// All calls there are.
pub(super) fn all() -> Vec<Call> {
    let mut all = chat::calls();
    all.extend(conversations::calls());
    all.extend(documents::calls());
    all.extend(acting::calls());
    all.extend(service::calls());
    all
}

/// A call by its method and path, not yet described any further.
fn call(tag: &'static str, method: &'static str, path: &'static str, summary: &'static str) -> Call {
    let parameters = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters = parameters.map(in_path).collect();
    let (answers, schemas) = (Map::new(), Schemas::new());
    Call { method, path, summary, tag, parameters, body: None, answers, fails: Vec::new(), refusal: None, schemas }
}

/// A parameter of a path. What each is called means the same everywhere.
fn in_path(name: &str) -> Value {
    let schema = match name {
        "page" => json!({ "type": "integer", "minimum": 1 }),
        "ordinal" => json!({ "type": "integer", "minimum": 0 }),
        _ => json!({ "type": "string", "minLength": 1 }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

impl Call {
    /// With a parameter of the query.
    fn query(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.parameters.push(json!({ "name": name, "in": "query", "schema": schema, "description": description }));
        self
    }

    /// With a header.
    fn header(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.parameters.push(json!({ "name": name, "in": "header", "schema": schema, "description": description }));
        self
    }

    /// With a body of JSON of a type that the code reads, and an example that works.
    fn takes<T: ToSchema>(mut self, example: Value) -> Self {
        let schema = reference::<T>(&mut self.schemas);
        self.takes_as(JSON, schema, example)
    }

    /// The same of a schema that is written down.
    fn takes_as(mut self, media_type: &str, schema: Value, example: Value) -> Self {
        self.body =
            Some(json!({ "required": true, "content": { media_type: { "schema": schema, "example": example } } }));
        self
    }

    /// Answered with a status and JSON of a type that the code writes.
    fn gives<T: ToSchema>(mut self, status: u16, description: &str) -> Self {
        let schema = reference::<T>(&mut self.schemas);
        self.gives_as(status, JSON, schema, description)
    }

    /// The same of a schema that is written down. Said twice of one status, the second media type stands beside the first.
    fn gives_as(mut self, status: u16, media_type: &str, schema: Value, description: &str) -> Self {
        let answer = self.answers.entry(status.to_string()).or_insert_with(|| json!({ "description": description }));
        answer["content"][media_type] = json!({ "schema": schema });
        self
    }

    /// Answered with a status alone.
    fn gives_nothing(mut self, status: u16, description: &str) -> Self {
        self.answers.insert(status.to_string(), json!({ "description": description }));
        self
    }

    /// Refused for one of these, beside what can happen to every call.
    fn fails(mut self, kinds: &[ErrorKind]) -> Self {
        self.fails.extend_from_slice(kinds);
        self
    }

    /// Refused in another shape than that of problems, whatever the reason.
    fn refuses_as(mut self, schema: Value) -> Self {
        self.refusal = Some(schema);
        self
    }

    fn operation(self, need: Need, schemas: &mut Schemas) -> Value {
        schemas.extend(self.schemas);
        let mut responses = self.answers;
        for kind in &self.fails {
            let row = kind.row();
            let told = format!("`{}`: {}.", row.code, row.title);
            let entry = responses.entry(row.status.to_string()).or_insert_with(problem);
            let before = entry["description"].as_str().unwrap_or_default();
            entry["description"] = json!(format!("{before} {told}").trim());
            entry["content"][PROBLEM] = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
        }
        let mut others = problem();
        others["description"] = json!("What can happen to every call: see the problem types.");
        if let Some(schema) = self.refusal {
            others["content"] = json!({ JSON: { "schema": schema } });
        }
        responses.insert("default".to_owned(), others);
        let mut operation = json!({
            "operationId": operation_id(self.method, self.path),
            "tags": [self.tag],
            "summary": self.summary,
            "description": needs(need),
            "parameters": self.parameters,
            "responses": responses,
        });
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        if need == Need::Open {
            operation["security"] = json!([]);
        }
        operation
    }
}

/// The whole document, for the routes there are.
pub(super) fn document(routes: &[Route]) -> Value {
    let (mut paths, mut schemas) = (BTreeMap::<&str, Map<String, Value>>::new(), Schemas::new());
    for call in all() {
        let need = routes.iter().find(|route| route.path == call.path && route.method.as_str() == call.method);
        // A test sees to it that there is no call without its route.
        let need = need.map_or(Need::Operate, |route| route.need);
        let (path, method) = (call.path, call.method.to_ascii_lowercase());
        paths.entry(path).or_default().insert(method, call.operation(need, &mut schemas));
    }
    schemas.insert("Problem".to_owned(), problem_schema());
    let tags: Vec<Value> = TAGS.iter().map(|(name, about)| json!({ "name": name, "description": about })).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Knowledge Worker",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Chat over an organisation's own documents. Errors are problem details (RFC 9457) of \
                types that are listed.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "security": [{ "bearer": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token, where `AUTH` says that callers sign in.",
                },
            },
        },
        "x-problem-types": problem_types(),
    })
}

/// The types of problems, from the table of errors.
pub(super) fn problem_types() -> Vec<Value> {
    let told = ErrorKind::ALL.iter().map(|kind| {
        let row = kind.row();
        json!({
            "type": format!("urn:knowledge-worker:problem:{}", row.code),
            "code": row.code,
            "status": row.status,
            "title": row.title,
            "passing": row.passing,
        })
    });
    told.collect()
}

/// A reference to the schema of a type, which goes among the others together with those that it needs.
fn reference<T: ToSchema>(schemas: &mut Schemas) -> Value {
    let mut needed = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut needed);
    for (name, schema) in needed {
        schemas.insert(name, json!(schema));
    }
    json!({ "$ref": format!("#/components/schemas/{}", T::name()) })
}

fn problem() -> Value {
    json!({ "description": "", "content": { PROBLEM: { "schema": { "$ref": "#/components/schemas/Problem" } } } })
}

fn problem_schema() -> Value {
    let codes: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.row().code).collect();
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "A problem as RFC 9457 has it.",
        "required": ["type", "title", "status", "detail", "instance", "code", "requestId"],
        "properties": {
            "type": text("A name for this type of problem."),
            "title": text("The same for people."),
            "status": { "type": "integer", "description": "The status of the answer." },
            "detail": text("What is wrong this time, in a sentence."),
            "instance": text("A name for this one."),
            "code": { "type": "string", "enum": codes, "description": "The last part of the type." },
            "requestId": text("Under which the log has it."),
        },
    })
}

fn needs(need: Need) -> &'static str {
    match need {
        Need::Open => "Needs nothing.",
        Need::Read => "Needs the right to read.",
        Need::Ask => "Needs the right to ask.",
        Need::Contribute => "Needs the right to bring documents.",
        Need::Operate => "Needs the right to run the product.",
    }
}

/// `GET /api/documents/{id}` as `get_api_documents_id`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    [method.to_ascii_lowercase().as_str()].into_iter().chain(words).collect::<Vec<_>>().join("_")
}

/// An object of which nothing more is said here.
fn any_object(description: &str) -> Value {
    json!({ "type": "object", "description": description })
}

/// A schema of any text.
fn text() -> Value {
    json!({ "type": "string" })
}

/// A schema of a whole number.
fn whole(least: u64, most: u64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

/// A schema of a number of things.
fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}
