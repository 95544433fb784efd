//! An operation that a request asks to run, and by whom it is asked where that matters.

use http::HeaderMap;

use super::failure::Failure;
use super::state::AppState;
use super::viewer;
use crate::cache;
use crate::graphql::{Asked, Document, Operation, OperationKind, Variables};
use crate::question::View;
use crate::viewer::Viewer;

/// An operation that a request asks to run.
pub(super) struct Target<'a> {
    /// The document that has it.
    pub(super) document: &'a Document,
    pub(super) operation: &'a Operation,
    /// Whether `/q` serves the document under its id.
    pub(super) is_registered: bool,
}

impl<'t> Target<'t> {
    /// What is asked by whoever sent these headers; None where everybody gets the same, and nobody
    /// looks at who asks.
    pub(super) async fn asked<'a>(
        &self,
        app: &AppState,
        variables: &'a Variables,
        headers: &HeaderMap,
    ) -> Result<Option<Asked<'a>>, Failure>
    where
        't: 'a,
    {
        if !app.engine.is_private(self.operation, variables)? {
            return Ok(None);
        }
        let viewer = match self.operation.kind() {
            OperationKind::Query => viewer::viewer(app, headers).await?,
            OperationKind::Mutation => viewer::viewer_who_writes(app, headers).await?,
        };
        let asked = app.engine.ask(self.operation, variables, &viewer);
        asked.map(Some).map_err(|errors| Failure::of(self.operation, errors))
    }

    /// The same, where it makes no difference who asks.
    pub(super) fn asked_by_anybody<'a>(
        &self,
        app: &AppState,
        variables: &'a Variables,
    ) -> Result<Asked<'a>, Failure>
    where
        't: 'a,
    {
        let asked = app.engine.ask(self.operation, variables, &Viewer::Anonymous);
        asked.map_err(|errors| Failure::of(self.operation, errors))
    }

    /// By what the cache knows the question that it is with these variables, and the question's
    /// URL, if it has one.
    pub(super) fn key(
        &self,
        app: &AppState,
        variables: &Variables,
        asked: Option<&Asked<'_>>,
    ) -> (cache::Key, Option<String>) {
        let question = self.operation.question(variables, asked.map_or(View::Public, Asked::view));
        let is_only_operation = self.document.operations().len() == 1;
        let url = self.is_registered.then(|| question.canonical_url(is_only_operation)).flatten();
        (app.cache.key(&question, url.as_deref()), url)
    }
}
