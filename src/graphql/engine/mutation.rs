//! A mutation that runs: one transaction, from which its answer is written. Where its steps are known
//! in advance, the store runs them by itself.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::parts::{Answer, Parts, unversioned};
use crate::conditional::IfMatch;
use crate::dependency::Dependencies;
use crate::etag::ResponseHasher;
use crate::graphql::bound::{Arguments, BoundPlan};
use crate::graphql::error::{Code, GraphqlError};
use crate::graphql::plan::{Action, Plan};
use crate::graphql::read::Reader;
use crate::graphql::write::ahead::{self, StepPlanner};
use crate::graphql::write::{Fields, WriteError, Writer};
use crate::model::Value;
use crate::store::{Levels, OnceOnly, Source, State, Step, Transaction, Writing};

/// A mutation that takes effect once, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The key that the client gives it.
    pub key: String,
    /// A hash of the whole request.
    pub request: [u8; 32],
    /// How long the first answer is kept. If the mutation is sent again later than that, it takes
    /// effect again.
    pub retention: Duration,
}

/// A mutation that is running.
pub(super) struct MutationRun {
    pub(super) parts: Arc<Parts>,
    pub(super) plan: Arc<Plan>,
    pub(super) bound: BoundPlan,
    pub(super) if_match: Option<IfMatch>,
    pub(super) once: Option<Once>,
}

impl Writing for MutationRun {
    type Output = Answer;
    type Error = WriteError;

    async fn write<T: Transaction>(&self, transaction: &T) -> Result<Answer, WriteError> {
        let policy = self.plan.policy;
        if let Some(once) = &self.once
            && let Some(body) = answered(transaction, once).await?
        {
            return Ok(Answer {
                body,
                etag: None,
                field_errors: false,
                policy,
                dependencies: Dependencies::default(),
            });
        }
        let State { identity, guard } = transaction.state().await?;
        let keys = self.parts.etag_keys(identity);
        let context = self.parts.context(&self.bound, &keys);
        let mut reader = Reader::new(context, ResponseHasher::unused());
        let writer = Writer {
            context,
            transaction,
            guard: &guard,
            if_match: self.if_match.as_ref(),
            place: Cell::new(self.plan.places),
        };
        write(&self.plan, &writer, &mut reader).await.map_err(|error| match error {
            WriteError::Store(error) => WriteError::Store(unversioned(error, &guard)),
            error @ WriteError::Client(_) => error,
        })?;
        if let Some(once) = &self.once {
            transaction.keep_answer(&once.key, &once.request, &reader.out, once.retention).await?;
        }
        Ok(Answer::to_mutation(reader, policy))
    }

    fn steps(&self, state: &State) -> Option<Vec<Step<'_, impl Levels<'_> + Send>>> {
        let keys = self.parts.etag_keys(state.identity);
        let planner = StepPlanner {
            plan: &self.plan,
            bound: &self.bound,
            model: self.parts.compiler.model(),
            limits: self.parts.limits,
            etag_keys: &keys.by_entity,
            guard: &state.guard,
            if_match: self.if_match.as_ref(),
        };
        planner.steps()
    }

    fn finish<S: Source>(
        &self,
        state: &State,
        keys: &[Value],
        source: &S,
    ) -> Result<Answer, WriteError> {
        let etag_keys = self.parts.etag_keys(state.identity);
        let context = self.parts.context(&self.bound, &etag_keys);
        let mut reader = Reader::new(context, ResponseHasher::unused());
        ahead::answer(&self.plan, context, &mut reader, keys, source)?;
        Ok(Answer::to_mutation(reader, self.plan.policy))
    }

    fn names_version(&self) -> bool {
        let names = |bound: &Arguments| matches!(bound, Arguments::Write(bound) if bound.expected_etag.is_some());
        self.if_match.is_some() || self.bound.arguments.iter().any(names)
    }

    fn most_bytes(&self) -> usize {
        self.parts.limits.max_response_bytes
    }

    fn once(&self) -> Option<OnceOnly<'_>> {
        let once = self.once.as_ref()?;
        Some(OnceOnly { key: &once.key, request: &once.request, retention: once.retention })
    }

    fn body(answer: &Answer) -> &[u8] {
        &answer.body
    }
}

/// The answer that was kept when this mutation took effect.
async fn answered<T: Transaction>(
    transaction: &T,
    once: &Once,
) -> Result<Option<Bytes>, WriteError> {
    match transaction.kept_answer(&once.key, once.retention).await? {
        Some(kept) if kept.request != once.request => {
            let message =
                "the Idempotency-Key belongs to another request; give each mutation its own key";
            Err(GraphqlError::new(Code::IdempotencyKeyReused, message).into())
        }
        kept => Ok(kept.map(|kept| kept.answer.into())),
    }
}

async fn write<'a, T: Transaction>(
    plan: &'a Plan,
    writer: &Writer<'a, '_, T>,
    reader: &mut Reader<'a>,
) -> Result<(), WriteError> {
    let mut fields = Fields::begin(plan, reader);
    while let Some((field, write)) = fields.next_write(reader) {
        writer.run(field, write, reader).await?;
    }
    Ok(reader.end_mutation()?)
}

/// `If-Match` names one row, so it must apply to exactly one field.
pub(super) fn check_if_match(plan: &Plan, bound: &[Arguments]) -> Result<(), GraphqlError> {
    let open = plan.writes().filter(|write| {
        write.action != Action::Create
            && matches!(&bound[write.bound], Arguments::Write(bound) if bound.expected_etag.is_none())
    });
    let why = match open.count() {
        1 => return Ok(()),
        0 => "If-Match was sent, but each field of this mutation has an expectedEtag or takes none",
        _ => {
            "If-Match was sent, but several fields of this mutation could take it; give each its expectedEtag"
        }
    };
    Err(GraphqlError::new(Code::BadRequest, why))
}
