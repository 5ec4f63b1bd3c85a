//! Who gets in, among the settings. Production goes nowhere without a way of signing in.

use url::Url;
use uuid::Uuid;

use super::source::Reader;
use crate::access::easy_auth::EasyAuthSettings;
use crate::access::entra::{EntraSettings, guid};
use crate::access::roles::RoleSettings;
use crate::access::shared_key::{SharedKeySettings, weakness};
use crate::access::{AccessSettings, WaySettings};
use crate::document::Role;
use crate::web_address::is_safe_for_secrets;

/// Reads who gets in. Problems are the reader's.
pub(super) fn settings(reader: &mut Reader<'_>) -> AccessSettings {
    AccessSettings { ways: ways(reader), roles: roles(reader), public_url: public_url(reader) }
}

fn ways(reader: &mut Reader<'_>) -> Vec<WaySettings> {
    let words = listed(reader, "AUTH");
    if words == ["off"] {
        // The platform gives its apps their name; whoever knows an app's address could do everything there.
        let is_in_the_cloud = reader.text("WEBSITE_SITE_NAME").is_some();
        if is_in_the_cloud || super::is_production(reader) {
            let problem = "must not be off in a Function App of Azure or where ENVIRONMENT is prod: name the way in which callers sign in";
            reader.problem("AUTH", problem);
        }
        return Vec::new();
    }
    let mut ways = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let way = match word.as_str() {
            _ if words[..at].contains(word) => unknown(reader),
            "entra" => entra(reader).map(WaySettings::Entra),
            "shared-key" => shared_key(reader).map(WaySettings::SharedKey),
            "easy-auth" => easy_auth(reader).map(WaySettings::EasyAuth),
            _ => unknown(reader),
        };
        ways.extend(way);
    }
    ways
}

fn unknown<T>(reader: &mut Reader<'_>) -> Option<T> {
    reader
        .problem("AUTH", "must be off, or one or several of entra, shared-key and easy-auth with commas between them");
    None
}

fn entra(reader: &mut Reader<'_>) -> Option<EntraSettings> {
    let tenants = tenants(reader);
    let audiences = listed(reader, "ENTRA_AUDIENCE");
    if audiences.is_empty() {
        reader.problem(
            "ENTRA_AUDIENCE",
            "must be set where AUTH names entra: the client id of this product, and its application id URI",
        );
    }
    let authority = reader.text("ENTRA_AUTHORITY").and_then(|text| Url::parse(&text).ok());
    let is_bare =
        |url: &Url| url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let authority = authority.filter(|url| is_safe_for_secrets(url) && is_bare(url));
    if authority.is_none() {
        reader.problem(
            "ENTRA_AUTHORITY",
            "must be a web address without a path, with https unless it is on this machine",
        );
    }
    let required_scope = reader.text("REQUIRED_SCOPE");
    if required_scope.as_ref().is_some_and(|scope| scope.contains([' ', '/', '"'])) {
        reader.problem("REQUIRED_SCOPE", "must be the last part of one scope, for example access_as_user");
    }
    Some(EntraSettings { tenants, audiences, authority: authority?, required_scope })
}

fn easy_auth(reader: &mut Reader<'_>) -> Option<EasyAuthSettings> {
    // Where the platform does not sign people in, it lets everybody send the headers in which it says who they are.
    let is_on = reader.text("WEBSITE_AUTH_ENABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    if !is_on {
        let problem =
            "must not name easy-auth where the platform does not sign people in (WEBSITE_AUTH_ENABLED is not true)";
        reader.problem("AUTH", problem);
    }
    let tenants = tenants(reader);
    is_on.then_some(EasyAuthSettings { tenants })
}

fn tenants(reader: &mut Reader<'_>) -> Vec<Uuid> {
    let listed = listed(reader, "ENTRA_TENANT_ID");
    let tenants: Vec<Uuid> = listed.iter().filter_map(|text| guid(text)).collect();
    if tenants.is_empty() || tenants.len() != listed.len() {
        let problem = "must be the id of the tenant that people come from, a GUID, or several with commas between them";
        reader.problem("ENTRA_TENANT_ID", problem);
    }
    tenants
}

fn shared_key(reader: &mut Reader<'_>) -> Option<SharedKeySettings> {
    for name in ["SECRET_KEY", "SECRET_KEY_PREVIOUS"] {
        let plain = reader.text(name).filter(|text| !text.starts_with("keyvault://"));
        if let Some(weakness) = plain.as_deref().and_then(weakness) {
            reader.problem(name, weakness);
        }
    }
    let Some(current) = reader.secret("SECRET_KEY") else {
        reader.problem("SECRET_KEY", "must be set where AUTH names shared-key; `openssl rand -base64 48` makes one");
        return None;
    };
    Some(SharedKeySettings { current, previous: reader.secret("SECRET_KEY_PREVIOUS") })
}

fn roles(reader: &mut Reader<'_>) -> RoleSettings {
    let names = ["ROLE_READER", "ROLE_CONTRIBUTOR", "ROLE_OPERATOR"].map(|name| reader.text(name).unwrap_or_default());
    if names.iter().collect::<std::collections::BTreeSet<_>>().len() != names.len() {
        reader.problem(
            "ROLE_OPERATOR",
            "must be another name than ROLE_CONTRIBUTOR and ROLE_READER, and they than each other",
        );
    }
    let text = reader.text("DEFAULT_ROLE").unwrap_or_default();
    let of_others = Role::named(&text);
    if of_others.is_none() && text != "none" {
        reader.problem("DEFAULT_ROLE", "must be reader, contributor, operator or none");
    }
    RoleSettings { names, of_others }
}

fn public_url(reader: &mut Reader<'_>) -> Option<Url> {
    if let Some(text) = reader.text("PUBLIC_URL") {
        let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.path() == "/");
        if url.is_none() {
            reader.problem("PUBLIC_URL", "must be a web address without a path");
        }
        return url;
    }
    // The platform knows the name of a Function App.
    reader.text("WEBSITE_HOSTNAME").and_then(|host| Url::parse(&format!("https://{host}/")).ok())
}

fn listed(reader: &Reader<'_>, name: &'static str) -> Vec<String> {
    let text = reader.text(name).unwrap_or_default();
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
