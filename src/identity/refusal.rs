//! Why a token does not count, in words for its client.

/// Why a token does not count: the `error_description` of RFC 6750 §3. It repeats nothing of the
/// token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is too long.
    #[error("the token is longer than 8192 bytes")]
    TooLong,
    /// Something else.
    #[error("the token is not a signed JSON Web Token in three parts")]
    Malformed,
    /// It is encrypted.
    #[error("the token is encrypted; only signed tokens are understood")]
    Encrypted,
    /// RFC 7515 §4.1.11: what is not understood must be refused, and no extension is.
    #[error("the header of the token has crit, and no extension is understood here")]
    Critical,
    /// Nobody whom we trust.
    #[error("the claim iss is missing, or is no issuer that is trusted here")]
    Issuer,
    /// For somebody else.
    #[error("the claim aud is missing, or does not name this server")]
    Audience,
    /// Nobody knows how long it would hold.
    #[error("the claim exp is missing, or is not a number")]
    NoExpiry,
    /// No longer.
    #[error("the token has expired")]
    Expired,
    /// Not yet.
    #[error("the token is not valid yet (nbf)")]
    NotYet,
    /// Malformed `nbf`.
    #[error("the claim nbf is not a number")]
    NotBefore,
    /// Its key is none of the issuer's.
    #[error("the token is signed with a key that its issuer does not have")]
    UnknownKey,
    /// It names no key, and the issuer has several that it could be.
    #[error("the token names no key (kid), and its issuer has several")]
    NoKeyNamed,
    /// Its header says something else than the key.
    #[error("the key of the token is for another algorithm than its header names")]
    Algorithm,
    /// Forged, or changed.
    #[error("the signature of the token is wrong")]
    Signature,
}
