//! The product as a Function App: staged as the package is, run by the stand-in for the Functions host, with its documents
//! and its index in Azurite.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::app::{UNLIMITED, program};
use super::azurite;
use crate::fake_azure::identity::FakeIdentity;
use crate::fake_azure::tls;
use crate::stand_in::{Options, StandIn};

/// The queue in which the Functions host puts blobs it gave up on.
const BLOB_POISON_QUEUE: &str = "webjobs-blobtrigger-poison";

/// A running Function App with containers and queues of its own.
pub struct FunctionsApp {
    pub host: StandIn,
    /// The container its documents are in.
    pub documents: String,
    /// The container its index is in.
    pub index: String,
    /// The container its backups are in.
    pub backups: String,
    /// The queue its blob events come from.
    pub events: String,
    /// The identity that the platform gives it, in the form of the cloud.
    pub identity: Option<FakeIdentity>,
    folder: TempDir,
    options: Options,
    client: reqwest::Client,
}

impl FunctionsApp {
    /// In both forms: with a key over HTTP, as a laptop has it, and with tokens over TLS, as the cloud has it.
    pub async fn each() -> [Self; 2] {
        [Self::start().await, Self::start_in_the_cloud().await]
    }

    /// With storage over TLS that the identity of the app opens.
    pub async fn start_in_the_cloud() -> Self {
        Self::start_in_the_cloud_of(FakeIdentity::start().await).await
    }

    /// The same with an identity that a test has prepared.
    pub async fn start_in_the_cloud_of(identity: FakeIdentity) -> Self {
        Self::start_in_the_cloud_with(identity, |_| {}).await
    }

    /// The same with the options of the host changed before it starts.
    pub async fn start_in_the_cloud_with(identity: FakeIdentity, change: impl FnOnce(&mut Options)) -> Self {
        let app = Self::start_with(|options| {
            let (blob, queue) = azurite::addresses_over_tls();
            let own = [("AZURE_STORAGE_BLOB_ENDPOINT", blob.to_string()), ("SSL_CERT_FILE", tls::trusted())];
            let settings = own.into_iter().chain(identity.settings());
            options.app_settings.extend(settings.map(|(name, value)| (name.to_owned(), value)));
            options.storage = Some((blob, queue));
            change(options);
        })
        .await;
        Self { identity: Some(identity), ..app }
    }

    /// With default settings.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With the options of the host changed before it starts.
    pub async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        Self::start_on(&own_poison_queue(), |package| stage(package, &program()), change).await
    }

    /// From a package that `lay_out` puts into an empty folder.
    pub async fn start_packaged(lay_out: impl FnOnce(&Path)) -> Self {
        Self::start_on(&own_poison_queue(), lay_out, |_| {}).await
    }

    /// The same, listening to the one queue in which the host really puts blobs it gave up on. One test alone may do so,
    /// because all apps share it.
    pub async fn start_on_the_poison_queue() -> Self {
        Self::start_on(BLOB_POISON_QUEUE, |package| stage(package, &program()), |_| {}).await
    }

    async fn start_on(poison_queue: &str, lay_out: impl FnOnce(&Path), change: impl FnOnce(&mut Options)) -> Self {
        let unique = Uuid::new_v4().simple().to_string();
        let (documents, index, events) =
            (format!("documents-{unique}"), format!("index-{unique}"), format!("events-{unique}"));
        let backups = format!("backups-{unique}");
        let folder = tempfile::tempdir().expect("a folder can be made");
        let package = folder.path().join("package");
        lay_out(&package);
        let rename = |from: &str, to: &str| rename_in_definitions(&package, from, to);
        rename("\"documents/{name}\"", &format!("\"{documents}/{{name}}\""));
        rename("\"document-events\"", &format!("\"{events}\""));
        rename(&format!("\"{BLOB_POISON_QUEUE}\""), &format!("\"{poison_queue}\""));
        let mut options = Options::for_package(&package);
        options.storage = Some(azurite::addresses());
        options.run_schedules = false;
        options.app_settings = [
            ("DOCUMENTS_CONTAINER", documents.clone()),
            ("INDEX_CONTAINER", index.clone()),
            ("BACKUP_CONTAINER", backups.clone()),
            ("KNOWLEDGE_WORKER_DATA", folder.path().join("data").display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        options.app_settings.extend(UNLIMITED.map(|(name, value)| (name.to_owned(), value.to_owned())));
        change(&mut options);
        let host = StandIn::start(options.clone()).await.expect("the host starts");
        host.storage().create_container(&documents).await.expect("Azurite answers");
        host.storage().create_queue(&events).await.expect("Azurite answers");
        let client = reqwest::Client::new();
        Self { host, documents, index, backups, events, identity: None, folder, options, client }
    }

    /// The same app, started anew on what is in storage and in the data folder, with settings for the first start alone.
    pub async fn restart_with(self, first_start_settings: &[(&str, &str)]) -> Self {
        self.host.stop().await;
        let mut options = self.options;
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        options.first_start_settings = first_start_settings.iter().map(own).collect();
        let host = StandIn::start(options.clone()).await.expect("the host starts");
        Self { host, options, ..self }
    }

    /// The same app on a machine that has none of what the handler kept in its data folder.
    pub async fn restart_on_an_empty_folder(self) -> Self {
        self.host.stop().await;
        fs::remove_dir_all(self.folder.path().join("data")).expect("the folder is there");
        let host = StandIn::start(self.options.clone()).await.expect("the host starts");
        Self { host, ..self }
    }

    /// The data folder of the handler.
    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Puts a blob and waits until the function that its trigger started has succeeded.
    pub async fn upload(&self, name: &str, content: &str) {
        let mark = self.host.mark();
        self.put(name, content).await;
        self.host.invocation_after(mark, |done| done.function == "ingest_document" && done.succeeded()).await;
    }

    /// Puts a blob.
    pub async fn put(&self, name: &str, content: &str) {
        let stored = self.host.storage().put_blob(&self.documents, name, "text/plain", &[], content.into()).await;
        stored.expect("Azurite answers");
    }

    /// Deletes a blob, which starts no function by itself.
    pub async fn delete(&self, name: &str) {
        assert!(self.host.storage().delete_blob(&self.documents, name).await.expect("Azurite answers"));
    }

    /// Sends an Event Grid event about a blob and waits until it was handled.
    pub async fn event(&self, kind: &str, name: &str) {
        let data = json!({"api": "PutBlob", "sequencer": "000000000000000000000000000000000000"});
        self.event_with(kind, name, data).await;
    }

    /// Sends the event that a blob has another name now, as a storage with folders does, and waits until it was handled.
    pub async fn renamed(&self, name: &str, new_name: &str) {
        let address = format!("https://devstoreaccount1.blob.core.windows.net/{}/{new_name}", self.documents);
        self.event_with("BlobRenamed", name, json!({"api": "RenameFile", "destinationUrl": address})).await;
    }

    async fn event_with(&self, kind: &str, name: &str, data: Value) {
        let mark = self.host.mark();
        let event = json!({
            "specversion": "1.0",
            "id": Uuid::new_v4().to_string(),
            "type": format!("Microsoft.Storage.{kind}"),
            "source": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/devstoreaccount1",
            "time": "2026-01-01T00:00:00Z",
            "subject": format!("/blobServices/default/containers/{}/blobs/{name}", self.documents),
            "data": data,
        });
        self.host.storage().put_message(&self.events, &event.to_string()).await.expect("Azurite answers");
        self.host.invocation_after(mark, |done| done.function == "document_events" && done.succeeded()).await;
    }

    /// A request with the function key.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.host.base_url());
        self.client
            .request(method, url)
            .header("x-functions-key", self.host.function_key())
            .timeout(Duration::from_secs(60))
    }

    /// The words of the answer to a question.
    pub async fn ask(&self, question: &str) -> String {
        let asked = self.request(reqwest::Method::POST, "/api/chat").json(&json!({ "message": question }));
        let answer: Value = asked.send().await.expect("the host answers").json().await.expect("the answer is JSON");
        answer["response"].as_str().unwrap_or_else(|| panic!("no answer in {answer}")).to_owned()
    }

    /// The ledger's rows.
    pub async fn ledger(&self) -> Vec<Value> {
        let listed = self.request(reqwest::Method::GET, "/api/documents").send().await.expect("the host answers");
        let page: Value = listed.json().await.expect("the answer is JSON");
        page["documents"].as_array().cloned().unwrap_or_default()
    }
}

fn own_poison_queue() -> String {
    format!("poison-{}", Uuid::new_v4().simple())
}

/// Lays out a package as `scripts/package` does: host.json and the function folders beside the program.
fn stage(package: &Path, program: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(package).expect("a folder can be made");
    fs::copy(root.join("host.json"), package.join("host.json")).expect("host.json is there");
    fs::copy(program, package.join("handler")).expect("the program is there");
    fs::set_permissions(package.join("handler"), fs::Permissions::from_mode(0o755)).expect("the copy is ours");
    for entry in fs::read_dir(root.join("function-definitions")).expect("the definitions are there") {
        let source = entry.expect("the folder can be read").path();
        let target = package.join(source.file_name().expect("an entry has a name"));
        fs::create_dir_all(&target).expect("a folder can be made");
        fs::copy(source.join("function.json"), target.join("function.json")).expect("each folder has one");
    }
}

fn rename_in_definitions(package: &Path, from: &str, to: &str) {
    for entry in fs::read_dir(package).expect("the package was staged") {
        let file = entry.expect("the folder can be read").path().join("function.json");
        if let Ok(text) = fs::read_to_string(&file) {
            fs::write(&file, text.replace(from, to)).expect("the copy is ours");
        }
    }
}
