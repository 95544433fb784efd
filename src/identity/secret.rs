//! The secret that an issuer shares with the server.

use crate::config::auth::SHORTEST_SECRET;
use crate::config::{Issuer, KeySource, Secret};

/// Where the process cannot begin to verify tokens.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The secret of an issuer is missing.
    #[error(
        "{issuer} signs with the secret in the environment variable {variable}, which is not set; set it to {SHORTEST_SECRET} bytes \
         or more, such as those that `openssl rand -hex 32` prints"
    )]
    NoSecret {
        /// Whose.
        issuer: String,
        /// Where it was looked for.
        variable: String,
    },
    /// It can be guessed.
    #[error(
        "the secret in the environment variable {variable} has {length} bytes; HS256 needs {SHORTEST_SECRET} or more, such as those \
         that `openssl rand -hex 32` prints"
    )]
    ShortSecret {
        /// Where it is.
        variable: String,
        /// Its bytes.
        length: usize,
    },
}

/// The secret of an issuer that has one.
///
/// # Errors
/// It is missing or too short.
pub fn secret_of(issuer: &Issuer) -> Result<&Secret, SetupError> {
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
