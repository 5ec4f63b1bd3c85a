//! What a failure means and what to do about it: which role, to whom, on what, as a command to copy. Enters: an error with its
//! reason, and what it is about. Leaves: sentences. Nothing is asked here.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::error::Error;
use crate::reason::Reason;

/// What lets the product in.
pub(super) enum Access {
    /// Nothing: it is on this machine.
    Local,
    /// Nothing: the service is open to whoever reaches it.
    Open,
    /// A key, which is in these settings.
    Key(&'static str),
    /// Rights of its identity.
    Identity(Resource),
}

/// A resource of Azure, and what the product has to be granted on it.
pub(super) struct Resource {
    name: String,
    grant: Grant,
}

/// How rights on a resource are granted.
enum Grant {
    /// Roles of the platform, on a resource of a kind.
    Roles { kind: &'static str, roles: &'static [&'static str] },
    /// A command of the service's own, with NAME and PRINCIPAL_ID in it.
    Command(&'static str),
}

/// Whom rights are granted to.
#[derive(Default)]
pub(super) struct Grantee(Option<String>);

impl Resource {
    /// A storage account.
    pub(super) fn storage(endpoint: &str) -> Self {
        Self::with_roles(endpoint, "Microsoft.Storage/storageAccounts", &["Storage Blob Data Contributor"])
    }

    /// A storage account in which index tags of blobs are read, which only its owners may.
    /// Source: <https://learn.microsoft.com/rest/api/storageservices/get-blob-tags#permissions>
    pub(super) fn tagged_storage(endpoint: &str) -> Self {
        Self::with_roles(endpoint, "Microsoft.Storage/storageAccounts", &["Storage Blob Data Owner"])
    }

    /// An Application Insights. Its addresses do not say what it is called.
    pub(super) fn application_insights() -> Self {
        let roles = &["Monitoring Metrics Publisher"];
        Self { name: "NAME".to_owned(), grant: Grant::Roles { kind: "Microsoft.Insights/components", roles } }
    }

    /// A search service: one role for the index itself, one for what is in it.
    pub(super) fn search(endpoint: &str) -> Self {
        let roles = &["Search Service Contributor", "Search Index Data Contributor"];
        Self::with_roles(endpoint, "Microsoft.Search/searchServices", roles)
    }

    /// A resource of Azure OpenAI.
    pub(super) fn open_ai(endpoint: &str) -> Self {
        Self::with_roles(endpoint, "Microsoft.CognitiveServices/accounts", &["Cognitive Services OpenAI User"])
    }

    /// A Key Vault.
    pub(super) fn vault(address: &str) -> Self {
        Self::with_roles(address, "Microsoft.KeyVault/vaults", &["Key Vault Secrets User"])
    }

    /// An account of Cosmos DB, which keeps roles of its own.
    pub(super) fn cosmos(endpoint: &str) -> Self {
        let command = "az cosmosdb sql role assignment create -a NAME -g GROUP --scope / --principal-id PRINCIPAL_ID \
            --role-definition-name \"Cosmos DB Built-in Data Contributor\"";
        Self { name: first_part(endpoint), grant: Grant::Command(command) }
    }

    /// An Azure Managed Redis.
    pub(super) fn redis(address: &str) -> Self {
        let command = "az redisenterprise database access-policy-assignment create --cluster-name NAME \
            --resource-group GROUP --database-name default --access-policy-name default \
            --access-policy-assignment-name knowledgeworker --object-id PRINCIPAL_ID";
        Self { name: first_part(address), grant: Grant::Command(command) }
    }

    fn with_roles(address: &str, kind: &'static str, roles: &'static [&'static str]) -> Self {
        Self { name: first_part(address), grant: Grant::Roles { kind, roles } }
    }

    /// The commands that let somebody in.
    fn grant(&self, grantee: &Grantee) -> String {
        let (who, name) = (grantee.0.as_deref().unwrap_or("PRINCIPAL_ID"), &self.name);
        let (kind, roles) = match &self.grant {
            Grant::Command(command) => return command.replace("NAME", name).replace("PRINCIPAL_ID", who),
            Grant::Roles { kind, roles } => (kind, roles),
        };
        let find = format!("az resource list --resource-type {kind} --name {name} --query '[0].id' -o tsv");
        let commands = roles
            .iter()
            .map(|role| format!("az role assignment create --assignee {who} --role \"{role}\" --scope \"$({find})\""));
        commands.collect::<Vec<_>>().join("\n")
    }

    fn is_search(&self) -> bool {
        matches!(self.grant, Grant::Roles { kind: "Microsoft.Search/searchServices", .. })
    }
}

/// The first part of the name of a host, which is the name of the resource.
fn first_part(address: &str) -> String {
    let host = Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    host.split('.').next().unwrap_or_default().to_owned()
}

impl Grantee {
    /// The one whom a token names.
    pub(super) fn of(token: Option<SecretString>) -> Self {
        let claims = || {
            let token = token?;
            let claims = BASE64_URL_SAFE_NO_PAD.decode(token.expose_secret().split('.').nth(1)?).ok()?;
            let claims: Value = serde_json::from_slice(&claims).ok()?;
            let id = claims["oid"].as_str()?;
            // It becomes part of a command.
            id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-').then(|| id.to_owned())
        };
        Self(claims())
    }
}

/// What is wrong, in one line: what was done, and why it failed.
pub(super) fn what(error: &Error) -> String {
    match error.reason() {
        Some(Reason::NoToken) => error.chain(),
        Some(reason) => format!("{}: {reason}", error.message()),
        None => error.chain(),
    }
}

/// What to do about it.
pub(super) fn how(error: &Error, access: &Access, grantee: &Grantee) -> Option<String> {
    let advice = match (error.reason()?, access) {
        (Reason::NotAllowed, Access::Identity(resource)) => {
            format!("grant the role; it acts after some minutes:\n{}", resource.grant(grantee))
        }
        (Reason::NotKnown, Access::Identity(resource)) if resource.is_search() => format!(
            "let the service accept tokens: az search service update --name {} --resource-group GROUP \
             --auth-options aadOrApiKey --aad-auth-failure-mode http403",
            resource.name
        ),
        // Redis says no more than that it does not know the user.
        (Reason::NotKnown, Access::Identity(resource)) if matches!(resource.grant, Grant::Command(_)) => {
            format!("let the identity in:\n{}", resource.grant(grantee))
        }
        (Reason::NotKnown, Access::Identity(_)) => {
            "the identity has to belong to the tenant of the resource; see AZURE_CLIENT_ID and AZURE_TENANT_ID".to_owned()
        }
        (Reason::NotKnown | Reason::NotAllowed, Access::Key(settings)) => {
            format!("the key is wrong, was renewed, or is not let in: see {settings}")
        }
        (Reason::NotKnown | Reason::NotAllowed, _) => "the server wants a key that no setting gives".to_owned(),
        (Reason::KeptOut, _) => {
            "open the firewall of the resource for the app: a private endpoint, the app's subnet, or its outbound addresses"
                .to_owned()
        }
        (Reason::NotThere, _) => "see the name of the deployment, index or secret in the settings".to_owned(),
        (Reason::Busy, _) => "wait, or raise the quota".to_owned(),
        (Reason::Failed, _) => "look at the health of the service".to_owned(),
        (Reason::NoAddress, _) => {
            "see the name in the settings; behind a private endpoint, link its DNS zone to the app's network".to_owned()
        }
        (Reason::NoConnection, _) => {
            "see whether the service runs, and whether a firewall or the app's network lets this program reach it".to_owned()
        }
        (Reason::NotTrusted, _) => {
            "see whether the address wants https; name a file with its authority in SSL_CERT_FILE".to_owned()
        }
        (Reason::TooSlow, _) => "see whether a firewall swallows what is sent, and how busy the service is".to_owned(),
        (Reason::NoToken, _) => return None,
    };
    Some(advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn check(reason: Reason, access: &Access, expected: &str) {
        let token = format!("x.{}.y", BASE64_URL_SAFE_NO_PAD.encode(r#"{"oid":"22-ab"}"#));
        let error = Error::new(ErrorKind::StoreUnavailable, "writing: no").because(reason);
        let told = how(&error, access, &Grantee::of(Some(token.into()))).unwrap_or_default();
        assert!(told.contains(expected), "{told}");
        assert!(what(&error).contains("writing"));
    }

    #[test]
    fn what_is_missing_comes_with_the_way_to_grant_it() {
        let storage = Access::Identity(Resource::storage("https://docs.blob.core.windows.net/"));
        let command = "az role assignment create --assignee 22-ab --role \"Storage Blob Data Contributor\" --scope \"$(az \
            resource list --resource-type Microsoft.Storage/storageAccounts --name docs --query '[0].id' -o tsv)\"";
        check(Reason::NotAllowed, &storage, command);
        check(Reason::KeptOut, &storage, "firewall");
        check(Reason::NoAddress, &storage, "DNS zone");
        let search = Access::Identity(Resource::search("https://s1.search.windows.net"));
        check(Reason::NotAllowed, &search, "Search Index Data Contributor");
        check(Reason::NotKnown, &search, "az search service update --name s1 ");
        let vault = Access::Identity(Resource::vault("https://v1.vault.azure.net/secrets/key"));
        check(Reason::NotAllowed, &vault, "--role \"Key Vault Secrets User\"");
        let redis = Access::Identity(Resource::redis("rediss://r1.westeurope.redis.azure.net:10000"));
        check(Reason::NotKnown, &redis, "--cluster-name r1 ");
        check(Reason::NotKnown, &redis, "--object-id 22-ab");
        let cosmos = Access::Identity(Resource::cosmos("https://c1.documents.azure.com:443/"));
        check(Reason::NotAllowed, &cosmos, "-a c1 -g GROUP --scope / --principal-id 22-ab ");
        check(Reason::NotKnown, &Access::Key("AZURE_SEARCH_API_KEY"), "AZURE_SEARCH_API_KEY");
        check(Reason::NoToken, &storage, "");
    }

    #[test]
    fn a_token_of_somebody_else_brings_nothing_into_a_command() {
        for claims in [r#"{"oid":"$(reboot)"}"#, r#"{"oid":5}"#, "{}", "no"] {
            let token = format!("x.{}.y", BASE64_URL_SAFE_NO_PAD.encode(claims));
            assert_eq!(Grantee::of(Some(token.into())).0, None, "{claims}");
        }
        assert_eq!(Grantee::of(Some("opaque".into())).0, None);
        assert_eq!(Grantee::of(None).0, None);
    }
}
