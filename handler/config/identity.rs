//! How this process signs in at Azure: what the platform offers decides, and one setting picks among its identities.

use std::path::PathBuf;
use std::sync::Arc;

use super::source::Reader;
use crate::clock::Clock;
use crate::identity::{Identity, SignIn};

/// The one identity that all clients share.
pub(super) fn identity(reader: &mut Reader<'_>) -> Arc<Identity> {
    Arc::new(Identity::new(sign_in(reader), Clock::system()))
}

/// A workload identity goes first, because only a cluster that was told to offers one; then that of the platform.
fn sign_in(reader: &mut Reader<'_>) -> SignIn {
    let client_id = reader.text("AZURE_CLIENT_ID");
    if let Some(file) = reader.text("AZURE_FEDERATED_TOKEN_FILE") {
        // A cluster gives all three to a pod, or none of them.
        match (client_id, reader.text("AZURE_TENANT_ID")) {
            (Some(client_id), Some(tenant_id)) => {
                return SignIn::Workload { token_file: PathBuf::from(file), client_id, tenant_id };
            }
            (client_id, _) => {
                let missing = if client_id.is_none() { "AZURE_CLIENT_ID" } else { "AZURE_TENANT_ID" };
                reader.problem(missing, "must be set with AZURE_FEDERATED_TOKEN_FILE");
                return SignIn::DeveloperTools;
            }
        }
    }
    match reader.text("IDENTITY_ENDPOINT") {
        Some(_) => SignIn::Managed { client_id },
        None => SignIn::DeveloperTools,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Source;

    fn check(settings: &[(&str, &str)], expected: &str) {
        let source = Source::of(settings.iter().copied());
        let mut reader = Reader::new(&source);
        let identity = identity(&mut reader);
        let told = match reader.finish() {
            Ok(_) => identity.describe(),
            Err(problems) => format!("{} {}", problems[0].name, problems[0].problem),
        };
        assert_eq!(told, expected, "{settings:?}");
    }

    #[test]
    fn the_platform_decides_how_to_sign_in() {
        let (file, client) = (("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token"), ("AZURE_CLIENT_ID", "c1"));
        let (tenant, endpoint) = (("AZURE_TENANT_ID", "t1"), ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi"));
        check(&[], "login of az or azd");
        check(&[client], "login of az or azd");
        check(&[endpoint], "managed identity of the app");
        check(&[endpoint, client], "managed identity c1");
        check(&[file, client, tenant, endpoint], "workload identity c1");
        check(&[file, tenant], "AZURE_CLIENT_ID must be set with AZURE_FEDERATED_TOKEN_FILE");
        check(&[file, client, endpoint], "AZURE_TENANT_ID must be set with AZURE_FEDERATED_TOKEN_FILE");
    }
}
