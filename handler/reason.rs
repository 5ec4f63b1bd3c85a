//! Why a service outside could not be used, as far as that can be told: what a person needs to know to put it right. Errors
//! carry it beside their kind, which says what a program can do.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use azure_core::error::ErrorKind as ClientErrorKind;

/// Why a service did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It does not know who asks: 401.
    NotKnown,
    /// It knows who asks, and that is not enough: 403.
    NotAllowed,
    /// It lets nobody in from where this program runs.
    KeptOut,
    /// What was asked for is not there: 404.
    NotThere,
    /// It is too busy, or its quota is used up: 429.
    Busy,
    /// It failed by itself: 500 and above.
    Failed,
    /// Its name leads nowhere.
    NoAddress,
    /// Nobody answers at its address, or the connection broke.
    NoConnection,
    /// Its certificate is not trusted, or it does not speak TLS.
    NotTrusted,
    /// It did not answer in time.
    TooSlow,
    /// The identity of this process got no token for it.
    NoToken,
}

impl Reason {
    /// What a status says; nothing for one that tells of no trouble with the service.
    pub fn of_status(status: u16) -> Option<Self> {
        match status {
            401 => Some(Self::NotKnown),
            403 => Some(Self::NotAllowed),
            404 => Some(Self::NotThere),
            408 | 504 => Some(Self::TooSlow),
            429 => Some(Self::Busy),
            500.. => Some(Self::Failed),
            _ => None,
        }
    }

    /// What an error of an official client says.
    pub fn of_client(error: &azure_core::Error) -> Option<Self> {
        match (error.http_status(), innermost(error).kind()) {
            (Some(status), _) => Self::of_status(status.into()),
            (None, ClientErrorKind::Credential) => Some(Self::NoToken),
            (None, ClientErrorKind::Connection | ClientErrorKind::Io) => Some(Self::of_network(error)),
            (None, _) => None,
        }
    }

    /// What a failure on the way says, judged by every cause behind it.
    pub fn of_network(error: &(dyn StdError + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            if let Some(reason) = of_cause(cause) {
                return reason;
            }
            next = cause.source();
        }
        Self::NoConnection
    }
}

/// The first of the official client's own errors, which its layers wrap in others. What lies deeper is of the HTTP library,
/// whose words quote addresses, and with them signatures.
pub fn innermost(mut error: &azure_core::Error) -> &azure_core::Error {
    while let Some(cause) = error.source().and_then(|cause| cause.downcast_ref()) {
        error = cause;
    }
    error
}

fn of_cause(cause: &(dyn StdError + 'static)) -> Option<Reason> {
    if let Some(cause) = cause.downcast_ref::<io::Error>() {
        // The error of TLS and that of the resolver travel within one of the system's.
        if let Some(found) = cause.get_ref().and_then(|inner| of_cause(inner)) {
            return Some(found);
        }
        return match cause.kind() {
            io::ErrorKind::TimedOut => Some(Reason::TooSlow),
            io::ErrorKind::ConnectionRefused => Some(Reason::NoConnection),
            _ => None,
        };
    }
    // The types of these two are private to the libraries they come from.
    let words = cause.to_string();
    let says = |some: &[&str]| some.iter().any(|word| words.contains(word));
    if says(&["dns error", "failed to lookup address"]) {
        Some(Reason::NoAddress)
    } else if says(&["certificate", "InvalidContentType", "corrupt message"]) {
        Some(Reason::NotTrusted)
    } else if says(&["timed out"]) {
        Some(Reason::TooSlow)
    } else {
        None
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotKnown => "it does not accept the proof of who asks",
            Self::NotAllowed => "whoever asks may not do this",
            Self::KeptOut => "its firewall keeps this program out",
            Self::NotThere => "what was asked for is not there",
            Self::Busy => "it is too busy, or its quota is used up",
            Self::Failed => "it failed by itself",
            Self::NoAddress => "its name leads nowhere",
            Self::NoConnection => "nobody answers at its address",
            Self::NotTrusted => "its certificate is not trusted",
            Self::TooSlow => "it did not answer in time",
            Self::NoToken => "no token for it could be had",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_what_it_says() {
        let told = [200, 401, 403, 404, 412, 429, 500, 504].map(Reason::of_status);
        let expected = [
            None,
            Some(Reason::NotKnown),
            Some(Reason::NotAllowed),
            Some(Reason::NotThere),
            None,
            Some(Reason::Busy),
            Some(Reason::Failed),
            Some(Reason::TooSlow),
        ];
        assert_eq!(told, expected);
    }
}
