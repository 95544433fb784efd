//! What the versions of rows can be trusted to tell: whether the triggers and columns that keep
//! them stand as the model needs them, entity by entity, in one state of the schema. Whoever
//! rebuilds a table takes its triggers along, and every change behind that leaves the versions as
//! they were.

use crate::dependency::Dependencies;
use crate::model::{Entity, EntityId, Model};
use crate::store::schema::migrations::Applied;

/// What versions tell in one state of the schema.
#[derive(Debug)]
pub struct Guard {
    schema: i64,
    /// For each entity of the model, why its versions tell nothing.
    unguarded: Vec<Option<String>>,
    is_whole: bool,
}

/// The command that mends what the versions of rows rest on.
pub const REMEDY: &str = "run `freshql migrate repair`";

impl Guard {
    /// In this state of the schema; for each entity of the model, why its versions tell nothing.
    pub(in crate::store) fn new(schema: i64, unguarded: Vec<Option<String>>) -> Self {
        let is_whole = unguarded.iter().all(Option::is_none);
        Self { schema, unguarded, is_whole }
    }

    /// The state of the schema that it is about.
    pub(in crate::store) fn schema(&self) -> i64 {
        self.schema
    }

    /// Whether both say the same.
    pub(in crate::store) fn is_like(&self, other: &Self) -> bool {
        self.unguarded == other.unguarded
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
    pub fn covers(&self, touched: &Dependencies) -> bool {
        self.is_whole
            || touched
                .dependencies
                .iter()
                .all(|dependency| self.why_not(dependency.entity()).is_none())
    }

    /// The entities that are not guarded, each with the reason and what to do about it, for people.
    pub fn reasons(&self, model: &Model) -> Vec<String> {
        let reason = |(entity, why): (_, &Option<String>)| {
            let entity: &Entity = entity;
            why.as_ref().map(|why| format!("{}: {why}", entity.name))
        };
        model.entities.iter().zip(&self.unguarded).filter_map(reason).collect()
    }
}

/// What was applied behind a server's back was written for another model than its own.
pub(in crate::store) fn newer(applied: &[Applied], history: &[Applied]) -> Option<String> {
    if applied == history {
        return None;
    }
    let last = applied.iter().find(|applied| !history.contains(applied));
    Some(match last {
        Some(Applied { number, name, .. }) => format!(
            "the migration {number:04}_{name} was applied after this server started: restart it with the model that \
             belongs to it"
        ),
        None => {
            "the database lacks migrations that it had when this server started: restart the server"
                .to_owned()
        }
    })
}
