//! Why a token is refused, in words for its client.

/// Why a token is refused: the `error_description` of RFC 6750 §3. It reveals nothing about the
/// token's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is too long.
    #[error("the token is longer than 8192 bytes")]
    TooLong,
    /// It is not a signed JSON Web Token.
    #[error("the token is not a signed JSON Web Token in three parts")]
    Malformed,
    /// It is encrypted.
    #[error("the token is encrypted; only signed tokens are accepted")]
    Encrypted,
    /// RFC 7515 §4.1.11: unknown critical extensions must be refused, and none is supported.
    #[error("the header of the token has crit, but no extension is supported")]
    Critical,
    /// Its issuer is not trusted.
    #[error("the claim iss is missing, or does not name a trusted issuer")]
    Issuer,
    /// It is for another audience.
    #[error("the claim aud is missing, or does not name this server")]
    Audience,
    /// Nobody would know how long it is valid.
    #[error("the claim exp is missing, or is not a number")]
    NoExpiry,
    /// It is no longer valid.
    #[error("the token has expired")]
    Expired,
    /// It is not yet valid.
    #[error("the token is not valid yet (nbf)")]
    NotYet,
    /// Malformed `nbf`.
    #[error("the claim nbf is not a number")]
    NotBefore,
    /// The issuer has no such key.
    #[error("the token is signed with a key that its issuer does not have")]
    UnknownKey,
    /// It names no key, and several of the issuer's keys are possible.
    #[error("the token names no key (kid), and its issuer has several")]
    NoKeyNamed,
    /// Its header names another algorithm than the key.
    #[error("the key of the token is for a different algorithm than its header names")]
    Algorithm,
    /// It is forged or altered.
    #[error("the signature of the token is wrong")]
    Signature,
}
