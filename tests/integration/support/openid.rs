//! An OpenID provider for tests, over real HTTP: it publishes its configuration and the keys that
//! it is given, and signs tokens with keys that may or may not be published. It counts requests.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The audience of the tokens.
pub(crate) const AUDIENCE: &str = "https://api.example.com";

/// A provider's key.
pub(crate) struct Key {
    pub(crate) id: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Key {
    pub(crate) fn rsa(id: &str) -> Self {
        Self { id: id.to_owned(), pair: Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()) }
    }

    pub(crate) fn ec(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { id: id.to_owned(), pair: Pair::Ec(pair) }
    }

    pub(crate) fn ed(id: &str) -> Self {
        Self { id: id.to_owned(), pair: Pair::Ed(Ed25519KeyPair::generate().unwrap()) }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
            Pair::Ed(_) => "EdDSA",
        }
    }

    /// Its public form.
    pub(crate) fn public(&self) -> Value {
        let (id, alg) = (&self.id, self.algorithm());
        match &self.pair {
            Pair::Rsa(pair) => {
                let key = pair.public_key();
                let n = encode(key.modulus().big_endian_without_leading_zero());
                let e = encode(key.exponent().big_endian_without_leading_zero());
                json!({"kty": "RSA", "kid": id, "use": "sig", "alg": alg, "n": n, "e": e})
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
                json!({"kty": "EC", "kid": id, "use": "sig", "alg": alg, "crv": "P-256", "x": x, "y": y})
            }
            Pair::Ed(pair) => {
                let x = encode(pair.public_key().as_ref());
                json!({"kty": "OKP", "kid": id, "use": "sig", "alg": alg, "crv": "Ed25519", "x": x})
            }
        }
    }

    /// A token with this header and these claims, valid or not.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    signed.as_bytes(),
                    &mut signature,
                )
                .unwrap();
                signature
            }
            Pair::Ec(pair) => {
                pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec()
            }
            Pair::Ed(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", encode(signature))
    }

    /// A token as a provider creates it.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": self.algorithm(), "typ": "JWT", "kid": self.id}), claims)
    }
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A provider's answer to a request for its keys.
#[derive(Clone)]
pub(crate) enum Answers {
    Keys(Vec<Value>),
    /// Any bytes.
    Body(Vec<u8>),
    /// It is down.
    Error,
}

/// A provider.
pub(crate) struct OpenId {
    pub(crate) issuer: String,
    site: Arc<Site>,
}

struct Site {
    issuer: Mutex<String>,
    answers: Mutex<Answers>,
    cache_control: Mutex<Option<&'static str>>,
    asked: AtomicUsize,
}

impl OpenId {
    /// Starts one that publishes these keys.
    pub(crate) async fn start(keys: &[&Key]) -> Self {
        Self::start_at(TcpListener::bind("127.0.0.1:0").await.unwrap(), keys)
    }

    /// Starts one on a port that is known in advance.
    pub(crate) fn start_at(listener: TcpListener, keys: &[&Key]) -> Self {
        let address: SocketAddr = listener.local_addr().unwrap();
        // With a slash at the end, like many providers.
        let issuer = format!("http://{address}/");
        let site = Arc::new(Site {
            issuer: Mutex::new(issuer.clone()),
            answers: Mutex::new(Answers::Keys(keys.iter().map(|key| key.public()).collect())),
            cache_control: Mutex::new(None),
            asked: AtomicUsize::new(0),
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(answer))
            .with_state(site.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { issuer, site }
    }

    pub(crate) fn publish(&self, keys: &[&Key]) {
        self.answer(Answers::Keys(keys.iter().map(|key| key.public()).collect()));
    }

    pub(crate) fn answer(&self, answers: Answers) {
        *self.site.answers.lock().unwrap() = answers;
    }

    pub(crate) fn cache_control(&self, value: &'static str) {
        *self.site.cache_control.lock().unwrap() = Some(value);
    }

    /// Sets the issuer that it claims to be.
    pub(crate) fn claim_to_be(&self, issuer: &str) {
        issuer.clone_into(&mut self.site.issuer.lock().unwrap());
    }

    /// How often its keys have been requested.
    pub(crate) fn asked(&self) -> usize {
        self.site.asked.load(Ordering::SeqCst)
    }

    /// Claims that are valid for an hour, with these changes; `null` removes a claim.
    pub(crate) fn claims(&self, more: &Value) -> Value {
        claims(&self.issuer, more)
    }
}

/// Such claims for any issuer.
pub(crate) fn claims(issuer: &str, more: &Value) -> Value {
    let mut claims =
        json!({"iss": issuer, "aud": AUDIENCE, "sub": "ada", "iat": now(), "exp": now() + 3600});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

async fn configuration(State(site): State<Arc<Site>>) -> Response {
    if matches!(*site.answers.lock().unwrap(), Answers::Error) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let issuer = site.issuer.lock().unwrap().clone();
    json!({"issuer": issuer, "jwks_uri": format!("{issuer}keys"), "scopes_supported": ["openid"]})
        .to_string()
        .into_response()
}

async fn answer(State(site): State<Arc<Site>>) -> Response {
    site.asked.fetch_add(1, Ordering::SeqCst);
    let answers = site.answers.lock().unwrap().clone();
    let mut response = match answers {
        Answers::Keys(keys) => json!({ "keys": keys }).to_string().into_response(),
        Answers::Body(body) => body.into_response(),
        Answers::Error => StatusCode::BAD_GATEWAY.into_response(),
    };
    if let Some(value) = *site.cache_control.lock().unwrap() {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(value));
    }
    response
}
