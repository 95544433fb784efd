//! Compiles documents and runs operations: plan, arguments, snapshot, bytes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::runtime::Handle;

use super::argument::Variables;
use super::bind::bind;
use super::bound::{Arguments, BoundPlan};
use super::compile::Roots;
use super::decider::Decider;
use super::document::{Document, Operation};
use super::error::{Code, GraphqlError};
use super::fetch::Fetch;
use super::introspect::Introspection;
use super::observation::Observation;
use super::parsed::Parsed;
use super::plan::{Action, Plan, RootKind};
use super::read::{Context, ReadError, Reader};
use super::rules::Grants;
use super::schema::{Api, SchemaError, build_schema};
use super::typename;
use super::validate::validate;
use super::write::ahead::{self, StepPlanner};
use super::write::{WriteError, Writer, unkept};
use crate::cache_control::Policy;
use crate::conditional::IfMatch;
use crate::config::AnswerLimits;
use crate::dependency::Dependencies;
use crate::document_id::DocumentId;
use crate::etag::{EntityEtagKey, Ingredient, ResponseEtag, ResponseHasher};
use crate::model::scalar::ValueRef;
use crate::model::{Access, EntityId, Model, Value};
use crate::question::{Question, View};
use crate::store::{
    Guard, Levels, OnceOnly, REMEDY, Reading, Source, State, Step, Store, StoreError, Transaction,
    Writing,
};
use crate::viewer::Viewer;

/// Compiles and runs documents. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    parts: Arc<Parts>,
    store: Store,
}

struct Parts {
    compiler: Compiler,
    roots: Roots,
    /// For the epoch of the last operation.
    etag_keys: ArcSwap<EtagKeys>,
    limits: AnswerLimits,
}

/// The keys that row ETags are computed with.
struct EtagKeys {
    epoch: [u8; 16],
    by_entity: Vec<EntityEtagKey>,
}

impl EtagKeys {
    fn new(epoch: [u8; 16], model: &Model) -> Self {
        let by_entity =
            model.entities.iter().map(|entity| EntityEtagKey::new(&epoch, &entity.name)).collect();
        Self { epoch, by_entity }
    }
}

/// Checks and compiles documents against a model's API. It needs no data, so commands without a
/// database use it, too. Cheap to clone.
#[derive(Clone)]
pub struct Compiler {
    model: Arc<Model>,
    api: Arc<Api>,
    /// Whether `__typename` is added to the answers of registered documents, see [`typename`].
    typename: bool,
}

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

/// An operation that is ready to run for a viewer.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    operation: &'a Operation,
    variables: &'a Variables,
    plan: Arc<Plan>,
    bound: BoundPlan,
    view: View,
    planning: Duration,
}

impl<'a> Asked<'a> {
    /// The question that it asks.
    pub fn question(&self) -> Question<'a> {
        self.operation.question(self.variables, self.view)
    }

    /// What the answer depends on of its viewer.
    pub fn view(&self) -> View {
        self.view
    }

    /// The rules that apply to this viewer, for display: entity, access, and condition.
    pub fn rules(&self) -> Vec<(EntityId, Access, String)> {
        self.bound.grants.used()
    }
}

/// A query's or mutation's successful answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The whole response body: `{"data":…,"extensions":{"etag":…}}` (with `errors`, if there are
    /// `field_errors`).
    pub body: Bytes,
    /// None for mutations, for answers with field errors, and if versions do not cover every change
    /// to the rows that were read: such answers have no validator and are never stored.
    pub etag: Option<ResponseEtag>,
    /// Whether fields are null because of an error in the data; the body then has `errors` next to
    /// `data`.
    pub field_errors: bool,
    /// How caches may use it.
    pub policy: Policy,
    /// Its dependencies.
    pub touched: Dependencies,
}

impl Compiler {
    /// Builds the schema of the model's API.
    ///
    /// # Errors
    /// The model has no API, because names collide.
    pub fn new(model: Arc<Model>) -> Result<Self, SchemaError> {
        Ok(Self { api: Arc::new(build_schema(&model)?), model, typename: false })
    }

    /// Adds `__typename` to the answers of registered documents that do not select it. This is part
    /// of all ETags.
    #[must_use]
    pub fn with_typename(self) -> Self {
        let mut model = Model::clone(&self.model);
        model.fingerprint = *blake3::Hasher::new()
            .update(&model.fingerprint)
            .update(b"typename")
            .finalize()
            .as_bytes();
        Self { model: Arc::new(model), typename: true, ..self }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The field that makes an operation's answer depend on the viewer; None if no request's answer
    /// does.
    pub fn private_field(&self, operation: &Operation) -> Option<Decider> {
        let roots = Roots::of(&self.model);
        [true, false].into_iter().find_map(|condition| private_field(&roots, operation, condition))
    }

    /// The API as SDL; deterministic.
    pub fn sdl(&self) -> &str {
        &self.api.sdl
    }

    /// Parses, validates and compiles a document.
    ///
    /// # Errors
    /// All mistakes found, with their locations in the document: `GRAPHQL_PARSE_FAILED` or
    /// `GRAPHQL_VALIDATION_FAILED`.
    pub async fn compile(
        &self,
        id: DocumentId,
        text: Arc<str>,
    ) -> Result<Document, Vec<GraphqlError>> {
        let tree = Arc::new(validate(&self.api, &text).await?);
        Ok(Document::new(id, Parsed::new(text, false, tree), &self.model, &self.api.definitions))
    }

    /// Compiles a document that the operator registers.
    ///
    /// # Errors
    /// Those of [`Self::compile`].
    pub async fn compile_registered(
        &self,
        id: DocumentId,
        text: Arc<str>,
    ) -> Result<Document, Vec<GraphqlError>> {
        let mut tree = validate(&self.api, &text).await?;
        if self.typename {
            typename::add(&mut tree);
        }
        let parsed = Parsed::new(text, self.typename, Arc::new(tree));
        Ok(Document::new(id, parsed, &self.model, &self.api.definitions))
    }
}

impl Engine {
    /// Runs what the compiler compiles, within the default limits.
    pub fn new(compiler: Compiler, store: Store) -> Self {
        Self::with_limits(compiler, store, AnswerLimits::default())
    }

    /// Runs what the compiler compiles, within these limits.
    pub fn with_limits(compiler: Compiler, store: Store, limits: AnswerLimits) -> Self {
        let model = &compiler.model;
        let etag_keys = ArcSwap::from_pointee(EtagKeys::new([0; 16], model));
        let roots = Roots::of(model);
        Self { parts: Arc::new(Parts { compiler, roots, etag_keys, limits }), store }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.parts.compiler.model
    }

    /// The compiler.
    pub fn compiler(&self) -> &Compiler {
        &self.parts.compiler
    }

    /// The same engine, fetching rows ahead: see [`Store::fetching_ahead`].
    #[must_use]
    pub fn fetching_ahead(&self) -> Self {
        Self { parts: self.parts.clone(), store: self.store.clone().fetching_ahead() }
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether the answer depends on the viewer.
    ///
    /// # Errors
    /// The document was not validated against this model.
    pub fn is_private(
        &self,
        operation: &Operation,
        variables: &Variables,
    ) -> Result<bool, Vec<GraphqlError>> {
        if !self.model().has_rules {
            return Ok(false);
        }
        let outline = operation
            .outline(&self.parts.roots, variables)
            .map_err(|error| vec![GraphqlError::internal(error)])?;
        Ok(outline.accesses.is_private())
    }

    /// Prepares an operation to run for a viewer: decides what the viewer may see, and coerces all
    /// arguments.
    ///
    /// # Errors
    /// The viewer may not do this, or an argument cannot be coerced.
    pub fn ask<'a>(
        &self,
        operation: &'a Operation,
        variables: &'a Variables,
        viewer: &Viewer,
    ) -> Result<Asked<'a>, Vec<GraphqlError>> {
        self.ask_with(operation, variables, Grants::of(self.model(), viewer.clone()))
    }

    /// Prepares an operation to run for the operator, to whom no rules apply: for commands on the
    /// machine that has the database.
    ///
    /// # Errors
    /// An argument cannot be coerced.
    pub fn ask_as_operator<'a>(
        &self,
        operation: &'a Operation,
        variables: &'a Variables,
    ) -> Result<Asked<'a>, Vec<GraphqlError>> {
        self.ask_with(operation, variables, Grants::unruled(self.model()))
    }

    fn ask_with<'a>(
        &self,
        operation: &'a Operation,
        variables: &'a Variables,
        grants: Grants,
    ) -> Result<Asked<'a>, Vec<GraphqlError>> {
        let begun = Instant::now();
        let (model, grants) = (self.model(), Arc::new(grants));
        let plan = operation
            .plan(&self.parts.roots, variables, &grants)
            .map_err(|error| vec![GraphqlError::internal(error)])?;
        let denials = plan.accesses.denials(model, &grants);
        if !denials.is_empty() {
            return Err(denials);
        }
        let bound = bind(model, &plan, variables, &grants)?;
        let view = match plan.accesses.is_private() {
            true => grants.view(&plan.accesses.written()),
            false => View::Public,
        };
        Ok(Asked { operation, variables, plan, bound, view, planning: begun.elapsed() })
    }

    /// Runs a query in one read snapshot, for an anonymous viewer.
    ///
    /// # Errors
    /// Nothing was read that the client may see; each error says why.
    pub async fn query(
        &self,
        operation: &Operation,
        variables: &Variables,
    ) -> Result<Answer, Vec<GraphqlError>> {
        self.answer(&self.ask(operation, variables, &Viewer::Anonymous)?).await
    }

    /// Runs a query in one read snapshot.
    ///
    /// # Errors
    /// Those of [`Self::query`].
    pub async fn answer(&self, asked: &Asked<'_>) -> Result<Answer, Vec<GraphqlError>> {
        Ok(self.run(asked, false).await?.0)
    }

    /// Runs a query like [`Self::answer`] and also returns what was observed.
    ///
    /// # Errors
    /// Those of [`Self::query`].
    pub async fn observe(
        &self,
        asked: &Asked<'_>,
    ) -> Result<(Answer, Observation), Vec<GraphqlError>> {
        let (answer, observation) = self.run(asked, true).await?;
        Ok((answer, observation.map(|observation| *observation).unwrap_or_default()))
    }

    async fn run(
        &self,
        asked: &Asked<'_>,
        observed: bool,
    ) -> Result<(Answer, Option<Box<Observation>>), Vec<GraphqlError>> {
        let begun = observed.then(Instant::now);
        let Asked { operation, variables, plan, bound, .. } = asked;
        let spliced = match operation.introspection() {
            Some(introspection) => {
                self.introspect(introspection.clone(), variables.to_json()).await?
            }
            None => BTreeMap::new(),
        };
        let hasher = ResponseHasher::new(&self.parts.compiler.model.fingerprint, &asked.question());
        let planning = begun.map(|begun| asked.planning + begun.elapsed()).unwrap_or_default();
        let reading = QueryRun {
            parts: self.parts.clone(),
            plan: plan.clone(),
            bound: bound.clone(),
            hasher,
            spliced,
            observed,
        };
        let answer = self.store.read(self.parts.limits.max_steps, reading, observed).await;
        let (Read { answer, identity, running, ingredients }, observed) =
            answer.map_err(|halt| match halt {
                ReadError::Limit(error) => vec![*error],
                ReadError::Store(error) => vec![refused(error)],
                ReadError::Null => unreachable!("a failed root field is an answer"),
            })?;
        let observation = observed.map(|observed| {
            Box::new(Observation {
                epoch: identity,
                planning,
                running,
                statements: observed.statements,
                ingredients,
                as_of: observed.as_of,
                deciders: plan.deciders.clone(),
            })
        });
        Ok((answer, observation))
    }

    /// Serializes the schema, on a thread that may block: this is milliseconds of work without a
    /// pause.
    async fn introspect(
        &self,
        introspection: Introspection,
        variables: serde_json::Map<String, serde_json::Value>,
    ) -> Result<BTreeMap<String, Box<RawValue>>, Vec<GraphqlError>> {
        let (parts, runtime) = (self.parts.clone(), Handle::current());
        let run = move || runtime.block_on(introspection.run(&parts.compiler.api, &variables));
        tokio::task::spawn_blocking(run)
            .await
            .unwrap_or_else(|error| Err(vec![GraphqlError::internal(error)]))
    }

    /// Runs a mutation as one transaction; `if_match` is used for the one field without an
    /// `expectedEtag`.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn mutate(
        &self,
        operation: &Operation,
        variables: &Variables,
        if_match: Option<IfMatch>,
    ) -> Result<Answer, Vec<GraphqlError>> {
        self.mutate_once(&self.ask(operation, variables, &Viewer::Anonymous)?, if_match, None).await
    }

    /// Runs a mutation like [`Self::mutate`]. If it has a key (`once`) and has taken effect before,
    /// it is not run, and the first answer is returned.
    ///
    /// # Errors
    /// Nothing was written; or `IDEMPOTENCY_KEY_REUSED`, if the key belongs to another request.
    pub async fn mutate_once(
        &self,
        asked: &Asked<'_>,
        if_match: Option<IfMatch>,
        once: Option<Once>,
    ) -> Result<Answer, Vec<GraphqlError>> {
        let Asked { plan, bound, .. } = asked;
        if if_match.is_some() {
            check_if_match(plan, &bound.arguments).map_err(|error| vec![error])?;
        }
        let run = MutationRun {
            parts: self.parts.clone(),
            plan: plan.clone(),
            bound: bound.clone(),
            if_match,
            once,
        };
        self.store.write(run).await.map_err(|error| match error {
            WriteError::Client(error) => vec![*error],
            // A deferred constraint: it failed in the commit, outside of any field.
            WriteError::Store(StoreError::Constraint(constraint)) => {
                vec![unkept(&constraint, plan)]
            }
            WriteError::Store(error) => vec![refused(error)],
        })
    }
}

/// The field that makes an operation's answer depend on the viewer.
fn private_field(roots: &Roots, operation: &Operation, condition: bool) -> Option<Decider> {
    operation.outline(roots, &operation.defaults(condition)).ok()?.accesses.private.clone()
}

/// A query that is running.
struct QueryRun {
    parts: Arc<Parts>,
    plan: Arc<Plan>,
    bound: BoundPlan,
    hasher: ResponseHasher,
    spliced: BTreeMap<String, Box<RawValue>>,
    observed: bool,
}

/// A query's result.
struct Read {
    answer: Answer,
    identity: [u8; 16],
    running: Duration,
    ingredients: Vec<Ingredient>,
}

impl Reading for QueryRun {
    type Output = Read;
    type Error = ReadError;

    fn levels(&self) -> impl Levels<'_> + Send {
        Fetch::query(
            &self.plan,
            &self.parts.compiler.model,
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
        let answer = finish(reader, self.plan.policy, &state.guard);
        let running = begun.map(|begun| begun.elapsed()).unwrap_or_default();
        Ok(Read { answer, identity: keys.epoch, running, ingredients })
    }
}

/// A mutation that is running.
struct MutationRun {
    parts: Arc<Parts>,
    plan: Arc<Plan>,
    bound: BoundPlan,
    if_match: Option<IfMatch>,
    once: Option<Once>,
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
                touched: Dependencies::default(),
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
        reader.out.push(b'}');
        if let Some(once) = &self.once {
            transaction.keep_answer(&once.key, &once.request, &reader.out, once.retention).await?;
        }
        let touched = reader.touched();
        Ok(Answer { body: reader.out.into(), etag: None, field_errors: false, policy, touched })
    }

    fn steps(&self, state: &State) -> Option<Vec<Step<'_, impl Levels<'_> + Send>>> {
        let keys = self.parts.etag_keys(state.identity);
        let planner = StepPlanner {
            plan: &self.plan,
            bound: &self.bound,
            model: &self.parts.compiler.model,
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
        let touched = reader.touched();
        Ok(Answer {
            body: reader.out.into(),
            etag: None,
            field_errors: false,
            policy: self.plan.policy,
            touched,
        })
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

impl Parts {
    fn context<'a>(&'a self, bound: &'a BoundPlan, keys: &'a EtagKeys) -> Context<'a> {
        Context {
            model: &self.compiler.model,
            etag_keys: &keys.by_entity,
            bound,
            limits: self.limits,
        }
    }

    /// Computed again only if the database was migrated or replaced.
    fn etag_keys(&self, epoch: [u8; 16]) -> Arc<EtagKeys> {
        let last = self.etag_keys.load_full();
        if last.epoch == epoch {
            return last;
        }
        let keys = Arc::new(EtagKeys::new(epoch, &self.compiler.model));
        self.etag_keys.store(keys.clone());
        keys
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

/// If a table has lost its version column, all our statements on it fail.
fn unversioned(error: StoreError, guard: &Guard) -> StoreError {
    match error {
        StoreError::Database(error) if !guard.is_whole() => {
            StoreError::Unguarded(error.to_string())
        }
        error => error,
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
        if i > 0 {
            reader.out.push(b',');
        }
        reader.out.extend_from_slice(&field.key.json);
        reader.enter(&field.key.name);
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
    let touched = reader.touched();
    let mut body = reader.out;
    if reader.errors.is_empty() && !guard.covers(&touched) {
        body.push(b'}');
        return Answer { body: body.into(), etag: None, field_errors: false, policy, touched };
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
            touched,
        };
    }
    body.extend_from_slice(b",\"errors\":");
    serde_json::to_writer(&mut body, &reader.errors).expect("writing to memory does not fail");
    body.push(b'}');
    Answer { body: body.into(), etag: None, field_errors: true, policy, touched }
}

async fn write<'a, T: Transaction>(
    plan: &'a Plan,
    writer: &Writer<'a, '_, T>,
    reader: &mut Reader<'a>,
) -> Result<(), WriteError> {
    reader.out.extend_from_slice(b"{\"data\":{");
    for (i, field) in plan.root.iter().enumerate() {
        if i > 0 {
            reader.out.push(b',');
        }
        reader.out.extend_from_slice(&field.key.json);
        reader.enter(&field.key.name);
        match &field.kind {
            RootKind::Typename(json) => reader.out.extend_from_slice(json.as_bytes()),
            RootKind::Write(plan) => writer.run(field, plan, reader).await?,
            RootKind::Introspection | RootKind::One(_) | RootKind::List(_) | RootKind::Node(_) => {
                unreachable!("a mutation has writes only")
            }
        }
    }
    if let Some(error) = reader.errors.drain(..).next() {
        // A nullable field of the answer could not be read: the client must learn of that, so
        // nothing is written.
        return Err(error.into());
    }
    reader.out.push(b'}');
    Ok(())
}

/// `If-Match` names one row, so it must apply to exactly one field.
fn check_if_match(plan: &Plan, bound: &[Arguments]) -> Result<(), GraphqlError> {
    let open = plan.root.iter().filter(|field| match &field.kind {
        RootKind::Write(write) if write.action != Action::Create => {
            matches!(&bound[write.bound], Arguments::Write(bound) if bound.expected_etag.is_none())
        }
        _ => false,
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

/// A store error, as the client sees it; the log gets the cause.
fn refused(error: StoreError) -> GraphqlError {
    let unavailable = |message: &str| GraphqlError::new(Code::DatabaseUnavailable, message);
    match &error {
        StoreError::Overloaded => GraphqlError::new(
            Code::Overloaded,
            "too many requests are waiting for the database; try again",
        ),
        StoreError::Interrupted => GraphqlError::new(
            Code::QueryTooComplex,
            "the database would have to do too much for this; filter and order by fewer \
             relations, and by indexed fields",
        ),
        StoreError::Late => GraphqlError::new(
            Code::Timeout,
            "the database took too long; filter and order by fewer relations, and by indexed \
             fields",
        ),
        StoreError::TooLarge => GraphqlError::new(
            Code::QueryTooComplex,
            "a filter is too large for the database; ask for less at once",
        ),
        StoreError::Value(_) => {
            GraphqlError::new(Code::BadUserInput, "the database does not accept one of the values")
                .because(error)
        }
        StoreError::Unknown(_) => unavailable(
            "the connection to the database broke while the mutation was being committed, so it is \
             unknown whether it took effect; give mutations an Idempotency-Key, and send this one \
             again",
        )
        .with("outcome", &"UNKNOWN"),
        StoreError::Lost(_) => {
            unavailable("the database is not available at the moment; try again")
        }
        StoreError::Unwritable(_) => unavailable(
            "the database accepts no writes at the moment; nothing was written; try again later",
        ),
        StoreError::Unguarded(_) => unavailable(
            "the database has been changed so that this cannot be answered; its operator has to \
             repair it",
        )
        .because(NeedsRepair(error)),
        _ => GraphqlError::internal(error),
    }
}

/// An operation needs something that the database lacks.
#[derive(Debug, thiserror::Error)]
#[error("{0}; {REMEDY}")]
struct NeedsRepair(StoreError);
