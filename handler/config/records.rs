//! Where records are among the settings: in a file of this machine, or at Cosmos DB.

use super::models::Credential;
use super::search::service_address;
use super::source::Reader;
use crate::stores::records::cosmos::{CosmosAuthorization, CosmosSettings};

/// Where records are.
#[derive(Clone, Debug)]
pub enum RecordHome {
    /// In a SQLite file of the data folder.
    File,
    /// In a container of Cosmos DB.
    Cosmos(CosmosSettings),
}

/// Reads where records are; in a file when no account is named. Problems are the reader's.
pub(super) fn home(reader: &mut Reader<'_>, credential: Credential<'_>) -> RecordHome {
    cosmos(reader, credential).map_or(RecordHome::File, RecordHome::Cosmos)
}

fn cosmos(reader: &mut Reader<'_>, credential: Credential<'_>) -> Option<CosmosSettings> {
    let endpoint = reader.text("AZURE_COSMOS_ENDPOINT")?;
    let [database, container] = ["AZURE_COSMOS_DATABASE", "AZURE_COSMOS_CONTAINER"].map(|name| named(reader, name));
    let Some(endpoint) = service_address(&endpoint) else {
        let problem = "must be a web address without a path, with https unless it is on this machine";
        reader.problem("AZURE_COSMOS_ENDPOINT", problem);
        return None;
    };
    let key = reader.secret("AZURE_COSMOS_KEY");
    let authorization = match key {
        Some(key) => CosmosAuthorization::Key(key),
        None => CosmosAuthorization::Identity(credential.clone()),
    };
    let region = reader.text("AZURE_COSMOS_REGION");
    Some(CosmosSettings { endpoint, authorization, database, container, region })
}

/// The name of a database or container.
/// Source: <https://learn.microsoft.com/rest/api/cosmos-db/create-a-collection>
fn named(reader: &mut Reader<'_>, setting: &'static str) -> String {
    let name = reader.text(setting).unwrap_or_default();
    if name.chars().count() > 255 || name.contains(['/', '\\', '?', '#']) || name.ends_with(' ') {
        reader.problem(setting, "must have at most 255 characters and none of / \\ ? #");
    }
    name
}
