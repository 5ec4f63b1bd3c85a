//! The ways of signing in beside a token of Entra, what is told to those who should sign in, what each role may do, and settings
//! that would let in the wrong people.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::TimeDelta;
use knowledge_worker::access::shared_key::Wanted;
use knowledge_worker::config::Config;
use knowledge_worker::config::source::Source;
use knowledge_worker::document::DocumentId;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{Lab, SECRET, assert_refused, bearer};
use crate::fake_entra::{ALICE, AUDIENCE, Draft, OTHER_TENANT, TENANT};
use crate::support::app::{Answer, TestApp, document_name, get};
use crate::support::process::Place;

const OTHER_SECRET: &str = "Zk4mHnV1yRq8LtXw6bDcUe0JpGs2AoFi";
const EASY: [(&str, &str); 3] = [("AUTH", "easy-auth"), ("WEBSITE_AUTH_ENABLED", "True"), ("ENTRA_TENANT_ID", TENANT)];

/// What the platform says of somebody.
fn easy(claims: &[(&str, &str)]) -> String {
    let claims: Vec<Value> = claims.iter().map(|(typ, val)| json!({"typ": typ, "val": val})).collect();
    let principal = json!({"auth_typ": "aad", "name_typ": "name", "role_typ": "roles", "claims": claims});
    BASE64_STANDARD.encode(principal.to_string())
}

fn with_header(method: &Method, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(Body::empty()).unwrap()
}

async fn ask_easy(test: &TestApp, principal: &str) -> Answer {
    test.send(with_header(&Method::GET, "/api/documents", &[("x-ms-client-principal", principal)])).await
}

#[tokio::test]
async fn the_platforms_word_counts_where_it_signs_people_in() {
    let test =
        TestApp::with(&[&EASY[..], &[("FOLDER_RIGHTS", "hr/=group:5b9c3f10-0000-4000-8000-00000000abcd")]].concat());
    test.ingest("hr/pay.txt", "Salaries rise in May.").await;
    test.ingest("open.txt", "The ferry leaves at nine.").await;
    let (tid, oid) = (
        "http://schemas.microsoft.com/identity/claims/tenantid",
        "http://schemas.microsoft.com/identity/claims/objectidentifier",
    );
    let alice = [(tid, TENANT), (oid, ALICE), ("groups", "5b9c3f10-0000-4000-8000-00000000abcd")];
    let seen = ask_easy(&test, &easy(&alice)).await;
    assert_eq!(seen.json()["documents"].as_array().unwrap().len(), 2, "{seen:?}");
    let seen = ask_easy(&test, &easy(&[("tid", TENANT), ("oid", ALICE)])).await;
    assert_eq!(seen.json()["documents"].as_array().unwrap().len(), 1, "{seen:?}");
    assert_refused(&test.send(get("/api/documents")).await, "unauthenticated", "nobody");
    let rows = [
        ("another tenant", easy(&[("tid", OTHER_TENANT), ("oid", ALICE)])),
        ("no tenant", easy(&[("oid", ALICE)])),
        ("no user", easy(&[("tid", TENANT)])),
        ("two users", easy(&[("tid", TENANT), ("oid", ALICE), (oid, TENANT)])),
        ("a name as user", easy(&[("tid", TENANT), ("oid", "alice")])),
        ("no base64", "{}".to_owned()),
        ("no JSON", BASE64_STANDARD.encode("x")),
        ("another provider", BASE64_STANDARD.encode(r#"{"auth_typ":"google","claims":[]}"#)),
    ];
    for (what, principal) in rows {
        assert_refused(&ask_easy(&test, &principal).await, "invalid-token", what);
    }
    let overage = easy(&[("tid", TENANT), ("oid", ALICE), ("_claim_names", r#"{"groups":"src1"}"#)]);
    assert_refused(&ask_easy(&test, &overage).await, "groups-overage", "overage");
    let twice = [("x-ms-client-principal", &*easy(&alice)), ("x-ms-client-principal", &*easy(&alice))];
    assert_refused(
        &test.send(with_header(&Method::GET, "/api/documents", &twice)).await,
        "invalid-token",
        "two headers",
    );
}

#[tokio::test]
async fn the_platforms_header_is_nothing_where_it_signs_nobody_in() {
    let lab = Lab::new().await;
    let header = easy(&[("tid", TENANT), ("oid", ALICE)]);
    assert_refused(&ask_easy(&lab.test, &header).await, "unauthenticated", "sent by anybody");
    for enabled in ["", "false", "0", "yes"] {
        let problems = problems(&[&EASY[..1], &EASY[2..], &[("WEBSITE_AUTH_ENABLED", enabled)]].concat());
        assert!(problems.iter().any(|name| name == "AUTH"), "{enabled}: {problems:?}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_the_platforms_cookie() {
    let test = TestApp::with(&EASY);
    let principal = easy(&[("tid", TENANT), ("oid", ALICE), ("roles", "KnowledgeWorker.Operator")]);
    let id = DocumentId::of(&document_name("a.txt"));
    let delete = async |headers: &[(&str, &str)]| {
        let headers = [&[("x-ms-client-principal", &*principal), ("host", "kw.example.org")], headers].concat();
        let answer = test.send(with_header(&Method::DELETE, &format!("/api/documents/{id}"), &headers)).await;
        answer.json()["code"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(delete(&[]).await, "not-found", "a program");
    assert_eq!(delete(&[("origin", "https://kw.example.org")]).await, "not-found");
    assert_eq!(delete(&[("sec-fetch-site", "same-origin"), ("origin", "https://kw.example.org")]).await, "not-found");
    for site in ["cross-site", "same-site", "x"] {
        assert_eq!(delete(&[("sec-fetch-site", site)]).await, "foreign-origin", "{site}");
    }
    for origin in ["https://evil.example", "null", "https://kw.example.org.evil.example"] {
        assert_eq!(delete(&[("origin", origin)]).await, "foreign-origin", "{origin}");
    }
}

#[tokio::test]
async fn two_keys_are_accepted_while_one_takes_the_place_of_the_other() {
    let both = [("AUTH", "shared-key"), ("SECRET_KEY", SECRET), ("SECRET_KEY_PREVIOUS", OTHER_SECRET)];
    let (lab, now) = (Lab::with(&both).await, |lab: &Lab| Draft::shared(lab.now()));
    for (secret, status) in [(SECRET, 200), (OTHER_SECRET, 200), ("x3vT9rXw0LmB7sKdE2yUhN5cPzAoJfG8", 401)] {
        assert_eq!(lab.ask(&now(&lab).sealed(secret.as_bytes())).await.status.as_u16(), status);
    }
    let alone = Lab::with(&both[..2]).await;
    assert_refused(&alone.ask(&now(&alone).sealed(OTHER_SECRET.as_bytes())).await, "invalid-token", "the old key");
}

#[tokio::test]
async fn of_several_ways_the_first_that_fits_counts() {
    let more = [("AUTH", "shared-key, entra,easy-auth"), ("SECRET_KEY", SECRET), ("WEBSITE_AUTH_ENABLED", "true")];
    let lab = Lab::with(&more).await;
    let entra = Draft::v2(&lab.entra, lab.now()).signed(&lab.entra.key);
    let shared = Draft::shared(lab.now()).sealed(SECRET.as_bytes());
    let easy = easy(&[("tid", TENANT), ("oid", ALICE)]);
    for token in [&entra, &shared] {
        assert_eq!(lab.ask(token).await.status, StatusCode::OK);
    }
    assert_eq!(ask_easy(&lab.test, &easy).await.status, StatusCode::OK);
    // A bad token is not mended by another way.
    let forged = format!("Bearer {}", Draft::shared(lab.now()).sealed(OTHER_SECRET.as_bytes()));
    let both = [("authorization", &*forged), ("x-ms-client-principal", &*easy)];
    assert_refused(&lab.test.send(with_header(&Method::GET, "/api/documents", &both)).await, "invalid-token", "both");
}

#[tokio::test]
async fn a_role_opens_its_routes_and_those_of_lesser_roles() {
    let lab = Lab::with(&[("AUTH", "shared-key"), ("SECRET_KEY", SECRET), ("DEFAULT_ROLE", "none")]).await;
    let token = |role: Option<&str>| {
        let draft = Draft::shared(lab.now()).claim("roles", role.into_iter().collect::<Vec<_>>());
        draft.sealed(SECRET.as_bytes())
    };
    let routes = [("GET", "/api/documents"), ("POST", "/api/url"), ("GET", "/api/maintenance/report")];
    let opens = async |role: Option<&str>| {
        let mut opened = Vec::new();
        for (method, path) in routes {
            let authorization = format!("Bearer {}", token(role));
            let headers = [("authorization", authorization.as_str())];
            let answer = lab.test.send(with_header(&method.parse().unwrap(), path, &headers)).await;
            match answer.status.as_u16() {
                403 => assert_refused(&answer, "insufficient-scope", path),
                status => assert!([200, 404, 415].contains(&status), "{path}: {answer:?}"),
            }
            opened.push(answer.status != StatusCode::FORBIDDEN);
        }
        opened
    };
    assert_eq!(opens(None).await, [false, false, false]);
    assert_eq!(opens(Some("knowledgeworker.operator")).await, [false, false, false], "names are exact");
    assert_eq!(opens(Some("KnowledgeWorker.Reader")).await, [true, false, false]);
    assert_eq!(opens(Some("KnowledgeWorker.Contributor")).await, [true, true, false]);
    assert_eq!(opens(Some("KnowledgeWorker.Operator")).await, [true, true, true]);
}

#[tokio::test]
async fn no_route_that_needs_something_opens_without() {
    let lab = Lab::new().await;
    let mut closed = 0;
    for route in knowledge_worker::functions::http_routes().listed() {
        let path = route.path.replace("{id}", "x").replace("{page}", "1").replace("{ordinal}", "0");
        let path = path.replace("{hash}", "h").replace("{name}", "n");
        let answer = lab.test.send(with_header(&route.method, &path, &[])).await;
        let is_closed = answer.status == StatusCode::UNAUTHORIZED;
        assert_eq!(is_closed, route.need.role().is_some(), "{} {}: {answer:?}", route.method, route.path);
        if is_closed {
            assert!(answer.headers.contains_key("www-authenticate"), "{}", route.path);
            closed += 1;
        }
    }
    assert!(closed > 25, "{closed} routes are closed");
    // Of what is open nothing is told to somebody with a bad token that is not told to everybody.
    assert_eq!(lab.test.send(bearer("/api/health/live", "x")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn whoever_should_sign_in_is_told_where() {
    let lab = Lab::with(&[("REQUIRED_SCOPE", "access_as_user"), ("PUBLIC_URL", "https://kw.example.org")]).await;
    for (path, metadata) in [("/api/status", ""), ("/mcp", "/mcp")] {
        let method = if path == "/mcp" { Method::POST } else { Method::GET };
        let answer = lab.test.send(with_header(&method, path, &[("host", "evil.example")])).await;
        let challenge = answer.headers["www-authenticate"].to_str().unwrap().to_owned();
        let url = format!("https://kw.example.org/.well-known/oauth-protected-resource{metadata}");
        assert!(challenge.contains(&format!("resource_metadata=\"{url}\"")), "{challenge}");
        assert!(challenge.contains(&format!("scope=\"api://{AUDIENCE}/access_as_user\"")), "{challenge}");
        let told = lab.test.send(get(url.strip_prefix("https://kw.example.org").unwrap())).await.json();
        assert_eq!(told["resource"], format!("https://kw.example.org{metadata}"));
        assert_eq!(told["authorization_servers"], json!([lab.entra.issuer()]));
        assert_eq!(told["scopes_supported"], json!([format!("api://{AUDIENCE}/access_as_user")]));
        assert_eq!(told["bearer_methods_supported"], json!(["header"]));
    }
    let few = Draft::v2(&lab.entra, lab.now()).claim("scp", "other").signed(&lab.entra.key);
    let challenge = lab.ask(&few).await.headers["www-authenticate"].to_str().unwrap().to_owned();
    assert!(
        challenge.contains("error=\"insufficient_scope\"") && challenge.contains("/access_as_user\""),
        "{challenge}"
    );
    lab.test.send(get("/.well-known/oauth-protected-resource/other")).await.assert_problem("not-found");
    // Without a name of its own, the product takes the one that it was called by.
    let plain = Lab::new().await;
    let told = with_header(&Method::GET, "/.well-known/oauth-protected-resource", &[("host", "127.0.0.1:7071")]);
    assert_eq!(plain.test.send(told).await.json()["resource"], "http://127.0.0.1:7071");
    for host in ["evil\"x", "a/b", "u@h", ""] {
        let asked = with_header(&Method::GET, "/.well-known/oauth-protected-resource", &[("host", host)]);
        plain.test.send(asked).await.assert_problem("not-found");
    }
    let open = TestApp::new().send(get("/.well-known/oauth-protected-resource")).await;
    open.assert_problem("not-found");
}

#[tokio::test]
async fn who_was_signed_in_by_the_platform_is_told_where_to_sign_out() {
    let claims = easy(&[("tid", TENANT), ("oid", ALICE)]);
    let status = with_header(&Method::GET, "/api/status", &[("x-ms-client-principal", &claims)]);
    let told = TestApp::with(&EASY).send(status).await.json();
    assert_eq!(told["sign_out"], "/.auth/logout?post_logout_redirect_uri=/");
    let told = TestApp::new().send(get("/api/status")).await.json();
    assert_eq!(told["sign_out"], Value::Null, "nobody was signed in");
}

#[tokio::test]
async fn clients_of_openai_are_refused_in_the_shape_they_know() {
    let lab = Lab::new().await;
    let request = |token: &str| {
        let request = Request::post("/v1/chat/completions").header("content-type", "application/json");
        request.header("authorization", format!("Bearer {token}")).body(Body::from("{}")).unwrap()
    };
    let answer = lab.test.send(request("sk-not-a-token")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.headers["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    assert_eq!(answer.json()["error"]["code"], "invalid-token", "{answer:?}");
    assert_eq!(lab.test.send(bearer("/v1/models", "x")).await.json()["error"]["code"], "invalid-token");
}

/// The settings that have something wrong with them.
fn problems(settings: &[(&str, &str)]) -> Vec<String> {
    match Config::from_source(&Source::of(settings.iter().copied()), "handler".into()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|problem| problem.name.to_owned()).collect(),
    }
}

#[test]
fn input_30_settings_that_would_let_in_the_wrong_people_are_refused() {
    let entra = [("AUTH", "entra"), ("ENTRA_TENANT_ID", TENANT), ("ENTRA_AUDIENCE", AUDIENCE)];
    let key = [("AUTH", "shared-key"), ("SECRET_KEY", SECRET)];
    let check = |settings: &[&[(&str, &str)]], expected: &[&str]| {
        let settings = settings.concat();
        assert_eq!(problems(&settings), expected, "{settings:?}");
    };
    let prod = [("ENVIRONMENT", "prod")];
    check(&[&entra], &[]);
    check(&[&key], &[]);
    check(&[&EASY], &[]);
    check(&[&prod, &entra], &[]);
    check(&[&prod, &key], &[]);
    check(&[&prod, &EASY], &[]);
    check(&[&prod], &["AUTH"]);
    let in_azure = [("WEBSITE_SITE_NAME", "app")];
    check(&[&in_azure], &["AUTH"]);
    check(&[&in_azure, &entra], &[]);
    check(&[&prod, &[("AUTH", "off")]], &["AUTH"]);
    check(&[&[("AUTH", "none")]], &["AUTH"]);
    check(&[&[("AUTH", "off,entra")], &entra[1..]], &["AUTH"]);
    check(&[&[("AUTH", "entra,entra")], &entra[1..]], &["AUTH"]);
    check(&[&[("AUTH", "entra")]], &["ENTRA_TENANT_ID", "ENTRA_AUDIENCE"]);
    check(&[&[("AUTH", "shared-key")]], &["SECRET_KEY"]);
    for tenant in ["common", "organizations", "contoso.onmicrosoft.com", "x,7f1c5a52-4b0e-4a55-9a9a-3f0d9a6c1d11"] {
        check(&[&entra[..1], &entra[2..], &[("ENTRA_TENANT_ID", tenant)]], &["ENTRA_TENANT_ID"]);
    }
    for authority in ["http://login.microsoftonline.com", "https://login.microsoftonline.com/common", "x"] {
        check(&[&entra, &[("ENTRA_AUTHORITY", authority)]], &["ENTRA_AUTHORITY"]);
    }
    check(&[&entra, &[("REQUIRED_SCOPE", "api://x/access_as_user")]], &["REQUIRED_SCOPE"]);
    for secret in [
        "short",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "change-me-change-me-change-me-1234567890",
        "your-secret-key-of-at-least-32-bytes!!",
    ] {
        check(&[&key[..1], &[("SECRET_KEY", secret)]], &["SECRET_KEY"]);
        check(&[&key, &[("SECRET_KEY_PREVIOUS", secret)]], &["SECRET_KEY_PREVIOUS"]);
    }
    check(&[&[("DEFAULT_ROLE", "admin")]], &["DEFAULT_ROLE"]);
    check(&[&[("ROLE_OPERATOR", "KnowledgeWorker.Reader")]], &["ROLE_OPERATOR"]);
    check(&[&[("PUBLIC_URL", "kw.example.org")]], &["PUBLIC_URL"]);
}

#[test]
fn production_shows_nobody_what_says_nothing_of_its_readers() {
    let readers = |settings: &[(&str, &str)]| {
        let key = [("AUTH", "shared-key"), ("SECRET_KEY", SECRET)];
        let config = Config::from_source(&Source::of(settings.iter().copied().chain(key)), "handler".into());
        config.unwrap().ingest.rights.default_readers
    };
    assert_eq!(readers(&[("ENVIRONMENT", "prod")]), Vec::<String>::new());
    assert_eq!(readers(&[("ENVIRONMENT", "prod"), ("DEFAULT_READERS", "everyone")]), ["everyone"]);
    assert_eq!(readers(&[("ENVIRONMENT", "staging")]), ["everyone"]);
}

#[test]
fn the_command_makes_tokens_where_nobody_works() {
    let (place, key) = (Place::new(), [("AUTH", "shared-key"), ("SECRET_KEY", SECRET)]);
    let arguments = ["token", "--subject", "alice", "--group", "staff", "--role", "operator"];
    let claims = |settings: &[(&str, &str)]| {
        let token = place.run_with(settings, &arguments).assert_status(0).stdout;
        let claims = token.trim().split('.').nth(1).expect("a token has three parts");
        let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()
    };
    let boss = claims(&[&key[..], &[("ROLE_OPERATOR", "Boss")]].concat());
    assert_eq!(boss["roles"], json!(["Boss"]), "the role is called what the settings say");
    let claims = claims(&key);
    assert_eq!((&claims["sub"], &claims["groups"]), (&json!("alice"), &json!(["staff"])));
    assert_eq!(claims["roles"], json!(["KnowledgeWorker.Operator"]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3_600);
    let refused = place.run_with(&[&key[..], &[("ENVIRONMENT", "prod")]].concat(), &arguments).assert_status(1);
    assert!(refused.stdout.is_empty() && refused.stderr.contains("prod"), "{refused:?}");
    assert!(place.run_with(&[], &arguments).assert_status(1).stderr.contains("AUTH=shared-key"));
    for wrong in [["--subject", "a/b"], ["--subject", ""], ["--subject", "x,y"]] {
        assert!(place.run_with(&key, &[&["token"], &wrong[..]].concat()).assert_status(1).stdout.is_empty());
    }
    place.run_with(&key, &["token", "--subject", "a", "--minutes", "1441"]).assert_status(1);
    place.run_with(&key, &["token", "--subject", "a", "--role", "admin"]).assert_status(2);
}

#[tokio::test]
async fn frontends_are_told_how_people_sign_in() {
    let setup = async |test: &TestApp| test.send(get("/auth_setup")).await.json();
    let told = |setup: &Value| {
        ["useLogin", "requireAccessControl", "enableUnauthenticatedAccess"].map(|name| setup[name] == true)
    };
    let lab = Lab::with(&[("REQUIRED_SCOPE", "access_as_user")]).await;
    let entra = setup(&lab.test).await;
    assert_eq!(told(&entra), [true, true, false]);
    let auth = &entra["msalConfig"]["auth"];
    assert_eq!(
        (&auth["clientId"], &auth["authority"]),
        (&json!(AUDIENCE), &json!(format!("{}/{TENANT}", lab.entra.url())))
    );
    let scopes = json!({"scopes": [format!("api://{AUDIENCE}/access_as_user")]});
    assert_eq!((&entra["loginRequest"], &entra["tokenRequest"]), (&scopes, &scopes));
    let both = format!("{TENANT},{OTHER_TENANT}");
    let several = Lab::with(&[("ENTRA_TENANT_ID", both.as_str())]).await;
    let several = setup(&several.test).await;
    assert!(several["msalConfig"]["auth"]["authority"].as_str().unwrap().ends_with("/organizations"), "{several}");
    assert_eq!(several["tokenRequest"]["scopes"], json!([format!("api://{AUDIENCE}/.default")]));
    assert_eq!(told(&setup(&TestApp::with(&EASY)).await), [true, true, false]);
    let shared = TestApp::with(&[("AUTH", "shared-key"), ("SECRET_KEY", SECRET)]);
    assert_eq!(told(&setup(&shared).await), [false, true, false], "no frontend has such a token");
    assert_eq!(told(&setup(&TestApp::new()).await), [false, false, true]);
}

#[tokio::test]
async fn keys_names_and_lives_of_tokens_have_bounds() {
    // Thirty-two bytes of ten kinds are a key; one less of either is none.
    let key = |kinds: usize, length: usize| "qwrtzpsdfg".chars().take(kinds).cycle().take(length).collect::<String>();
    let settings = |key: &str| problems(&[("AUTH", "shared-key"), ("SECRET_KEY", key)]);
    assert!(settings(&key(10, 32)).is_empty());
    assert_eq!((settings(&key(9, 32)), settings(&key(10, 31))), (vec!["SECRET_KEY".into()], vec!["SECRET_KEY".into()]));
    let lab = Lab::with(&[("AUTH", "shared-key"), ("SECRET_KEY", SECRET)]).await;
    let mint = async |subject: &str, group: &str, seconds: i64| {
        let wanted = Wanted {
            subject: subject.to_owned(),
            groups: vec![group.to_owned()],
            role: "KnowledgeWorker.Reader".to_owned(),
            life: TimeDelta::seconds(seconds),
        };
        lab.test.app.access.shared_key().unwrap().mint(&wanted).await.ok()
    };
    let long = "n".repeat(128);
    for (subject, group, seconds) in [("alice", "staff", 60), (long.as_str(), long.as_str(), 86_400)] {
        let token = mint(subject, group, seconds).await.unwrap();
        assert_eq!(lab.ask(token.expose_secret()).await.status, StatusCode::OK, "{subject}");
    }
    let too_long = "n".repeat(129);
    let refused =
        [("alice", "staff", 59), ("alice", "staff", 86_401), (&too_long, "staff", 60), ("alice", &too_long, 60)];
    for (subject, group, seconds) in refused {
        assert!(mint(subject, group, seconds).await.is_none(), "{subject} {group} {seconds}");
    }
}
