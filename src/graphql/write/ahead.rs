//! Mutations whose steps are known in advance: what their fields do if nothing prevents it, and the
//! answer from the rows that result. If the steps depend on what is in the database, there are none
//! here, and [`super::Writer`] asks the database step by step.

use super::super::bound::{Arguments, BoundPlan, BoundWrite};
use super::super::fetch::Fetch;
use super::super::plan::{Action, Plan, RootKind, WritePlan};
use super::super::read::{Context, ReadError, Reader};
use super::super::residual::Residual;
use super::super::rules::Grants;
use super::{Expectation, Expected, WriteError, expected, made_row};
use crate::conditional::IfMatch;
use crate::config::AnswerLimits;
use crate::dependency::Version;
use crate::etag::EntityEtagKey;
use crate::model::{Access, ColumnId, Entity, Model, Value};
use crate::store::{Change, Guard, Source, Step, StoreError};

/// Works out a mutation's steps in advance.
pub(crate) struct StepPlanner<'a, 't> {
    /// The mutation's writes and its answer.
    pub plan: &'a Plan,
    /// Its arguments.
    pub bound: &'a BoundPlan,
    /// Names and types.
    pub model: &'a Model,
    /// The limits of the answer.
    pub limits: AnswerLimits,
    /// By entity.
    pub etag_keys: &'t [EntityEtagKey],
    /// Whether versions cover every change.
    pub guard: &'t Guard,
    /// Used for the one field without an `expectedEtag`.
    pub if_match: Option<&'t IfMatch>,
}

impl<'a> StepPlanner<'a, '_> {
    /// The steps; None if they depend on the database's contents.
    pub(in crate::graphql) fn steps(&self) -> Option<Vec<Step<'a, Fetch<'a>>>> {
        writes(self.plan).map(|plan| self.step(plan)).collect()
    }

    fn step(&self, plan: &'a WritePlan) -> Option<Step<'a, Fetch<'a>>> {
        let entity = self.model.entity(plan.row.entity);
        let Arguments::Write(bound) = &self.bound.arguments[plan.bound] else { return None };
        // Unmanaged tables may be views; and if versions are unreliable, the rows themselves must
        // be compared.
        if !entity.managed || self.guard.why_not(entity.id).is_some() {
            return None;
        }
        let row = made_row(entity, bound);
        if self.model.has_rules && !self.is_free(entity, plan.action, &row) {
            return None;
        }
        let (key, change) = match plan.action {
            Action::Create => {
                let (_, key) =
                    row.iter().find(|(id, value)| *id == entity.key && *value != Value::Null)?;
                (key.clone(), Change::Insert(row))
            }
            Action::Update if row.is_empty() => return None,
            Action::Update => {
                (bound.key.clone()?, Change::Update(self.version(entity, bound)?, row))
            }
            Action::Delete => (bound.key.clone()?, Change::Delete(self.version(entity, bound)?)),
        };
        let answer = Fetch::row(&plan.row, &key, self.bound, self.limits.max_rows);
        Some(Step { entity, key, change, answer })
    }

    /// The version that a row must have, if it is a single one. None: that is not known in advance,
    /// or no row can have it.
    #[expect(clippy::option_option, reason = "any version and an unknown one are different")]
    fn version(&self, entity: &Entity, bound: &BoundWrite) -> Option<Option<Version>> {
        let key = bound.key.as_ref()?;
        let etag_key = &self.etag_keys[usize::from(entity.id.0)];
        match expected(entity, etag_key, key, bound, self.if_match).ok()? {
            Expected::Is(Expectation::Never(_)) | Expected::OneOf(_) => None,
            Expected::Is(expectation) => Some(expectation.version()),
        }
    }

    /// Whether the rules allow this viewer every row of the entity, before and after the change.
    fn is_free(&self, entity: &Entity, action: Action, row: &[(ColumnId, Value)]) -> bool {
        let grants: &Grants = &self.bound.grants;
        let all = |id, access| *grants.rows(id, access) == Residual::Everything;
        let refers_freely = row.iter().all(|(id, value)| match &entity.column(*id).references {
            Some(reference) => *value == Value::Null || all(reference.target, Access::Read),
            None => true,
        });
        let every = |with: fn(&(Residual, Residual)) -> bool| {
            grants.each(entity, action.access()).iter().any(with)
        };
        refers_freely
            && match action {
                Action::Create => all(entity.id, Access::Create),
                Action::Update => {
                    let both = |sides: &(Residual, Residual)| {
                        *sides == (Residual::Everything, Residual::Everything)
                    };
                    all(entity.id, Access::Read) && every(both)
                }
                Action::Delete => {
                    all(entity.id, Access::Read)
                        && every(|(before, _)| *before == Residual::Everything)
                }
            }
    }
}

fn writes(plan: &Plan) -> impl Iterator<Item = &WritePlan> {
    plan.root.iter().filter_map(|field| match &field.kind {
        RootKind::Write(write) => Some(&**write),
        _ => None,
    })
}

/// Writes the answer's data. `keys` are those of the steps.
pub(crate) fn answer<'a, S: Source>(
    plan: &'a Plan,
    context: Context<'a>,
    reader: &mut Reader<'a>,
    keys: &[Value],
    source: &S,
) -> Result<(), WriteError> {
    reader.out.extend_from_slice(b"{\"data\":{");
    let mut keys = keys.iter();
    for (i, field) in plan.root.iter().enumerate() {
        reader.begin_root(i, &field.key);
        match &field.kind {
            RootKind::Typename(json) => reader.out.extend_from_slice(json.as_bytes()),
            RootKind::Write(write) => {
                let key = keys.next().unwrap_or(&Value::Null);
                match reader.row_by_key(source, &write.row, key) {
                    Ok(true) => {}
                    Ok(false) => {
                        let entity = &context.model.entity(write.row.entity).name;
                        return Err(StoreError::Corrupt(format!(
                            "a row of {entity} is gone right after it was written"
                        ))
                        .into());
                    }
                    Err(ReadError::Store(error)) => return Err(error.into()),
                    Err(ReadError::Limit(error)) => return Err((*error).into()),
                    Err(ReadError::Null) => break,
                }
            }
            _ => unreachable!("a mutation has writes only"),
        }
    }
    Ok(reader.end_mutation()?)
}
