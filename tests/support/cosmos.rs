//! The emulator of Cosmos DB, started by `scripts/test` before the tests.

use knowledge_worker::stores::records::cosmos::{CosmosAuthorization, CosmosSettings};
use serde_json::{Value, json};
use uuid::Uuid;

/// The database that the emulator has at start.
const DATABASE: &str = "knowledge-worker";
/// It asks for no key, but the client wants to sign with one.
pub const KEY: &str = "a2V5";

/// A container of its own for a test, made as an operator makes it.
pub struct Container {
    pub name: String,
    address: String,
    http: reqwest::Client,
}

impl Container {
    /// A new one.
    pub async fn new() -> Self {
        let container = Self {
            name: format!("records-{}", Uuid::new_v4().simple()),
            address: address(),
            http: reqwest::Client::new(),
        };
        // The very definition that the README gives to operators.
        let told: Value = serde_json::from_str(include_str!("../../docs/cosmos-container.json")).unwrap();
        let mut made = told["properties"]["resource"].clone();
        made["id"] = json!(container.name);
        let answer =
            container.http.post(format!("{}/dbs/{DATABASE}/colls", container.address)).json(&made).send().await;
        assert_eq!(answer.unwrap().status(), 201);
        container
    }

    /// What a store on it is told.
    pub fn settings(&self) -> CosmosSettings {
        CosmosSettings {
            endpoint: self.address.parse().unwrap(),
            authorization: CosmosAuthorization::Key(KEY.into()),
            database: DATABASE.to_owned(),
            container: self.name.clone(),
            region: None,
        }
    }

    /// The same as settings of the product.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AZURE_COSMOS_ENDPOINT", self.address.clone()),
            ("AZURE_COSMOS_KEY", KEY.to_owned()),
            ("AZURE_COSMOS_CONTAINER", self.name.clone()),
        ]
    }

    /// Lets some of the next calls fail, as `tests/cosmos_front/src/control.rs` says.
    pub async fn fail(&self, mut fault: Value) {
        fault["container"] = json!(self.name);
        let answer = self.http.post(format!("{}/_control/faults", self.address)).json(&fault).send().await.unwrap();
        assert_eq!(answer.status(), 204, "{fault}");
    }

    /// Lets all be well again.
    pub async fn heal(&self) {
        let path = format!("{}/_control/faults/{}", self.address, self.name);
        assert_eq!(self.http.delete(path).send().await.unwrap().status(), 204);
    }

    /// The calls that were answered since the last time this was asked, and what they cost by the emulator's reckoning.
    pub async fn calls(&self) -> Value {
        let path = format!("{}/_control/calls/{}", self.address, self.name);
        let calls = self.http.get(&path).send().await.unwrap().json().await.unwrap();
        assert_eq!(self.http.delete(&path).send().await.unwrap().status(), 204);
        calls
    }
}

/// Settings as most take them.
pub fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[expect(clippy::disallowed_methods, reason = "the script that runs the tests says where its servers are")]
fn address() -> String {
    std::env::var("TEST_COSMOS").unwrap_or_else(|_| {
        panic!("TEST_COSMOS is not set; run ./scripts/test, which starts the emulator of Cosmos DB")
    })
}
