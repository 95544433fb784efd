//! An async-graphql extension that captures the result of validation, and prevents execution.

use std::sync::{Arc, Mutex};

use async_graphql::async_trait::async_trait;
use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextExecute, NextValidation,
};
use async_graphql::{Response, ServerError, ValidationResult, Value as ConstValue};

/// The errors found by async-graphql's rules; passed through the request's data.
#[derive(Clone, Default)]
pub(super) struct Verdict(Arc<Mutex<Option<Vec<ServerError>>>>);

impl Verdict {
    /// The errors, if validation was reached.
    pub(super) fn take(&self) -> Option<Vec<ServerError>> {
        self.0.lock().ok().and_then(|mut errors| errors.take())
    }
}

/// The extension that captures the verdict and prevents execution.
pub(super) struct Verdicts;

impl ExtensionFactory for Verdicts {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Extension for Verdicts {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let result = next.run(ctx).await;
        if let Some(verdict) = ctx.data_opt::<Verdict>()
            && let Ok(mut verdict) = verdict.0.lock()
        {
            *verdict = Some(result.as_ref().err().cloned().unwrap_or_default());
        }
        result
    }

    async fn execute(
        &self,
        _: &ExtensionContext<'_>,
        _: Option<&str>,
        _: NextExecute<'_>,
    ) -> Response {
        Response::new(ConstValue::Null)
    }
}
