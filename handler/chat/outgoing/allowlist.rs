//! Where links may lead. What enters is the setting and the words of an answer, what leaves is yes or no. An address is read
//! more strictly here than by any browser, so that both mean the same host.

/// Hosts that links may lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkAllowlist {
    hosts: Vec<String>,
}

impl LinkAllowlist {
    /// Reads hosts with commas between them; `*.contoso.com` means every host below `contoso.com`, and not that one itself.
    /// A sentence says what else was found.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let hosts = text.split(',').map(|host| host.trim().to_ascii_lowercase()).filter(|host| !host.is_empty());
        let hosts: Vec<String> = hosts.collect();
        match hosts.iter().find(|host| !is_host(host.strip_prefix("*.").unwrap_or(host))) {
            Some(_) => Err("must be names of hosts with commas between them, like docs.contoso.com,*.contoso.org"),
            None => Ok(Self { hosts }),
        }
    }

    /// Whether a whole address, with `http://` or `https://`, leads to one of them.
    pub(super) fn permits(&self, address: &str) -> bool {
        let lower = address.to_ascii_lowercase();
        let Some(rest) = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")) else { return false };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
        let is_port = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
        is_port && path.bytes().all(is_in_path) && self.has(host)
    }

    /// The same for a word as people write it: an address, a host with or without a path, an e-mail address.
    pub(super) fn permits_word(&self, word: &str) -> bool {
        match word.split_once('@') {
            _ if self.hosts.is_empty() => false,
            Some((local, host)) => is_local_part(local) && self.has(&host.to_ascii_lowercase()),
            None if word.contains("://") => self.permits(word),
            None => self.permits(&format!("https://{word}")),
        }
    }

    fn has(&self, host: &str) -> bool {
        let is_below = |name: &str| host.strip_suffix(name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
        is_host(host) && self.hosts.iter().any(|known| known.strip_prefix("*.").map_or(host == known, is_below))
    }
}

/// Whether this can be the part of an e-mail address before its `@`.
pub(super) fn is_local_part(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+'))
}

/// Whether this can be the name of a host, in ASCII.
pub(super) fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// No brackets, quotes, backslashes or entities: nothing in which readers of Markdown could differ.
fn is_in_path(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"/?#-._~!$&'*+,=:@%".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, expected: bool) {
        let list = LinkAllowlist::parse("Docs.contoso.com, *.fabrikam.org").expect("a list");
        assert_eq!(list.permits(address), expected, "{address}");
        assert!(!LinkAllowlist::default().permits(address), "{address}");
    }

    #[test]
    fn only_addresses_of_listed_hosts_are_permitted() {
        check("https://docs.contoso.com", true);
        check("HTTP://DOCS.contoso.com:8080/a/b?c=d#e", true);
        check("https://a.fabrikam.org/", true);
        for other in [
            "https://contoso.com",
            "https://fabrikam.org",
            "https://.fabrikam.org",
            "https://evilfabrikam.org",
            "https://docs.contoso.com.evil.net",
            "https://docs.contoso.com@evil.net",
            "https://docs.contoso.com:443@evil.net/",
            "https://docs.contoso.com\\@evil.net/",
            "https://docs.contoso.com%2eevil.net/",
            "https://docs.contoso.com&commat;evil.net/",
            "https://docs.contoso.com/\"onclick=",
            "javascript://docs.contoso.com/%0aalert(1)",
            "//docs.contoso.com/",
            "docs.contoso.com",
            "https:docs.contoso.com",
            "https:///docs.contoso.com",
        ] {
            check(other, false);
        }
    }

    #[test]
    fn words_may_be_hosts_or_mail() {
        let list = LinkAllowlist::parse("contoso.com").expect("a list");
        for word in ["contoso.com", "contoso.com/a", "hr@contoso.com", "https://contoso.com/a"] {
            assert!(list.permits_word(word), "{word}");
        }
        for word in ["contoso.com@evil.net", "mailto:hr@contoso.com?body=x", "hr@evil.net", "hr@contoso.com@evil.net"] {
            assert!(!list.permits_word(word), "{word}");
        }
        assert!(LinkAllowlist::parse("https://contoso.com").is_err());
        assert!(LinkAllowlist::parse("*").is_err() && LinkAllowlist::parse("a b").is_err());
    }
}
