//! Who may say who asks: the issuers of tokens that `[auth]` in `freshql.toml` names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Secret;

/// Seconds by which clocks may differ.
pub const LEEWAY_SECONDS: std::ops::RangeInclusive<u64> = 0..=300;
/// Fewer bytes of a secret can be guessed (RFC 7518 §3.2).
pub const SHORTEST_SECRET: usize = 32;
/// Where roles are looked for in a token's claims, unless `roles` says otherwise (JSON pointer, RFC
/// 6901).
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

/// Who issues tokens, and how they are to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The claim `iss` must be there and equal it.
    pub issuer: String,
    /// The claim `aud` must be there and have one of these.
    pub audience: Vec<String>,
    /// What its signatures are verified with.
    pub keys: KeySource,
    /// JSON pointer (RFC 6901) into the claims: a list of roles, or a string with spaces between
    /// them. Default: [`ROLES`]
    pub roles: String,
    /// A cookie that may have a token instead of `Authorization`. Default: none
    pub cookie: Option<String>,
    /// By how much clocks may differ. Default: 30 s
    pub leeway: Duration,
}

/// Where the keys of an issuer come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// What the provider's configuration names (OpenID Connect Discovery): the default.
    Discovery,
    /// A JSON Web Key Set at this URL.
    Url(String),
    /// One in this file.
    File(PathBuf),
    /// A secret that issuer and server share, for HS256.
    Secret {
        /// The variable of the environment that has it.
        variable: String,
        /// What it has; None where it is not set.
        secret: Option<Secret>,
    },
}

impl Issuer {
    /// The leeway where none is given.
    pub const LEEWAY: Duration = Duration::from_secs(30);

    /// The same issuer, where a relative path means one below `dir`.
    #[must_use]
    pub(super) fn relative_to(mut self, dir: &Path) -> Self {
        if let KeySource::File(path) = &mut self.keys {
            *path = dir.join(&*path);
        }
        self
    }
}
