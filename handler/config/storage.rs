//! Where blobs are: a storage account that is named in one of several ways, or folders of this machine.

use std::path::PathBuf;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;

use super::BlobHome;
use super::source::Reader;
use crate::identity::Identity;
use crate::stores::storage_account::StorageAccount;

/// The storage account; none when none is named. What is named for this product goes before what the host has for itself.
pub(super) fn account(reader: &mut Reader<'_>, under_host: bool, identity: &Arc<Identity>) -> Option<StorageAccount> {
    let identity = || -> Arc<dyn TokenCredential> { identity.clone() };
    if reader.text("AZURE_STORAGE_CONNECTION_STRING").is_some() {
        return from_connection_string(reader, "AZURE_STORAGE_CONNECTION_STRING");
    }
    if let Some(address) = reader.text("AZURE_STORAGE_BLOB_ENDPOINT") {
        return reader.accept("AZURE_STORAGE_BLOB_ENDPOINT", StorageAccount::at(&address, identity()));
    }
    if let Some(name) = reader.text("AZURE_STORAGE_ACCOUNT_NAME") {
        return reader.accept("AZURE_STORAGE_ACCOUNT_NAME", StorageAccount::named(&name, identity()));
    }
    if !under_host {
        return None;
    }
    if reader.text("AzureWebJobsStorage").is_some() {
        return from_connection_string(reader, "AzureWebJobsStorage");
    }
    // The host's storage by identity: it is named in variables that only the platform and its templates set.
    if let Some(address) = reader.text("AzureWebJobsStorage__blobServiceUri") {
        return reader.accept("AzureWebJobsStorage", StorageAccount::at(&address, identity()));
    }
    let name = reader.text("AzureWebJobsStorage__accountName")?;
    reader.accept("AzureWebJobsStorage", StorageAccount::named(&name, identity()))
}

fn from_connection_string(reader: &mut Reader<'_>, name: &'static str) -> Option<StorageAccount> {
    let connection = reader.secret(name)?;
    reader.accept(name, StorageAccount::from_secret(connection))
}

/// Documents and index may share a container, for those who began so; whatever else is kept has one of its own.
pub(super) fn check_apart(reader: &mut Reader<'_>, containers: &[&'static str]) {
    for (at, name) in containers.iter().enumerate().skip(2) {
        for other in &containers[..at] {
            if reader.text(name) == reader.text(other) {
                reader.problem(name, format!("must be another container than {other}"));
            }
        }
    }
}

/// The home of one container, or the folder that stands in for it where no account is named.
pub(super) fn home(
    reader: &mut Reader<'_>,
    account: Option<&StorageAccount>,
    container: &'static str,
    folder: impl FnOnce() -> PathBuf,
) -> BlobHome {
    let name = reader.text(container).unwrap_or_default();
    let valid = (3..=63).contains(&name.len()) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !valid {
        reader.problem(container, "must have 3 to 63 lower-case letters, digits or hyphens");
    }
    match account {
        Some(account) => BlobHome::Container { account: account.clone(), container: name },
        None => BlobHome::Folder(folder()),
    }
}
