//! The keys of an issuer: a JSON Web Key Set (RFC 7517), or a single secret. The key determines its
//! algorithm (RFC 7518 §6), never the token: otherwise a public key could pass for the secret of an
//! HMAC.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::refusal::Refusal;
use crate::config::Secret;

/// All keys of an issuer that can verify signatures.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
    /// Changes whenever the keys do; everything verified with an older set must be verified again.
    pub generation: u64,
}

#[derive(Debug)]
pub(crate) struct Key {
    id: Option<String>,
    /// The algorithm that it is for.
    pub algorithm: Algorithm,
    /// The key itself.
    pub material: DecodingKey,
    /// Identifies the key material.
    fingerprint: blake3::Hash,
}

/// Why a text is not a key set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeySetError {
    /// It is not JSON.
    #[error("it is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is JSON, but not a key set.
    #[error("it is not a JSON Web Key Set: it has no list `keys`")]
    NoKeys,
}

/// The relevant members of a JSON Web Key.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The size of an RSA modulus in bytes: 2048 to 8192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

impl KeySet {
    /// Parses a set. Unusable keys are skipped, since providers also publish keys for encryption,
    /// and kinds that only newer programs know. Their number is returned as well.
    ///
    /// # Errors
    /// It is not a key set.
    pub(crate) fn parse(json: &[u8]) -> Result<(Self, usize), KeySetError> {
        let mut document: Value = serde_json::from_slice(json)?;
        let Some(Value::Array(listed)) = document.get_mut("keys").map(Value::take) else {
            return Err(KeySetError::NoKeys);
        };
        let all = listed.len();
        let keys: Vec<Key> = listed.into_iter().filter_map(Key::read).collect();
        let left_out = all - keys.len();
        Ok((Self { keys, generation: 0 }, left_out))
    }

    /// A secret that the issuer shares with this server.
    pub(crate) fn of_secret(secret: &Secret) -> Self {
        let bytes = secret.expose().as_bytes();
        let material = DecodingKey::from_secret(bytes);
        let key = Key {
            id: None,
            algorithm: Algorithm::HS256,
            material,
            fingerprint: blake3::hash(bytes),
        };
        Self { keys: vec![key], generation: 0 }
    }

    /// Whether both have the same keys.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let identity = |key: &Key| (key.id.clone(), key.algorithm, key.fingerprint);
        self.keys.len() == other.keys.len()
            && self
                .keys
                .iter()
                .zip(&other.keys)
                .all(|(mine, theirs)| identity(mine) == identity(theirs))
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key that signed a token according to its header: by the key's id, if given, and the
    /// algorithm.
    ///
    /// # Errors
    /// [`Refusal::UnknownKey`], [`Refusal::NoKeyNamed`].
    pub(crate) fn find(&self, id: Option<&str>, algorithm: &str) -> Result<&Key, Refusal> {
        // A secret has no id, so a token signed with it may name any.
        if let [only] = &self.keys[..]
            && only.algorithm == Algorithm::HS256
        {
            return Ok(only);
        }
        let is_for = |key: &&Key| key.algorithm_name() == algorithm;
        match id {
            Some(id) => {
                let named = || self.keys.iter().filter(|key| key.id.as_deref() == Some(id));
                // If two keys have the same id, choose the one with the right algorithm.
                named().find(is_for).or_else(|| named().next()).ok_or(Refusal::UnknownKey)
            }
            // OpenID Connect Core §10.1: allowed only if it is unambiguous.
            None => {
                let mut possible = self.keys.iter().filter(is_for);
                match (possible.next(), possible.next()) {
                    (Some(only), None) => Ok(only),
                    (None, _) => Err(Refusal::UnknownKey),
                    (Some(_), Some(_)) => Err(Refusal::NoKeyNamed),
                }
            }
        }
    }
}

impl Key {
    /// The name of the algorithm in token headers.
    pub(crate) fn algorithm_name(&self) -> &'static str {
        name(self.algorithm)
    }

    /// None if the key is unusable here.
    fn read(json: Value) -> Option<Self> {
        let jwk = Jwk::deserialize(json).ok()?;
        let is_for_signatures = jwk.r#use.as_deref().is_none_or(|usage| usage == "sig")
            && jwk
                .key_ops
                .as_ref()
                .is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        if !is_for_signatures {
            return None;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let of = |expected: &[Algorithm]| match &jwk.alg {
            None => expected.first().copied(),
            Some(alg) => expected.iter().copied().find(|algorithm| name(*algorithm) == alg),
        };
        let (algorithm, material, fingerprint) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (bytes(&jwk.n)?, bytes(&jwk.e)?);
                if !RSA_BYTES.contains(&n.len()) {
                    return None;
                }
                use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
                let algorithm = of(&[RS256, RS384, RS512, PS256, PS384, PS512])?;
                (
                    algorithm,
                    DecodingKey::from_rsa_raw_components(&n, &e),
                    blake3::hash(&[n, e].concat()),
                )
            }
            ("EC", Some(curve @ ("P-256" | "P-384"))) => {
                let (algorithm, size) =
                    if curve == "P-256" { (Algorithm::ES256, 32) } else { (Algorithm::ES384, 48) };
                let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
                if x.len() != size || y.len() != size {
                    return None;
                }
                let material =
                    DecodingKey::from_ec_components(jwk.x.as_deref()?, jwk.y.as_deref()?).ok()?;
                (of(&[algorithm])?, material, blake3::hash(&[x, y].concat()))
            }
            ("OKP", Some("Ed25519")) => {
                let x = bytes(&jwk.x).filter(|x| x.len() == 32)?;
                (of(&[Algorithm::EdDSA])?, DecodingKey::from_ed_der(&x), blake3::hash(&x))
            }
            // Secrets (`oct`) are never published, so a published one does not come from the
            // issuer.
            _ => return None,
        };
        Some(Self { id: jwk.kid, algorithm, material, fingerprint })
    }
}

fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::RS256 => "RS256",
        Algorithm::RS384 => "RS384",
        Algorithm::RS512 => "RS512",
        Algorithm::PS256 => "PS256",
        Algorithm::PS384 => "PS384",
        Algorithm::PS512 => "PS512",
        Algorithm::ES256 => "ES256",
        Algorithm::ES384 => "ES384",
        Algorithm::EdDSA => "EdDSA",
        // No key is for these algorithms.
        _ => "",
    }
}
