//! Creates tokens signed with a configured secret, for development: `freshql token`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Map, Value};

use super::secret::{SetupError, secret_of};
use super::time;
use crate::config::Issuer;

/// A token of this issuer with these claims. `iss`, `aud`, `iat` and `exp` are added if they are
/// missing.
///
/// # Errors
/// The issuer has no secret, or one that is too short.
pub fn mint(
    issuer: &Issuer,
    mut claims: Map<String, Value>,
    lifetime: Duration,
) -> Result<String, SetupError> {
    let secret = secret_of(issuer)?;
    let now = time::now();
    let mut add = |name: &str, value: Value| {
        claims.entry(name).or_insert(value);
    };
    add("iss", issuer.issuer.clone().into());
    // With all audiences, the token would also be valid for other servers.
    add("aud", issuer.audience.first().cloned().unwrap_or_default().into());
    add("iat", now.into());
    add("exp", now.saturating_add(lifetime.as_secs()).into());
    let encode = |json: String| URL_SAFE_NO_PAD.encode(json);
    let header = encode(r#"{"alg":"HS256","typ":"JWT"}"#.to_owned());
    let signed = format!("{header}.{}", encode(Value::Object(claims).to_string()));
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256)
        .expect("any bytes are a key of HMAC");
    Ok(format!("{signed}.{signature}"))
}
