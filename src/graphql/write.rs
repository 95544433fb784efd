//! Runs a mutation: its root fields one after the other in one transaction, each answered with the row as it then stands,
//! read by the same code that answers queries. Whatever fails undoes all of it.

mod conflict;

use serde_json::value::RawValue;

use super::bind::{Arguments, BoundWrite};
use super::coerce::Write;
use super::error::{Code, GraphqlError, PathSegment};
use super::plan::{Action, RootField, WritePlan};
use super::read::{Context, Halt, Reader};
use crate::conditional::IfMatch;
use crate::etag::{EntityEtag, ResponseHasher, TokenError};
use crate::model::scalar::ValueRef;
use crate::model::{Column, ColumnId, DefaultValue, Entity, Value};
use crate::store::mutate::{self, FIRST_VALUE_SLOT, KEY_SLOT};
use crate::store::{Guard, Row, Slot, Statement, StoreError, Transaction, select};
use crate::touch::Version;

use conflict::NoEffect;
pub use conflict::unkept;

/// What a write expects of the row that it finds.
enum Expectation {
    Nothing,
    Exists,
    Version(Version),
    /// Says why no version can match.
    Never(&'static str),
}

impl Expectation {
    fn holds_for(&self, found: Option<Version>) -> bool {
        match (self, found) {
            (_, None) | (Self::Never(_), _) => false,
            (Self::Version(version), Some(found)) => *version == found,
            (Self::Nothing | Self::Exists, Some(_)) => true,
        }
    }

    /// The version that the statement is to find; NULL for any.
    fn version(&self) -> Value {
        match self {
            Self::Version(version) => Value::Int(version.0),
            Self::Nothing | Self::Exists | Self::Never(_) => Value::Null,
        }
    }
}

/// A row at some moment, as far as its model goes.
struct State {
    version: Version,
    values: Vec<Value>,
}

/// What reads a [`State`]: the statement, and how many values it has.
struct StateOf(Statement, usize);

impl StateOf {
    fn new(entity: &Entity) -> Self {
        let columns: Vec<ColumnId> = entity.column_ids().filter(|id| *id != entity.key).collect();
        Self(select::by_columns(entity, &[entity.key], &columns), columns.len())
    }
}

/// The error of a mutation's field.
#[derive(Debug)]
pub enum WriteError {
    /// For the client.
    Client(Box<GraphqlError>),
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<GraphqlError> for WriteError {
    fn from(error: GraphqlError) -> Self {
        Self::Client(Box::new(error))
    }
}

/// One root field of a mutation within its transaction.
pub struct Writer<'a, 't, 'c> {
    /// Names and arguments.
    pub context: Context<'a>,
    /// Where it writes.
    pub transaction: &'t Transaction<'c>,
    /// Whether versions tell of every change.
    pub guard: &'a Guard,
    /// Stands in for an `expectedEtag` that was not given.
    pub if_match: Option<&'a IfMatch>,
}

impl<'a> Writer<'a, '_, '_> {
    /// Writes, and appends the answer to `reader`'s.
    pub fn run(
        &self,
        field: &'a RootField,
        plan: &'a WritePlan,
        reader: &mut Reader<'a, '_, '_>,
    ) -> Result<(), WriteError> {
        let Arguments::Write(bound) = &self.context.bound.0[plan.bound] else {
            unreachable!("a write's arguments are a write's");
        };
        let entity = self.context.model.entity(plan.row.entity);
        let locate = |error: WriteError| match error {
            WriteError::Client(mut error) => {
                // An error further in, where the row was read for the answer, knows its path itself.
                if error.path.is_empty() {
                    error.path = vec![PathSegment::Key(field.key.name.clone())];
                }
                error.locations = vec![field.position];
                WriteError::Client(error)
            }
            store => store,
        };
        let result = match plan.action {
            Action::Create => self.create(entity, bound),
            Action::Update => self.update(entity, plan, bound),
            Action::Delete => return self.delete(entity, plan, bound, reader).map_err(locate),
        };
        let key = result.map_err(locate)?;
        self.answer(entity, plan, &key, reader).map_err(locate)
    }

    fn create(&self, entity: &Entity, bound: &BoundWrite) -> Result<Value, WriteError> {
        let columns: Vec<ColumnId> = bound.row.iter().map(|(id, _)| *id).collect();
        let values: Vec<Value> = bound.row.iter().map(|(id, write)| made(entity.column(*id), write)).collect();
        let statement = mutate::insert(entity, &columns);
        let value = |slot: Slot| values[usize::from(slot - FIRST_VALUE_SLOT)].as_ref();
        let newest = self.transaction.newest_change()?;
        let failed = |error| self.conflict(error, entity, bound, Action::Create, &values);
        let key = self.transaction.insert(&statement, value).map_err(failed)?;
        if key == Value::Null {
            return Err(self.without_effect(entity, bound, Action::Create, NoEffect::Ignored));
        }
        match self.version(entity, &key)? {
            None => Err(self.without_effect(entity, bound, Action::Create, NoEffect::Undone)),
            Some(version) if version <= newest => {
                Err(self.without_effect(entity, bound, Action::Create, NoEffect::Unversioned))
            }
            Some(_) => Ok(key),
        }
    }

    fn update(&self, entity: &'a Entity, plan: &'a WritePlan, bound: &BoundWrite) -> Result<Value, WriteError> {
        let key = self.key(entity, bound)?;
        let state = StateOf::new(entity);
        let before = self.state(&state, key)?;
        let found = before.as_ref().map(|before| before.version);
        let expectation = self.expectation(entity, key, bound.expected_etag.as_deref(), found)?;
        if !expectation.holds_for(found) {
            return Err(self.refused(entity, plan, bound, key, &expectation)?.into());
        }
        let columns: Vec<ColumnId> = bound.row.iter().map(|(id, _)| *id).collect();
        if columns.is_empty() {
            // An empty patch changes nothing, but what was expected must hold.
            return Ok(key.clone());
        }
        let values: Vec<Value> = bound.row.iter().map(|(id, write)| made(entity.column(*id), write)).collect();
        let version = expectation.version();
        let value = |slot: Slot| match slot {
            KEY_SLOT => key.as_ref(),
            mutate::VERSION_SLOT => version.as_ref(),
            slot => values[usize::from(slot - FIRST_VALUE_SLOT)].as_ref(),
        };
        let statement = mutate::update(entity, &columns, version != Value::Null);
        let failed = |error| self.conflict(error, entity, bound, Action::Update, &values);
        if self.transaction.execute(&statement, value).map_err(failed)? == 0 {
            return Err(self.without_effect(entity, bound, Action::Update, NoEffect::Ignored));
        }
        match (before, self.state(&state, key)?) {
            (_, None) => Err(self.without_effect(entity, bound, Action::Update, NoEffect::Undone)),
            (Some(before), Some(after)) if before.version == after.version && before.values != after.values => {
                Err(self.without_effect(entity, bound, Action::Update, NoEffect::Unversioned))
            }
            _ => Ok(key.clone()),
        }
    }

    fn delete(
        &self,
        entity: &'a Entity,
        plan: &'a WritePlan,
        bound: &BoundWrite,
        reader: &mut Reader<'a, '_, '_>,
    ) -> Result<(), WriteError> {
        let key = self.key(entity, bound)?;
        let found = self.version(entity, key)?;
        let expectation = self.expectation(entity, key, bound.expected_etag.as_deref(), found)?;
        if !expectation.holds_for(found) {
            return Err(self.refused(entity, plan, bound, key, &expectation)?.into());
        }
        // The answer is the row as it was.
        self.answer(entity, plan, key, reader)?;
        let version = expectation.version();
        let statement = mutate::delete(entity, version != Value::Null);
        let value = |slot: Slot| if slot == KEY_SLOT { key.as_ref() } else { version.as_ref() };
        let newest = self.transaction.newest_change()?;
        let failed = |error| self.conflict(error, entity, bound, Action::Delete, &[]);
        if self.transaction.execute(&statement, value).map_err(failed)? == 0 {
            return Err(self.without_effect(entity, bound, Action::Delete, NoEffect::Ignored));
        }
        if self.version(entity, key)?.is_some() {
            return Err(self.without_effect(entity, bound, Action::Delete, NoEffect::Undone));
        }
        if !self.transaction.is_deletion_logged(newest, &entity.name, key)? {
            return Err(self.without_effect(entity, bound, Action::Delete, NoEffect::Unversioned));
        }
        Ok(())
    }

    /// The row as it stands, in the selection of the field.
    fn answer(
        &self,
        entity: &Entity,
        plan: &'a WritePlan,
        key: &Value,
        reader: &mut Reader<'a, '_, '_>,
    ) -> Result<(), WriteError> {
        match self.transaction.metered(|| reader.row_by_key(&plan.row, key)) {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(StoreError::Corrupt(format!("a row of {} is gone right after it was written", entity.name)).into())
            }
            Err(Halt::Store(error)) => Err(error.into()),
            Err(Halt::Limit(error)) => Err((*error).into()),
            Err(Halt::Null) => {
                let error = reader.errors.pop();
                Err(error
                    .unwrap_or_else(|| GraphqlError::new(Code::InternalServerError, "the row cannot be read"))
                    .into())
            }
        }
    }

    fn key<'b>(&self, entity: &Entity, bound: &'b BoundWrite) -> Result<&'b Value, WriteError> {
        bound.key.as_ref().ok_or_else(|| not_found(entity, bound).into())
    }

    fn version(&self, entity: &Entity, key: &Value) -> Result<Option<Version>, StoreError> {
        let state = StateOf(select::by_columns(entity, &[entity.key], &[]), 0);
        Ok(self.state(&state, key)?.map(|state| state.version))
    }

    fn state(&self, StateOf(statement, columns): &StateOf, key: &Value) -> Result<Option<State>, StoreError> {
        let mut found = None;
        self.transaction.once(
            statement,
            |_| key.as_ref(),
            |row: &Row<'_>| {
                if let ValueRef::Int(version) = row.get(1) {
                    let values = (2..columns + 2).map(|index| row.get(index).to_value()).collect();
                    found = Some(State { version: Version(version), values });
                }
            },
        )?;
        Ok(found)
    }

    /// What `expectedEtag`, or else `If-Match`, asks of the row.
    fn expectation(
        &self,
        entity: &Entity,
        key: &Value,
        expected_etag: Option<&str>,
        current: Option<Version>,
    ) -> Result<Expectation, WriteError> {
        let names_version = matches!((expected_etag, self.if_match), (Some(_), _) | (None, Some(IfMatch::Tags(_))));
        if names_version && expected_etag != Some("*") && self.guard.why_not(entity.id).is_some() {
            let message = format!(
                "whether {} has changed since it was read cannot be told: the database no longer keeps its versions, and its \
                 operator has to repair it",
                entity.name
            );
            return Err(GraphqlError::new(Code::DatabaseUnavailable, message).into());
        }
        let read = |token: &str| self.context.etag_keys[usize::from(entity.id.0)].read(token, key);
        match (expected_etag, self.if_match) {
            (Some("*"), _) | (None, Some(IfMatch::Any)) => Ok(Expectation::Exists),
            (Some(token), _) => Ok(match read(token) {
                Ok(version) => Expectation::Version(version),
                Err(TokenError::Malformed) => Expectation::Never("expectedEtag is not a token of this server"),
                Err(TokenError::OtherRow) => Expectation::Never(
                    "expectedEtag is the token of another row, or from before the database's schema was changed",
                ),
            }),
            (None, Some(IfMatch::Tags(tags))) => {
                let versions: Vec<Version> = tags.iter().filter_map(|tag| read(tag).ok()).collect();
                Ok(match versions.iter().find(|version| Some(**version) == current).or(versions.first()) {
                    Some(version) => Expectation::Version(*version),
                    None => Expectation::Never("If-Match holds no token of this row"),
                })
            }
            (None, None) if entity.require_etag => {
                let message = format!(
                    "{} is only changed by who says which state was read: give expectedEtag or If-Match",
                    entity.name
                );
                Err(GraphqlError::new(Code::PreconditionRequired, message).into())
            }
            (None, None) => Ok(Expectation::Nothing),
        }
    }

    /// Why the row was not written: it is not there, or not as expected; then with what it is instead.
    fn refused(
        &self,
        entity: &'a Entity,
        plan: &'a WritePlan,
        bound: &BoundWrite,
        key: &Value,
        expectation: &Expectation,
    ) -> Result<GraphqlError, StoreError> {
        let version = self.version(entity, key)?;
        if version.is_none() && matches!(expectation, Expectation::Nothing | Expectation::Never(_)) {
            return Ok(not_found(entity, bound));
        }
        let message = match (expectation, version) {
            (Expectation::Never(why), _) => (*why).to_owned(),
            (_, None) => format!("{} {} has been deleted since it was read", entity.name, bound.id),
            _ => format!("{} {} has changed since it was read", entity.name, bound.id),
        };
        let expected = bound.expected_etag.clone().or_else(|| match self.if_match {
            Some(IfMatch::Any) => Some("*".to_owned()),
            Some(IfMatch::Tags(tags)) => Some(tags.join(", ")),
            None => None,
        });
        let etag_key = &self.context.etag_keys[usize::from(entity.id.0)];
        let current_etag = version.map(|version| etag_key.etag(key, version));
        let mut error = GraphqlError::new(Code::PreconditionFailed, message)
            .with("expectedEtag", &expected)
            .with("currentEtag", &current_etag.as_ref().map(EntityEtag::as_str));
        error.extensions.push(("current", self.current(plan, key)?));
        Ok(error)
    }

    fn current(&self, plan: &'a WritePlan, key: &Value) -> Result<Box<RawValue>, StoreError> {
        // A reader of its own: nothing of it enters the answer but these bytes.
        let mut reader = Reader::new(self.context, self.transaction, ResponseHasher::unused());
        let json = match self.transaction.metered(|| reader.row_by_key(&plan.row, key)) {
            Ok(true) => String::from_utf8(reader.out).unwrap_or_default(),
            // What is beyond the limits is left out: that the write is refused is what counts.
            Ok(false) | Err(Halt::Null | Halt::Limit(_) | Halt::Store(StoreError::Interrupted | StoreError::Late)) => {
                String::new()
            }
            Err(Halt::Store(error)) => return Err(error),
        };
        Ok(RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

fn not_found(entity: &Entity, bound: &BoundWrite) -> GraphqlError {
    GraphqlError::new(Code::NotFound, format!("there is no {} {}", entity.name, bound.id))
}

fn made(column: &Column, write: &Write) -> Value {
    match write {
        Write::Value(value) => value.clone(),
        Write::Generated(DefaultValue::UuidV7) => Value::Text(uuid::Uuid::now_v7().hyphenated().to_string().into()),
        Write::Generated(DefaultValue::Now) => column.scalar.now(),
        Write::Generated(DefaultValue::Autoincrement) => Value::Null,
        Write::Generated(DefaultValue::Value(value)) => value.clone(),
    }
}
