//! Who is asking, and may they. Every request passes through [`Access::admit`] with what its route needs; a principal leaves, or
//! a refusal that [`Access::challenge`] knows how to tell.

pub mod address;
pub mod budget;
pub mod challenge;
pub mod easy_auth;
pub mod entra;
pub mod jwks;
pub mod limits;
pub mod roles;
pub mod shared_key;
pub mod token;

use axum::http::header;
use axum::http::request::Parts;

use self::easy_auth::EasyAuthSettings;
use self::entra::{Entra, EntraSettings};
use self::roles::RoleSettings;
use self::shared_key::{SharedKey, SharedKeySettings};
use self::token::{Signature, Unverified, invalid};
use crate::clock::Clock;
use crate::document::{Principal, Role};
use crate::error::{Error, ErrorKind, Result};

/// What a route needs of its caller. Each route says one; there is no route without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Nothing: health, and files that are the same for everybody.
    Open,
    /// To ask a model, which costs more than reading does.
    Ask,
    /// To read what one may read.
    Read,
    /// To bring documents, and to take back what one brought.
    Contribute,
    /// To run the product.
    Operate,
}

impl Need {
    /// The role that has what is needed; none is needed where anybody may come.
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Open => None,
            Self::Ask | Self::Read => Some(Role::Reader),
            Self::Contribute => Some(Role::Contributor),
            Self::Operate => Some(Role::Operator),
        }
    }
}

/// A way in which callers show who they are.
#[derive(Clone, Debug)]
pub enum WaySettings {
    /// A token of Microsoft Entra ID.
    Entra(EntraSettings),
    /// A token that is signed with a key both sides know.
    SharedKey(SharedKeySettings),
    /// What the platform says of whom it has signed in.
    EasyAuth(EasyAuthSettings),
}

/// Everything about who gets in.
#[derive(Clone, Debug, Default)]
pub struct AccessSettings {
    /// The ways, the first that fits a request counts. Without any, everybody is the developer at their own machine.
    pub ways: Vec<WaySettings>,
    /// What roles are called.
    pub roles: RoleSettings,
    /// The address under which callers reach this, without a path, where it is known.
    pub public_url: Option<url::Url>,
}

/// Whom a way of signing in has found. Nothing of it is checked any further, so each way gives only what it is sure of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// The tenant.
    pub tenant: String,
    /// The user or the application in it.
    pub subject: String,
    /// The groups of that tenant that they are in.
    pub groups: Vec<String>,
    /// The names of their roles.
    pub roles: Vec<String>,
    /// Whether it is a person, or an application that acts for one.
    pub is_person: bool,
    /// Whether the tenant is the one that needs no name.
    pub is_at_home: bool,
}

/// Decides who gets in.
#[derive(Debug)]
pub struct Access {
    ways: Vec<Way>,
    settings: AccessSettings,
}

#[derive(Debug)]
enum Way {
    Entra(Box<Entra>),
    SharedKey(SharedKey),
    EasyAuth(EasyAuthSettings),
}

impl Access {
    /// With these settings. Asks nobody yet.
    pub fn new(settings: AccessSettings, clock: &Clock) -> Self {
        let way = |way: &WaySettings| match way {
            WaySettings::Entra(entra) => Way::Entra(Box::new(Entra::new(entra.clone(), clock.clone()))),
            WaySettings::SharedKey(key) => Way::SharedKey(SharedKey::new(key.clone(), clock.clone())),
            WaySettings::EasyAuth(easy) => Way::EasyAuth(easy.clone()),
        };
        Self { ways: settings.ways.iter().map(way).collect(), settings }
    }

    /// The principal of a request, where it has what the route needs. `Unauthenticated` when nobody says who calls,
    /// `InvalidToken` when what is said is not true, `InsufficientScope` when it does not suffice.
    pub async fn admit(&self, need: Need, head: &Parts) -> Result<Principal> {
        let Some(role) = need.role() else { return Ok(Principal::anonymous()) };
        let principal = if self.ways.is_empty() { developer() } else { self.identify(head).await? };
        if principal.role() < role {
            let sentence = format!("this needs the role {}, which the caller does not have", role.word());
            return Err(Error::new(ErrorKind::InsufficientScope, sentence));
        }
        Ok(principal)
    }

    /// What makes tokens that callers of this product can use, where there is a key for it.
    pub fn shared_key(&self) -> Option<&SharedKey> {
        self.ways.iter().find_map(|way| match way {
            Way::SharedKey(key) => Some(key),
            _ => None,
        })
    }

    /// What roles are called.
    pub fn roles(&self) -> &RoleSettings {
        &self.settings.roles
    }

    async fn identify(&self, head: &Parts) -> Result<Principal> {
        let bearer = bearer(head)?;
        let mut token = bearer.map(token::read).transpose()?;
        for way in &self.ways {
            let found = match (way, token.take_if(|token| way.takes(token))) {
                (Way::Entra(entra), Some(token)) => entra.identify(token).await?,
                (Way::SharedKey(key), Some(token)) => key.identify(token).await?,
                (Way::EasyAuth(easy), _) if head.headers.contains_key(easy_auth::HEADER) => {
                    easy_auth::identify(easy, head)?
                }
                _ => continue,
            };
            return self.principal(found);
        }
        match bearer {
            Some(_) => Err(invalid("the token is signed in a way that is not accepted here")),
            None => Err(Error::new(ErrorKind::Unauthenticated, "sign in, or send a token: `Authorization: Bearer …`")),
        }
    }

    fn principal(&self, found: Identified) -> Result<Principal> {
        let role = self.settings.roles.role(&found.roles, found.is_person);
        let nothing = || Error::new(ErrorKind::InsufficientScope, "the caller has no role in this product");
        let role = role.ok_or_else(nothing)?;
        let principal = Principal::user(&found.tenant, &found.subject, found.groups.iter().map(String::as_str))?;
        let principal = if found.is_at_home { principal.at_home() } else { principal };
        Ok(principal.with_role(role))
    }
}

impl Way {
    fn takes(&self, token: &Unverified<'_>) -> bool {
        match self {
            Self::Entra(_) => token.signature() == Signature::Rs256,
            Self::SharedKey(_) => token.signature() == Signature::Hs256,
            Self::EasyAuth(_) => false,
        }
    }
}

/// Whoever is at the machine where nobody has to sign in: may do everything, and reads what is for everybody. The settings
/// refuse to go without a way of signing in in production.
fn developer() -> Principal {
    Principal::anonymous().with_role(Role::Operator)
}

/// The token of a request. There may be one, in one header, and no other way of telling who one is.
fn bearer(head: &Parts) -> Result<Option<&str>> {
    let mut values = head.headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid("the request has more than one Authorization header"));
    }
    let text = value.to_str().map_err(|_| invalid("the Authorization header is not text"))?;
    let token = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.map(|(_, token)| token.trim()).filter(|token| !token.is_empty());
    let sentence = "this product takes `Authorization: Bearer …` with a token and nothing else";
    token.map(Some).ok_or_else(|| Error::new(ErrorKind::Unauthenticated, sentence))
}
