//! Why a call to Blob Storage brought nothing, and what that shows of the service.

use azure_core::error::ErrorKind as ClientErrorKind;
use azure_core::http::StatusCode;

use super::CALL_TIMEOUT;
use crate::error::{Error, ErrorKind, Result};
use crate::reason::{Reason, innermost};

/// Why a call brought nothing.
pub(super) enum Failure {
    Client(azure_core::Error),
    /// What opens the account could not be had.
    Unopened(Error),
    Timeout,
    /// It was replaced each time between two looks at it.
    Restless,
    /// It failed again and again a moment ago, so it was not called.
    LeftAlone,
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client's own form quotes the address, and with it the signature that opens the account.
        std::fmt::Display::fmt(self, f)
    }
}

impl Failure {
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Client(e) => e.http_status(),
            Self::Timeout | Self::Restless | Self::LeftAlone | Self::Unopened(_) => None,
        }
    }

    /// Whether it shows that the service does not work, whatever it is asked.
    pub fn is_of_the_service(&self) -> bool {
        let signs = [Reason::Failed, Reason::NoAddress, Reason::NoConnection, Reason::TooSlow];
        !matches!(self, Self::LeftAlone | Self::Unopened(_))
            && self.reason().is_some_and(|reason| signs.contains(&reason))
    }

    /// Why, for a person.
    fn reason(&self) -> Option<Reason> {
        match self {
            Self::Timeout => Some(Reason::TooSlow),
            Self::LeftAlone => Some(Reason::Failed),
            Self::Restless => None,
            Self::Unopened(e) => e.reason(),
            Self::Client(e) => match e.kind() {
                ClientErrorKind::HttpResponse { status: StatusCode::Forbidden, error_code: Some(code), .. } => {
                    Some(forbidden(code))
                }
                _ => Reason::of_client(e),
            },
        }
    }
}

/// What a 403 of storage means; its codes tell apart what its status does not.
/// Codes: <https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes>
fn forbidden(code: &str) -> Reason {
    match code {
        "AuthenticationFailed" => Reason::NotKnown,
        "AuthorizationFailure" => Reason::KeptOut,
        _ => Reason::NotAllowed,
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client(e) => innermost(e).fmt(f),
            Self::Unopened(e) => f.write_str(e.message()),
            Self::Timeout => write!(f, "no answer within {} s", CALL_TIMEOUT.as_secs()),
            Self::Restless => f.write_str("the blob keeps changing while it is read"),
            Self::LeftAlone => f.write_str("left alone for a moment after failures"),
        }
    }
}

impl std::error::Error for Failure {}

/// An answer, or nothing where there is no such blob.
pub(super) fn unless_absent<T>(answer: Result<T, Failure>) -> Result<Option<T>> {
    unless_absent_to(answer).map_err(unavailable)
}

/// The same for those who have more to do.
pub(super) fn unless_absent_to<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.status() == Some(StatusCode::NotFound) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The error that callers get.
pub(super) fn unavailable(cause: Failure) -> Error {
    let cause = match cause {
        // It says itself what is missing.
        Failure::Unopened(e) => return e,
        cause => cause,
    };
    let reason = cause.reason();
    Error::new(ErrorKind::StoreUnavailable, "blob storage cannot be used").because(reason).caused_by(cause)
}
