//! Runs operations: plan, arguments, snapshot, bytes.

mod mutation;
mod parts;
mod query;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::runtime::Handle;

pub use self::mutation::Once;
pub use self::parts::Answer;

use self::mutation::{MutationRun, check_if_match};
use self::parts::Parts;
use self::query::{QueryRun, Read};
use super::argument::Variables;
use super::bind::bind;
use super::bound::BoundPlan;
use super::compiler::Compiler;
use super::document::Operation;
use super::error::{Code, GraphqlError};
use super::introspect::Introspection;
use super::observation::Observation;
use super::plan::Plan;
use super::read::ReadError;
use super::rules::Grants;
use super::write::{WriteError, unkept};
use crate::conditional::IfMatch;
use crate::config::AnswerLimits;
use crate::etag::{RENDERING, ResponseHasher};
use crate::model::{Access, EntityId, Model};
use crate::question::{Question, View};
use crate::store::{Store, StoreError};
use crate::viewer::Viewer;

/// Compiles and runs documents. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    parts: Arc<Parts>,
    store: Store,
    rendering: u32,
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

impl Engine {
    /// Runs what the compiler compiles, within the default limits.
    pub fn new(compiler: Compiler, store: Store) -> Self {
        Self::with_limits(compiler, store, AnswerLimits::default())
    }

    /// Runs what the compiler compiles, within these limits.
    pub fn with_limits(compiler: Compiler, store: Store, limits: AnswerLimits) -> Self {
        Self { parts: Arc::new(Parts::new(compiler, limits)), store, rendering: RENDERING }
    }

    /// The engine of a release with another [`RENDERING`].
    #[must_use]
    pub fn of_release(self, rendering: u32) -> Self {
        Self { rendering, ..self }
    }

    /// The version of the answer format, which is part of every ETag.
    pub fn rendering(&self) -> u32 {
        self.rendering
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        self.parts.compiler.model()
    }

    /// The compiler.
    pub fn compiler(&self) -> &Compiler {
        &self.parts.compiler
    }

    /// The same engine, fetching rows ahead: see [`Store::fetching_ahead`].
    #[must_use]
    pub fn fetching_ahead(&self) -> Self {
        Self { store: self.store.clone().fetching_ahead(), ..self.clone() }
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
        let mut hasher = ResponseHasher::new(&self.model().fingerprint, &asked.question());
        hasher.set_rendering(self.rendering);
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
        let run = move || runtime.block_on(introspection.run(parts.compiler.api(), &variables));
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
        // Without its cause: the store told the operator when the schema changed, and every request
        // that needs it fails.
        StoreError::Unguarded(_) => unavailable(
            "the database has been changed so that this cannot be answered; its operator has to \
             repair it",
        ),
        _ => GraphqlError::internal(error),
    }
}
