//! Wires the parts together: configuration, model, store, documents, HTTP. Each command has a file;
//! [`mod@serve`] starts and stops the server.

mod adopt;
mod backup;
mod check;
mod database;
mod dev;
mod error;
mod explain;
mod health;
mod init;
pub mod log;
mod manifest;
mod model_file;
mod project;
mod queries;
mod remote;
mod seed;
mod serve;
mod table;
mod test;
mod token;

use crate::config::{Config, FILE_NAME, PartialConfig};

pub use adopt::model_pull;
pub use backup::{backup, restore};
pub use check::{CheckReport, check, with_the_rest};
pub use database::{
    MigrationStatus, Repaired, migrate_new, migrate_repair, migrate_status, migrate_up,
};
pub use dev::{DevEvent, dev};
pub use error::StartError;
pub use explain::{ExplainRequest, explain};
pub use health::health;
pub use init::init;
pub use manifest::{Manifest, manifest, write as write_manifest};
pub use model_file::schema;
pub use queries::queries;
pub use remote::{Pushed, Remote, broken, push};
pub use serve::{RunningServer, serve, start, start_release};
pub use test::{TestOptions, test};
pub use token::{Minted, token};

/// Reads `freshql.toml` and resolves the configuration.
///
/// # Errors
/// The file's mistakes.
pub fn configure(overrides: PartialConfig) -> Result<Config, StartError> {
    let path = model_file::within(&overrides.dir(), FILE_NAME);
    let name = path.display().to_string();
    let file = match std::fs::read_to_string(&path) {
        Ok(text) => Some(PartialConfig::from_toml(&name, &text).map_err(StartError::Mistakes)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(anyhow::Error::new(error).context(name).into()),
    };
    let mut config = Config::resolve(overrides, file);
    token::read_secrets(&mut config)?;
    Ok(config)
}
