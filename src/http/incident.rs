//! The one way in which internal errors reach a client: the log gets the cause under a new id, the
//! client gets the id.

use std::fmt::Display;

use crate::graphql::{Code, GraphqlError, Operation};

/// The id under which the log has the cause of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Incident(String);

impl Incident {
    pub(super) fn id(&self) -> &str {
        &self.0
    }

    /// Logs a failure.
    pub(super) fn report(what: &str, path: Option<&str>, cause: impl Display) -> Self {
        let incident = Self::new();
        tracing::error!(incident = incident.0, path, %cause, "{what}");
        incident
    }

    fn new() -> Self {
        Self(uuid::Uuid::now_v7().simple().to_string())
    }

    /// Takes the causes out of errors and logs them in one line. Internal errors get the incident's
    /// id.
    pub(super) fn report_causes(errors: &mut [GraphqlError], operation: Option<&Operation>) {
        let mut causes = Vec::new();
        for error in errors.iter_mut() {
            causes.extend(error.cause.take().map(|cause| (error, cause.to_string())));
        }
        if causes.is_empty() {
            return;
        }
        let incident = Self::new();
        let cause = causes.iter().map(|(_, cause)| cause.as_str()).collect::<Vec<_>>().join("; ");
        let document = operation.map(|operation| operation.document_id().to_string());
        let operation = operation.and_then(Operation::name);
        let id = incident.id();
        if causes.iter().all(|(error, _)| error.code == Code::BadUserInput) {
            tracing::warn!(incident = id, operation, document, cause, "an operation failed");
        } else {
            tracing::error!(incident = id, operation, document, cause, "an operation failed");
        }
        for (error, _) in causes {
            if error.code == Code::InternalServerError {
                error.message += "; quote the incident's id";
                *error = std::mem::replace(error, GraphqlError::new(error.code, ""))
                    .with("incident", &incident.id());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no such table: products")]
    struct NoTable;

    #[test]
    fn internal_causes_are_not_shown_to_clients() {
        let mut errors = [GraphqlError::internal(NoTable), GraphqlError::internal(NoTable)];
        // Even before they are reported.
        assert!(!serde_json::to_string(&errors).unwrap().contains("products"));
        Incident::report_causes(&mut errors, None);
        let incident = errors[0].extensions[0].1.get().to_owned();
        // An error that has an id keeps it.
        Incident::report_causes(&mut errors, None);
        for error in &errors {
            assert_eq!(error.message, "internal server error; quote the incident's id");
            assert_eq!((error.extensions.len(), error.extensions[0].0), (1, "incident"));
            assert_eq!(error.extensions[0].1.get(), incident);
        }
    }

    #[test]
    fn a_client_error_has_no_incident_id() {
        let error = GraphqlError::new(Code::DatabaseUnavailable, "try again").because(NoTable);
        let mut errors = [error];
        Incident::report_causes(&mut errors, None);
        assert!(errors[0].cause.is_none() && errors[0].extensions.is_empty());
        assert_eq!(errors[0].message, "try again");
    }
}
