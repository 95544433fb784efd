//! Why a command failed, or the server did not start.

use crate::model::Diagnostic;
use crate::store::schema::migrations::MigrateError;

/// Why a command failed, or the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// All mistakes in files that the user wrote, each with its position.
    #[error("{} mistakes in the project's files", .0.len())]
    Mistakes(Vec<Diagnostic>),
    /// The command found and reported problems: tests fail, a document is refused.
    #[error("the command has reported problems")]
    Reported,
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<MigrateError> for StartError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Files(mistakes) => Self::Mistakes(mistakes),
            error @ MigrateError::Database(_) => Self::Other(error.into()),
        }
    }
}

impl StartError {
    pub(super) fn mistakes(self) -> Result<Vec<Diagnostic>, Self> {
        match self {
            Self::Mistakes(mistakes) => Ok(mistakes),
            other @ (Self::Reported | Self::Other(_)) => Err(other),
        }
    }
}
