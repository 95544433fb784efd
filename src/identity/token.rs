//! A JSON Web Token (RFC 7519), signed in compact form (RFC 7515 §7.1): what it says before it is
//! verified, and what must be true of it.
//!
//! Signatures are `jsonwebtoken`'s business. Its validation of claims is not used: it has a clock
//! of its own, lets `iss` be a list, and, with this crate's numbers of arbitrary precision, reads
//! no `exp` at all.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::Key;
use super::refusal::Refusal;

/// Longer tokens are not looked at.
pub const LONGEST: usize = 8192;

/// A token, taken apart but not verified yet.
pub struct Token<'a> {
    /// What is signed: header and claims as they came.
    signed: &'a str,
    signature: &'a str,
    header: Header,
    claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl<'a> Token<'a> {
    /// Takes it apart.
    ///
    /// # Errors
    /// It is no signed token, or asks for something that is not understood.
    pub fn read(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > LONGEST {
            return Err(Refusal::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        if claims.contains('.') {
            // Five parts: RFC 7516 §7.1.
            return Err(if token.split('.').count() == 5 {
                Refusal::Encrypted
            } else {
                Refusal::Malformed
            });
        }
        let header: Header = part(header)?;
        if header.crit.is_some() {
            return Err(Refusal::Critical);
        }
        Ok(Self { signed, signature, header, claims: part(claims)? })
    }

    /// The name of the key that it says it is signed with.
    pub fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The algorithm that it says it is signed with; which one counts, the key says.
    pub fn algorithm(&self) -> &str {
        &self.header.alg
    }

    /// Whether it says that it is of this issuer.
    pub fn is_of(&self, issuer: &str) -> bool {
        self.claims.get("iss").and_then(Value::as_str) == Some(issuer)
    }

    /// Whether its signature is of this key.
    ///
    /// # Errors
    /// [`Refusal::Algorithm`], [`Refusal::Signature`].
    pub fn verify(&self, key: &Key) -> Result<(), Refusal> {
        if key.algorithm_name() != self.header.alg {
            return Err(Refusal::Algorithm);
        }
        match jsonwebtoken::crypto::verify(
            self.signature,
            self.signed.as_bytes(),
            &key.material,
            key.algorithm,
        ) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Refusal::Signature),
        }
    }

    /// Whether it is for us, and holds now. Gives the last second at which it does.
    ///
    /// # Errors
    /// [`Refusal::Audience`] and those about time.
    pub fn check(&self, audience: &[String], leeway: Duration, now: u64) -> Result<u64, Refusal> {
        let is_ours = |value: &Value| {
            value.as_str().is_some_and(|name| audience.iter().any(|ours| ours == name))
        };
        let is_for_us = match self.claims.get("aud") {
            Some(Value::Array(names)) => names.iter().any(is_ours),
            Some(name) => is_ours(name),
            None => false,
        };
        if !is_for_us {
            return Err(Refusal::Audience);
        }
        let expiry = self.claims.get("exp").and_then(seconds).ok_or(Refusal::NoExpiry)?;
        // RFC 7519 §4.1.4: not on or after that second.
        let end = expiry.saturating_add(leeway.as_secs());
        if now >= end {
            return Err(Refusal::Expired);
        }
        match self.claims.get("nbf").map(seconds) {
            Some(None) => return Err(Refusal::NotBefore),
            Some(Some(begin)) if now.saturating_add(leeway.as_secs()) < begin => {
                return Err(Refusal::NotYet);
            }
            _ => {}
        }
        Ok(end - 1)
    }

    /// What it says.
    pub fn into_claims(self) -> Map<String, Value> {
        self.claims
    }
}

/// A NumericDate (RFC 7519 §2): seconds since 1970, perhaps with a fraction, which is dropped.
fn seconds(value: &Value) -> Option<u64> {
    let number = value.as_number()?;
    number.as_u64().or_else(|| {
        number.as_f64().filter(|number| (0.0..9e15).contains(number)).map(|number| number as u64)
    })
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Refusal::Malformed)
}
