//! The issuers of tokens, from `[auth]` in `freshql.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Secret;

/// The allowed clock difference, in seconds.
pub const LEEWAY_SECONDS: std::ops::RangeInclusive<u64> = 0..=300;
/// Shorter secrets, in bytes, can be guessed (RFC 7518 §3.2).
pub const SHORTEST_SECRET: usize = 32;
/// The default location of roles in a token's claims (JSON pointer, RFC 6901).
pub const ROLES: &str = "/roles";

/// The keys of `[auth]`: name, default in words, meaning.
pub const KEYS: [(&str, &str, &str); 7] = [
    (
        "issuer",
        "none",
        "The issuer whose tokens are accepted, exactly as in their `iss`: see [docs/auth.md](docs/auth.md). `[[auth]]` for several issuers; without it, everything is public",
    ),
    ("audience", "none", "The audiences, one of which `aud` must name"),
    (
        "jwks",
        "from the issuer's OpenID configuration",
        "The issuer's keys: a URL, or `file:jwks.json`",
    ),
    (
        "secret_env",
        "none",
        "Instead of keys: the environment variable that holds a secret for HS256",
    ),
    ("roles", ROLES, "JSON pointer to a token's roles"),
    ("cookie", "none", "A cookie that may carry the token: `__Host-…`"),
    ("leeway_seconds", "30", "Tolerated clock difference"),
];

/// An issuer of tokens, and how to read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The claim `iss` is required and must equal this.
    pub issuer: String,
    /// The claim `aud` is required and must contain one of these.
    pub audience: Vec<String>,
    /// The keys that verify its signatures.
    pub keys: KeySource,
    /// JSON pointer (RFC 6901) into the claims: a list of roles, or a space-separated string.
    /// Default: [`ROLES`]
    pub roles: String,
    /// A cookie that may carry the token instead of `Authorization`. Default: none
    pub cookie: Option<String>,
    /// The tolerated clock difference. Default: 30 s
    pub leeway: Duration,
}

/// Where the keys of an issuer come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Named by the provider's configuration (OpenID Connect Discovery): the default.
    Discovery,
    /// A JSON Web Key Set at this URL.
    Url(String),
    /// A JSON Web Key Set in this file.
    File(PathBuf),
    /// A secret shared by issuer and server, for HS256.
    Secret {
        /// The environment variable that contains it.
        variable: String,
        /// Its value; None if the variable is not set.
        secret: Option<Secret>,
    },
}

impl Issuer {
    /// The default leeway.
    pub const LEEWAY: Duration = Duration::from_secs(30);

    /// The same issuer, with a relative path resolved against `dir`.
    #[must_use]
    pub(super) fn relative_to(mut self, dir: &Path) -> Self {
        if let KeySource::File(path) = &mut self.keys {
            *path = dir.join(&*path);
        }
        self
    }
}
