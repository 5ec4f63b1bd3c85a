//! Everything that can be wrong with a token, a row each, through the router. Beside the rows that the library refuses by itself
//! stand those that it lets through, which is why the strict reading is ours.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use knowledge_worker::clock::Clock;
use serde_json::{Value, json};

use super::{Lab, SECRET, assert_refused, bearer};
use crate::fake_entra::{AUDIENCE, CLIENT, Draft, OTHER_TENANT, SigningKey, TENANT, encode, seal, with_signature};
use crate::support::app::{TestApp, get};

/// What a row expects: to get in, or a code.
const IN: &str = "";
const BAD: &str = "invalid-token";
const SCOPE: &str = "insufficient-scope";
const OVERAGE: &str = "groups-overage";

/// The rows whose tokens are signed by the issuer's own key: what is wrong is what they say of whom they are from, for whom, when.
fn claims(lab: &Lab) -> Vec<(&'static str, Draft, &'static str)> {
    let (now, v2, v1) = (lab.now(), || Draft::v2(&lab.entra, lab.now()), || Draft::v1(&lab.entra, lab.now()));
    let other_issuer = format!("{}/{OTHER_TENANT}/v2.0", lab.entra.url());
    vec![
        // Those that get in.
        ("version 2", v2(), IN),
        ("version 1", v1(), IN),
        ("type at+jwt", v2().header("typ", "at+jwt"), IN),
        ("no type", v2().without_header("typ"), IN),
        ("expired 59 s ago, within the leeway", v2().claim("exp", now - 59), IN),
        ("valid in 60 s, within the leeway", v2().claim("nbf", now + 60), IN),
        ("issued in 60 s, within the leeway", v2().claim("iat", now + 60), IN),
        ("28 hours long, where access is evaluated continuously", v2().claim("exp", now - 300 + 28 * 3_600), IN),
        ("no groups", v2().claim("groups", json!([])), IN),
        ("groups null", v2().claim("groups", Value::Null), IN),
        ("claims that nobody knows", v2().claim("xms_st", json!({"sub": "x"})), IN),
        ("addresses of keys in the header, which nobody follows", with_addresses(v2(), lab), IN),
        ("an application with a role", app(v2()).claim("roles", json!(["KnowledgeWorker.Reader"])), IN),
        // Row 17: for whom, from whom.
        ("aud of somebody else", v2().claim("aud", "00000003-0000-0000-c000-000000000000"), BAD),
        ("no aud", v2().without("aud"), BAD),
        ("aud as array with ours", v2().claim("aud", json!([AUDIENCE])), BAD),
        ("aud empty", v2().claim("aud", ""), BAD),
        ("aud with a blank", v2().claim("aud", format!("{AUDIENCE} ")), BAD),
        ("iss of another tenant", v2().claim("iss", other_issuer.clone()), BAD),
        ("tid and iss of another tenant", v2().claim("iss", other_issuer).claim("tid", OTHER_TENANT), BAD),
        ("iss is not tid", v2().claim("tid", OTHER_TENANT), BAD),
        ("no iss", v2().without("iss"), BAD),
        ("iss as array with ours", v2().claim("iss", json!([lab.entra.issuer()])), BAD),
        ("iss with a slash", v2().claim("iss", format!("{}/", lab.entra.issuer())), BAD),
        ("version 2 from version 1's issuer", v2().claim("iss", v1().claims["iss"].clone()), BAD),
        ("version 1 from version 2's issuer", v1().claim("iss", lab.entra.issuer()), BAD),
        ("no version", v2().without("ver"), BAD),
        ("version 3", v2().claim("ver", "3.0"), BAD),
        ("no tid", v2().without("tid"), BAD),
        ("tid that is no GUID", v2().claim("tid", "contoso.example"), BAD),
        ("tid in braces", v2().claim("tid", format!("{{{TENANT}}}")), BAD),
        // Row 18: when.
        ("no exp", v2().without("exp"), BAD),
        ("exp as text", v2().claim("exp", (now + 3_600).to_string()), BAD),
        ("exp never", v2().claim("exp", "never"), BAD),
        ("exp as fraction", v2().claim("exp", now as f64 + 3_600.5), BAD),
        ("exp negative", v2().claim("exp", -1), BAD),
        ("exp huge", v2().claim("exp", u64::MAX), BAD),
        ("exp in 100 years", v2().claim("exp", now + 100 * 365 * 86_400), BAD),
        ("exp largest", v2().claim("exp", i64::MAX), BAD),
        ("exp null", v2().claim("exp", Value::Null), BAD),
        ("expired 60 s ago", v2().claim("exp", now - 60), BAD),
        ("no nbf", v2().without("nbf"), BAD),
        ("nbf as text, which the library passes over", v2().claim("nbf", "9999999999"), BAD),
        ("nbf in 50 minutes", v2().claim("nbf", now + 3_000), BAD),
        ("nbf in 61 s", v2().claim("nbf", now + 61), BAD),
        ("nbf negative", v2().claim("nbf", -5), BAD),
        ("nbf after exp", v2().claim("nbf", now + 50).claim("exp", now + 40), BAD),
        ("no iat", v2().without("iat"), BAD),
        ("iat in one year", v2().claim("iat", now + 31_536_000).claim("exp", now + 31_539_600), BAD),
        ("iat in 61 s", v2().claim("iat", now + 61), BAD),
        ("iat smallest", v2().claim("iat", i64::MIN), BAD),
    ]
}

/// The same of what a header asks for, what kind of token it is, and whom it is about.
fn kinds(lab: &Lab) -> Vec<(&'static str, Draft, &'static str)> {
    let (v2, v1) = (|| Draft::v2(&lab.entra, lab.now()), || Draft::v1(&lab.entra, lab.now()));
    vec![
        // Row 18 and 15: what a header may ask for.
        ("crit", v2().header("crit", json!(["x"])).header("x", 1), BAD),
        ("crit empty", v2().header("crit", json!([])), BAD),
        ("crit null", v2().header("crit", Value::Null), BAD),
        ("b64 false", v2().header("b64", false).header("crit", json!(["b64"])), BAD),
        ("b64 false without crit", v2().header("b64", false), BAD),
        // Row 19: what kind of token.
        ("type id_token", v2().header("typ", "id_token"), BAD),
        ("type of a logout", v2().header("typ", "logout+jwt"), BAD),
        ("an ID token", v2().without("azp").without("scp").claim("nonce", "n"), BAD),
        ("an ID token for our own client", v2().claim("nonce", "n"), BAD),
        ("an ID token with at_hash", v2().claim("at_hash", "h"), BAD),
        ("no client in version 2", v2().without("azp"), BAD),
        ("no client in version 1", v1().without("appid").claim("azp", CLIENT), BAD),
        ("an application without a role", app(v2()), SCOPE),
        ("an application with a role of something else", app(v2()).claim("roles", json!(["Mail.Read"])), SCOPE),
        ("no scope and an empty one", v2().claim("scp", ""), SCOPE),
        ("scope of another name", v2().claim("scp", "files.read"), SCOPE),
        ("scope that begins like ours", v2().claim("scp", "access_as_user_2 xaccess_as_user"), SCOPE),
        ("scopes as array", v2().claim("scp", json!(["access_as_user"])), BAD),
        ("roles as text", v2().claim("roles", "KnowledgeWorker.Operator"), BAD),
        // Whom it is about.
        ("no oid", v2().without("oid"), BAD),
        ("oid empty", v2().claim("oid", ""), BAD),
        ("oid of nobody", v2().claim("oid", "00000000-0000-0000-0000-000000000000"), BAD),
        ("oid with a slash", v2().claim("oid", "aaaaaaaa/0000-4000-8000-000000000001"), BAD),
        ("sub empty", v2().claim("sub", ""), BAD),
        ("no sub", v2().without("sub"), BAD),
        // Row 20: groups that are not all there.
        ("overage", v2().claim("_claim_names", json!({"groups": "src1"})), OVERAGE),
        (
            "overage beside some groups",
            v2().claim("groups", json!([])).claim("_claim_names", json!({"groups": "s"})),
            OVERAGE,
        ),
        ("overage in an address", v2().claim("hasgroups", true), OVERAGE),
        ("groups as text", v2().claim("groups", "everyone"), BAD),
    ]
}

/// What Entra gives an application that calls for itself.
fn app(draft: Draft) -> Draft {
    draft.without("scp").claim("idtyp", "app")
}

fn with_addresses(draft: Draft, lab: &Lab) -> Draft {
    let draft =
        ["jku", "x5u"].iter().fold(draft, |draft, name| draft.header(name, format!("{}/sinkhole", lab.entra.url())));
    draft.header("jwk", SigningKey::new("mine").jwk()).header("x5c", json!(["bWluZQ=="]))
}

/// The rows that are wrong in their form or their signature.
fn forged(lab: &Lab) -> Vec<(&'static str, String, &'static str)> {
    let draft = || Draft::v2(&lab.entra, lab.now());
    let (good, key, stranger) = (draft().signed(&lab.entra.key), &lab.entra.key, SigningKey::new(&lab.entra.key.id));
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let named = |name: &str| draft().header("alg", name);
    let message = named("none").message();
    let twice = |text: String| format!("{head}.{}.{signature}", encode(text));
    let doubled = draft().claims.to_string().replacen('{', "{\"aud\":\"other\",", 1);
    let doubled = format!("{}.{}", encode(draft().header.to_string()), encode(doubled));
    let doubled_alg = format!("{}.{}", encode(draft().header.to_string().replacen('{', "{\"alg\":\"none\",", 1)), body);
    let cut = &signature[..signature.len() - 2];
    let mine = SigningKey::new("mine");
    vec![
        // Row 15: how it is signed.
        ("alg none without a signature", format!("{message}."), BAD),
        ("alg none with one", with_signature(&message, b"x"), BAD),
        ("alg None", format!("{}.", named("None").message()), BAD),
        ("alg NONE", format!("{}.", named("NONE").message()), BAD),
        ("alg empty", named("").signed(key), BAD),
        ("no alg", draft().without_header("alg").signed(key), BAD),
        ("alg rs256 in small letters", named("rs256").signed(key), BAD),
        ("HS256 with the public key as secret", named("HS256").sealed(&key.public_bytes()), BAD),
        ("HS256 with the modulus as secret", named("HS256").sealed(key.jwk()["n"].as_str().unwrap().as_bytes()), BAD),
        ("HS256 with no secret", named("HS256").sealed(b""), BAD),
        ("PS256 with the right key", named("PS256").signed_with_pss(key), BAD),
        ("RS256 that is PS256", draft().signed_with_pss(key), BAD),
        ("ES256", with_signature(&named("ES256").message(), &[0; 64]), BAD),
        ("RS512 that is RS256", named("RS512").signed(key), BAD),
        ("signature of another key", draft().signed(&stranger), BAD),
        ("signature of another token", format!("{}.{signature}", draft().claim("name", "Bob").message()), BAD),
        ("no signature", format!("{head}.{body}."), BAD),
        ("signature cut", format!("{head}.{body}.{cut}"), BAD),
        ("signature padded", format!("{head}.{body}.{signature}=="), BAD),
        ("signature with a blank in it", format!("{head}.{body}.{} {}", &signature[..9], &signature[9..]), BAD),
        ("signature of zeros", with_signature(&format!("{head}.{body}"), &[0; 256]), BAD),
        ("key in the header", draft().header("jwk", mine.jwk()).header("kid", "mine").signed(&mine), BAD),
        // Row 16: which key.
        ("no kid", draft().without_header("kid").signed(key), BAD),
        ("kid unknown", draft().header("kid", "unknown").signed(key), BAD),
        ("kid is a path", draft().header("kid", "../../etc/passwd").signed(key), BAD),
        ("kid is a query", draft().header("kid", "' or 1=1 --").signed(key), BAD),
        ("kid empty", draft().header("kid", "").signed(key), BAD),
        ("kid is a number", draft().header("kid", 1).signed(key), BAD),
        ("kid is long", draft().header("kid", "k".repeat(300)).signed(key), BAD),
        // Row 14: the form.
        ("one part", "abc".to_owned(), BAD),
        ("two parts", format!("{head}.{body}"), BAD),
        ("five parts, as of an encrypted one", format!("{good}.a.b"), BAD),
        ("no header", format!(".{body}.{signature}"), BAD),
        ("header is no JSON", format!("{}.{body}.{signature}", encode("x")), BAD),
        ("header is a list", format!("{}.{body}.{signature}", encode("[]")), BAD),
        ("claims are no JSON", seal_rs(key, head, "x"), BAD),
        ("claims are a list", seal_rs(key, head, "[]"), BAD),
        ("claims with more behind", seal_rs(key, head, &format!("{}x", draft().claims)), BAD),
        ("claims nested", seal_rs(key, head, &format!("{}{}", "[".repeat(500), "]".repeat(500))), BAD),
        ("claims of another", twice(draft().claim("oid", CLIENT).claims.to_string()), BAD),
        ("aud twice", with_signature(&doubled, &key.sign(doubled.as_bytes(), false)), BAD),
        ("alg twice", with_signature(&doubled_alg, &key.sign(doubled_alg.as_bytes(), false)), BAD),
        ("longer than 16 KiB", draft().claim("name", "n".repeat(13_000)).signed(key), BAD),
        (
            "a key of ours, which is not accepted here",
            seal(&Draft::shared(lab.now()).message(), SECRET.as_bytes()),
            BAD,
        ),
    ]
}

fn seal_rs(key: &SigningKey, head: &str, claims: &str) -> String {
    let message = format!("{head}.{}", encode(claims));
    let signature = key.sign(message.as_bytes(), false);
    with_signature(&message, &signature)
}

#[tokio::test]
async fn inputs_14_to_20_every_row_of_the_matrix() {
    let lab = Lab::with(&[("REQUIRED_SCOPE", "access_as_user")]).await;
    let claims = claims(&lab)
        .into_iter()
        .chain(kinds(&lab))
        .map(|(what, draft, expected)| (what, draft.signed(&lab.entra.key), expected));
    let rows: Vec<_> = claims.chain(forged(&lab)).collect();
    assert!(rows.len() >= 120, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for (what, token, expected) in &rows {
        let answer = lab.ask(token).await;
        let told = answer.json()["code"].as_str().unwrap_or(IN).to_owned();
        match told == *expected {
            true if told == IN => assert_eq!(answer.status, StatusCode::OK, "{what}: {answer:?}"),
            true => assert_refused(&answer, expected, what),
            false => wrong.push(format!("{what}: `{told}` and not `{expected}`")),
        }
        assert!(!answer.body.contains("eyJ") && !answer.body.contains("example.org"), "{what}: nothing is repeated");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let elsewhere: Vec<String> = lab.entra.asked().into_iter().filter(|path| !path.ends_with("/keys")).collect();
    assert!(elsewhere.is_empty(), "nobody went where a token points: {elsewhere:?}");
}

#[tokio::test]
async fn input_14_what_is_no_bearer_token_is_told_how_to_come() {
    let lab = Lab::new().await;
    let good = Draft::v2(&lab.entra, lab.now()).signed(&lab.entra.key);
    let ask = async |headers: &[&str]| {
        let mut request = Request::get("/api/documents");
        for value in headers {
            request = request.header("authorization", *value);
        }
        lab.test.send(request.body(Body::empty()).unwrap()).await
    };
    assert_refused(&lab.test.send(get("/api/documents")).await, "unauthenticated", "nothing");
    for value in ["Basic YTpi", "Bearer", "Bearer ", "Bearer  ", "bearer:x", good.as_str(), "Negotiate abc"] {
        assert_refused(&ask(&[value]).await, "unauthenticated", value);
    }
    let (bearer_good, long) = (format!("Bearer {good}"), format!("Bearer {}", "a".repeat(1 << 20)));
    assert_refused(&ask(&[&bearer_good, &bearer_good]).await, "invalid-token", "two headers");
    assert_refused(&ask(&["Basic YTpi", &bearer_good]).await, "invalid-token", "two headers of two kinds");
    assert_refused(&ask(&[&long]).await, "invalid-token", "a megabyte");
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(ask(&[&format!("{scheme} {good}")]).await.status, StatusCode::OK, "{scheme}");
    }
    // In the address it would be in every log on the way.
    assert_refused(
        &lab.test.send(get(&format!("/api/conversations?access_token={good}"))).await,
        "unauthenticated",
        "query",
    );
}

#[tokio::test]
async fn input_20_somebody_without_groups_reads_what_is_for_everybody_and_no_more() {
    let lab = Lab::with(&[("FOLDER_RIGHTS", "staff/=group:5b9c3f10-0000-4000-8000-00000000abcd")]).await;
    lab.test.ingest("open.txt", "The lamp is green.").await;
    lab.test.ingest("staff/plan.txt", "The lamp will be red.").await;
    let seen = async |groups: Value| {
        let token = Draft::v2(&lab.entra, lab.now()).claim("groups", groups).signed(&lab.entra.key);
        let listed = lab.ask(&token).await.json();
        listed["documents"].as_array().unwrap().len()
    };
    assert_eq!(seen(json!(["5b9c3f10-0000-4000-8000-00000000abcd"])).await, 2);
    assert_eq!(seen(json!(["5B9C3F10-0000-4000-8000-00000000ABCD"])).await, 2, "an id is the same in capitals");
    for groups in [json!([]), Value::Null, json!(["*"]), json!(["everyone"]), json!(["a' or 1 eq 1"]), json!([""])] {
        assert_eq!(seen(groups.clone()).await, 1, "{groups}");
    }
}

#[tokio::test]
async fn a_token_of_the_shared_key_is_read_as_strictly() {
    let lab = Lab::with(&[("AUTH", "shared-key"), ("SECRET_KEY", SECRET)]).await;
    let (now, draft) = (lab.now(), || Draft::shared(lab.now()));
    let rows = [
        ("good", draft(), IN),
        ("with a tenant, groups and roles", draft().claim("tid", "t1").claim("groups", json!(["a", "b.c@d"])), IN),
        ("another issuer", draft().claim("iss", "somebody"), BAD),
        ("no audience", draft().without("aud"), BAD),
        ("another audience", draft().claim("aud", AUDIENCE), BAD),
        ("expired", draft().claim("exp", now - 60), BAD),
        ("no exp", draft().without("exp"), BAD),
        ("exp as text", draft().claim("exp", "9999999999"), BAD),
        ("nbf as text", draft().claim("nbf", "9999999999"), BAD),
        ("31 hours", draft().claim("exp", now + 31 * 3_600), BAD),
        ("no sub", draft().without("sub"), BAD),
        ("sub empty", draft().claim("sub", ""), BAD),
        ("sub with a slash", draft().claim("sub", "a/b"), BAD),
        ("sub with a comma", draft().claim("sub", "a,everyone"), BAD),
        ("tenant with a slash", draft().claim("tid", "home/alice"), BAD),
        ("tenant empty", draft().claim("tid", ""), BAD),
        ("group with a quote", draft().claim("groups", json!(["a' or 1 eq 1"])), BAD),
        ("group empty", draft().claim("groups", json!([""])), BAD),
        ("groups as text", draft().claim("groups", "a"), BAD),
        ("crit", draft().header("crit", json!(["exp"])), BAD),
        ("type", draft().header("typ", "id_token"), BAD),
        ("HS512", draft().header("alg", "HS512"), BAD),
        ("issued in a minute", draft().claim("iat", now + 60), IN),
        ("issued in more than a minute", draft().claim("iat", now + 61), BAD),
        ("good in a minute", draft().claim("nbf", now + 60), IN),
        ("good in more than a minute", draft().claim("nbf", now + 61), BAD),
        ("expired less than a minute ago", draft().claim("nbf", now - 100).claim("exp", now - 59), IN),
        ("expired a minute ago", draft().claim("nbf", now - 100).claim("exp", now - 60), BAD),
        ("good for no time", draft().claim("nbf", now).claim("exp", now), BAD),
        ("good for a second", draft().claim("nbf", now).claim("exp", now + 1), IN),
        ("thirty hours", draft().claim("iat", now).claim("exp", now + 30 * 3_600), IN),
        ("a second more", draft().claim("iat", now).claim("exp", now + 30 * 3_600 + 1), BAD),
        ("a key without a name", draft().header("kid", ""), BAD),
        ("a long name of a key", draft().header("kid", "k".repeat(256)), IN),
        ("a name of a key that is too long", draft().header("kid", "k".repeat(257)), BAD),
    ];
    for (what, draft, expected) in rows {
        let answer = lab.ask(&draft.sealed(SECRET.as_bytes())).await;
        match expected {
            IN => assert_eq!(answer.status, StatusCode::OK, "{what}: {answer:?}"),
            code => assert_refused(&answer, code, what),
        }
    }
    for secret in [&b""[..], b"knowledge-worker", &SECRET.as_bytes()[..31]] {
        assert_refused(&lab.ask(&draft().sealed(secret)).await, BAD, "another key");
    }
    assert_refused(&lab.test.send(bearer("/api/documents", "a.b.c")).await, BAD, "no token");
}

#[tokio::test]
async fn a_token_has_sixteen_kibibytes_at_most() {
    let lab = Lab::with(&[("AUTH", "shared-key"), ("SECRET_KEY", SECRET)]).await;
    // Not every length can be had by padding one part, because three bytes are four letters.
    let sealed = |key_id: usize, padding: usize| {
        let draft = Draft::shared(lab.now()).header("kid", "k".repeat(key_id));
        draft.claim("padding", "x".repeat(padding)).sealed(SECRET.as_bytes())
    };
    let of_length = |length: usize| {
        let tried = (1..4).flat_map(|key_id| (11_000..12_288).map(move |padding| (key_id, padding)));
        tried.map(|(key_id, padding)| sealed(key_id, padding)).find(|token| token.len() == length).unwrap()
    };
    assert_eq!(lab.ask(&of_length(16 << 10)).await.status, StatusCode::OK);
    assert_refused(&lab.ask(&of_length((16 << 10) + 1)).await, BAD, "one byte more");
}

#[tokio::test]
async fn no_token_is_from_before_time_began() {
    let clock = Clock::manual("1970-01-01T00:00:10Z".parse().unwrap());
    let test = TestApp::at(&clock, &[("AUTH", "shared-key"), ("SECRET_KEY", SECRET)]);
    for (iat, nbf, is_good) in [(0, 0, true), (-1, 0, false), (0, -1, false)] {
        let token = Draft::shared(10).claim("iat", iat).claim("nbf", nbf).claim("exp", 60).sealed(SECRET.as_bytes());
        let answer = test.send(bearer("/api/documents", &token)).await;
        assert_eq!(answer.status.is_success(), is_good, "iat {iat}, nbf {nbf}: {answer:?}");
    }
}
