//! The writing connection: mutations that queue up share one commit, and each keeps its own
//! outcome. Nothing is acknowledged unless it is in the file at the database's path.

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
    /// The runtime from which replies are sent.
    pub(super) runtime: Handle,
}

/// Why a transaction was not committed.
#[derive(Debug, Clone)]
enum Uncommitted {
    /// One of its statements has rolled it back.
    RolledBack,
    /// A deferred constraint does not hold.
    Constraint(Constraint),
    /// The disk or the file accepts no writes.
    Unwritable(String),
    /// The file is no longer at its path.
    Lost(String),
    /// Any other error: it is unknown what has reached the disk.
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
    /// Runs all jobs until there are no more senders.
    pub(super) fn run(&self, jobs: &Receiver<WriteJob>) {
        // A mutation whose request is dropped before it has begun does not run.
        for first in jobs.iter().filter(|job| !job.is_given_up()) {
            if let Err(error) = self.begin() {
                if matches!(error, StoreError::Overloaded) {
                    // Another program holds the lock. Jobs that have arrived meanwhile would each
                    // wait as long again, one after the other.
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

    /// Runs this job and those that have arrived meanwhile in the open transaction, commits it, and
    /// reports the outcome to them. Returns jobs that must run again one by one: if a rule of the
    /// database refuses one job by undoing the whole transaction (`ON CONFLICT ROLLBACK`, a
    /// deferred foreign key), the others must not suffer for it.
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
            // Checked again here, because the lock may have come late.
            if !job.is_given_up()
                && let Some(finish) = self.write_one(&mut job)
            {
                group.push((job, finish));
            }
            // After the database has rolled back the group, further writes would be committed
            // individually but reported as lost.
            let goes_on = !connection.is_autocommit() && group.len() < GROUP;
            next = if goes_on { more() } else { None };
        }
        let fate = match connection.is_autocommit() {
            // The last job has its own error; if it is the only one, no other report is needed.
            true => Err(Uncommitted::RolledBack),
            false => self.commit(before),
        };
        if group.len() > 1
            && matches!(fate, Err(Uncommitted::RolledBack | Uncommitted::Constraint(_)))
        {
            return group.into_iter().map(|(job, _)| job).collect();
        }
        // Send all replies from one task: on a single core, each separate reply would wake its
        // receiver before the next one is sent.
        self.runtime.spawn(async move {
            for (_, finish) in group {
                finish(fate.clone().map_err(StoreError::from));
            }
        });
        Vec::new()
    }

    /// Commits the group, and applies its changes to the clock; the answers leave only after that.
    /// If the clock cannot be brought up to date, it stays behind and knows it.
    fn commit(&self, changes_before: u64) -> Result<(), Uncommitted> {
        let connection = &self.connection;
        let own = self.feed.own_changes(connection).unwrap_or_default();
        // Check while the transaction can still be rolled back.
        let committed = self.identity.ensure().and_then(|()| Ok(run(connection, "COMMIT")?));
        if let Err(error) = committed {
            let _ = run(connection, "ROLLBACK");
            return Err(self.noted(error).into());
        }
        // The file may have been moved just before the commit, so that nobody can find what was
        // written. This check is not cached: a client that gets a success can rely on it.
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

    /// Runs one job within the group's transaction, which may be rolled back as a result. None if
    /// the job has panicked: it must not run again, and its reply is dropped with it.
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
                // Nothing may be committed that includes half of a failed job.
                tracing::error!(%error, "a group of writes is rolled back");
                let _ = run(connection, "ROLLBACK");
            }
        }
        outcome.ok().map(|(_, finish)| finish)
    }
}

/// Reports to the job that there is no transaction for it.
fn refuse(mut job: WriteJob, error: StoreError) {
    let (_, finish) = (job.run)(Err(error));
    finish(Err(StoreError::Gone));
}
