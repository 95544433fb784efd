//! The keys of an identity provider. They are fetched when first needed, so that the server starts
//! even if the provider is down; refreshed after a while; and fetched again when a token names an
//! unknown key. Concurrent requests share one fetch. If the provider is unreachable, fetched keys
//! remain in use for a day.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::Full;
use serde::Deserialize;

use super::keys::{KeySet, KeySetError};
use crate::config::{Issuer, KeySource};
use crate::outbound::{Bounds, Client, OutboundError};

/// The limits of one request to a provider.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(5), bytes: 64 << 10 };
/// How long keys are used before they are refreshed, in seconds, if the provider does not say.
const FRESH: u64 = 600;
/// The range in which the provider may choose that time.
const SHORTEST: u64 = 60;
const LONGEST: u64 = 3600;
/// How long keys are used while the provider is unreachable, in seconds.
const STALE: u64 = 86_400;
/// The seconds between two fetches for unknown keys, which are limited because anybody can make
/// tokens that name such keys.
const COOLDOWN: u64 = 30;
/// The seconds between two attempts, with and without usable keys.
const RETRY: u64 = 30;
const RETRY_WITHOUT_KEYS: u64 = 2;

/// There are no keys, and none can be fetched at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

/// Why a fetch failed; for the log.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("the status is {0}, not 200")]
    Status(StatusCode),
    #[error("{0}")]
    KeySet(#[from] KeySetError),
    #[error("cannot read {}: {source}", .path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the provider's configuration is not one: {0}")]
    Configuration(serde_json::Error),
    #[error("the provider's configuration is that of another issuer")]
    OtherIssuer,
    #[error("the provider's configuration names keys at a URL that is not https")]
    Insecure,
    #[error("it is not a URL")]
    Url,
}

pub(crate) struct Provider {
    issuer: String,
    source: KeySource,
    client: OnceLock<Client>,
    fetched: ArcSwapOption<Fetched>,
    /// Held during a fetch.
    fetching: tokio::sync::Mutex<()>,
    schedule: Mutex<Schedule>,
}

struct Fetched {
    keys: Arc<KeySet>,
    at: u64,
    /// The time from which they are refreshed.
    due: u64,
}

/// The times of previous attempts.
#[derive(Debug, Default)]
struct Schedule {
    /// The time of the last attempt, if it failed.
    failed_at: Option<u64>,
    /// The time of the last fetch for an unknown key.
    looked_at: Option<u64>,
    /// Whether a background fetch is in progress.
    refreshing: bool,
}

impl Schedule {
    /// The result for a token whose key is not among these. If the last attempt failed, the key may
    /// be the provider's newest.
    fn without(&self, keys: Arc<KeySet>) -> Result<Arc<KeySet>, Unavailable> {
        if self.failed_at.is_some() { Err(Unavailable) } else { Ok(keys) }
    }
}

impl Provider {
    /// The provider of an issuer. Does not fetch anything yet.
    pub(crate) fn new(config: &Issuer) -> Self {
        Self {
            issuer: config.issuer.clone(),
            source: config.keys.clone(),
            client: OnceLock::new(),
            fetched: ArcSwapOption::empty(),
            fetching: tokio::sync::Mutex::new(()),
            schedule: Mutex::default(),
        }
    }

    /// The current keys, if they may still be used. Refreshes them in the background when due.
    pub(crate) fn current(self: &Arc<Self>, now: u64) -> Option<Arc<KeySet>> {
        let fetched = self.fetched.load();
        let fetched = fetched.as_ref()?;
        // If the clock was set back, the keys are due.
        let is_due = now >= fetched.due || now < fetched.at;
        if is_due && self.may_refresh(now) {
            let provider = self.clone();
            tokio::spawn(async move {
                let _turn = provider.fetching.lock().await;
                provider.fetch(now).await;
                provider.schedule().refreshing = false;
            });
        }
        (now < fetched.at.saturating_add(STALE)).then(|| fetched.keys.clone())
    }

    /// The keys; fetched if there are none, or if the named one is not among them.
    ///
    /// # Errors
    /// There are none, and none can be fetched.
    pub(crate) async fn with_key(
        self: &Arc<Self>,
        id: Option<&str>,
        now: u64,
    ) -> Result<Arc<KeySet>, Unavailable> {
        match self.current(now) {
            Some(keys) if id.is_none_or(|id| keys.has(id)) => return Ok(keys),
            _ => {}
        }
        let (provider, id) = (self.clone(), id.map(str::to_owned));
        // A separate task, so that a fetch started by one request for all does not end when its
        // client disconnects.
        let looking = tokio::spawn(async move { provider.look_for(id.as_deref(), now).await });
        looking.await.unwrap_or(Err(Unavailable))
    }

    /// Fetches the keys, unless another request has done so in the meantime or a moment ago.
    async fn look_for(
        self: &Arc<Self>,
        id: Option<&str>,
        now: u64,
    ) -> Result<Arc<KeySet>, Unavailable> {
        let _turn = self.fetching.lock().await;
        let is_within = |at: Option<u64>, seconds| {
            at.is_some_and(|at| (at..at.saturating_add(seconds)).contains(&now))
        };
        let has = |keys: &KeySet| id.is_none_or(|id| keys.has(id));
        let keys = self.current(now);
        {
            let mut schedule = self.schedule();
            match keys {
                Some(keys) if has(&keys) => return Ok(keys),
                Some(keys) if is_within(schedule.looked_at, COOLDOWN) => {
                    return schedule.without(keys);
                }
                Some(_) => schedule.looked_at = Some(now),
                None if is_within(schedule.failed_at, RETRY_WITHOUT_KEYS) => {
                    return Err(Unavailable);
                }
                None => {}
            }
        }
        self.fetch(now).await;
        match self.current(now) {
            Some(keys) if has(&keys) => Ok(keys),
            Some(keys) => self.schedule().without(keys),
            None => Err(Unavailable),
        }
    }

    fn may_refresh(&self, now: u64) -> bool {
        let mut schedule = self.schedule();
        let is_too_soon =
            schedule.failed_at.is_some_and(|at| (at..at.saturating_add(RETRY)).contains(&now));
        let may = !schedule.refreshing && !is_too_soon;
        schedule.refreshing |= may;
        may
    }

    fn schedule(&self) -> std::sync::MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, now: u64) {
        let fetched = self.ask().await;
        let mut schedule = self.schedule();
        match fetched {
            Ok((mut keys, left_out, fresh)) => {
                schedule.failed_at = None;
                let old = self.fetched.load();
                let count = keys.len();
                let keys = match old.as_ref().map(|old| &old.keys) {
                    Some(old) if old.is_same_as(&keys) => old.clone(),
                    old => {
                        keys.generation = old.map_or(1, |old| old.generation + 1);
                        tracing::info!(
                            issuer = self.issuer,
                            keys = count,
                            left_out,
                            "the keys of an issuer have changed"
                        );
                        Arc::new(keys)
                    }
                };
                self.fetched.store(Some(Arc::new(Fetched {
                    keys,
                    at: now,
                    due: now.saturating_add(fresh),
                })));
            }
            Err(error) => {
                schedule.failed_at = Some(now);
                tracing::warn!(issuer = self.issuer, %error, "cannot fetch the keys of an issuer");
            }
        }
    }

    /// The keys, the number of skipped keys, and for how many seconds they are fresh.
    async fn ask(&self) -> Result<(KeySet, usize, u64), FetchError> {
        let (json, fresh) = match &self.source {
            KeySource::File(path) => {
                let read = {
                    let path = path.clone();
                    tokio::task::spawn_blocking(move || std::fs::read(path))
                };
                let read = read.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                (
                    read.map_err(|source| FetchError::File { path: path.clone(), source })?.into(),
                    SHORTEST,
                )
            }
            KeySource::Url(url) => self.get(url).await?,
            KeySource::Discovery => self.get(&self.discovered().await?).await?,
            KeySource::Secret { .. } => return Err(KeySetError::NoKeys.into()),
        };
        let (keys, left_out) = KeySet::parse(&json)?;
        Ok((keys, left_out, fresh))
    }

    /// The URL of the keys (OpenID Connect Discovery §4).
    async fn discovered(&self) -> Result<String, FetchError> {
        #[derive(Deserialize)]
        struct Configuration {
            issuer: String,
            jwks_uri: String,
        }
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let (json, _) = self.get(&url).await?;
        let configuration: Configuration =
            serde_json::from_slice(&json).map_err(FetchError::Configuration)?;
        if configuration.issuer != self.issuer {
            return Err(FetchError::OtherIssuer);
        }
        // If the issuer itself is contacted over TLS, nobody in between may substitute keys.
        if self.issuer.starts_with("https://") && !configuration.jwks_uri.starts_with("https://") {
            return Err(FetchError::Insecure);
        }
        Ok(configuration.jwks_uri)
    }

    async fn get(&self, url: &str) -> Result<(Bytes, u64), FetchError> {
        let client = match self.client.get() {
            Some(client) => client,
            None => {
                let client = Client::new(None)?;
                self.client.get_or_init(|| client)
            }
        };
        let url: Uri = url.parse().map_err(|_| FetchError::Url)?;
        let request = Request::get(url).header(ACCEPT, "application/json").body(Full::default());
        let answer = client.ask(request.map_err(|_| FetchError::Url)?, BOUNDS).await?;
        if answer.status != StatusCode::OK {
            return Err(FetchError::Status(answer.status));
        }
        Ok((answer.body, freshness(&answer.headers)))
    }
}

/// For how many seconds keys are used before they are refreshed.
fn freshness(headers: &HeaderMap) -> u64 {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let directives = lines
        .flat_map(|line| line.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase());
    let max_age = |directive: String| {
        directive.strip_prefix("max-age=")?.trim_matches('"').parse::<u64>().ok()
    };
    directives.filter_map(max_age).next().unwrap_or(FRESH).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_providers_cache_control_is_respected_within_bounds() {
        for (line, seconds) in [
            (None, 600),
            (Some("public, max-age=1800"), 1800),
            (Some("Max-Age=5"), 60),
            (Some("max-age=0, must-revalidate"), 60),
            (Some("max-age=999999"), 3600),
            (Some("max-age=99999999999999999999"), 600),
            (Some("no-store"), 600),
            (Some("s-maxage=60"), 600),
        ] {
            let headers = line.iter().map(|line| (CACHE_CONTROL, line.parse().unwrap())).collect();
            assert_eq!(freshness(&headers), seconds, "{line:?}");
        }
    }
}
