//! A query that runs: one read of the store, from which its answer is written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::parts::{Answer, Parts, unversioned};
use crate::cache_control::Policy;
use crate::etag::{Ingredient, ResponseHasher};
use crate::graphql::bound::BoundPlan;
use crate::graphql::fetch::Fetch;
use crate::graphql::plan::{Plan, RootKind};
use crate::graphql::read::{ReadError, Reader};
use crate::model::scalar::ValueRef;
use crate::store::{Guard, Levels, Reading, Source, State};

/// A query that is running.
pub(super) struct QueryRun {
    pub(super) parts: Arc<Parts>,
    pub(super) plan: Arc<Plan>,
    pub(super) bound: BoundPlan,
    pub(super) hasher: ResponseHasher,
    pub(super) spliced: BTreeMap<String, Box<RawValue>>,
    pub(super) observed: bool,
}

/// A query's result.
pub(super) struct Read {
    pub(super) answer: Answer,
    pub(super) identity: [u8; 16],
    pub(super) running: Duration,
    pub(super) ingredients: Vec<Ingredient>,
}

impl Reading for QueryRun {
    type Output = Read;
    type Error = ReadError;

    fn levels(&self) -> impl Levels<'_> + Send {
        Fetch::query(
            &self.plan,
            self.parts.compiler.model(),
            &self.bound,
            self.parts.limits.max_rows,
        )
    }

    fn read<S: Source>(&self, state: &State, source: &S) -> Result<Read, ReadError> {
        let begun = self.observed.then(Instant::now);
        let keys = self.parts.etag_keys(state.identity);
        let mut hasher = self.hasher.clone();
        hasher.set_epoch(&keys.epoch);
        let mut reader = Reader::new(self.parts.context(&self.bound, &keys), hasher);
        read(&self.plan, &mut reader, source, &self.spliced)
            .map_err(|halt| unreadable(halt, &state.guard))?;
        let ingredients = if self.observed { reader.hasher.ingredients() } else { Vec::new() };
        self.parts.mentioned.report(&reader.unreadable);
        let answer = finish(reader, self.plan.policy, &state.guard);
        let running = begun.map(|begun| begun.elapsed()).unwrap_or_default();
        Ok(Read { answer, identity: keys.epoch, running, ingredients })
    }
}

fn unreadable(halt: ReadError, guard: &Guard) -> ReadError {
    match halt {
        ReadError::Store(error) => ReadError::Store(unversioned(error, guard)),
        halt => halt,
    }
}

/// Never fails with [`ReadError::Null`].
fn read<'a, S: Source>(
    plan: &'a Plan,
    reader: &mut Reader<'a>,
    source: &S,
    spliced: &BTreeMap<String, Box<RawValue>>,
) -> Result<(), ReadError> {
    reader.out.extend_from_slice(b"{\"data\":{");
    let start = reader.out.len() - 1;
    for (i, field) in plan.root.iter().enumerate() {
        reader.begin_root(i, &field.key);
        let done = match &field.kind {
            RootKind::Typename(json) => {
                reader.out.extend_from_slice(json.as_bytes());
                Ok(())
            }
            RootKind::Introspection => {
                reader.splice(spliced.get(&field.key.name).map_or("null", |json| json.get()))
            }
            RootKind::One(one) => reader.one(source, one),
            RootKind::List(list) => reader.connection(source, list, ValueRef::Null),
            RootKind::Node(node) => reader.nodes(source, node),
            RootKind::Write(_) => unreachable!("a query has no writes"),
        };
        match done {
            Ok(()) => {}
            Err(halt @ (ReadError::Store(_) | ReadError::Limit(_))) => return Err(halt),
            Err(ReadError::Null) => {
                // A non-null root field failed, so `data` is null.
                reader.out.truncate(start);
                reader.out.extend_from_slice(b"null");
                return Ok(());
            }
        }
    }
    reader.out.push(b'}');
    Ok(())
}

fn finish(mut reader: Reader<'_>, policy: Policy, guard: &Guard) -> Answer {
    let dependencies = reader.dependencies();
    let mut body = reader.out;
    if reader.errors.is_empty() && !guard.covers(&dependencies) {
        body.push(b'}');
        return Answer { body: body.into(), etag: None, field_errors: false, policy, dependencies };
    }
    if reader.errors.is_empty() {
        let etag = reader.hasher.finish();
        body.extend_from_slice(b",\"extensions\":{\"etag\":\"");
        body.extend_from_slice(etag.as_str().as_bytes());
        body.extend_from_slice(b"\"}}");
        return Answer {
            body: body.into(),
            etag: Some(etag),
            field_errors: false,
            policy,
            dependencies,
        };
    }
    body.extend_from_slice(b",\"errors\":");
    serde_json::to_writer(&mut body, &reader.errors).expect("writing to memory does not fail");
    body.push(b'}');
    Answer { body: body.into(), etag: None, field_errors: true, policy, dependencies }
}
