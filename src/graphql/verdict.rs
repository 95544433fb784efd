//! How the verdict of async-graphql's validation leaves its executor: an extension keeps it, and
//! executes nothing.

use std::sync::{Arc, Mutex};

use async_graphql::async_trait::async_trait;
use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextExecute, NextValidation,
};
use async_graphql::{Response, ServerError, ValidationResult, Value as ConstValue};

/// What async-graphql's rules found; travels in the request's data.
#[derive(Clone, Default)]
pub(super) struct Verdict(Arc<Mutex<Option<Vec<ServerError>>>>);

impl Verdict {
    /// What they found, if it came to that.
    pub(super) fn take(&self) -> Option<Vec<ServerError>> {
        self.0.lock().ok().and_then(|mut errors| errors.take())
    }
}

/// The extension that keeps the verdict and lets nothing execute.
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
