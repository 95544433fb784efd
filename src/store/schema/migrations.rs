//! The folder of migrations: `NNNN_name.sql`, or `NNNN_name.sqlite.sql` and
//! `NNNN_name.postgres.sql` where the dialects differ; and how the files compare with a database.
//! It knows names and bytes, but no database.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::model::Diagnostic;

/// The files for one dialect, ordered by number.
#[derive(Debug, Clone, Default)]
pub struct Migrations {
    /// Numbers ascend; there may be gaps.
    pub files: Vec<Migration>,
    /// The PostgreSQL files create the triggers of an earlier release, and none of them drops
    /// these.
    pub is_postgres_outdated: bool,
}

/// The database that a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `NNNN_name.sqlite.sql`
    Sqlite,
    /// `NNNN_name.postgres.sql`
    Postgres,
}

impl Dialect {
    /// As files name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Sqlite, Self::Postgres].into_iter().find(|dialect| dialect.name() == name)
    }
}

/// The beginning of the PostgreSQL triggers of an earlier release, and the statement that drops
/// them.
const FORMER_FUNCTION: &str = "FUNCTION _freshql_wake()";
pub(in crate::store) const DROP_FORMER_FUNCTION: &str = "DROP FUNCTION IF EXISTS _freshql_wake();";

/// A migration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The number in front of the name; at least 1.
    pub number: i64,
    /// `create` in `0001_create.sqlite.sql`.
    pub name: String,
    /// The path, for messages.
    pub file: String,
    /// The contents.
    pub text: String,
    /// blake3 of its text with LF line endings, as 64 hex digits.
    pub blake3: String,
}

const PATTERN: &str = "a migration is called `NNNN_name.sql`, `NNNN_name.sqlite.sql` or `NNNN_name.postgres.sql`, with 4 \
                       to 18 digits and a name of lower-case letters, digits, `_` and `-`";

impl Migrations {
    /// Reads the files for SQLite, on which [`super::difference`] is based, too.
    ///
    /// # Errors
    /// Those of [`Self::read_for`].
    pub fn read(folder: &Path) -> Result<Self, Vec<Diagnostic>> {
        Self::read_for(folder, Dialect::Sqlite)
    }

    /// Reads the files for this dialect. A missing folder counts as empty; files that do not end in
    /// `.sql` are ignored.
    ///
    /// # Errors
    /// Every file that cannot be read, has an invalid name, or has the number of another one.
    pub fn read_for(folder: &Path, dialect: Dialect) -> Result<Self, Vec<Diagnostic>> {
        let mut is_postgres_outdated = false;
        let mut mistakes = Vec::new();
        let mut files: BTreeMap<i64, (bool, Migration)> = BTreeMap::new();
        let unreadable = |error: io::Error| {
            let message = format!("the folder cannot be read: {error}");
            vec![Diagnostic::error(folder.display().to_string(), 0..0, message)]
        };
        for path in sql_files(folder).map_err(unreadable)? {
            let shown = path.display().to_string();
            let Some(name) =
                path.file_name().and_then(|name| name.to_str()).and_then(FileName::parse)
            else {
                mistakes.push(
                    Diagnostic::error(shown, 0..0, "a migration cannot have this name")
                        .with_help(PATTERN),
                );
                continue;
            };
            if name.dialect == Some(Dialect::Postgres) {
                // The files are sorted by number.
                let text = fs::read_to_string(&path).unwrap_or_default();
                is_postgres_outdated |= text.contains(FORMER_FUNCTION);
                is_postgres_outdated &= !text.contains(DROP_FORMER_FUNCTION);
            }
            if name.dialect.is_some_and(|other| other != dialect) {
                continue;
            }
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) => {
                    mistakes.push(Diagnostic::error(
                        shown,
                        0..0,
                        format!("cannot be read: {error}"),
                    ));
                    continue;
                }
            };
            let migration = Migration::new(name.number, name.name, shown, text);
            let is_own = name.dialect.is_some();
            match files.get(&name.number) {
                // A file for this dialect replaces one for both, whichever comes first.
                Some((was_own, other)) if other.name == name.name && *was_own != is_own => {
                    if is_own {
                        files.insert(name.number, (is_own, migration));
                    }
                }
                Some((_, other)) => mistakes.push(
                    Diagnostic::error(
                        &migration.file,
                        0..0,
                        format!("`{}` has the same number", other.file),
                    )
                    .with_help("give the newer of the two the next number that is free"),
                ),
                None => {
                    files.insert(name.number, (is_own, migration));
                }
            }
        }
        let files = files.into_values().map(|(_, migration)| migration).collect();
        if mistakes.is_empty() { Ok(Self { files, is_postgres_outdated }) } else { Err(mistakes) }
    }
}

/// Marks the places in a generated migration that its author must fill in.
pub const FILL_IN: &str = "FILL IN";

/// A migration that was applied to a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// From the file name.
    pub number: i64,
    /// From the file name.
    pub name: String,
    /// blake3 of the file when it was applied, as 64 hex digits; see [`Migration::is_of`].
    pub blake3: String,
    /// In RFC 3339, UTC.
    pub applied_at: String,
}

/// How the files compare with a database. All lists are ordered by number.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The applied migrations.
    pub applied: Vec<Applied>,
    /// Files that are not applied yet.
    pub pending: Vec<Migration>,
    /// Files that were edited after they were applied.
    pub edited: Vec<Migration>,
    /// Applied migrations without a file.
    pub missing: Vec<Applied>,
    /// Pending files with a lower number than an applied one.
    pub late: Vec<Migration>,
}

/// Why migrating stopped. Migrations applied before that stay applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A file is wrong, or files and database do not belong together.
    #[error("{}", messages(.0))]
    Files(Vec<Diagnostic>),
    /// The database could not be read or written.
    #[error("the database cannot be migrated: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn messages(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|d| format!("{}: {}", d.file, d.message)).collect::<Vec<_>>().join("\n")
}

impl Status {
    /// Compares these files with what was applied to a database, by number.
    pub(in crate::store) fn between(applied: Vec<Applied>, migrations: &Migrations) -> Self {
        let newest = applied.last().map_or(0, |applied| applied.number);
        let mut status = Self::default();
        for migration in &migrations.files {
            match applied.iter().find(|applied| applied.number == migration.number) {
                Some(applied) if !migration.is_of(&applied.blake3) => {
                    status.edited.push(migration.clone())
                }
                Some(_) => {}
                None => {
                    if migration.number < newest {
                        status.late.push(migration.clone());
                    }
                    status.pending.push(migration.clone());
                }
            }
        }
        let has_file = |applied: &&Applied| {
            migrations.files.iter().any(|migration| migration.number == applied.number)
        };
        status.missing = applied.iter().filter(|applied| !has_file(applied)).cloned().collect();
        status.applied = applied;
        status
    }

    /// Whether nothing is pending and nothing is wrong.
    pub fn is_current(&self) -> bool {
        self.pending.is_empty() && self.mistakes().is_empty()
    }

    /// What must be fixed by hand before anything can be applied.
    pub fn mistakes(&self) -> Vec<Diagnostic> {
        let edited = self.edited.iter().map(|migration| {
            Diagnostic::error(
                &migration.file,
                0..0,
                "this migration was edited after it was applied",
            )
            .with_help("restore the file, and write the change as a new migration")
        });
        let missing = self.missing.iter().map(|applied| {
            let name = format!("{:04}_{}", applied.number, applied.name);
            Diagnostic::error(
                name,
                0..0,
                "the database has this migration, and there is no file of it",
            )
            .with_help("restore the file, or use the database that belongs to these migrations")
        });
        let late = self.late.iter().map(|migration| {
            Diagnostic::error(
                &migration.file,
                0..0,
                "a migration with a higher number was applied before this one",
            )
            .with_help("give the file a number above all that were applied")
        });
        edited.chain(missing).chain(late).collect()
    }
}

/// Something that a database lacks, or that differs from the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// The statement that would fix it, if a single statement can: for things that were removed by
    /// hand.
    pub sql: Option<String>,
    /// What else would fix it.
    pub help: Option<&'static str>,
    /// Whether `freshql migrate repair` fixes it, if the migrations build what the model needs.
    pub is_repaired: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What was repaired.
#[derive(Debug, Default)]
pub struct Repaired {
    /// One line for each repair.
    pub done: Vec<String>,
}

/// The characters allowed in the name of a migration.
pub const NAMES: &str = "lower-case letters, digits, `_` and `-`";

/// Whether this is a valid name for a migration.
pub fn is_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(is_plain)
}

/// File systems allow 255 bytes; the number and the extension need some of them.
const MAX_NAME: usize = 200;

/// The mistake of a statement at `start` that would begin or end a transaction with this word.
pub(in crate::store) fn transaction_control(
    migration: &Migration,
    start: usize,
    word: &str,
) -> Diagnostic {
    let message = format!(
        "`{}` in a migration: each file runs in a transaction of its own",
        word.to_uppercase()
    );
    Diagnostic::error(&migration.file, start..start + word.len(), message).with_help("leave it out")
}

/// Writes a migration under the next number that is free in both dialects: both files, or none.
/// Returns their paths.
///
/// # Errors
/// The folder cannot be read or written; a file with that name exists.
pub fn add(folder: &Path, name: &str, sqlite: &str, postgres: &str) -> io::Result<[PathBuf; 2]> {
    fs::create_dir_all(folder)?;
    let mut highest = 0;
    for path in sql_files(folder)? {
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(FileName::parse)
            .map(|name| name.number);
        highest = highest.max(number.unwrap_or(0));
    }
    let paths =
        [(Dialect::Sqlite, sqlite), (Dialect::Postgres, postgres)].map(|(dialect, text)| {
            (folder.join(format!("{:04}_{name}.{}.sql", next(highest), dialect.name())), text)
        });
    for (at, (path, text)) in paths.iter().enumerate() {
        let written = fs::File::create_new(path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        if let Err(error) = written {
            // A file that already existed is not ours to delete.
            let ours = if error.kind() == io::ErrorKind::AlreadyExists { at } else { at + 1 };
            for (path, _) in &paths[..ours] {
                // The first error is the one that matters.
                let _ = fs::remove_file(path);
            }
            return Err(error);
        }
    }
    Ok(paths.map(|(path, _)| path))
}

/// The next number. If files are numbered by timestamp, that is the current time.
fn next(highest: i64) -> i64 {
    let now = jiff::Timestamp::now();
    let as_time = |format: &str| now.strftime(format).to_string().parse().unwrap_or(0);
    let time = match highest {
        19_700_101..=99_991_231 => as_time("%Y%m%d"),
        197_001_010_000..=999_912_312_359 => as_time("%Y%m%d%H%M"),
        19_700_101_000_000..=99_991_231_235_959 => as_time("%Y%m%d%H%M%S"),
        _ => 0,
    };
    time.max(highest + 1)
}

impl Migration {
    pub(in crate::store) fn new(number: i64, name: &str, file: String, text: String) -> Self {
        let blake3 = blake3::hash(with_line_feeds(&text).as_bytes()).to_hex().to_string();
        Self { number, name: name.to_owned(), file, text, blake3 }
    }

    /// Whether this is the file whose digest a database recorded. Line endings do not matter: git
    /// changes them on some machines, and earlier releases recorded the digest of the exact bytes.
    pub(in crate::store) fn is_of(&self, digest: &str) -> bool {
        let is = |text: &str| blake3::hash(text.as_bytes()).to_hex().as_str() == digest;
        let plain = || with_line_feeds(&self.text);
        self.blake3 == digest || is(&self.text) || is(&plain().replace('\n', "\r\n"))
    }
}

/// The text as it is hashed and run: a checkout with other line endings builds the same, including
/// multi-line strings.
pub(in crate::store) fn with_line_feeds(text: &str) -> Cow<'_, str> {
    if text.contains("\r\n") { text.replace("\r\n", "\n").into() } else { text.into() }
}

/// Maps an offset in [`with_line_feeds`] of a text back to the text itself.
pub(in crate::store) fn in_file(text: &str, offset: usize) -> usize {
    let mut rest = offset;
    for (at, line) in text.match_indices("\r\n").map(|(at, _)| at).zip(0..) {
        if at - line >= offset {
            break;
        }
        rest = offset + line + 1;
    }
    rest.min(text.len())
}

fn sql_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.extension().is_some_and(|extension| extension == "sql") && !path.is_dir()
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

struct FileName<'a> {
    number: i64,
    name: &'a str,
    dialect: Option<Dialect>,
}

impl<'a> FileName<'a> {
    fn parse(file_name: &'a str) -> Option<Self> {
        let stem = file_name.strip_suffix(".sql")?;
        let (stem, dialect) = match stem.split_once('.') {
            Some((stem, dialect)) => (stem, Some(Dialect::parse(dialect)?)),
            None => (stem, None),
        };
        let (digits, name) = stem.split_once('_')?;
        let proper = (4..=18).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if !proper || !is_name(name) {
            return None;
        }
        let number = digits.parse().ok().filter(|number| *number > 0)?;
        Some(Self { number, name, dialect })
    }
}
