//! `freshql token`, and the secrets that sign tokens: from the environment or, for `freshql dev`,
//! from a file of its own, so that rules can be tried without an identity provider.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde_json::{Map, Value};

use super::error::StartError;
use super::model_file::within;
use crate::config::{Config, Issuer, KeySource, Mode, Secret};
use crate::identity::mint::mint;

/// The file with the secret of `freshql dev`, below the project directory.
const DEVELOPMENT_SECRET: &str = ".freshql/secret";
/// The issuer that `freshql dev` adds if all others have keys with which only their providers can
/// sign.
const DEVELOPMENT_ISSUER: &str = "freshql dev";

/// A token, with a note about it.
#[derive(Debug)]
pub struct Minted {
    /// The token.
    pub token: String,
    /// A warning in lines for people, or empty.
    pub note: String,
}

/// Creates a token with these claims, the text of a JSON object.
///
/// # Errors
/// The claims are not a JSON object, or no issuer has a secret to sign with.
pub fn token(
    config: &Config,
    claims: &str,
    lifetime: Duration,
    issuer: Option<&str>,
) -> Result<Minted, StartError> {
    let claims: Map<String, Value> = serde_json::from_str(claims).map_err(|error| {
        anyhow!("the claims are not a JSON object such as {{\"sub\":\"ada\"}}: {error}")
    })?;
    if config.auth.is_empty() {
        return Err(anyhow!(
            "there is no [auth] in freshql.toml, so no server would look at a token"
        )
        .into());
    }
    let (issuers, note) = match development_secret(&config.dir)? {
        // Only if the environment has none: a secret that is set there is meant to be used.
        Some(secret) if config.auth.iter().all(|issuer| secret_of(issuer).is_none()) => (
            with_secret(&config.auth, &secret),
            format!(
                "note: signed with the secret of `freshql dev` ({DEVELOPMENT_SECRET}), which no other server accepts\n"
            ),
        ),
        _ => (config.auth.clone(), String::new()),
    };
    Ok(Minted {
        token: mint(signing(&issuers, issuer)?, claims, lifetime).context("[auth]")?,
        note,
    })
}

/// The named issuer, or the only one that has a secret.
fn signing<'a>(issuers: &'a [Issuer], name: Option<&str>) -> anyhow::Result<&'a Issuer> {
    let mut able = issuers.iter().filter(|issuer| {
        matches!(issuer.keys, KeySource::Secret { .. })
            && name.is_none_or(|name| issuer.issuer == name)
    });
    match (able.next(), able.next(), name) {
        (Some(only), None, _) => Ok(only),
        (Some(_), Some(_), _) => bail!("several issuers have a secret: name one with --issuer"),
        (None, _, Some(name)) => bail!("no [auth] has the issuer {name} and a secret_env"),
        (None, ..) => bail!(
            "no [auth] has a secret_env, so only its provider can sign a token; start `freshql dev` once, which makes a secret \
             for development"
        ),
    }
}

fn secret_of(issuer: &Issuer) -> Option<&Secret> {
    match &issuer.keys {
        KeySource::Secret { secret, .. } => secret.as_ref(),
        _ => None,
    }
}

/// Reads the environment variables that `[auth]` names. A missing one is reported where it is
/// needed.
pub(super) fn read_secrets(config: &mut Config) -> anyhow::Result<()> {
    for issuer in &mut config.auth {
        if let KeySource::Secret { variable, secret } = &mut issuer.keys {
            match std::env::var(&*variable) {
                Ok(text) => *secret = text.parse().ok(),
                Err(std::env::VarError::NotPresent) => {}
                Err(error) => return Err(error).with_context(|| variable.clone()),
            }
        }
    }
    Ok(())
}

/// A machine in the middle could substitute its own keys.
pub(super) fn warn_of_plain_http(issuers: &[Issuer]) {
    for issuer in issuers {
        let url = match &issuer.keys {
            KeySource::Discovery => &issuer.issuer,
            KeySource::Url(url) => url,
            KeySource::File(_) | KeySource::Secret { .. } => continue,
        };
        let host =
            url.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or(rest));
        if host.is_some_and(|host| !matches!(host, "localhost" | "127.0.0.1" | "[")) {
            tracing::warn!(
                issuer = issuer.issuer,
                "the keys of this issuer are fetched without TLS: a machine in the middle could sign tokens"
            );
        }
    }
}

/// The issuers whose tokens a server accepts. In mode `open`, which is for development, an issuer
/// without a secret in the environment gets the one of `freshql dev`. Nobody else knows it, so it
/// grants nothing.
pub(super) fn to_serve(config: &Config) -> anyhow::Result<Vec<Issuer>> {
    let is_missing =
        |issuer: &&Issuer| matches!(&issuer.keys, KeySource::Secret { secret: None, .. });
    let Some(missing) = config.auth.iter().find(is_missing).filter(|_| config.mode == Mode::Open)
    else {
        return Ok(config.auth.clone());
    };
    let secret = match development_secret(&config.dir)? {
        Some(secret) => secret,
        None => make_secret(&config.dir)
            .context("[auth] names a secret that is not set in the environment")?,
    };
    tracing::warn!(
        issuer = missing.issuer,
        "the secret of this issuer is not set, so the one in {DEVELOPMENT_SECRET} is used; `freshql token` makes tokens with it"
    );
    Ok(with_secret(&config.auth, &secret))
}

/// The configuration with secrets for issuers that lack one, and a first token. None if there is no
/// `[auth]`.
pub(super) fn for_development(config: &Config) -> anyhow::Result<Option<(Config, String)>> {
    if config.auth.is_empty() {
        return Ok(None);
    }
    let auth = if config.auth.iter().any(|issuer| secret_of(issuer).is_some()) {
        config.auth.clone()
    } else {
        let secret = match development_secret(&config.dir)? {
            Some(secret) => secret,
            None => make_secret(&config.dir)?,
        };
        with_secret(&config.auth, &secret)
    };
    let claims = Map::from_iter([("sub".to_owned(), Value::from("dev"))]);
    let signing =
        auth.iter().find(|issuer| secret_of(issuer).is_some()).context("nobody has a secret")?;
    let token = mint(signing, claims, Duration::from_secs(12 * 3600)).context("[auth]")?;
    let note = format!(
        "a token with the claim sub = \"dev\", for 12 hours; `freshql token --claims JSON` makes others:\n  \
         authorization: Bearer {token}\n"
    );
    Ok(Some((Config { auth, ..config.clone() }, note)))
}

/// The same issuers, with this secret for those that have none in the environment; and an
/// additional issuer if none can sign.
fn with_secret(issuers: &[Issuer], secret: &Secret) -> Vec<Issuer> {
    let mut issuers = issuers.to_vec();
    let mut is_used = false;
    for issuer in &mut issuers {
        if let KeySource::Secret { secret: own, .. } = &mut issuer.keys {
            own.get_or_insert_with(|| secret.clone());
            is_used = true;
        }
    }
    if let (false, Some(first)) = (is_used, issuers.first()) {
        let keys = KeySource::Secret {
            variable: DEVELOPMENT_SECRET.to_owned(),
            secret: Some(secret.clone()),
        };
        issuers.push(Issuer { issuer: DEVELOPMENT_ISSUER.to_owned(), keys, ..first.clone() });
    }
    issuers
}

fn development_secret(dir: &Path) -> anyhow::Result<Option<Secret>> {
    let path = within(dir, DEVELOPMENT_SECRET);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.parse().ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// The issuers for `freshql test`, each with a secret that nobody else knows.
pub(super) fn for_tests(config: &Config) -> anyhow::Result<Vec<Issuer>> {
    Ok(with_secret(&config.auth, &random_secret()?.parse().context("the secret")?))
}

/// A token of the first of these issuers that can sign one.
pub(super) fn for_case(issuers: &[Issuer], claims: &Map<String, Value>) -> anyhow::Result<String> {
    let signing = issuers.iter().find(|issuer| secret_of(issuer).is_some());
    let signing = signing
        .context("there is no [auth] in freshql.toml, so a case cannot say `as` whom it asks")?;
    mint(signing, claims.clone(), Duration::from_secs(3600)).context("[auth]")
}

/// 32 bytes as hex digits.
fn random_secret() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| anyhow!("the system gives no random bytes"))?;
    Ok(hex::encode(bytes))
}

/// Creates a secret in a file that only its owner can read.
fn make_secret(dir: &Path) -> anyhow::Result<Secret> {
    let text = random_secret()?;
    let path: PathBuf = within(dir, DEVELOPMENT_SECRET);
    let write = || -> std::io::Result<()> {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        writeln!(options.open(&path)?, "{text}")
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    text.parse().context("the secret")
}
