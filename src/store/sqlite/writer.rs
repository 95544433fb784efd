//! The writing connection: mutations that wait share one commit, and each keeps its own outcome.
//! Nothing is acknowledged that the file at the database's path does not hold.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::Receiver;
use rusqlite::Connection;
use tokio::runtime::Handle;

use super::connection::run;
use super::feed::Feed;
use super::identity::Identity;
use super::jobs::{Finish, GROUP, QUEUE, WRITER, WriteJob};
use super::meter::Meter;
use super::snapshot::Snapshot;
use super::transaction::Care;
use super::transaction::Transaction;
use super::writable::Writable;
use crate::store::error::{Constraint, StoreError};
use crate::store::rendered::Rendered;

/// What the writing thread owns.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) meter: Meter,
    pub(super) feed: Arc<Feed>,
    pub(super) identity: Arc<Identity>,
    pub(super) writable: Arc<Writable>,
    pub(super) rendered: Rendered,
    /// Where replies are sent from.
    pub(super) runtime: Handle,
}

/// Why a transaction was not committed.
#[derive(Debug, Clone)]
enum Uncommitted {
    /// One of its statements has rolled it back.
    RolledBack,
    /// A constraint that is only looked at in the end does not hold.
    Constraint(Constraint),
    /// Disk or file take nothing.
    Unwritable(String),
    /// The file is not at its path any more.
    Lost(String),
    /// Anything else: nobody knows what has reached the disk.
    Failed(String),
}

impl From<Uncommitted> for StoreError {
    fn from(why: Uncommitted) -> Self {
        match why {
            Uncommitted::RolledBack => Self::RolledBack,
            Uncommitted::Constraint(constraint) => Self::Constraint(constraint),
            Uncommitted::Unwritable(why) => Self::Unwritable(why),
            Uncommitted::Lost(why) => Self::Lost(why),
            Uncommitted::Failed(message) => Self::Commit(message),
        }
    }
}

impl From<StoreError> for Uncommitted {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Constraint(constraint) => Self::Constraint(constraint),
            StoreError::Unwritable(why) => Self::Unwritable(why),
            StoreError::Lost(why) => Self::Lost(why),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Writer {
    /// Does all jobs, until nobody can send any more.
    pub(super) fn run(&self, jobs: &Receiver<WriteJob>) {
        // What has not begun when its request is given up is not done.
        for first in jobs.iter().filter(|job| !job.is_given_up()) {
            if let Err(error) = self.begin() {
                if matches!(error, StoreError::Overloaded) {
                    // Another program keeps the lock. Who came meanwhile would wait as long again,
                    // one after the other.
                    jobs.try_iter().take(QUEUE).for_each(|job| refuse(job, StoreError::Overloaded));
                }
                refuse(first, error);
                continue;
            }
            let spoiled = self.write_group(first, || jobs.try_recv().ok());
            for job in spoiled.into_iter().filter(|job| !job.is_given_up()) {
                match self.begin() {
                    Ok(()) => drop(self.write_group(job, || None)),
                    Err(error) => refuse(job, error),
                }
            }
        }
    }

    fn begin(&self) -> Result<(), StoreError> {
        self.identity.ensure()?;
        run(&self.connection, "BEGIN IMMEDIATE").map_err(|error| self.noted(error.into()))
    }

    fn noted(&self, error: StoreError) -> StoreError {
        self.writable.failed(&error);
        error
    }

    /// Runs this job and those that have come meanwhile in the transaction that has begun, commits
    /// it, and tells them. Returns those that are to be done again one by one: a rule of the
    /// database has refused one of them in a way that undoes the whole transaction (`ON CONFLICT
    /// ROLLBACK`, a deferred foreign key), and the others are not to suffer for it.
    fn write_group(
        &self,
        first: WriteJob,
        mut more: impl FnMut() -> Option<WriteJob>,
    ) -> Vec<WriteJob> {
        let connection = &self.connection;
        let before = connection.total_changes();
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(mut job) = next {
            // Looked at here too, since the lock may have come late.
            if !job.is_given_up()
                && let Some(finish) = self.write_one(&mut job)
            {
                group.push((job, finish));
            }
            // Where the database has rolled back the group, what came next would be written, and
            // reported as lost.
            let goes_on = !connection.is_autocommit() && group.len() < GROUP;
            next = if goes_on { more() } else { None };
        }
        let fate = match connection.is_autocommit() {
            // The last job has an error of its own; if it is the only one, that is all there is to
            // say.
            true => Err(Uncommitted::RolledBack),
            false => self.commit(before),
        };
        if group.len() > 1
            && matches!(fate, Err(Uncommitted::RolledBack | Uncommitted::Constraint(_)))
        {
            return group.into_iter().map(|(job, _)| job).collect();
        }
        // All at once: on one core, each reply by itself would wake the one who waits for it before
        // the next is sent.
        self.runtime.spawn(async move {
            for (_, finish) in group {
                finish(fate.clone().map_err(StoreError::from));
            }
        });
        Vec::new()
    }

    /// Commits the group, and applies its changes to the clock: a writer's answer leaves only then.
    /// If the clock cannot be brought up to date, it stays behind and knows it.
    fn commit(&self, changes_before: u64) -> Result<(), Uncommitted> {
        let connection = &self.connection;
        let own = self.feed.own_changes(connection).unwrap_or_default();
        // While it can still be undone.
        let committed = self.identity.ensure().and_then(|()| Ok(run(connection, "COMMIT")?));
        if let Err(error) = committed {
            let _ = run(connection, "ROLLBACK");
            return Err(self.noted(error).into());
        }
        // The file may have been moved just before that, and then nobody finds what was written. It
        // is looked at now, not a while ago: whoever is told that it is there can rely on it.
        self.identity
            .check()
            .map_err(|moved| Uncommitted::Lost(format!("{moved}, while it was written to")))?;
        if connection.total_changes() > changes_before {
            self.writable.succeeded();
        }
        let is_applied = own.is_some_and(|own| self.feed.apply(own));
        if !is_applied && let Err(error) = self.feed.catch_up(connection) {
            tracing::error!(%error, "cannot read the change log");
        }
        Ok(())
    }

    /// Runs one job within the group's transaction, which may be rolled back then. None if the job
    /// has panicked: it is not to be tried again, and its reply is dropped with it.
    fn write_one(&self, job: &mut WriteJob) -> Option<Finish> {
        let Self { connection, meter, feed, writable, rendered, .. } = self;
        let begun = run(connection, "SAVEPOINT job");
        let is_begun = begun.is_ok();
        meter.set(job.waiting.clone(), WRITER);
        let outcome = catch_unwind(AssertUnwindSafe(|| match begun {
            Ok(()) => {
                let transaction = |care| Transaction {
                    snapshot: Snapshot::new(connection, meter, feed),
                    writable,
                    rendered,
                    care,
                };
                let briefly = transaction(Care::brief());
                let done = (job.run)(Ok(&briefly));
                if !briefly.care.was_too_brief() || connection.is_autocommit() {
                    return done;
                }
                match run(connection, "ROLLBACK TO job") {
                    Ok(()) => (job.run)(Ok(&transaction(Care::Thorough))),
                    Err(error) => (job.run)(Err(error.into())),
                }
            }
            Err(error) => (job.run)(Err(error.into())),
        }));
        meter.run(false);
        if is_begun && !connection.is_autocommit() {
            let kept = matches!(outcome, Ok((true, _)));
            let undone = if kept { Ok(()) } else { run(connection, "ROLLBACK TO job") };
            if let Err(error) = undone.and_then(|()| run(connection, "RELEASE job")) {
                // Nothing may be committed with half of a failed job in it.
                tracing::error!(%error, "a group of writes is rolled back");
                let _ = run(connection, "ROLLBACK");
            }
        }
        outcome.ok().map(|(_, finish)| finish)
    }
}

/// Tells the job that there is no transaction for it.
fn refuse(mut job: WriteJob, error: StoreError) {
    let (_, finish) = (job.run)(Err(error));
    finish(Err(StoreError::Gone));
}
