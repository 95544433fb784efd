//! An operation that a request asks to run, and the viewer if the answer depends on it.

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
    /// The document that contains the operation.
    pub(super) document: &'a Document,
    pub(super) operation: &'a Operation,
    /// Whether `/q` serves the document under its id.
    pub(super) is_registered: bool,
}

impl<'t> Target<'t> {
    /// The operation as asked by the viewer of these headers; None if everybody gets the same
    /// answer, in which case the token is not even looked at.
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
            OperationKind::Mutation => viewer::viewer_of_mutation(app, headers).await?,
        };
        let asked = app.engine.ask(self.operation, variables, &viewer);
        asked.map(Some).map_err(|errors| Failure::of(self.operation, errors))
    }

    /// The operation as asked by the anonymous viewer, for answers that are the same for everybody.
    pub(super) fn asked_anonymously<'a>(
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

    /// The cache key of the question with these variables, and the question's URL, if it has one.
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
