//! Mutations: in as few flights as possible if their steps are known in advance, otherwise step by
//! step.

use std::time::Duration;

use tokio::sync::oneshot;

use super::Store;
use super::to_the_end::ToTheEnd;
use crate::store::error::StoreError;
use crate::store::postgres::pool::Lease;
use crate::store::postgres::steps::{self, Outcome};
use crate::store::postgres::transaction::{Fate, Transaction};
use crate::store::transaction::Writing;

/// How often a mutation is repeated because others got in its way.
const RETRIES: u32 = 3;

impl Store {
    /// Runs a mutation in its own transaction, and returns when it is durable, and, if answers are
    /// given from the clock alone, when the clock has it. If the caller stops waiting before the
    /// mutation has begun, it is not run; later, it runs to its end.
    ///
    /// The steps of most mutations are known in advance and sent in one flight ([`steps`]). The
    /// others run step by step, on the thread of [writers](crate::store::postgres::writers), and so
    /// find out what is in their way.
    ///
    /// # Errors
    /// The mutation's own, after which all of it is rolled back, or those of the database.
    pub async fn mutate<W: Writing>(&self, writing: W) -> Result<W::Output, W::Error> {
        let lease = self.writer().await?;
        let store = self.clone();
        ToTheEnd::new(async move { store.write_with(lease, writing).await }).await
    }

    async fn write_with<W: Writing>(self, lease: Lease, writing: W) -> Result<W::Output, W::Error> {
        let lease = match self.write_ahead(lease, &writing).await {
            Ok(result) => return result,
            Err(lease) => lease,
        };
        // What is in the way may be that the schema has changed.
        if !writing.names_version()
            && let Err(error) = self.catch_up().await
        {
            tracing::debug!(%error, "a mutation is run before the schema is known");
        }
        let (reply, answer) = oneshot::channel();
        let store = self.clone();
        self.0.writers.run(move || async move {
            let _ = reply.send(store.write(lease, &writing).await);
        })?;
        answer.await.map_err(|_| W::Error::from(StoreError::Gone))?
    }

    /// Runs a mutation whose steps are known in advance. If that is not possible, nothing was
    /// written, and the lease is returned.
    async fn write_ahead<W: Writing>(
        &self,
        mut lease: Lease,
        writing: &W,
    ) -> Result<Result<W::Output, W::Error>, Option<Lease>> {
        let parts = &*self.0;
        let (mut attempt, mut is_checked) = (0, false);
        loop {
            let schema = parts.feed.schema();
            let frame = steps::Frame {
                model: &parts.model,
                feed: &parts.feed,
                schema: &schema,
                is_checked,
                begin: parts.writing,
                pooled: parts.reading.alone.is_some(),
            };
            let outcome = steps::run(lease.connection(), &frame, writing).await;
            if lease.connection().is_broken() {
                parts.writes.renew();
            }
            match outcome {
                Outcome::Done(result) => {
                    drop(lease);
                    self.wrote().await;
                    return Ok(result);
                }
                Outcome::Unchecked if !is_checked && self.check().await => is_checked = true,
                Outcome::Unchecked | Outcome::InTheWay => {
                    self.check_for(writing, is_checked).await;
                    return Err((!lease.connection().is_broken()).then_some(lease));
                }
                Outcome::Collided if attempt < RETRIES => {
                    attempt += 1;
                    tokio::time::sleep(pause()).await;
                }
                Outcome::Collided => return Ok(Err(StoreError::Overloaded.into())),
                // The mutation's key tells what happened to it.
                Outcome::Failed(StoreError::Unknown(_)) if writing.once().is_some() => {
                    self.check_for(writing, is_checked).await;
                    return Err(None);
                }
                Outcome::Failed(error) => {
                    if matches!(error, StoreError::Unwritable(_)) {
                        parts.writes.renew();
                    }
                    return Ok(Err(error.into()));
                }
            }
        }
    }

    /// Running step by step compares versions, which requires a check.
    async fn check_for<W: Writing>(&self, writing: &W, is_checked: bool) {
        if writing.names_version() && !is_checked {
            self.check().await;
        }
    }

    /// A table may have been altered by hand in a way that changes rows but not their versions. A
    /// check detects that, and then earlier versions are invalid.
    async fn check(&self) -> bool {
        let checked = self.catch_up().await;
        if let Err(error) = &checked {
            tracing::debug!(%error, "a version is compared before it is known whether it still means the same");
        }
        checked.is_ok()
    }

    /// Runs a mutation step by step.
    async fn write<W: Writing>(
        &self,
        mut lease: Option<Lease>,
        writing: &W,
    ) -> Result<W::Output, W::Error> {
        let mut attempt = 0;
        loop {
            let held = match lease.take() {
                Some(lease) => lease,
                None => self.writer().await?,
            };
            let parts = &*self.0;
            let schema = parts.feed.schema();
            let transaction = Transaction::new(
                held,
                &parts.model,
                &parts.rendered,
                schema.guard.clone(),
                parts.writing,
            );
            let written = writing.write(&transaction).await;
            // It may have waited for the lock of a table that somebody altered meanwhile.
            let is_stale = written.is_ok()
                && writing.names_version()
                && !steps::is_confirmed(&parts.feed, &schema).await;
            let committed = match &written {
                Ok(_) if !is_stale => transaction.commit().await,
                Ok(_) | Err(_) => {
                    transaction.roll_back().await;
                    Ok(())
                }
            };
            let Fate { collided, lost, is_once } = transaction.fate();
            let is_unknown = matches!(committed, Err(StoreError::Unknown(_)));
            drop(transaction);
            if lost || is_unknown {
                self.0.writes.renew();
            }
            attempt += 1;
            // If the connection was lost before the commit, nothing was written; if it is unknown
            // what was, the mutation's key tells.
            let may_repeat =
                collided || is_stale || (attempt == 1 && lost) || (is_unknown && is_once);
            if may_repeat && attempt <= RETRIES {
                tokio::time::sleep(pause()).await;
                continue;
            }
            if collided || is_stale {
                return Err(StoreError::Overloaded.into());
            }
            let output = written?;
            committed?;
            self.wrote().await;
            return Ok(output);
        }
    }

    /// Notifies the feed that something was committed here.
    async fn wrote(&self) {
        if let Err(error) = self.0.feed.wrote().await {
            tracing::debug!(%error, "a mutation is answered before its changes are known here");
        }
    }
}

/// Between 5 and 50 ms.
fn pause() -> Duration {
    let random = u32::from(uuid::Uuid::now_v7().as_bytes()[15]);
    Duration::from_micros(5_000 + u64::from(random) * 176)
}
