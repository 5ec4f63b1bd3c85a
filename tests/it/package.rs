//! The deployment package: what is in the zip, and that it runs in a folder where there is nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use knowledge_worker::functions::FUNCTIONS;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use crate::support::functions_app::FunctionsApp;

/// The zip that `scripts/package` made.
fn zip() -> PathBuf {
    let zip = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/knowledge-worker.zip");
    assert!(zip.exists(), "run ./scripts/package first, or ./scripts/test, which does");
    zip
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("the program is installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_zip_holds_what_the_host_reads_and_nothing_else() {
    let listed = output(Command::new("unzip").arg("-Z1").arg(zip()));
    let names: BTreeSet<&str> = listed.lines().filter(|name| !name.ends_with('/')).collect();
    let functions: Vec<String> = FUNCTIONS.iter().map(|function| format!("{}/function.json", function.name)).collect();
    let expected: BTreeSet<&str> = functions.iter().map(String::as_str).chain(["host.json", "handler"]).collect();
    assert_eq!(names, expected);
    let long = output(Command::new("unzip").arg("-Z").arg(zip()).arg("handler"));
    assert!(long.contains("-rwxr-xr-x"), "the host does not make it executable on every plan: {long}");
}

#[tokio::test]
async fn the_package_runs_in_an_empty_folder() {
    let app = FunctionsApp::start_packaged(|package| {
        output(Command::new("unzip").arg("-q").arg(zip()).arg("-d").arg(package));
    })
    .await;
    let health: Value = app.request(Method::GET, "/api/health").send().await.unwrap().json().await.unwrap();
    assert_eq!(health["status"], "healthy", "{health}");
    let pdf = include_bytes!("../../samples/documents/handbook/staff-handbook.pdf");
    let form = Form::new().part("file", Part::bytes(pdf.to_vec()).file_name("handbook.pdf"));
    let uploaded = app.request(Method::POST, "/api/documents").multipart(form).send().await.unwrap();
    assert_eq!(uploaded.status(), 202);
    app.host.success_of("ingest_document").await;
    let answer = app.ask("How many days of annual leave do I get?").await;
    assert!(answer.contains("[handbook.pdf#page=5]"), "{answer}");
}
