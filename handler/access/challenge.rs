//! How a refusal tells a program what it can do about it: the `WWW-Authenticate` header of RFC 6750 and 9728, and the description
//! of this product as a protected resource, by which MCP clients find out where to sign in.

use axum::http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};
use url::Url;

use super::{Access, WaySettings};
use crate::error::{Error, ErrorKind};

/// Where the description is, for the product and, with a resource's path behind it, for that.
pub const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";
/// The part of the product that has a description of its own.
pub const MCP_PATH: &str = "/mcp";

impl Access {
    /// What goes into `WWW-Authenticate` with a refusal; none where signing in would not help. `path` is what was asked for.
    pub fn challenge(&self, error: &Error, path: &str, headers: &HeaderMap) -> Option<HeaderValue> {
        let code = match error.kind() {
            // Who sent no token made no mistake, so there is no code (RFC 6750, 3.1).
            ErrorKind::Unauthenticated => None,
            ErrorKind::InvalidToken => Some("invalid_token"),
            ErrorKind::InsufficientScope | ErrorKind::GroupsOverage => Some("insufficient_scope"),
            _ => return None,
        };
        let mut challenge = "Bearer realm=\"knowledge-worker\"".to_owned();
        let mut add = |name: &str, value: &str| {
            // Ours alone, but a quote must not end the text.
            let value = value.replace(['"', '\\'], "'");
            challenge.push_str(&format!(", {name}=\"{value}\""));
        };
        if let Some(code) = code {
            add("error", code);
            add("error_description", error.message());
        }
        if let Some(scope) = self.scope().filter(|_| code != Some("invalid_token")) {
            add("scope", &scope);
        }
        if let Some(page) = self.sign_in_page() {
            // For our own page: no standard has a name for where people sign in.
            add("sign_in", page);
        }
        if let Some(base) = self.base(headers).filter(|_| self.entra().is_some()) {
            let suffix = if path == MCP_PATH { MCP_PATH } else { "" };
            add("resource_metadata", &format!("{base}{METADATA_PATH}{suffix}"));
        }
        HeaderValue::from_str(&challenge).ok()
    }

    /// Where the platform signs people out, where it signs them in.
    pub fn sign_out_page(&self) -> Option<&'static str> {
        self.sign_in_page().map(|_| "/.auth/logout?post_logout_redirect_uri=/")
    }

    fn sign_in_page(&self) -> Option<&'static str> {
        let is_by_platform = self.settings.ways.iter().any(|way| matches!(way, WaySettings::EasyAuth(_)));
        is_by_platform.then_some("/.auth/login/aad?post_login_redirect_uri=/")
    }

    /// The description (RFC 9728) of the product, or of its part at `path`; none where nobody can sign in by means of it.
    pub fn metadata(&self, path: &str, headers: &HeaderMap) -> Option<Value> {
        let (entra, base) = (self.entra()?, self.base(headers)?);
        let servers = entra.tenants.iter().map(|tenant| format!("{}{tenant}/v2.0", entra.authority));
        Some(json!({
            "resource": format!("{base}{path}"),
            "authorization_servers": servers.collect::<Vec<_>>(),
            "scopes_supported": self.scope().into_iter().collect::<Vec<_>>(),
            "bearer_methods_supported": ["header"],
            "resource_name": "Knowledge Worker",
        }))
    }

    /// What frontends of Azure-Samples are told of signing in, in their words: whether they sign people in and where, and
    /// whether anybody may come who has not signed in. They send a token of Entra or come with the platform's cookie.
    pub fn frontend_setup(&self) -> Value {
        let (entra, is_open) = (self.entra(), self.settings.ways.is_empty());
        let client = entra.and_then(|entra| entra.audiences.iter().find(|audience| !audience.contains("://")));
        let authority = entra.map(|entra| match entra.tenants.as_slice() {
            [tenant] => format!("{}{tenant}", entra.authority),
            _ => format!("{}organizations", entra.authority),
        });
        let scopes: Vec<String> = self.scope().or_else(|| self.scope_named(".default")).into_iter().collect();
        json!({
            "useLogin": entra.is_some() || self.sign_in_page().is_some(),
            "requireAccessControl": !is_open,
            "enableUnauthenticatedAccess": is_open,
            "msalConfig": {
                "auth": {
                    "clientId": client.cloned().unwrap_or_default(),
                    "authority": authority.unwrap_or_default(),
                    "redirectUri": "/redirect",
                },
                "cache": {},
            },
            "loginRequest": {"scopes": scopes},
            "tokenRequest": {"scopes": scopes},
        })
    }

    /// The scope to ask Entra for, with the application it belongs to before it.
    fn scope(&self) -> Option<String> {
        self.scope_named(self.entra()?.required_scope.as_deref()?)
    }

    fn scope_named(&self, scope: &str) -> Option<String> {
        let entra = self.entra()?;
        let named = entra.audiences.iter().find(|audience| audience.contains("://"));
        let id = || entra.audiences.first().map(|id| format!("api://{id}"));
        Some(format!("{}/{scope}", named.cloned().or_else(id)?.trim_end_matches('/')))
    }

    fn entra(&self) -> Option<&super::EntraSettings> {
        self.settings.ways.iter().find_map(|way| match way {
            WaySettings::Entra(entra) => Some(entra),
            _ => None,
        })
    }

    /// Where callers reach this, without a slash at the end: as the settings say, else as the caller wrote it.
    fn base(&self, headers: &HeaderMap) -> Option<String> {
        if let Some(url) = &self.settings.public_url {
            return Some(url.as_str().trim_end_matches('/').to_owned());
        }
        let host = headers.get(header::HOST)?.to_str().ok()?;
        let is_plain = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']'));
        let url = Url::parse(&format!("http://{host}/")).ok().filter(|_| is_plain)?;
        Some(url.as_str().trim_end_matches('/').to_owned())
    }
}
