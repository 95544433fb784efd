//! Compiles documents against a model's API. It has no data, so it also serves commands that need no
//! database.

use std::sync::Arc;

use super::compile::Roots;
use super::decider::Decider;
use super::document::{Document, Operation};
use super::error::GraphqlError;
use super::parsed::Parsed;
use super::schema::{Api, SchemaError, build_schema};
use super::typename;
use super::validate::validate;
use crate::document_id::DocumentId;
use crate::model::Model;

/// Checks and compiles documents against a model's API. It needs no data, so commands without a
/// database use it, too. Cheap to clone.
#[derive(Clone)]
pub struct Compiler {
    model: Arc<Model>,
    api: Arc<Api>,
    /// Whether `__typename` is added to the answers of registered documents, see [`typename`].
    typename: bool,
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

    pub(super) fn api(&self) -> &Api {
        &self.api
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

/// The field that makes an operation's answer depend on the viewer.
fn private_field(roots: &Roots, operation: &Operation, condition: bool) -> Option<Decider> {
    operation.outline(roots, &operation.defaults(condition)).ok()?.accesses.private.clone()
}
