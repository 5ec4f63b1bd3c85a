//! Where mail may go. What enters is the setting and an address, what leaves is yes or no.

use crate::error::{Error, ErrorKind, Result};

/// Longest address, in bytes (RFC 5321, 4.5.3.1.3).
const MAX_ADDRESS: usize = 254;

/// Domains that mail may go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailDomains {
    domains: Vec<String>,
}

impl MailDomains {
    /// Reads domains with commas between them; `*.contoso.com` means every one below `contoso.com` and not that one itself,
    /// `*` any at all. A sentence says what else was found.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let domains = text.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty());
        let domains: Vec<String> = domains.collect();
        match domains.iter().all(|name| name == "*" || is_domain(name.strip_prefix("*.").unwrap_or(name))) {
            true => Ok(Self { domains }),
            false => Err("must be domains with commas between them, like contoso.com,*.contoso.org"),
        }
    }

    /// Whether no mail may go anywhere.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    fn admits(&self, domain: &str) -> bool {
        let domain = domain.to_ascii_lowercase();
        let is_below = |name: &str| domain.strip_suffix(name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
        let admits = |known: &String| match known.strip_prefix("*.") {
            Some(parent) => is_below(parent),
            None => known == "*" || *known == domain,
        };
        self.domains.iter().any(admits)
    }

    /// Checks a bare address, `name@domain`: what it is made of, and where it leads. Quotes, comments, names beside the
    /// address, other scripts and anything that could begin a header of its own are refused.
    pub fn check(&self, address: &str) -> Result<()> {
        let invalid = || {
            let sentence = "a recipient is a bare mail address, name@domain, in ASCII";
            Error::new(ErrorKind::InvalidRequest, sentence)
        };
        let (local, domain) = address.rsplit_once('@').ok_or_else(invalid)?;
        if address.len() > MAX_ADDRESS || !is_local_part(local) || !is_domain(domain) {
            return Err(invalid());
        }
        if self.admits(domain) {
            return Ok(());
        }
        let sentence = "a recipient is outside of the domains that mail may go to; MAIL_ALLOWED_DOMAINS lists them";
        Err(Error::new(ErrorKind::ActionNotAllowed, sentence))
    }
}

/// A `dot-atom` of RFC 5322 with at most 64 bytes.
fn is_local_part(text: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    text.len() <= 64 && text.split('.').all(is_atom)
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(domains: &str, address: &str, expected: &str) {
        let told = match MailDomains::parse(domains).unwrap().check(address) {
            Ok(()) => "ok",
            Err(e) => e.kind().row().code,
        };
        assert_eq!(told, expected, "{address} with {domains}");
    }

    #[test]
    fn mail_goes_to_the_domains_that_are_named_and_nowhere_else() {
        let ours = "contoso.com, *.Contoso.org";
        check(ours, "ann@contoso.com", "ok");
        check(ours, "ann.b+c@CONTOSO.com", "ok");
        check(ours, "ann@mail.contoso.org", "ok");
        for other in
            ["ann@contoso.org", "a@evil.test", "a@contoso.com.evil.test", "a@evilcontoso.com", "a@.contoso.org"]
        {
            assert!(MailDomains::parse(ours).unwrap().check(other).is_err(), "{other}");
        }
        check("*", "a@evil.test", "ok");
        check("", "a@contoso.com", "action-not-allowed");
        assert!(MailDomains::parse("contoso com").is_err() && MailDomains::parse("*contoso.com").is_err());
    }

    #[test]
    fn an_address_holds_nothing_but_an_address() {
        for bad in [
            "",
            "ann",
            "@contoso.com",
            "ann@",
            "ann@contoso.com\r\nBcc: eve@evil.test",
            "ann@contoso.com,eve@evil.test",
            "eve@evil.test@contoso.com",
            "Ann <ann@contoso.com>",
            "\"ann b\"@contoso.com",
            "ann..b@contoso.com",
            "ann@contoso.com ",
            "ann@[127.0.0.1]",
            "änn@contoso.com",
            "ann@contöso.com",
            "ann@contoso.com\0",
        ] {
            check("*", bad, "invalid-request");
        }
    }
}
