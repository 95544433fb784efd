//! Whether row versions can be trusted: for each entity, in one state of the schema, whether the
//! triggers and columns that maintain them are as the model requires. Rebuilding a table drops its
//! triggers, and from then on changes leave the versions as they were.

use crate::dependency::Dependencies;
use crate::model::{Entity, EntityId, Model};
use crate::store::schema::migrations::Applied;

/// How far versions can be trusted in one state of the schema.
#[derive(Debug)]
pub struct Guard {
    schema: i64,
    /// For each entity of the model, why its versions are unreliable.
    unguarded: Vec<Option<String>>,
    is_whole: bool,
}

/// The command that repairs what row versions rely on.
pub const REMEDY: &str = "run `freshql migrate repair`";

impl Guard {
    /// For this state of the schema; for each entity of the model, why its versions are unreliable.
    pub(in crate::store) fn new(schema: i64, unguarded: Vec<Option<String>>) -> Self {
        let is_whole = unguarded.iter().all(Option::is_none);
        Self { schema, unguarded, is_whole }
    }

    /// The state of the schema to which it applies.
    pub(in crate::store) fn schema(&self) -> i64 {
        self.schema
    }

    /// Whether both come to the same conclusion.
    pub(in crate::store) fn is_like(&self, other: &Self) -> bool {
        self.unguarded == other.unguarded
    }

    /// Whether every entity is guarded.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Why the versions of this entity's rows are unreliable; None if they are reliable.
    pub fn why_not(&self, entity: EntityId) -> Option<&str> {
        self.unguarded.get(usize::from(entity.0))?.as_deref()
    }

    /// Whether versions reflect every change to these dependencies.
    pub fn covers(&self, dependencies: &Dependencies) -> bool {
        self.is_whole
            || dependencies.all.iter().all(|dependency| self.why_not(dependency.entity()).is_none())
    }

    /// The entities whose versions are unreliable, each with the reason and a remedy, for people.
    pub fn reasons(&self, model: &Model) -> Vec<String> {
        let reason = |(entity, why): (_, &Option<String>)| {
            let entity: &Entity = entity;
            why.as_ref().map(|why| format!("{}: {why}", entity.name))
        };
        model.entities.iter().zip(&self.unguarded).filter_map(reason).collect()
    }
}

/// Why the migrations that were applied while this server runs belong to another model, if any
/// were.
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
