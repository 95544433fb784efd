//! Runs a mutation: its root fields one after the other in one transaction. Each is answered with
//! the row as it is at that point, read by the same code that answers queries. Any failure rolls
//! everything back.

pub(crate) mod ahead;
mod conflict;
mod fields;
mod rules;

use std::cell::Cell;

use serde_json::value::RawValue;

use super::bound::{Arguments, BoundWrite};
use super::coerce::Write;
use super::error::{Code, GraphqlError, PathSegment};
use super::fetch::Fetch;
use super::plan::{Action, RootField, WritePlan};
use super::read::{Context, ReadError, Reader};
use crate::conditional::IfMatch;
use crate::dependency::Version;
use crate::etag::{EntityEtag, EntityEtagKey, ResponseHasher, TokenError};
use crate::model::{Access, Column, ColumnId, DefaultValue, Entity, Value};
use crate::store::{Guard, Refusal, StoreError, Transaction};

pub(crate) use conflict::unkept;
pub(crate) use fields::Fields;

/// What a write expects of the row.
enum Expectation {
    Nothing,
    Exists,
    Version(Version),
    /// Why no version can match.
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

    /// The version that the row must have; None for any.
    fn version(&self) -> Option<Version> {
        match self {
            Self::Version(version) => Some(*version),
            Self::Nothing | Self::Exists | Self::Never(_) => None,
        }
    }
}

/// The error of a mutation's field.
#[derive(Debug)]
pub(crate) enum WriteError {
    Client(Box<GraphqlError>),
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

/// Runs one root field of a mutation within its transaction.
pub(crate) struct Writer<'a, 't, T> {
    /// Names and arguments.
    pub context: Context<'a>,
    /// The transaction in which it writes.
    pub transaction: &'t T,
    /// Which entities have reliable versions.
    pub guard: &'a Guard,
    /// Used in place of an `expectedEtag` that was not given.
    pub if_match: Option<&'a IfMatch>,
    /// The next place for a query that does not belong to the plan.
    pub place: Cell<usize>,
}

impl<'a, T: Transaction> Writer<'a, '_, T> {
    /// Writes, and appends the answer to that of `reader`.
    pub(crate) async fn run(
        &self,
        field: &'a RootField,
        plan: &'a WritePlan,
        reader: &mut Reader<'a>,
    ) -> Result<(), WriteError> {
        let done = match plan.action {
            Action::Create => self.create(plan, reader).await,
            Action::Update => self.update(plan, reader).await,
            Action::Delete => self.delete(plan, reader).await,
        };
        done.map_err(|error| match error {
            WriteError::Client(mut error) => {
                // Errors from reading the row for the answer already have a path.
                if error.path.is_empty() {
                    error.path = vec![PathSegment::Key(field.key.name.clone())];
                }
                error.locations = vec![field.position];
                WriteError::Client(error)
            }
            store => store,
        })
    }

    fn bound(&self, plan: &'a WritePlan) -> (&'a Entity, &'a BoundWrite) {
        let Arguments::Write(bound) = &self.context.bound.arguments[plan.bound] else {
            unreachable!("a write's arguments are a write's");
        };
        (self.context.model.entity(plan.row.entity), bound)
    }

    async fn create(&self, plan: &'a WritePlan, reader: &mut Reader<'a>) -> Result<(), WriteError> {
        let (entity, bound) = self.bound(plan);
        let row = made_row(entity, bound);
        self.check_references(entity, &row).await?;
        let key = match self.transaction.insert(entity, &row).await {
            Ok(key) => key,
            Err(refusal) => {
                let hidden = self.is_in_the_way_of_hidden(&refusal, entity, None, &row).await?;
                return Err(self.conflict(refusal, entity, bound, Action::Create, hidden));
            }
        };
        self.check_created(entity, &key).await?;
        self.answer(entity, plan, &key, reader).await
    }

    async fn update(&self, plan: &'a WritePlan, reader: &mut Reader<'a>) -> Result<(), WriteError> {
        let (entity, bound) = self.bound(plan);
        let key = key(entity, bound)?;
        let allowed = self.check_found(entity, key, bound, Action::Update).await?;
        let expectation = self.expectation(entity, key, bound).await?;
        let Some(allowed) = allowed else {
            return Err(self.refused(entity, plan, bound, key, &expectation).await?.into());
        };
        let row = made_row(entity, bound);
        if self.is_expected(entity, key, &expectation).await? {
            self.check_references(entity, &row).await?;
        }
        let done = match &expectation {
            Expectation::Never(_) => Err(Refusal::Absent),
            // An empty patch changes nothing, but the expectation must still hold.
            _ if row.is_empty() => {
                match expectation.holds_for(self.transaction.lock(entity, key).await?) {
                    true => Ok(()),
                    false => Err(Refusal::Absent),
                }
            }
            _ => self.transaction.update(entity, key, expectation.version(), &row).await,
        };
        match done {
            Ok(()) => {
                self.check_updated(entity, key, allowed).await?;
                self.answer(entity, plan, key, reader).await
            }
            Err(Refusal::Absent) => {
                Err(self.refused(entity, plan, bound, key, &expectation).await?.into())
            }
            Err(refusal) => {
                let hidden =
                    self.is_in_the_way_of_hidden(&refusal, entity, Some(key), &row).await?;
                Err(self.conflict(refusal, entity, bound, Action::Update, hidden))
            }
        }
    }

    async fn delete(&self, plan: &'a WritePlan, reader: &mut Reader<'a>) -> Result<(), WriteError> {
        let (entity, bound) = self.bound(plan);
        let key = key(entity, bound)?;
        let is_there = self.check_found(entity, key, bound, Action::Delete).await?.is_some();
        let expectation = self.expectation(entity, key, bound).await?;
        if !is_there {
            return Err(self.refused(entity, plan, bound, key, &expectation).await?.into());
        }
        let found = self.transaction.lock(entity, key).await?;
        if !expectation.holds_for(found) {
            return Err(self.refused(entity, plan, bound, key, &expectation).await?.into());
        }
        // The answer shows the row before the delete, so exactly this version must be deleted.
        self.answer(entity, plan, key, reader).await?;
        match self.transaction.delete(entity, key, found).await {
            Ok(()) => Ok(()),
            Err(Refusal::Absent) => {
                Err(self.refused(entity, plan, bound, key, &expectation).await?.into())
            }
            Err(refusal) => Err(self.conflict(
                refusal,
                entity,
                bound,
                Action::Delete,
                self.context.model.has_rules,
            )),
        }
    }

    /// The current row, in the selection of the field.
    async fn answer(
        &self,
        entity: &Entity,
        plan: &'a WritePlan,
        key: &Value,
        reader: &mut Reader<'a>,
    ) -> Result<(), WriteError> {
        let fetch = Fetch::row(&plan.row, key, self.context.bound, self.context.limits.max_rows);
        match self
            .transaction
            .read(fetch, |source| reader.row_by_key(source, &plan.row, key))
            .await?
        {
            Ok(true) => Ok(()),
            Ok(false) if !self.context.model.is_open(entity.id, Access::Read) => {
                // There would be no answer, and the client must know what was written.
                let message =
                    format!("you may not read the {} that this write would leave", entity.name);
                Err(GraphqlError::new(Code::Forbidden, message).into())
            }
            Ok(false) => Err(StoreError::Corrupt(format!(
                "a row of {} is gone right after it was written",
                entity.name
            ))
            .into()),
            Err(ReadError::Store(error)) => Err(error.into()),
            Err(ReadError::Limit(error)) => Err((*error).into()),
            Err(ReadError::Null) => {
                let error = reader.errors.pop();
                Err(error
                    .unwrap_or_else(|| {
                        GraphqlError::new(Code::InternalServerError, "the row cannot be read")
                    })
                    .into())
            }
        }
    }

    /// What `expectedEtag`, or otherwise `If-Match`, requires of the row.
    async fn expectation(
        &self,
        entity: &Entity,
        key: &Value,
        bound: &BoundWrite,
    ) -> Result<Expectation, WriteError> {
        let expected_etag = bound.expected_etag.as_deref();
        let names_version =
            matches!((expected_etag, self.if_match), (Some(_), _) | (None, Some(IfMatch::Tags(_))));
        if names_version && expected_etag != Some("*") && self.guard.why_not(entity.id).is_some() {
            let message = format!(
                "whether {} has changed since it was read cannot be told: the database no longer keeps its versions, and its \
                 operator has to repair it",
                entity.name
            );
            return Err(GraphqlError::new(Code::DatabaseUnavailable, message).into());
        }
        let etag_key = &self.context.etag_keys[usize::from(entity.id.0)];
        match expected(entity, etag_key, key, bound, self.if_match)? {
            Expected::Is(expectation) => Ok(expectation),
            Expected::OneOf(versions) => {
                let found = self.transaction.lock(entity, key).await?;
                let found = found.filter(|found| versions.contains(found));
                Ok(Expectation::Version(found.unwrap_or(versions[0])))
            }
        }
    }

    /// Why the row was not written: it does not exist, or is not as expected; in that case with its
    /// current state.
    async fn refused(
        &self,
        entity: &'a Entity,
        plan: &'a WritePlan,
        bound: &BoundWrite,
        key: &Value,
        expectation: &Expectation,
    ) -> Result<GraphqlError, StoreError> {
        let version = self.transaction.lock(entity, key).await?;
        if version.is_none() && matches!(expectation, Expectation::Nothing | Expectation::Never(_))
        {
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
        error.extensions.push(("current", self.current(plan, key).await?));
        Ok(error)
    }

    async fn current(&self, plan: &'a WritePlan, key: &Value) -> Result<Box<RawValue>, StoreError> {
        // A separate reader: only these bytes become part of the response.
        let mut reader = Reader::new(self.context, ResponseHasher::unused());
        let fetch = Fetch::row(&plan.row, key, self.context.bound, self.context.limits.max_rows);
        let read = self.transaction.read(fetch, |source| reader.row_by_key(source, &plan.row, key));
        let json = match read.await? {
            Ok(true) => String::from_utf8(reader.out).unwrap_or_default(),
            // A row that exceeds the limits is left out: what matters is that the write is refused.
            Ok(false)
            | Err(
                ReadError::Null
                | ReadError::Limit(_)
                | ReadError::Store(StoreError::Interrupted | StoreError::Late),
            ) => String::new(),
            Err(ReadError::Store(error)) => return Err(error),
        };
        Ok(RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

/// What a write expects of the row, as far as it can be determined without the row.
enum Expected {
    Is(Expectation),
    /// The row has one of these versions; there are at least two.
    OneOf(Vec<Version>),
}

/// What `expectedEtag`, or otherwise `If-Match`, requires of the row.
fn expected(
    entity: &Entity,
    etag_key: &EntityEtagKey,
    key: &Value,
    bound: &BoundWrite,
    if_match: Option<&IfMatch>,
) -> Result<Expected, GraphqlError> {
    let expectation = match (bound.expected_etag.as_deref(), if_match) {
        (Some("*"), _) | (None, Some(IfMatch::Any)) => Expectation::Exists,
        (Some(token), _) => match etag_key.read(token, key) {
            Ok(version) => Expectation::Version(version),
            Err(TokenError::Malformed) => {
                Expectation::Never("expectedEtag is not a token of this server")
            }
            Err(TokenError::OtherRow) => Expectation::Never(
                "expectedEtag is the token of another row, or from before the database's schema was changed",
            ),
        },
        (None, Some(IfMatch::Tags(tags))) => {
            let versions: Vec<Version> =
                tags.iter().filter_map(|tag| etag_key.read(tag, key).ok()).collect();
            match versions[..] {
                [] => Expectation::Never("If-Match holds no token of this row"),
                [version] => Expectation::Version(version),
                _ => return Ok(Expected::OneOf(versions)),
            }
        }
        (None, None) if entity.require_etag => {
            let message = format!(
                "to change {}, say which version was read: give expectedEtag or If-Match",
                entity.name
            );
            return Err(GraphqlError::new(Code::PreconditionRequired, message));
        }
        (None, None) => Expectation::Nothing,
    };
    Ok(Expected::Is(expectation))
}

fn not_found(entity: &Entity, bound: &BoundWrite) -> GraphqlError {
    GraphqlError::new(Code::NotFound, format!("there is no {} {}", entity.name, bound.id))
}

/// The row's key from the arguments.
fn key<'b>(entity: &Entity, bound: &'b BoundWrite) -> Result<&'b Value, WriteError> {
    bound.key.as_ref().ok_or_else(|| not_found(entity, bound).into())
}

/// The values to write; those of functions are computed now.
fn made_row(entity: &Entity, bound: &BoundWrite) -> Vec<(ColumnId, Value)> {
    bound.row.iter().map(|(id, write)| (*id, made(entity.column(*id), write))).collect()
}

fn made(column: &Column, write: &Write) -> Value {
    match write {
        Write::Value(value) => value.clone(),
        Write::Generated(DefaultValue::UuidV7) => {
            Value::Text(uuid::Uuid::now_v7().hyphenated().to_string().into())
        }
        Write::Generated(DefaultValue::Now) => column.scalar.now(),
        // The value of a claim was filled in when the arguments were coerced.
        Write::Generated(DefaultValue::Autoincrement | DefaultValue::Claim(_)) => Value::Null,
        Write::Generated(DefaultValue::Value(value)) => value.clone(),
    }
}
