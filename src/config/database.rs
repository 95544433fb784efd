//! The database to use, as a single value of the configuration.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::postgres::PostgresUrl;
use super::value::InvalidValue;

/// The location of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// On a server.
    Postgres(Box<PostgresUrl>),
}

impl Database {
    /// The same database, with a relative path resolved against `dir`.
    #[must_use]
    pub(super) fn relative_to(self, dir: &Path) -> Self {
        match self {
            Self::Sqlite(path) => Self::Sqlite(dir.join(path)),
            Self::Postgres(url) => Self::Postgres(url),
        }
    }
}

impl FromStr for Database {
    type Err = InvalidValue;

    /// `sqlite:shop.db`, `sqlite:///var/lib/shop.db`: everything after the scheme (and `//`) is the
    /// path, verbatim. Or `postgres://…`, see [`PostgresUrl`].
    fn from_str(url: &str) -> Result<Self, InvalidValue> {
        let example = "write `sqlite:` and a file's path, such as `sqlite:freshql.db`, or `postgres://USER@HOST/DATABASE`";
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(InvalidValue::new("a database is named by a URL", example));
        };
        match scheme {
            "sqlite" => {}
            "postgres" | "postgresql" => return Ok(Self::Postgres(Box::new(url.parse()?))),
            // The URL may contain a password, so the message repeats only its scheme.
            _ => {
                return Err(InvalidValue::new(
                    format!("no database is known by the scheme `{scheme}:`"),
                    example,
                ));
            }
        }
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() {
            return Err(InvalidValue::new("the URL names no file", example));
        }
        if path.starts_with(":memory:") || path.starts_with("file:") {
            return Err(InvalidValue::new(
                "a database in memory exists for one connection only, and freshql opens several",
                "name a file; one on a memory file system is as fast",
            ));
        }
        if path.contains('?') {
            return Err(InvalidValue::new(
                "the URL takes no parameters",
                "leave out `?` and what follows",
            ));
        }
        Ok(Self::Sqlite(path.into()))
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}
