//! Tokens of every kind against a provider over real HTTP, with a clock that the tests set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::refusal::Refusal::{self, *};
use super::{Authenticator, Carrier, NotVerified};
use crate::config::{Issuer, KeySource};

#[path = "../../tests/integration/support/openid.rs"]
mod openid;

use openid::{AUDIENCE, Answers, Key, OpenId, claims, encode, now};

const SECRET: &str = "a secret of the tests, 32 bytes or more";
const OURS: &str = "ours";

fn issuer(name: &str, keys: KeySource) -> Issuer {
    Issuer {
        issuer: name.to_owned(),
        audience: vec!["another".to_owned(), AUDIENCE.to_owned()],
        keys,
        roles: "/realm_access/roles".to_owned(),
        cookie: None,
        leeway: Duration::from_secs(30),
    }
}

fn with_secret(secret: &str) -> Issuer {
    issuer(OURS, KeySource::Secret { variable: "SECRET".to_owned(), secret: secret.parse().ok() })
}

/// Signs with the secret, whatever the header says.
fn signed(header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{signed}.{}", encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes())))
}

/// A token of the issuer with a secret.
fn token(more: &Value) -> String {
    signed(&json!({"alg": "HS256"}), &claims(OURS, more))
}

/// A clock that stands still until it is set.
#[derive(Clone)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

fn with_clock(issuers: &[Issuer]) -> (Authenticator, Clock) {
    let clock = Clock(Arc::new(AtomicU64::new(now())));
    let read = clock.0.clone();
    let authenticator =
        Authenticator::with_clock(issuers, Box::new(move || read.load(Ordering::SeqCst))).unwrap();
    (authenticator, clock)
}

async fn verdict(authenticator: &Authenticator, token: &str) -> Result<(), NotVerified> {
    authenticator.verify(token, Carrier::Authorization).await.map(drop)
}

/// The verdict on a token of the issuer with a secret.
async fn with_the_secret(token: &str) -> Result<(), NotVerified> {
    verdict(&with_clock(&[with_secret(SECRET)]).0, token).await
}

fn refused(why: Refusal) -> Result<(), NotVerified> {
    Err(NotVerified::Refused(why))
}

#[tokio::test]
async fn a_complete_token_identifies_the_viewer() {
    let (authenticator, _) = with_clock(&[with_secret(SECRET)]);
    let token = token(&json!({"realm_access": {"roles": ["editor", 5]}}));
    let viewer = authenticator.verify(&token, Carrier::Authorization).await.unwrap();
    let claims_of = viewer.claims().unwrap();
    assert_eq!(claims_of.get("sub"), Some(&json!("ada")));
    assert!(claims_of.has_role("editor") && !claims_of.has_role("5"));
    // The key id is ignored if there is only one key.
    assert_eq!(
        with_the_secret(&signed(&json!({"alg": "HS256", "kid": "1"}), &claims(OURS, &json!({}))))
            .await,
        Ok(())
    );
}

#[tokio::test]
async fn an_expiry_is_required() {
    for exp in [
        json!(null),
        json!(""),
        json!((now() + 60).to_string()),
        json!({}),
        json!(-1),
        json!(true),
        json!(1e300),
    ] {
        assert_eq!(
            with_the_secret(&token(&json!({ "exp": exp }))).await,
            refused(NoExpiry),
            "{exp}"
        );
    }
    assert_eq!(with_the_secret(&token(&json!({"exp": now() as f64 + 60.5}))).await, Ok(()));
}

#[tokio::test]
async fn a_token_holds_until_its_expiry_and_the_leeway_are_over() {
    let (authenticator, clock) = with_clock(&[with_secret(SECRET)]);
    let token = token(&json!({"exp": now() + 100}));
    for (seconds, verdict_then) in [(0, Ok(())), (100, Ok(())), (29, Ok(())), (1, refused(Expired))]
    {
        clock.pass(seconds);
        assert_eq!(verdict(&authenticator, &token).await, verdict_then, "{seconds} s later");
    }
}

#[tokio::test]
async fn a_token_is_not_valid_before_nbf() {
    let (authenticator, clock) = with_clock(&[with_secret(SECRET)]);
    let early = token(&json!({"nbf": now() + 31}));
    assert_eq!(verdict(&authenticator, &early).await, refused(NotYet));
    clock.pass(1);
    assert_eq!(verdict(&authenticator, &early).await, Ok(()));
    assert_eq!(with_the_secret(&token(&json!({"nbf": "tomorrow"}))).await, refused(NotBefore));
    // The provider's clock may be ahead: the time of issue decides nothing.
    assert_eq!(with_the_secret(&token(&json!({"iat": now() + 500}))).await, Ok(()));
}

#[tokio::test]
async fn an_audience_of_ours_is_required() {
    for aud in [
        json!(null),
        json!("other"),
        json!([]),
        json!(["other"]),
        json!({AUDIENCE: 1}),
        json!([[AUDIENCE]]),
    ] {
        assert_eq!(
            with_the_secret(&token(&json!({ "aud": aud }))).await,
            refused(Audience),
            "{aud}"
        );
    }
    assert_eq!(with_the_secret(&token(&json!({"aud": ["other", AUDIENCE]}))).await, Ok(()));
}

#[tokio::test]
async fn an_issuer_of_ours_is_required() {
    for iss in
        [json!(null), json!("other"), json!("ours/"), json!("Ours"), json!([OURS]), json!({})]
    {
        assert_eq!(
            with_the_secret(&token(&json!({ "iss": iss }))).await,
            refused(Refusal::Issuer),
            "{iss}"
        );
    }
}

#[tokio::test]
async fn unsigned_and_malformed_tokens_are_refused() {
    let good = token(&json!({}));
    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    for text in [
        "",
        "x",
        "..",
        head,
        &format!("{head}.{body}"),
        &format!("{good}.{signature}"),
        &format!("{head}..{signature}"),
        &format!("{head}=.{body}.{signature}"),
        &format!("{}.{body}.{signature}", encode("[]")),
        &format!("{}.{body}.{signature}", encode("{\"alg\":5}")),
        &format!("{head}.{}.{signature}", encode("[1]")),
        &format!("{head}.{}.{signature}", encode([0xff, 0xfe])),
    ] {
        assert_eq!(with_the_secret(text).await, refused(Malformed), "{text}");
    }
}

#[tokio::test]
async fn an_overlong_token_is_refused_unread() {
    let long = |bytes: usize| token(&json!({"x": "y".repeat(bytes)}));
    assert_eq!(with_the_secret(&long(5000)).await, Ok(()));
    assert_eq!(with_the_secret(&long(6200)).await, refused(TooLong));
}

#[tokio::test]
async fn an_encrypted_token_is_refused() {
    assert_eq!(with_the_secret("eyJhbGciOiJkaXIifQ..a.b.c").await, refused(Encrypted));
}

#[tokio::test]
async fn critical_extensions_are_refused() {
    for crit in [json!(["b64"]), json!([]), json!("exp")] {
        let token =
            signed(&json!({"alg": "HS256", "crit": crit, "b64": false}), &claims(OURS, &json!({})));
        assert_eq!(with_the_secret(&token).await, refused(Critical), "{crit}");
    }
}

#[tokio::test]
async fn a_changed_token_is_refused() {
    let good = token(&json!({}));
    let (head, rest) = good.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let other = encode(claims(OURS, &json!({"sub": "eve"})).to_string());
    for text in [
        format!("{head}.{other}.{signature}"),
        format!("{head}.{other}."),
        token(&json!({}))[..good.len() - 2].into(),
    ] {
        assert_eq!(with_the_secret(&text).await, refused(Signature), "{text}");
    }
    let (elsewhere, _) = with_clock(&[with_secret("another secret of the tests, 32 bytes long")]);
    assert_eq!(verdict(&elsewhere, &good).await, refused(Signature));
}

#[tokio::test]
async fn the_key_decides_the_algorithm_and_never_the_header() {
    let key = Key::rsa("1");
    let provider = OpenId::start(&[&key]).await;
    let (authenticator, _) =
        with_clock(&[issuer(&provider.issuer, KeySource::Discovery), with_secret(SECRET)]);
    let claims = provider.claims(&json!({}));
    let unsigned = format!(
        "{}.{}.",
        encode(json!({"alg": "none", "kid": "1"}).to_string()),
        encode(claims.to_string())
    );
    assert_eq!(verdict(&authenticator, &unsigned).await, refused(Algorithm));
    // A public key used as a secret: a server that trusts the header would let anybody sign.
    let public = key.public();
    for secret in [public.to_string(), public["n"].as_str().unwrap().to_owned()] {
        let text = format!(
            "{}.{}",
            encode(json!({"alg": "HS256", "kid": "1"}).to_string()),
            encode(claims.to_string())
        );
        let hmac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let forged = format!("{text}.{}", encode(aws_lc_rs::hmac::sign(&hmac, text.as_bytes())));
        assert_eq!(verdict(&authenticator, &forged).await, refused(Algorithm));
    }
    for alg in ["RS384", "PS256", "ES256", "rs256", ""] {
        let token = key.sign(&json!({"alg": alg, "kid": "1"}), &claims);
        assert_eq!(verdict(&authenticator, &token).await, refused(Algorithm), "{alg}");
    }
    // The secret of one issuer must not sign for another.
    let foreign = signed(&json!({"alg": "HS256", "kid": "1"}), &claims);
    assert_eq!(verdict(&authenticator, &foreign).await, refused(Algorithm));
    assert_eq!(verdict(&authenticator, &key.token(&claims)).await, Ok(()));
}

#[tokio::test]
async fn every_supported_key_type_verifies_and_others_are_skipped() {
    let keys = [Key::rsa("rsa"), Key::ec("ec"), Key::ed("ed")];
    let provider = OpenId::start(&[]).await;
    let mut published: Vec<Value> = keys.iter().map(Key::public).collect();
    // Without `alg`, as some providers publish their keys.
    published.iter_mut().for_each(|key| drop(key.as_object_mut().unwrap().remove("alg")));
    let changed = |key: &Key, changes: Value| {
        let mut key = key.public();
        changes.as_object().unwrap().iter().for_each(|(name, value)| key[name] = value.clone());
        key
    };
    let [rsa, ec, ed] = &keys;
    let odd = [
        changed(rsa, json!({"kid": "encrypts", "use": "enc"})),
        changed(rsa, json!({"kid": "wraps", "key_ops": ["wrapKey"]})),
        changed(rsa, json!({"kid": "short", "n": encode([0xff; 128])})),
        changed(rsa, json!({"kid": "alg", "alg": "ES256"})),
        changed(rsa, json!({"kid": "oaep", "alg": "RSA-OAEP"})),
        changed(rsa, json!({"kid": "kty", "kty": "lattice"})),
        changed(ec, json!({"kid": "curve", "crv": "secp256k1"})),
        changed(ec, json!({"kid": "point", "x": "AA"})),
        changed(ed, json!({"kid": "ed448", "crv": "Ed448"})),
        json!({"kty": "oct", "kid": "secret", "alg": "HS256", "k": encode(SECRET)}),
        json!({"kid": 5}),
        json!(null),
        json!("key"),
    ];
    provider.answer(Answers::Keys([&odd[..], &published].concat()));
    let (authenticator, clock) = with_clock(&[issuer(&provider.issuer, KeySource::Discovery)]);
    let claims = provider.claims(&json!({}));
    for key in &keys {
        assert_eq!(verdict(&authenticator, &key.token(&claims)).await, Ok(()), "{}", key.id);
        // If only one key has the algorithm, no key id is needed.
        assert_eq!(
            verdict(&authenticator, &key.sign(&json!({"alg": key.algorithm()}), &claims)).await,
            Ok(())
        );
    }
    for id in ["encrypts", "wraps", "short", "alg", "oaep", "kty", "secret"] {
        clock.pass(30);
        let token = rsa.sign(&json!({"alg": "RS256", "kid": id}), &claims);
        assert_eq!(verdict(&authenticator, &token).await, refused(UnknownKey), "{id}");
    }
    let by_secret = signed(&json!({"alg": "HS256", "kid": "secret"}), &claims);
    assert_eq!(verdict(&authenticator, &by_secret).await, refused(UnknownKey));
}

#[tokio::test]
async fn a_token_that_names_no_key_is_refused_where_there_are_several() {
    let (one, two) = (Key::ec("1"), Key::ec("2"));
    let provider = OpenId::start(&[&one, &two]).await;
    let (authenticator, _) = with_clock(&[issuer(&provider.issuer, KeySource::Discovery)]);
    let nameless = one.sign(&json!({"alg": "ES256"}), &provider.claims(&json!({})));
    assert_eq!(verdict(&authenticator, &nameless).await, refused(NoKeyNamed));
    let misnamed = one.sign(&json!({"alg": "ES256", "kid": "2"}), &provider.claims(&json!({})));
    assert_eq!(verdict(&authenticator, &misnamed).await, refused(Signature));
}

#[tokio::test]
async fn keys_are_fetched_lazily_and_once_for_concurrent_requests() {
    let key = Key::ec("1");
    let provider = OpenId::start(&[&key]).await;
    let (authenticator, _) = with_clock(&[issuer(&provider.issuer, KeySource::Discovery)]);
    assert_eq!(provider.asked(), 0);
    let tokens: Vec<_> = (0..50).map(|n| key.token(&provider.claims(&json!({ "n": n })))).collect();
    for verdict in join_all(tokens.iter().map(|token| verdict(&authenticator, token))).await {
        assert_eq!(verdict, Ok(()));
    }
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn an_unknown_key_is_fetched_once_for_concurrent_requests() {
    let (old, new, forged) = (Key::ec("old"), Key::ec("new"), Key::ec("forged"));
    let provider = OpenId::start(&[&old]).await;
    let (authenticator, clock) = with_clock(&[issuer(&provider.issuer, KeySource::Discovery)]);
    let by = |key: &Key, n: usize| key.token(&provider.claims(&json!({ "n": n })));
    assert_eq!(verdict(&authenticator, &by(&old, 0)).await, Ok(()));
    provider.publish(&[&new, &old]);
    let tokens: Vec<_> = (0..50).map(|n| by(&new, n)).collect();
    for verdict in join_all(tokens.iter().map(|token| verdict(&authenticator, token))).await {
        assert_eq!(verdict, Ok(()));
    }
    assert_eq!((verdict(&authenticator, &by(&old, 1)).await, provider.asked()), (Ok(()), 2));
    // Anybody can name keys that do not exist: that causes one fetch in 30 seconds.
    for n in 0..20 {
        let token = forged
            .sign(&json!({"alg": "ES256", "kid": format!("{n}")}), &provider.claims(&json!({})));
        assert_eq!(verdict(&authenticator, &token).await, refused(UnknownKey));
    }
    assert_eq!(provider.asked(), 2);
    clock.pass(30);
    for n in 0..20 {
        assert_eq!(verdict(&authenticator, &by(&forged, n)).await, refused(UnknownKey));
    }
    assert_eq!(provider.asked(), 3);
}

/// Waits until the provider has been asked this many times and its answer has arrived.
async fn asked(provider: &OpenId, times: usize) {
    for _ in 0..1000 {
        if provider.asked() >= times {
            tokio::time::sleep(Duration::from_millis(50)).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("asked {} times, not {times}", provider.asked());
}

#[tokio::test]
async fn a_key_that_was_removed_ends_the_tokens_that_were_verified_with_it() {
    let (old, new) = (Key::ec("old"), Key::ec("new"));
    let provider = OpenId::start(&[&old]).await;
    provider.cache_control("public, max-age=120");
    let (authenticator, clock) = with_clock(&[issuer(&provider.issuer, KeySource::Discovery)]);
    let token = old.token(&provider.claims(&json!({})));
    assert_eq!(verdict(&authenticator, &token).await, Ok(()));
    provider.publish(&[&new]);
    clock.pass(119);
    assert_eq!(verdict(&authenticator, &token).await, Ok(()));
    assert_eq!(provider.asked(), 1);
    clock.pass(1);
    // No request waits for the refresh that is due now.
    assert_eq!(verdict(&authenticator, &token).await, Ok(()));
    asked(&provider, 2).await;
    assert_eq!(verdict(&authenticator, &token).await, refused(UnknownKey));
}

#[tokio::test]
async fn a_provider_that_is_down_at_first_is_asked_again_soon() {
    let key = Key::ec("1");
    let provider = OpenId::start(&[&key]).await;
    provider.answer(Answers::Error);
    let (authenticator, clock) =
        with_clock(&[issuer(&provider.issuer, KeySource::Discovery), with_secret(SECRET)]);
    let its = key.token(&provider.claims(&json!({})));
    for _ in 0..5 {
        assert_eq!(verdict(&authenticator, &its).await, Err(NotVerified::Unavailable));
    }
    // Other issuers are not affected.
    assert_eq!(verdict(&authenticator, &token(&json!({}))).await, Ok(()));
    provider.publish(&[&key]);
    assert_eq!(verdict(&authenticator, &its).await, Err(NotVerified::Unavailable));
    clock.pass(2);
    assert_eq!(verdict(&authenticator, &its).await, Ok(()));
}

#[tokio::test]
async fn fetched_keys_serve_for_a_day_while_the_provider_is_down() {
    let (key, new) = (Key::ec("1"), Key::ec("2"));
    let provider = OpenId::start(&[&key]).await;
    let (authenticator, clock) = with_clock(&[issuer(&provider.issuer, KeySource::Discovery)]);
    let day = json!({"exp": now() + 200_000});
    let (token, by_new) = (key.token(&provider.claims(&day)), new.token(&provider.claims(&day)));
    assert_eq!(verdict(&authenticator, &token).await, Ok(()));
    provider.answer(Answers::Error);
    for _ in 0..23 {
        clock.pass(3600);
        assert_eq!(verdict(&authenticator, &token).await, Ok(()));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The provider's newest key may be one that cannot be known here yet.
    assert_eq!(verdict(&authenticator, &by_new).await, Err(NotVerified::Unavailable));
    clock.pass(3600);
    assert_eq!(verdict(&authenticator, &token).await, Err(NotVerified::Unavailable));
    provider.publish(&[&key, &new]);
    clock.pass(30);
    assert_eq!(verdict(&authenticator, &token).await, Ok(()));
    assert_eq!(verdict(&authenticator, &by_new).await, Ok(()));
}

#[tokio::test]
async fn a_malformed_key_set_changes_nothing() {
    let key = Key::ec("1");
    let provider = OpenId::start(&[&key]).await;
    let (authenticator, clock) = with_clock(&[issuer(&provider.issuer, KeySource::Discovery)]);
    let token = key.token(&provider.claims(&json!({"exp": now() + 200_000})));
    assert_eq!(verdict(&authenticator, &token).await, Ok(()));
    let long = json!({"keys": [key.public(), {"x": "y".repeat(65_536)}]}).to_string();
    let bodies = ["", "<html>", "{}", "[]", r#"{"keys": {}}"#, &long];
    for (n, body) in bodies.into_iter().enumerate() {
        provider.answer(Answers::Body(body.as_bytes().to_vec()));
        clock.pass(700);
        assert_eq!(verdict(&authenticator, &token).await, Ok(()));
        asked(&provider, n + 2).await;
        assert_eq!(
            verdict(&authenticator, &token).await,
            Ok(()),
            "{}",
            &body[..body.len().min(20)]
        );
    }
    // An empty set is valid: the provider has withdrawn its keys.
    provider.answer(Answers::Keys(Vec::new()));
    clock.pass(700);
    assert_eq!(verdict(&authenticator, &token).await, Ok(()));
    asked(&provider, bodies.len() + 2).await;
    assert_eq!(verdict(&authenticator, &token).await, refused(UnknownKey));
}

#[tokio::test]
async fn the_configuration_of_another_issuer_is_refused() {
    let key = Key::ec("1");
    let provider = OpenId::start(&[&key]).await;
    provider.claim_to_be("https://login.example.com/");
    let (authenticator, _) = with_clock(&[issuer(&provider.issuer, KeySource::Discovery)]);
    let token = key.token(&provider.claims(&json!({})));
    assert_eq!(verdict(&authenticator, &token).await, Err(NotVerified::Unavailable));
    // The URL of the keys can be configured directly.
    let url = KeySource::Url(format!("{}keys", provider.issuer));
    let (authenticator, _) = with_clock(&[issuer(&provider.issuer, url)]);
    assert_eq!(verdict(&authenticator, &token).await, Ok(()));
}

#[tokio::test]
async fn keys_may_be_in_a_file() {
    let (old, new) = (Key::ec("old"), Key::ec("new"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let (authenticator, _) = with_clock(&[issuer(OURS, KeySource::File(path.clone()))]);
    let by = |key: &Key| key.token(&claims(OURS, &json!({})));
    assert_eq!(verdict(&authenticator, &by(&old)).await, Err(NotVerified::Unavailable));
    let (authenticator, _) = with_clock(&[issuer(OURS, KeySource::File(path.clone()))]);
    std::fs::write(&path, json!({"keys": [old.public()]}).to_string()).unwrap();
    assert_eq!(verdict(&authenticator, &by(&old)).await, Ok(()));
    std::fs::write(&path, json!({"keys": [old.public(), new.public()]}).to_string()).unwrap();
    assert_eq!(verdict(&authenticator, &by(&new)).await, Ok(()));
}

#[tokio::test]
async fn a_cookie_counts_for_the_issuer_that_names_it() {
    let with_cookie = Issuer { cookie: Some("__Host-session".to_owned()), ..with_secret(SECRET) };
    let other = Issuer { issuer: "other".to_owned(), cookie: None, ..with_secret(SECRET) };
    let (authenticator, _) = with_clock(&[with_cookie, other]);
    assert_eq!(authenticator.cookies().collect::<Vec<_>>(), ["__Host-session"]);
    let by = |issuer: &str| signed(&json!({"alg": "HS256"}), &claims(issuer, &json!({})));
    for (issuer, carrier, expected) in [
        (OURS, Carrier::Cookie("__Host-session"), Ok(())),
        (OURS, Carrier::Cookie("session"), refused(Refusal::Issuer)),
        (OURS, Carrier::Authorization, Ok(())),
        ("other", Carrier::Authorization, Ok(())),
        // Not even if it has been verified before.
        ("other", Carrier::Cookie("__Host-session"), refused(Refusal::Issuer)),
    ] {
        assert_eq!(
            authenticator.verify(&by(issuer), carrier).await.map(drop),
            expected,
            "{issuer} {carrier:?}"
        );
    }
}

#[tokio::test]
async fn at_most_ten_thousand_tokens_are_remembered() {
    let (authenticator, _) = with_clock(&[with_secret(SECRET)]);
    let tokens: Vec<_> = (0..10_500).map(|n| token(&json!({ "n": n }))).collect();
    for token in &tokens {
        assert_eq!(verdict(&authenticator, token).await, Ok(()));
    }
    let remembered = tokens
        .iter()
        .filter(|token| authenticator.remembered(token, Carrier::Authorization).is_some());
    let count = remembered.count();
    assert!((9_000..=10_000).contains(&count), "{count}");
}

#[test]
fn a_missing_or_short_secret_is_refused() {
    let failure =
        |issuer: Issuer| Authenticator::new(&[issuer]).err().map(|error| error.to_string());
    assert_eq!(failure(with_secret(SECRET)), None);
    assert_eq!(
        failure(with_secret("0123456789")).unwrap(),
        "the secret in the environment variable SECRET has 10 bytes; HS256 needs 32 or more, such as those that \
         `openssl rand -hex 32` prints"
    );
    let missing = failure(with_secret("")).unwrap();
    assert!(
        missing.starts_with(
            "ours signs with the secret in the environment variable SECRET, which is not set"
        ),
        "{missing}"
    );
}

#[tokio::test]
async fn minted_tokens_are_accepted() {
    let issuer = with_secret(SECRET);
    let claims = json!({"sub": "ada", "realm_access": {"roles": "editor author"}})
        .as_object()
        .unwrap()
        .clone();
    let token = super::mint::mint(&issuer, claims, Duration::from_secs(60)).unwrap();
    let (authenticator, clock) = with_clock(&[issuer]);
    let viewer = authenticator.verify(&token, Carrier::Authorization).await.unwrap();
    let claims = viewer.claims().unwrap();
    assert_eq!(claims.get("aud"), Some(&json!("another")));
    assert!(claims.has_role("editor") && claims.has_role("author"));
    clock.pass(90);
    assert_eq!(verdict(&authenticator, &token).await, refused(Expired));
}
