//! Callers with an access token of Microsoft Entra ID, of either version. Enters: a token that is well formed. Leaves: who it is
//! about, by tenant and object id, which alone are unique and never change; or why it does not count here.
//! <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>

use std::collections::BTreeMap;
use std::sync::Arc;

use url::Url;
use uuid::Uuid;

use super::Identified;
use super::jwks::{KeySet, SigningKey};
use super::token::{Claims, Unverified, invalid};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// How tokens of Entra are told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntraSettings {
    /// The tenants whose people may come. What names users and groups without a tenant means those of the first.
    pub tenants: Vec<Uuid>,
    /// The names under which this product is known there: client id, application id URI.
    pub audiences: Vec<String>,
    /// Where tenants are, `https://login.microsoftonline.com` in the public cloud.
    pub authority: Url,
    /// What users must have let the client do.
    pub required_scope: Option<String>,
}

/// The check.
#[derive(Debug)]
pub struct Entra {
    settings: EntraSettings,
    keys: BTreeMap<Uuid, KeySet>,
    clock: Clock,
}

impl Entra {
    /// Asks nobody yet.
    pub fn new(settings: EntraSettings, clock: Clock) -> Self {
        let keys = settings.tenants.iter().map(|tenant| {
            let mut url = settings.authority.clone();
            url.set_path(&format!("/{tenant}/discovery/v2.0/keys"));
            (*tenant, KeySet::at(url, clock.clone()))
        });
        Self { keys: keys.collect(), settings, clock }
    }

    /// How it is told from others.
    pub fn settings(&self) -> &EntraSettings {
        &self.settings
    }

    /// Whom a token is about. `InvalidToken` when it is not valid here, `InsufficientScope` and `GroupsOverage` when it is and
    /// does not suffice, `AuthUnavailable` when Entra has not given its keys yet.
    pub async fn identify(&self, token: Unverified<'_>) -> Result<Identified> {
        let (tenant, issuer) = self.issuer(token.says())?;
        let keys = self.keys.get(&tenant).ok_or_else(|| invalid("the token is of another tenant"))?;
        let key_id = token.key_id().ok_or_else(|| invalid("the token names no key"))?;
        let key = keys.key(key_id).await?.filter(|key| is_of(key, tenant));
        let key: Arc<SigningKey> =
            key.ok_or_else(|| invalid("the token is signed with a key that its issuer does not have"))?;
        let claims = token.verified([&key.key], &issuer, &self.settings.audiences, self.clock.now())?;
        self.caller(tenant, claims)
    }

    /// The issuer that a token of its version and tenant must come from.
    fn issuer(&self, says: &Claims) -> Result<(Uuid, String)> {
        let tenant = says.tid.as_deref().and_then(guid).ok_or_else(|| invalid("the token names no tenant"))?;
        let issuer = match says.ver.as_deref() {
            Some("2.0") => format!("{}{tenant}/v2.0", self.settings.authority),
            Some("1.0") => format!("https://{}/{tenant}/", sts_host(&self.settings.authority)),
            _ => return Err(invalid("the token is of no version that is known here")),
        };
        Ok((tenant, issuer))
    }

    fn caller(&self, tenant: Uuid, claims: Claims) -> Result<Identified> {
        let subject =
            claims.oid.as_deref().and_then(guid).filter(|_| claims.sub.as_ref().is_some_and(|sub| !sub.is_empty()));
        let subject = subject.ok_or_else(|| invalid("the token does not say whom it is about"))?;
        let client = if claims.ver.as_deref() == Some("2.0") { &claims.azp } else { &claims.appid };
        // An ID token tells a client who signed in. It lets nobody do anything, whomever it is for.
        if client.as_ref().is_none_or(String::is_empty) || claims.nonce || claims.at_hash || claims.c_hash {
            return Err(invalid("the token is not an access token"));
        }
        let scopes: Vec<&str> =
            claims.scp.iter().flat_map(|scopes| scopes.split(' ')).filter(|scope| !scope.is_empty()).collect();
        let is_person = !scopes.is_empty();
        let lacks = self.settings.required_scope.as_deref().filter(|required| is_person && !scopes.contains(required));
        if lacks.is_some() {
            let sentence = "the token does not hold the scope that this product asks for";
            return Err(Error::new(ErrorKind::InsufficientScope, sentence));
        }
        let is_elsewhere = claims.claims_elsewhere.is_some_and(|names| names.contains_key("groups"));
        if is_elsewhere || claims.has_more_groups {
            return Err(overage());
        }
        let groups = claims.groups.unwrap_or_default();
        Ok(Identified {
            tenant: tenant.to_string(),
            subject: subject.to_string(),
            // Only ids are unique; a group that is named in another way can be made by anybody who may make groups.
            groups: groups.iter().filter_map(|group| guid(group)).map(|group| group.to_string()).collect(),
            roles: claims.roles.unwrap_or_default(),
            is_person,
            is_at_home: self.settings.tenants.first() == Some(&tenant),
        })
    }
}

/// The refusal of somebody who is in more groups than a token holds. Without them they would miss what they may read and nobody
/// would know why; and no groups must never become all groups.
pub fn overage() -> Error {
    let sentence = "the caller is in more groups than a token can name; let the application's tokens hold only the groups \
        that are assigned to it";
    Error::new(ErrorKind::GroupsOverage, sentence)
}

/// A GUID as Entra writes it, with hyphens and nothing around it.
pub fn guid(text: &str) -> Option<Uuid> {
    let is_plain = text.len() == 36;
    Uuid::parse_str(text).ok().filter(|id| is_plain && !id.is_nil())
}

/// Keys of one tenant are not good for another, though all are fetched in the same way.
fn is_of(key: &SigningKey, tenant: Uuid) -> bool {
    key.issuer.as_ref().is_none_or(|issuer| issuer.contains("{tenantid}") || issuer.contains(&tenant.to_string()))
}

/// Who issues tokens of version 1 in that cloud.
fn sts_host(authority: &Url) -> &'static str {
    match authority.host_str() {
        Some("login.partner.microsoftonline.cn" | "login.chinacloudapi.cn") => "sts.chinacloudapi.cn",
        _ => "sts.windows.net",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_has_an_issuer_of_its_own() {
        let issuer = |authority: &str| sts_host(&authority.parse().expect("an address"));
        assert_eq!(issuer("https://login.microsoftonline.com/"), "sts.windows.net");
        assert_eq!(issuer("https://login.microsoftonline.us/"), "sts.windows.net");
        for authority in ["https://login.partner.microsoftonline.cn/", "https://login.chinacloudapi.cn/"] {
            assert_eq!(issuer(authority), "sts.chinacloudapi.cn", "{authority}");
        }
    }
}
