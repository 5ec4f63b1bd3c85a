//! The identity of the process: when it asks for a token, when it does not, and what it says when there is none.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind as ClientErrorKind;
use azure_core::time::OffsetDateTime;
use knowledge_worker::clock::Clock;
use knowledge_worker::error::ErrorKind;
use knowledge_worker::identity::{self, Identity};
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;

const STORAGE: &str = "https://storage.azure.com/.default";
const SEARCH: &str = "https://search.azure.com/.default";
const HOUR: Duration = Duration::from_secs(3_600);

/// Gives tokens `token-1`, `token-2`, … that last an hour, one for each permit; and fails when it was told to.
#[derive(Debug)]
struct Source {
    clock: Clock,
    asked: AtomicU64,
    permits: Semaphore,
    failures: Mutex<VecDeque<&'static str>>,
}

#[async_trait]
impl TokenCredential for Source {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.permits.acquire().await.unwrap().forget();
        if let Some(words) = self.failures.lock().unwrap().pop_front() {
            return Err(azure_core::Error::with_message(ClientErrorKind::Credential, words));
        }
        let ends = self.clock.now().timestamp() + 3_600;
        let expires_on = OffsetDateTime::from_unix_timestamp(ends).unwrap();
        Ok(AccessToken::new(format!("{}-token-{number}", scopes[0]), expires_on))
    }
}

struct Place {
    clock: Clock,
    source: Arc<Source>,
    identity: Arc<dyn TokenCredential>,
}

impl Place {
    fn with_permits(permits: usize) -> Self {
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        let source = Arc::new(Source {
            clock: clock.clone(),
            asked: AtomicU64::new(0),
            permits: Semaphore::new(permits),
            failures: Mutex::default(),
        });
        let identity = Arc::new(Identity::on(source.clone(), clock.clone()));
        Self { clock, source, identity }
    }

    fn new() -> Self {
        Self::with_permits(1_000)
    }

    fn asked(&self) -> u64 {
        self.source.asked.load(Ordering::SeqCst)
    }

    fn fail(&self, words: &'static str) {
        self.source.failures.lock().unwrap().push_back(words);
    }

    async fn token(&self) -> String {
        self.token_for(STORAGE).await
    }

    async fn token_for(&self, scope: &str) -> String {
        identity::token(&self.identity, scope).await.unwrap().expose_secret().to_owned()
    }

    /// Lets tasks run until the source has been asked so often.
    async fn until_asked(&self, times: u64) {
        while self.asked() < times {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_renewed_before_its_end() {
    let place = Place::new();
    assert_eq!(place.asked(), 0, "nobody needed one yet");
    for _ in 0..50 {
        assert!(place.token().await.ends_with("token-1"));
    }
    assert!(place.token_for(SEARCH).await.starts_with(SEARCH), "each service has a token of its own");
    assert_eq!(place.asked(), 2);
    place.clock.advance(HOUR - Duration::from_secs(301));
    assert!(place.token().await.ends_with("token-1"));
    place.clock.advance(Duration::from_secs(1));
    assert!(place.token().await.ends_with("token-3"), "five minutes before its end");
    assert_eq!(place.asked(), 3);
}

#[tokio::test]
async fn many_at_once_ask_once() {
    let place = Arc::new(Place::with_permits(0));
    let many: Vec<_> = (0..30)
        .map(|_| {
            let place = Arc::clone(&place);
            tokio::spawn(async move { place.token().await })
        })
        .collect();
    place.until_asked(1).await;
    place.source.permits.add_permits(1);
    for one in many {
        assert!(one.await.unwrap().ends_with("token-1"));
    }
    assert_eq!(place.asked(), 1);
}

#[tokio::test]
async fn while_one_renews_the_others_go_on_with_the_token_at_hand() {
    let place = Arc::new(Place::with_permits(1));
    place.token().await;
    place.clock.advance(HOUR - Duration::from_secs(200));
    let renewing = Arc::clone(&place);
    let renewing = tokio::spawn(async move { renewing.token().await });
    place.until_asked(2).await;
    for _ in 0..10 {
        assert!(place.token().await.ends_with("token-1"));
    }
    place.source.permits.add_permits(1);
    assert!(renewing.await.unwrap().ends_with("token-2"));
    assert!(place.token().await.ends_with("token-2"));
    assert_eq!(place.asked(), 2);
}

#[tokio::test]
async fn a_token_is_used_to_its_end_while_no_new_one_comes() {
    let place = Place::new();
    place.token().await;
    place.clock.advance(HOUR - Duration::from_secs(200));
    place.fail("the service that gives tokens is down");
    for _ in 0..10 {
        assert!(place.token().await.ends_with("token-1"));
    }
    assert_eq!(place.asked(), 2, "a service that is down is not asked with every call");
    place.fail("still down");
    place.clock.advance(Duration::from_secs(31));
    assert!(place.token().await.ends_with("token-1"));
    assert_eq!(place.asked(), 3, "but again after a while");
    place.fail("down to the end");
    place.clock.advance(Duration::from_secs(165));
    let error = identity::token(&place.identity, STORAGE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "it may pass, so no document is given up for it");
    assert!(place.token().await.ends_with("token-5"), "and then it has passed");
}

#[tokio::test]
async fn whoever_waited_for_a_token_that_did_not_come_learns_why_and_does_not_ask_again() {
    let place = Arc::new(Place::with_permits(0));
    place.fail("no such identity; the answer was {\"access_token\":\"eyJhbGciOi.secret\"}");
    let many: Vec<_> = (0..10)
        .map(|_| {
            let identity = Arc::clone(&place.identity);
            tokio::spawn(async move { identity::token(&identity, STORAGE).await })
        })
        .collect();
    place.until_asked(1).await;
    // All the others wait by now: each was polled at least once while the first one was let run again and again.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    place.source.permits.add_permits(1);
    for one in many {
        let told = one.await.unwrap().unwrap_err().chain();
        assert!(told.contains("az login") && told.contains("https://storage.azure.com"), "{told}");
        assert!(told.contains("no such identity") && !told.contains("secret"), "{told}");
    }
    assert_eq!(place.asked(), 1);
}

#[tokio::test]
async fn a_service_that_never_answers_is_not_waited_for_forever() {
    let place = Place::with_permits(1);
    let patience = Duration::from_millis(40);
    let identity = Identity::on(place.source.clone(), place.clock.clone()).with_patience(patience);
    let place = Place { identity: Arc::new(identity), ..place };
    place.token().await;
    place.clock.advance(HOUR - Duration::from_secs(200));
    assert!(place.token().await.ends_with("token-1"), "a good token is given after a short wait");
    place.clock.advance(HOUR);
    let told = identity::token(&place.identity, STORAGE).await.unwrap_err().chain();
    assert!(told.contains("no answer within 40ms"), "{told}");
}
