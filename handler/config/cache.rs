//! What is kept of searches and answers, for how long, and where Redis is.

use std::sync::Arc;
use std::time::Duration;

use super::models::Credential;
use super::source::Reader;
use crate::cache::redis::RedisSettings;
use crate::secret::Secret;

/// How much is kept, and for how long.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// What a search found; with nothing it is not kept.
    pub search_time: Duration,
    /// Answers; with nothing they are not kept.
    pub answer_time: Duration,
    /// Memory of this process for both, in bytes.
    pub memory_bytes: u64,
    /// What instances share, if anything.
    pub redis: Option<RedisSettings>,
}

pub(super) fn settings(reader: &mut Reader<'_>, credential: Credential<'_>) -> CacheSettings {
    CacheSettings {
        search_time: Duration::from_secs(reader.number("CACHE_SEARCH_SECONDS", 0, 86_400)),
        answer_time: Duration::from_secs(reader.number("CACHE_ANSWER_SECONDS", 0, 86_400)),
        memory_bytes: reader.number("CACHE_MEMORY_MB", 1, 4_096) << 20,
        redis: redis(reader, credential),
    }
}

fn redis(reader: &mut Reader<'_>, credential: Credential<'_>) -> Option<RedisSettings> {
    let address = reader.secret("REDIS_URL")?;
    if let Secret::Plain(text) = &address {
        reader.accept("REDIS_URL", RedisSettings::parse(text))?;
    }
    let (user, password) = (reader.text("REDIS_USERNAME"), reader.secret("REDIS_PASSWORD"));
    Some(RedisSettings { address, user, password, credential: Arc::clone(credential) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use azure_core::credentials::TokenCredential;

    use super::*;
    use crate::clock::Clock;
    use crate::config::source::Source;
    use crate::identity::{Identity, SignIn};

    fn check(settings: &[(&str, &str)], expected: &str, problem: bool) {
        let credential: Arc<dyn TokenCredential> = Arc::new(Identity::new(SignIn::DeveloperTools, Clock::system()));
        let source = Source::of(settings.iter().copied());
        let mut reader = Reader::new(&source);
        let found = redis(&mut reader, &credential).map(|settings| format!("{settings:?}")).unwrap_or_default();
        assert_eq!((found.as_str(), reader.finish().is_err()), (expected, problem), "{settings:?}");
    }

    #[test]
    fn redis_is_reached_with_tls_and_by_somebody() {
        let far = ("REDIS_URL", "rediss://a.test:10000");
        check(&[], "", false);
        check(&[far], "a.test with identity", false);
        check(&[far, ("REDIS_PASSWORD", "k")], "a.test with password", false);
        check(&[("REDIS_URL", "rediss://u:k@a.test")], "a.test with nothing", false);
        check(&[("REDIS_URL", "redis://127.0.0.1:6379")], "127.0.0.1 with nothing", false);
        check(&[("REDIS_URL", "redis://a.test")], "", true);
        check(&[("REDIS_URL", "a.test:6379")], "", true);
    }
}
