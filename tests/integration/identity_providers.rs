//! A server and an identity provider over real HTTP: a provider that is down when the server
//! starts, new keys, and TLS with a certificate from a private authority. `src/identity/tests.rs`
//! tests the validity of tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use freshql::config::{Config, Issuer, KeySource, Mode};
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::blog::{self, Who, path, path_with, titles};
use crate::harness::{Answer, TestApp};
use crate::openid::{AUDIENCE, Answers, Key, OpenId};
use crate::program::Program;
use crate::tls;

fn trusting(provider: &OpenId) -> impl FnOnce(&mut Config) + use<> {
    trusting_issuer(&provider.issuer)
}

fn trusting_issuer(issuer: &str) -> impl FnOnce(&mut Config) + use<> {
    let issuer = Issuer {
        issuer: issuer.to_owned(),
        audience: vec![AUDIENCE.to_owned()],
        keys: KeySource::Discovery,
        roles: "/realm_access/roles".to_owned(),
        cookie: None,
        leeway: Issuer::LEEWAY,
    };
    move |config| config.auth.push(issuer)
}

async fn posts(app: &TestApp, token: &str) -> Answer {
    app.get_with(&path_with("posts", &json!({})), &[(AUTHORIZATION, &format!("Bearer {token}"))])
        .await
}

#[tokio::test]
async fn a_server_starts_while_its_provider_is_down_and_answers_what_is_public() {
    let key = Key::rsa("1");
    let provider = OpenId::start(&[&key]).await;
    provider.answer(Answers::Error);
    let app = blog::start(Mode::Trusted, trusting(&provider)).await;
    let token = key.token(&provider.claims(&json!({"sub": "ada"})));
    let private = posts(&app, &token).await;
    private.assert_error(503, "AUTHENTICATION_UNAVAILABLE");
    assert!(
        private.headers.contains_key(RETRY_AFTER)
            && !private.headers.contains_key(WWW_AUTHENTICATE)
    );
    let public = app
        .get_with(
            &path_with("page", &json!({"id": "1"})),
            &[(AUTHORIZATION, &format!("Bearer {token}"))],
        )
        .await;
    assert_eq!(public.status, 200);
    // Requests without a token or with one from another issuer do not wait for it.
    assert_eq!(
        titles(&app.get(&path_with("posts", &json!({}))).await.json()),
        Who::Nobody.titles()
    );
    assert_eq!(
        titles(&posts(&app, &blog::token(&json!({"sub": "bob"}))).await.json()),
        Who::Bob.titles()
    );
    // A proxy's error page is not a key set.
    provider.answer(Answers::Body(b"<html>".to_vec()));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    posts(&app, &token).await.assert_error(503, "AUTHENTICATION_UNAVAILABLE");
    provider.publish(&[&key]);
    let begun = Instant::now();
    loop {
        let answer = posts(&app, &token).await;
        if answer.status == 200 {
            assert_eq!(titles(&answer.json()), Who::Ada.titles());
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_unresponsive_provider_times_out_after_five_seconds_and_delays_nobody_else() {
    // It accepts the request, and does nothing more.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (issuer, asked) =
        (format!("http://{}/", silent.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
    let counting = asked.clone();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            counting.fetch_add(1, Ordering::SeqCst);
            held.push(stream);
        }
    });
    let key = Key::ec("1");
    let app = blog::start(Mode::Trusted, trusting_issuer(&issuer)).await;
    let token = key.token(&crate::openid::claims(&issuer, &json!({"sub": "ada"})));
    let begun = Instant::now();
    let waiting = async {
        // All waiting requests share one fetch.
        let answers = futures_util::future::join_all((0..5).map(|_| posts(&app, &token))).await;
        answers.iter().for_each(|answer| answer.assert_error(503, "AUTHENTICATION_UNAVAILABLE"));
        begun.elapsed()
    };
    let others = async {
        let bob = posts(&app, &blog::token(&json!({"sub": "bob"}))).await;
        assert_eq!(titles(&bob.json()), Who::Bob.titles());
        assert_eq!(app.get(&path_with("page", &json!({"id": "1"}))).await.status, 200);
        begun.elapsed()
    };
    let (waited, served) = tokio::join!(waiting, others);
    assert!(waited >= Duration::from_secs(5) && served < waited, "{waited:?} {served:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn tokens_of_a_new_key_are_accepted_at_once_and_roles_come_from_the_configured_claim() {
    let (old, new, stolen) = (Key::ec("old"), Key::ed("new"), Key::ec("old"));
    let provider = OpenId::start(&[&old]).await;
    // A new key does not have to wait for that.
    provider.cache_control("max-age=3600");
    let app = blog::start(Mode::Trusted, trusting(&provider)).await;
    let by = |key: &Key, more: Value| key.token(&provider.claims(&more));
    assert_eq!(
        titles(&posts(&app, &by(&old, json!({"sub": "ada"}))).await.json()),
        Who::Ada.titles()
    );
    provider.publish(&[&old, &new]);
    let editor = json!({"realm_access": {"roles": ["editor"]}});
    assert_eq!(titles(&posts(&app, &by(&new, editor)).await.json()), Who::Editor.titles());
    // `roles` is where the other issuer has them.
    let elsewhere = json!({"sub": "x", "roles": ["editor"]});
    assert_eq!(titles(&posts(&app, &by(&new, elsewhere)).await.json()), Who::Nobody.titles());
    let forged = posts(&app, &by(&stolen, json!({"realm_access": {"roles": ["editor"]}}))).await;
    forged.assert_error(401, "UNAUTHENTICATED");
    assert!(forged.header(WWW_AUTHENTICATE).contains("the signature of the token is wrong"));
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn keys_come_over_tls_if_the_certificate_is_trusted() {
    let key = Key::ec("1");
    let provider = OpenId::start(&[&key]).await;
    let address =
        provider.issuer.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let issuer = format!("https://localhost:{}/", tls::in_front_of(address).await.port());
    provider.claim_to_be(&issuer);
    let project = blog::project();
    let auth = format!("[auth]\nissuer = \"{issuer}\"\naudience = \"{AUDIENCE}\"\n");
    std::fs::write(project.path().join("freshql.toml"), auth).unwrap();
    let token = key.token(&crate::openid::claims(&issuer, &json!({"sub": "ada"})));
    let authority = tls::file("ca.pem").display().to_string();
    for (variables, status) in [(&[][..], 503), (&[("SSL_CERT_FILE", authority.as_str())][..], 200)]
    {
        let server = Program::start_with(project.path(), variables).await;
        let url = format!("{}{}", server.address, path("messages"));
        let answer = reqwest::Client::new().get(url).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), status, "{variables:?}");
    }
}
