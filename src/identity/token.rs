//! A JSON Web Token (RFC 7519), signed, in compact form (RFC 7515 §7.1): what it says before it is
//! verified, and what it must satisfy.
//!
//! `jsonwebtoken` verifies signatures. Its validation of claims is not used: it has its own clock,
//! accepts a list as `iss`, and with the arbitrary-precision numbers of this crate does not read
//! `exp` at all.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::Key;
use super::refusal::Refusal;

/// The longest accepted token, in bytes.
pub(crate) const LONGEST: usize = 8192;

/// A parsed token that is not yet verified.
pub(crate) struct Token<'a> {
    /// The signed part: header and claims as received.
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
    /// Parses a token.
    ///
    /// # Errors
    /// It is not a signed token, or requires an unsupported feature.
    pub(crate) fn read(token: &'a str) -> Result<Self, Refusal> {
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

    /// The id of the key that allegedly signed it.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The algorithm that allegedly signed it; the key decides which one counts.
    pub(crate) fn algorithm(&self) -> &str {
        &self.header.alg
    }

    /// Whether it claims to be from this issuer.
    pub(crate) fn is_of(&self, issuer: &str) -> bool {
        self.claims.get("iss").and_then(Value::as_str) == Some(issuer)
    }

    /// Verifies its signature with this key.
    ///
    /// # Errors
    /// [`Refusal::Algorithm`], [`Refusal::Signature`].
    pub(crate) fn verify(&self, key: &Key) -> Result<(), Refusal> {
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

    /// Checks that it is for this server and currently valid. Returns the last second of its
    /// validity.
    ///
    /// # Errors
    /// [`Refusal::Audience`], and those about time.
    pub(crate) fn check(
        &self,
        audience: &[String],
        leeway: Duration,
        now: u64,
    ) -> Result<u64, Refusal> {
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
        // RFC 7519 §4.1.4: invalid from that second on.
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

    pub(crate) fn into_claims(self) -> Map<String, Value> {
        self.claims
    }
}

/// A NumericDate (RFC 7519 §2): seconds since 1970, possibly with a fraction, which is dropped.
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
