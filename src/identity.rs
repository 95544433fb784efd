//! Who is asking: turns a token into a [`Viewer`], or says why it is refused. Knows no HTTP server,
//! no rules and no data.
//!
//! [`token`] parses a token and checks its claims, [`keys`] parses a provider's keys, [`provider`]
//! fetches them, [`mint`] makes tokens for development. Neither tokens nor claims ever reach the
//! log.

pub(crate) mod keys;
pub mod mint;
pub(crate) mod provider;
pub(crate) mod refusal;
pub(crate) mod secret;
mod time;
pub(crate) mod token;

use std::sync::Arc;

use self::keys::KeySet;
use self::provider::{Provider, Unavailable};
use self::refusal::Refusal;
use self::secret::{SetupError, secret_of};
use self::token::Token;
use crate::config::{Issuer, KeySource};
use crate::dependency::PassThroughHasher;
use crate::viewer::{Claims, Viewer};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

/// How many verified tokens are remembered, so that signatures are not verified again for every
/// request.
const REMEMBERED: u64 = 10_000;

/// The current time in seconds since 1970, as in the claims of tokens.
type Now = Box<dyn Fn() -> u64 + Send + Sync>;

/// Why a token does not identify a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// The token is invalid.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be verified at the moment: its issuer's keys cannot be fetched.
    #[error("the keys of the token's issuer cannot be fetched at the moment; try again")]
    Unavailable,
}

impl From<Unavailable> for NotVerified {
    fn from(Unavailable: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// How a token was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier<'a> {
    /// `Authorization: Bearer …`
    Authorization,
    /// A cookie of this name.
    Cookie(&'a str),
}

/// Verifies the tokens of all issuers.
pub struct Authenticator {
    issuers: Vec<TrustedIssuer>,
    remembered: Cache<u64, Arc<Remembered>, UnitWeighter, PassThroughHasher>,
    now: Now,
}

struct TrustedIssuer {
    config: Issuer,
    keys: Keys,
}

enum Keys {
    Fixed(Arc<KeySet>),
    Fetched(Arc<Provider>),
}

/// A verified token, identified by its hash.
struct Remembered {
    token: blake3::Hash,
    viewer: Viewer,
    issuer: usize,
    /// It is not accepted after this second.
    accepted_until: u64,
    /// The generation of the issuer's keys that verified it.
    generation: u64,
}

impl Authenticator {
    /// Verifies the tokens of these issuers. Does not fetch any keys yet.
    ///
    /// # Errors
    /// A secret is missing or too short.
    pub fn new(issuers: &[Issuer]) -> Result<Self, SetupError> {
        Self::with_clock(issuers, Box::new(time::now))
    }

    fn with_clock(issuers: &[Issuer], now: Now) -> Result<Self, SetupError> {
        let trusted = issuers.iter().map(|config| {
            let keys = match &config.keys {
                KeySource::Secret { .. } => {
                    Keys::Fixed(Arc::new(KeySet::of_secret(secret_of(config)?)))
                }
                KeySource::Discovery | KeySource::Url(_) | KeySource::File(_) => {
                    Keys::Fetched(Arc::new(Provider::new(config)))
                }
            };
            Ok(TrustedIssuer { config: config.clone(), keys })
        });
        Ok(Self {
            issuers: trusted.collect::<Result<_, _>>()?,
            remembered: Cache::with(
                REMEMBERED as usize,
                REMEMBERED,
                UnitWeighter,
                PassThroughHasher::default(),
                DefaultLifecycle::default(),
            ),
            now,
        })
    }

    /// Whether any issuer is configured. If not, everything is public.
    pub fn is_on(&self) -> bool {
        !self.issuers.is_empty()
    }

    /// The cookies that may carry tokens, without duplicates.
    pub fn cookies(&self) -> impl Iterator<Item = &str> {
        let name = |issuer: &TrustedIssuer| issuer.config.cookie.clone();
        let earlier = move |at: usize| self.issuers[..at].iter().filter_map(name);
        self.issuers.iter().enumerate().filter_map(move |(at, issuer)| {
            let cookie = issuer.config.cookie.as_deref()?;
            earlier(at).all(|other| other != cookie).then_some(cookie)
        })
    }

    /// The viewer of a token that was verified before; None if it must be verified. Never waits.
    pub fn remembered(&self, token: &str, carrier: Carrier<'_>) -> Option<Viewer> {
        let (now, hash) = ((self.now)(), blake3::hash(token.as_bytes()));
        let known = self.remembered.get(&short(&hash)).filter(|known| known.token == hash)?;
        let issuer = &self.issuers[known.issuer];
        let holds = now <= known.accepted_until
            && issuer.takes(carrier)
            && issuer.keys.current(now).is_some_and(|keys| keys.generation == known.generation);
        holds.then(|| known.viewer.clone())
    }

    /// The viewer of a token.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn verify(&self, token: &str, carrier: Carrier<'_>) -> Result<Viewer, NotVerified> {
        if let Some(viewer) = self.remembered(token, carrier) {
            return Ok(viewer);
        }
        let now = (self.now)();
        let read = Token::read(token)?;
        let at = self
            .issuers
            .iter()
            .position(|issuer| read.is_of(&issuer.config.issuer) && issuer.takes(carrier));
        let at = at.ok_or(Refusal::Issuer)?;
        let issuer = &self.issuers[at];
        let keys = issuer.keys.with_key_of(&read, now).await?;
        read.verify(keys.find(read.key_id(), read.algorithm())?)?;
        let accepted_until = read.check(&issuer.config.audience, issuer.config.leeway, now)?;
        let viewer = Viewer::of(Claims::new(read.into_claims(), &issuer.config.roles));
        let hash = blake3::hash(token.as_bytes());
        let remembered = Remembered {
            token: hash,
            viewer: viewer.clone(),
            issuer: at,
            accepted_until,
            generation: keys.generation,
        };
        self.remembered.insert(short(&hash), Arc::new(remembered));
        Ok(viewer)
    }
}

impl TrustedIssuer {
    fn takes(&self, carrier: Carrier<'_>) -> bool {
        match carrier {
            Carrier::Authorization => true,
            Carrier::Cookie(name) => self.config.cookie.as_deref() == Some(name),
        }
    }
}

impl Keys {
    /// The current keys, if there are any that may still be used.
    fn current(&self, now: u64) -> Option<Arc<KeySet>> {
        match self {
            Self::Fixed(keys) => Some(keys.clone()),
            Self::Fetched(provider) => provider.current(now),
        }
    }

    /// The keys, fetched again if the one that the token names is not among them.
    async fn with_key_of(&self, token: &Token<'_>, now: u64) -> Result<Arc<KeySet>, Unavailable> {
        match self {
            Self::Fixed(keys) => Ok(keys.clone()),
            Self::Fetched(provider) => provider.with_key(token.key_id(), now).await,
        }
    }
}

/// 64 bits of a hash that nobody can control; the whole hash is compared afterwards.
fn short(hash: &blake3::Hash) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests;
