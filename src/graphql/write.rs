//! Runs a mutation: its root fields one after the other in one transaction, each answered with the row as it then stands,
//! read by the same code that answers queries. Whatever fails undoes all of it.

use serde_json::value::RawValue;

use super::bind::{Arguments, BoundWrite};
use super::coerce::Write;
use super::error::{Code, GraphqlError, PathSegment};
use super::plan::{Action, RootField, WritePlan};
use super::read::{Context, Halt, Reader};
use crate::conditional::IfMatch;
use crate::etag::{EntityEtag, ResponseHasher, TokenError};
use crate::model::{Column, ColumnId, DefaultValue, Entity, Value};
use crate::store::mutate::{self, FIRST_VALUE_SLOT, KEY_SLOT};
use crate::store::{Constraint, Row, Slot, StoreError, Transaction, select};
use crate::touch::Version;

/// What a write expects of the row that it finds.
enum Expectation {
    Nothing,
    Exists,
    Version(Version),
    /// Says why no version can match.
    Never(&'static str),
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
        self.transaction.insert(&statement, value).map_err(|error| self.conflict(error, entity, bound, &values))
    }

    fn update(&self, entity: &'a Entity, plan: &'a WritePlan, bound: &BoundWrite) -> Result<Value, WriteError> {
        let key = self.key(entity, bound)?;
        let expectation = self.expectation(entity, key, bound.expected_etag.as_deref())?;
        let columns: Vec<ColumnId> = bound.row.iter().map(|(id, _)| *id).collect();
        let values: Vec<Value> = bound.row.iter().map(|(id, write)| made(entity.column(*id), write)).collect();
        let version = match expectation {
            Expectation::Version(version) => Value::Int(version.0),
            _ => Value::Null,
        };
        let versioned = version != Value::Null;
        let changed = if matches!(expectation, Expectation::Never(_)) {
            0
        } else if columns.is_empty() {
            // An empty patch changes nothing, but what was expected must hold.
            let found = self.version(entity, key)?;
            usize::from(found.is_some_and(|found| !versioned || Value::Int(found.0) == version))
        } else {
            let value = |slot: Slot| match slot {
                KEY_SLOT => key.as_ref(),
                mutate::VERSION_SLOT => version.as_ref(),
                slot => values[usize::from(slot - FIRST_VALUE_SLOT)].as_ref(),
            };
            let statement = mutate::update(entity, &columns, versioned);
            self.transaction.execute(&statement, value).map_err(|error| self.conflict(error, entity, bound, &values))?
        };
        if changed == 0 {
            return Err(self.refused(entity, plan, bound, key, &expectation)?.into());
        }
        Ok(key.clone())
    }

    fn delete(
        &self,
        entity: &'a Entity,
        plan: &'a WritePlan,
        bound: &BoundWrite,
        reader: &mut Reader<'a, '_, '_>,
    ) -> Result<(), WriteError> {
        let key = self.key(entity, bound)?;
        let expectation = self.expectation(entity, key, bound.expected_etag.as_deref())?;
        let found = self.version(entity, key)?;
        let holds = match (&expectation, found) {
            (_, None) | (Expectation::Never(_), _) => false,
            (Expectation::Version(version), Some(found)) => *version == found,
            (Expectation::Nothing | Expectation::Exists, Some(_)) => true,
        };
        if !holds {
            return Err(self.refused(entity, plan, bound, key, &expectation)?.into());
        }
        // The answer is the row as it was.
        self.answer(entity, plan, key, reader)?;
        let statement = mutate::delete(entity, false);
        self.transaction
            .execute(&statement, |_| key.as_ref())
            .map_err(|error| self.conflict(error, entity, bound, &[]))?;
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
        let statement = select::by_columns(entity, &[entity.key], &[]);
        let mut found = None;
        self.transaction.once(
            &statement,
            |_| key.as_ref(),
            |row: &Row<'_>| {
                if let crate::model::scalar::ValueRef::Int(version) = row.get(1) {
                    found = Some(Version(version));
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
    ) -> Result<Expectation, WriteError> {
        let read = |token: &str| self.context.etag_keys[usize::from(entity.id.0)].read(token, key);
        match (expected_etag, self.if_match) {
            (Some("*"), _) | (None, Some(IfMatch::Any)) => Ok(Expectation::Exists),
            (Some(token), _) => Ok(match read(token) {
                Ok(version) => Expectation::Version(version),
                Err(TokenError::Malformed) => Expectation::Never("expectedEtag is not a token of this server"),
                Err(TokenError::OtherRow) => Expectation::Never("expectedEtag is the token of another row"),
            }),
            (None, Some(IfMatch::Tags(tags))) => {
                let versions: Vec<Version> = tags.iter().filter_map(|tag| read(tag).ok()).collect();
                let current = self.version(entity, key)?;
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
            Ok(false) | Err(Halt::Null | Halt::Limit(_) | Halt::Store(StoreError::Interrupted)) => String::new(),
            Err(Halt::Store(error)) => return Err(error),
        };
        Ok(RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    /// A violated constraint as an error for the client, in the words of the model.
    fn conflict(&self, error: StoreError, entity: &Entity, bound: &BoundWrite, values: &[Value]) -> WriteError {
        let StoreError::Constraint(constraint) = error else { return error.into() };
        // A foreign key's ON DELETE may have run into a rule of another table.
        let entity = match &constraint {
            Constraint::Unique(columns) | Constraint::NotNull(columns) if !columns.are_of(&entity.table) => {
                let entities = &self.context.model.entities;
                entities.iter().find(|entity| columns.are_of(&entity.table)).unwrap_or(entity)
            }
            _ => entity,
        };
        let field = |name: &str| {
            let column = entity.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
            column.map_or_else(|| name.to_owned(), |column| column.field.clone())
        };
        let error = |message: String, constraint: &str, fields: &[String]| {
            let error = GraphqlError::new(Code::Conflict, message);
            error.with("constraint", &constraint).with("fields", &fields).into()
        };
        match constraint {
            Constraint::Unique(columns) => {
                let fields: Vec<String> = columns.of(&entity.table).into_iter().map(field).collect();
                let message = format!("another {} has this {} already", entity.name, fields.join(" and "));
                error(message, "unique", &fields)
            }
            Constraint::NotNull(column) => {
                let fields: Vec<String> = column.of(&entity.table).into_iter().map(field).collect();
                error(format!("{}.{} may not be null", entity.name, fields.join(" and ")), "notNull", &fields)
            }
            Constraint::Check(check) => {
                let fields: Vec<String> =
                    entity.columns.iter().filter(|c| names(&check, &c.name)).map(|c| c.field.clone()).collect();
                error(format!("a value of {} is not allowed by the database", entity.name), "check", &fields)
            }
            Constraint::ForeignKey => {
                let fields = self.dangling(entity, bound, values);
                let message = match &fields[..] {
                    // Of a table that was there before freshql, with foreign keys that no relation says.
                    [] if bound.id.is_empty() => {
                        format!("a value of {} points to a row that does not exist", entity.name)
                    }
                    [] => format!("{} {} is still referred to by other rows", entity.name, bound.id),
                    fields => format!("{} points to a row that does not exist", fields.join(" and ")),
                };
                error(message, "foreignKey", &fields)
            }
        }
    }

    /// The relations among the written columns whose target is not there.
    fn dangling(&self, entity: &Entity, bound: &BoundWrite, values: &[Value]) -> Vec<String> {
        let mut fields = Vec::new();
        // A new row may point to itself.
        let new_key = bound.row.iter().position(|(id, _)| *id == entity.key).map(|at| &values[at]);
        for ((id, _), value) in bound.row.iter().zip(values) {
            let column = entity.column(*id);
            let Some(reference) = &column.references else { continue };
            let target = self.context.model.entity(reference.target);
            let is_itself = target.id == entity.id && Some(value) == new_key;
            if *value != Value::Null && !is_itself && matches!(self.version(target, value), Ok(None)) {
                fields.push(column.field.clone());
            }
        }
        fields
    }
}

fn not_found(entity: &Entity, bound: &BoundWrite) -> GraphqlError {
    GraphqlError::new(Code::NotFound, format!("there is no {} {}", entity.name, bound.id))
}

/// Whether an SQL expression has this name in it, and not just as a part of another word.
fn names(expression: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    expression
        .match_indices(name)
        .any(|(at, _)| !expression[..at].ends_with(is_word) && !expression[at + name.len()..].starts_with(is_word))
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
