//! Scratch databases as files: a project's are in its directory, a run's in a temporary one that is
//! deleted with it.

use std::fs;
use std::path::{Path, PathBuf};

use super::rows;
use crate::config::Database;
use crate::store::error::AdminError;

/// The prefix of file names.
const PREFIX: &str = "dev-";

/// The suffix of file names.
const SUFFIX: &str = ".db";

/// Files in one directory.
pub struct ScratchFiles {
    folder: PathBuf,
    is_temporary: bool,
}

impl ScratchFiles {
    pub(in crate::store) fn of_project(folder: &Path) -> Result<Self, AdminError> {
        fs::create_dir_all(folder).map_err(|error| cannot("make", folder, &error))?;
        Ok(Self { folder: folder.to_owned(), is_temporary: false })
    }

    pub(in crate::store) fn of_run() -> Result<Self, AdminError> {
        let name = format!("freshql-test-{}", uuid::Uuid::now_v7().simple());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).map_err(|error| cannot("make", &folder, &error))?;
        Ok(Self { folder, is_temporary: true })
    }

    #[expect(clippy::unused_self, reason = "as PostgreSQL's")]
    pub(in crate::store) fn last(&self) -> &'static str {
        "last"
    }

    #[expect(clippy::unnecessary_wraps, reason = "as PostgreSQL's")]
    pub(in crate::store) fn find(&self, name: &str) -> Result<Option<Database>, AdminError> {
        let path = self.folder.join(name);
        let is_there = is_scratch(name) && path.is_file();
        Ok(is_there.then_some(Database::Sqlite(path)))
    }

    pub(in crate::store) fn new_name(&self, shape: &str) -> Result<String, AdminError> {
        let mut names = (1..).map(|number: u32| format!("{PREFIX}{shape}-{number}{SUFFIX}"));
        let free = names.find(|name| !self.folder.join(name).exists());
        free.ok_or_else(|| AdminError("there are too many scratch databases".into()))
    }

    /// SQLite creates the file when it is first opened.
    #[expect(clippy::unnecessary_wraps, reason = "as PostgreSQL's")]
    pub(in crate::store) fn make(&self, name: &str) -> Result<Database, AdminError> {
        Ok(Database::Sqlite(self.folder.join(name)))
    }

    pub(in crate::store) fn copy(&self, from: &str, name: &str) -> Result<Database, AdminError> {
        let path = self.folder.join(name);
        rows::copy(&self.folder.join(from), &path)?;
        Ok(Database::Sqlite(path))
    }

    /// Including the files that SQLite keeps next to it.
    pub(in crate::store) fn remove(&self, name: &str) {
        for ending in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(self.folder.join(format!("{name}{ending}")));
        }
    }

    pub(in crate::store) fn remove_others(&self, kept: &[&str]) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_scratch(&name) && !kept.contains(&name.as_str()) {
                self.remove(&name);
            }
        }
    }
}

impl Drop for ScratchFiles {
    fn drop(&mut self) {
        if self.is_temporary {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn is_scratch(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX) && !name.contains(['/', '\\'])
}

fn cannot(what: &str, folder: &Path, error: &std::io::Error) -> AdminError {
    AdminError(format!("cannot {what} {}: {error}", folder.display()).into())
}
