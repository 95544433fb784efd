//! The secret that an issuer shares with the server.

use crate::config::auth::SHORTEST_SECRET;
use crate::config::{Issuer, KeySource, Secret};

/// Why token verification cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The secret of an issuer is missing.
    #[error(
        "{issuer} signs with the secret in the environment variable {variable}, which is not set; set it to {SHORTEST_SECRET} bytes \
         or more, such as those that `openssl rand -hex 32` prints"
    )]
    NoSecret {
        /// The issuer.
        issuer: String,
        /// The environment variable.
        variable: String,
    },
    /// It is too short.
    #[error(
        "the secret in the environment variable {variable} has {length} bytes; HS256 needs {SHORTEST_SECRET} or more, such as those \
         that `openssl rand -hex 32` prints"
    )]
    ShortSecret {
        /// The environment variable.
        variable: String,
        /// The length of the secret in bytes.
        length: usize,
    },
}

/// The secret of an issuer, if it uses one.
///
/// # Errors
/// It is missing or too short.
pub(crate) fn secret_of(issuer: &Issuer) -> Result<&Secret, SetupError> {
    let (variable, secret) = match &issuer.keys {
        KeySource::Secret { variable, secret } => (variable, secret.as_ref()),
        _ => (const { &String::new() }, None),
    };
    let secret = secret.ok_or_else(|| SetupError::NoSecret {
        issuer: issuer.issuer.clone(),
        variable: variable.clone(),
    })?;
    match secret.expose().len() {
        length if length < SHORTEST_SECRET => {
            Err(SetupError::ShortSecret { variable: variable.clone(), length })
        }
        _ => Ok(secret),
    }
}
