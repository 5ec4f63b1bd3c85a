//! Callers whom the platform has signed in ("Easy Auth"): it puts what it knows of them into headers. Anybody can send such
//! headers; the platform replaces them, but only where its authentication is on. So they count when a setting says so and the
//! platform says that it is on, and a browser's cookie is not believed for a change that another site's page sent.
//! <https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities>

use std::collections::BTreeSet;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use uuid::Uuid;

use super::Identified;
use super::entra::{guid, overage};
use super::token::invalid;
use crate::error::{Error, ErrorKind, Result};
use crate::host::same_origin;

/// What the platform says of the caller, in base64.
pub const HEADER: HeaderName = HeaderName::from_static("x-ms-client-principal");
/// Longest header, in bytes.
const MAX_BYTES: usize = 64 << 10;

const TENANT: [&str; 2] = ["tid", "http://schemas.microsoft.com/identity/claims/tenantid"];
const OBJECT: [&str; 2] = ["oid", "http://schemas.microsoft.com/identity/claims/objectidentifier"];
const ROLE: [&str; 2] = ["roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"];

/// What is checked beside the platform's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EasyAuthSettings {
    /// The tenants whose people may come, the home tenant first.
    pub tenants: Vec<Uuid>,
}

#[derive(Deserialize)]
struct ClientPrincipal {
    auth_typ: String,
    claims: Vec<Claim>,
}

#[derive(Deserialize)]
struct Claim {
    typ: String,
    val: String,
}

/// Whom the platform has signed in.
pub fn identify(settings: &EasyAuthSettings, head: &Parts) -> Result<Identified> {
    if !is_from_here(&head.method, &head.headers) {
        return Err(Error::new(ErrorKind::ForeignOrigin, "a page of another site sent this"));
    }
    let unreadable = || invalid("what the platform says of the caller cannot be read");
    let mut values = head.headers.get_all(HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(unreadable()) };
    let bytes = Some(value.as_bytes()).filter(|bytes| bytes.len() <= MAX_BYTES).ok_or_else(unreadable)?;
    let bytes = BASE64_STANDARD.decode(bytes).map_err(|_| unreadable())?;
    let principal: ClientPrincipal = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
    if principal.auth_typ != "aad" {
        return Err(invalid("the caller has not signed in with Entra ID"));
    }
    let tenant = principal.only(&TENANT).and_then(guid).ok_or_else(|| invalid("the platform names no tenant"))?;
    if !settings.tenants.contains(&tenant) {
        return Err(invalid("the caller is of another tenant"));
    }
    let subject =
        principal.only(&OBJECT).and_then(guid).ok_or_else(|| invalid("the platform does not say who calls"))?;
    if principal.all(&["_claim_names", "hasgroups"]).next().is_some() {
        return Err(overage());
    }
    Ok(Identified {
        tenant: tenant.to_string(),
        subject: subject.to_string(),
        groups: principal.all(&["groups"]).filter_map(guid).map(|group| group.to_string()).collect(),
        roles: principal.all(&ROLE).map(str::to_owned).collect(),
        is_person: true,
        is_at_home: settings.tenants.first() == Some(&tenant),
    })
}

impl ClientPrincipal {
    fn all(&self, types: &[&str]) -> impl Iterator<Item = &str> {
        self.claims.iter().filter(|claim| types.contains(&claim.typ.as_str())).map(|claim| claim.val.as_str())
    }

    /// The value of a claim that may have only one.
    fn only(&self, types: &[&str]) -> Option<&str> {
        let values: BTreeSet<&str> = self.all(types).collect();
        values.first().copied().filter(|_| values.len() == 1)
    }
}

/// Whether a request changes nothing, or comes from no page or from one of ours. A browser adds the platform's cookie to what
/// any page sends.
fn is_from_here(method: &Method, headers: &HeaderMap) -> bool {
    if same_origin::changes_nothing(method) {
        return true;
    }
    match headers.get(same_origin::FETCH_SITE) {
        Some(site) => site == "same-origin" || site == "none",
        // Browsers of before say where they come from at least.
        None => same_origin::is_own_page_or_none(headers),
    }
}
