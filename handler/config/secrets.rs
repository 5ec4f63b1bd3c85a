//! Secrets among the settings that are not there themselves: references to a Key Vault, ours (`keyvault://NAME`) and the
//! platform's, which the platform should have replaced by the value before this program started.

use std::collections::BTreeMap;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;

use super::source::Reader;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::key_vault::{Vault, VaultSecret};

/// How a reference of ours begins.
pub(super) const REFERENCE: &str = "keyvault://";
/// How a reference of the platform begins.
const REFERENCE_OF_THE_PLATFORM: &str = "@Microsoft.KeyVault(";

/// The vaults that references lead to, and the secrets in them. The same reference is one secret, wherever it is used.
pub(super) struct Vaults {
    credential: Arc<dyn TokenCredential>,
    usual: Option<Arc<Vault>>,
    named: BTreeMap<String, Arc<Vault>>,
    secrets: BTreeMap<String, Arc<VaultSecret>>,
}

impl Vaults {
    /// Vaults that an identity opens.
    pub(super) fn new(reader: &mut Reader<'_>, credential: Arc<dyn TokenCredential>) -> Self {
        let usual = reader.text("AZURE_KEY_VAULT_ENDPOINT").and_then(|address| {
            reader.accept("AZURE_KEY_VAULT_ENDPOINT", Vault::at(&address, Arc::clone(&credential)))
        });
        Self { credential, usual: usual.map(Arc::new), named: BTreeMap::new(), secrets: BTreeMap::new() }
    }

    /// The secret that a reference leads to: `keyvault://VAULT/NAME`, or `keyvault://NAME` in the usual vault.
    pub(super) fn secret(&mut self, reference: &str) -> Result<Arc<VaultSecret>> {
        if let Some(known) = self.secrets.get(reference) {
            return Ok(Arc::clone(known));
        }
        let place = reference.trim_start_matches(REFERENCE);
        let (vault, name) = match place.split_once('/') {
            Some((vault, name)) => (self.vault(vault)?, name),
            None => (self.usual()?, place),
        };
        let secret = Arc::new(VaultSecret::new(vault, name, Clock::system())?);
        self.secrets.insert(reference.to_owned(), Arc::clone(&secret));
        Ok(secret)
    }

    fn usual(&self) -> Result<Arc<Vault>> {
        let sentence = "names no Key Vault, and AZURE_KEY_VAULT_ENDPOINT is not set; write keyvault://VAULT/NAME";
        self.usual.clone().ok_or_else(|| Error::new(ErrorKind::Misconfigured, sentence))
    }

    fn vault(&mut self, name: &str) -> Result<Arc<Vault>> {
        if let Some(known) = self.named.get(name) {
            return Ok(Arc::clone(known));
        }
        let vault = Arc::new(Vault::named(name, Arc::clone(&self.credential))?);
        self.named.insert(name.to_owned(), Arc::clone(&vault));
        Ok(vault)
    }

    /// Every secret that some reference led to.
    pub(super) fn into_secrets(self) -> Vec<Arc<VaultSecret>> {
        self.secrets.into_values().collect()
    }
}

/// Whether a value is a reference that the platform should have replaced and did not.
pub(super) fn is_unresolved(value: &str) -> bool {
    value.starts_with(REFERENCE_OF_THE_PLATFORM)
}

/// What to do about it.
pub(super) const UNRESOLVED: &str = "is a Key Vault reference that the platform has not resolved: the identity of the app \
    needs the role Key Vault Secrets User on the vault, and the vault has to let the app in; the portal tells which beside \
    the application setting";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Source;
    use crate::identity::{Identity, SignIn};
    use crate::secret::Secret;

    /// What a setting with a secret becomes, where a vault is named in another setting or not.
    fn check(value: &str, vault: &str, expected: &str) {
        let source = Source::of([("AZURE_SEARCH_API_KEY", value), ("AZURE_KEY_VAULT_ENDPOINT", vault)]);
        let mut reader = Reader::new(&source);
        let nobody = Arc::new(Identity::new(SignIn::DeveloperTools, Clock::system()));
        reader.open_vaults(nobody);
        let secret = reader.secret("AZURE_SEARCH_API_KEY");
        let same = reader.secret("AZURE_SEARCH_API_KEY");
        if let (Some(Secret::InVault(one)), Some(Secret::InVault(other))) = (&secret, &same) {
            assert!(Arc::ptr_eq(one, other), "one secret is fetched once");
        }
        let told = match reader.finish() {
            Ok(_) => format!("{secret:?}"),
            Err(problems) => format!("{} {}", problems[0].name, problems[0].problem),
        };
        assert!(told.contains(expected), "{value} {vault}: {told}");
    }

    #[test]
    fn a_reference_leads_to_a_secret() {
        let (ours, key) = ("https://ours.vault.azure.net", "AZURE_SEARCH_API_KEY ");
        check("k3y", "", "Some(Secret)");
        check("keyvault://search-key", ours, "https://ours.vault.azure.net/secrets/search-key");
        check("keyvault://other/search-key", ours, "https://other.vault.azure.net/secrets/search-key");
        check("keyvault://search-key", "", "AZURE_SEARCH_API_KEY names no Key Vault");
        check("keyvault://ours/search_key", ours, key);
        check("keyvault://ours/a/b", ours, key);
        check("keyvault://o.urs/a", ours, key);
        check("keyvault://", ours, key);
        check("keyvault://a", "http://ours.vault.azure.net", "AZURE_KEY_VAULT_ENDPOINT must be an https address");
        check("@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/n)", ours, "has not resolved");
    }
}
