//! What the versions of rows can be trusted to tell: whether the triggers and columns that keep them stand as the model
//! needs them, entity by entity, in one state of the schema. Whoever rebuilds a table takes its triggers along, and every
//! change behind that leaves the versions as they were.
//!
//! SQLite counts the changes of the schema (`PRAGMA schema_version`). The count is part of every ETag and row token: a
//! trigger that was dropped, and is back before anybody looked, has perhaps missed changes, and no validator from before
//! may match what was read behind it.

use rusqlite::Connection;

use super::migrate::{self, Applied};
use crate::model::{EntityId, Model};
use crate::store::error::StoreError;
use crate::touch::Touched;

/// What versions tell in one state of the schema.
#[derive(Debug)]
pub struct Guard {
    schema: i64,
    /// For each entity of the model, why its versions tell nothing.
    unguarded: Vec<Option<String>>,
    is_whole: bool,
}

impl Guard {
    /// Looks at the schema. `history` is what had been applied when this server started: what came later belongs to
    /// another model.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(super) fn look(connection: &Connection, model: &Model, history: &[Applied]) -> Result<Self, StoreError> {
        let schema = schema_version(connection)?;
        let unguarded = match newer(&migrate::applied(connection)?, history) {
            Some(reason) => vec![Some(reason); model.entities.len()],
            None => migrate::check::unguarded(connection, model)?,
        };
        let is_whole = unguarded.iter().all(Option::is_none);
        Ok(Self { schema, unguarded, is_whole })
    }

    /// The state of the schema that it is about.
    pub(super) fn schema(&self) -> i64 {
        self.schema
    }

    /// Whether every entity is guarded.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Why the versions of this entity's rows tell nothing; None if they do.
    pub fn why_not(&self, entity: EntityId) -> Option<&str> {
        self.unguarded.get(usize::from(entity.0))?.as_deref()
    }

    /// Whether versions tell of every change of what was touched.
    pub fn covers(&self, touched: &Touched) -> bool {
        self.is_whole || touched.dependencies.iter().all(|dependency| self.why_not(dependency.entity()).is_none())
    }

    /// The entities that are not guarded, each with the reason and what to do about it, for people.
    pub fn reasons(&self, model: &Model) -> Vec<String> {
        let reason = |(entity, why): (_, &Option<String>)| {
            let entity: &crate::model::Entity = entity;
            why.as_ref().map(|why| format!("{}: {why}", entity.name))
        };
        model.entities.iter().zip(&self.unguarded).filter_map(reason).collect()
    }
}

/// The count of the schema's changes, as the snapshot of this connection has it.
pub(super) fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA schema_version")?.query_row([], |row| row.get(0))
}

/// What validators start from: of another database, or of another state of its schema, it is another one.
pub(super) fn identity(epoch: &[u8; 16], schema: i64) -> [u8; 16] {
    let hash = blake3::Hasher::new().update(epoch).update(&schema.to_le_bytes()).finalize();
    let mut identity = [0; 16];
    identity.copy_from_slice(&hash.as_bytes()[..16]);
    identity
}

/// What was applied behind a server's back was written for another model than its own.
fn newer(applied: &[Applied], history: &[Applied]) -> Option<String> {
    if applied == history {
        return None;
    }
    let last = applied.iter().find(|applied| !history.contains(applied));
    Some(match last {
        Some(Applied { number, name, .. }) => format!(
            "the migration {number:04}_{name} was applied after this server started: restart it with the model that \
             belongs to it"
        ),
        None => "the database lacks migrations that it had when this server started: restart the server".to_owned(),
    })
}
