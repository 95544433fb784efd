//! What a database that others made consists of: its tables with everything that says what their columns mean. It only
//! reads.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::store::sqlite::migrate::split::{Token, next_token};

/// A table, or what looks like one.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// As they are declared.
    pub(super) columns: Vec<Column>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    /// Whole ones: neither partial nor over expressions.
    pub(super) indexes: Vec<Index>,
    /// The key is not the number of the row, but has an index of its own.
    pub(super) has_key_index: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Table,
    WithoutRowid,
    View,
    Virtual,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// As declared; may be empty.
    pub(super) sql_type: String,
    pub(super) not_null: bool,
    /// As it stands in the declaration.
    pub(super) default: Option<String>,
    /// Place in the primary key, from 1; 0 outside of it.
    pub(super) key: i64,
    pub(super) is_generated: bool,
    /// By which its texts are compared.
    pub(super) collation: String,
}

#[derive(Debug)]
pub(super) struct ForeignKey {
    pub(super) columns: Vec<String>,
    pub(super) table: String,
    /// Of the first column; None stands for the other table's primary key.
    pub(super) target: Option<String>,
    pub(super) on_delete: String,
}

#[derive(Debug)]
pub(super) struct Index {
    pub(super) unique: bool,
    pub(super) columns: Vec<String>,
}

impl Column {
    /// Two texts are the same only if their bytes are. Answers depend on rows by the bytes of their keys and parts, so
    /// freshql looks rows up by no other column.
    pub(super) fn is_exact(&self) -> bool {
        self.collation.eq_ignore_ascii_case("BINARY")
    }
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The columns of the primary key, in its order.
    pub(super) fn key(&self) -> Vec<&Column> {
        let mut key: Vec<&Column> = self.columns.iter().filter(|column| column.key > 0).collect();
        key.sort_by_key(|column| column.key);
        key
    }
}

/// All tables and views, in the order in which they were made; without SQLite's and freshql's own.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let sql = "SELECT list.name, list.type, list.wr FROM pragma_table_list list \
               JOIN sqlite_schema made ON made.name = list.name AND made.type IN ('table', 'view') \
               WHERE list.schema = 'main' AND list.type <> 'shadow' AND list.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
               AND list.name NOT LIKE '\\_freshql\\_%' ESCAPE '\\' ORDER BY made.rowid";
    let mut statement = connection.prepare(sql)?;
    let listed: Vec<(String, String, bool)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    listed.into_iter().map(|(name, kind, without_rowid)| table(connection, name, &kind, without_rowid)).collect()
}

fn table(connection: &Connection, name: String, kind: &str, without_rowid: bool) -> rusqlite::Result<Table> {
    let kind = match kind {
        "view" => Kind::View,
        "virtual" => Kind::Virtual,
        _ if without_rowid => Kind::WithoutRowid,
        _ => Kind::Table,
    };
    if matches!(kind, Kind::View | Kind::Virtual) {
        // Their columns may not even be known: a view may read from a table that is gone.
        let (columns, foreign_keys, indexes) = (Vec::new(), Vec::new(), Vec::new());
        return Ok(Table { name, kind, columns, foreign_keys, indexes, has_key_index: false });
    }
    let (indexes, has_key_index) = indexes(connection, &name)?;
    Ok(Table {
        columns: columns(connection, &name)?,
        foreign_keys: foreign_keys(connection, &name)?,
        indexes,
        has_key_index,
        name,
        kind,
    })
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let mut statement =
        connection.prepare("SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?)")?;
    let columns = statement.query_map([table], |row| {
        Ok(Column {
            name: row.get(0)?,
            sql_type: row.get(1)?,
            not_null: row.get(2)?,
            default: row.get(3)?,
            key: row.get(4)?,
            is_generated: row.get::<_, i64>(5)? > 0,
            collation: String::new(),
        })
    })?;
    let mut columns = columns.collect::<Result<Vec<Column>, _>>()?;
    for column in &mut columns {
        let (_, collation, ..) = connection.column_metadata(None, table, column.name.as_str())?;
        column.collation = collation.map_or("BINARY".into(), |name| name.to_string_lossy()).into_owned();
    }
    Ok(columns)
}

fn foreign_keys(connection: &Connection, table: &str) -> rusqlite::Result<Vec<ForeignKey>> {
    let sql = "SELECT id, \"table\", \"from\", \"to\", on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([table])?;
    let mut keys: BTreeMap<i64, ForeignKey> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        let column: String = row.get(2)?;
        match keys.get_mut(&id) {
            Some(key) => key.columns.push(column),
            None => {
                let (table, target, on_delete) = (row.get(1)?, row.get(3)?, row.get(4)?);
                keys.insert(id, ForeignKey { columns: vec![column], table, target, on_delete });
            }
        }
    }
    Ok(keys.into_values().collect())
}

/// The whole indexes beside the primary key's, and whether that has one.
fn indexes(connection: &Connection, table: &str) -> rusqlite::Result<(Vec<Index>, bool)> {
    let mut list = connection.prepare(
        "SELECT list.name, \"unique\", origin FROM pragma_index_list(?) list \
         LEFT JOIN sqlite_schema made ON made.type = 'index' AND made.name = list.name WHERE partial = 0 ORDER BY made.rowid",
    )?;
    let mut columns = connection.prepare("SELECT name FROM pragma_index_info(?) ORDER BY seqno")?;
    let mut rows = list.query([table])?;
    let (mut indexes, mut has_key_index) = (Vec::new(), false);
    while let Some(row) = rows.next()? {
        let (name, origin): (String, String) = (row.get(0)?, row.get(2)?);
        if origin == "pk" {
            has_key_index = true;
            continue;
        }
        let named: Vec<Option<String>> = columns.query_map([&name], |row| row.get(0))?.collect::<Result<_, _>>()?;
        // An expression has no name.
        if let Some(columns) = named.into_iter().collect() {
            indexes.push(Index { unique: row.get(1)?, columns });
        }
    }
    Ok((indexes, has_key_index))
}

/// Statements that make what is there.
pub(super) struct Baseline {
    pub(super) text: String,
    /// What they do not make, with SQLite's reason.
    pub(super) left_out: Vec<(String, String)>,
}

/// Statements that make all that is there (tables, indexes, views, triggers), where it is not there. Each is tried: what
/// needs a collation or a module that only its own program has stays as a comment.
pub(super) fn baseline(connection: &Connection) -> rusqlite::Result<Baseline> {
    // A virtual table makes its shadow tables itself.
    let sql = "SELECT made.name, made.sql FROM sqlite_schema made WHERE made.sql IS NOT NULL \
               AND made.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND made.name NOT LIKE '\\_freshql\\_%' ESCAPE '\\' \
               AND made.tbl_name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow') \
               ORDER BY made.type <> 'table', made.type = 'trigger', made.rowid";
    let mut statement = connection.prepare(sql)?;
    let statements: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut text = String::from(
        "-- What was there before freshql. On a database that has it, this does nothing; on an empty one, it makes the same,\n\
         -- so that tests and `freshql migrate new` know what the next migrations start from.\n",
    );
    let scratch = Connection::open_in_memory()?;
    let mut left_out = Vec::new();
    for (name, sql) in statements {
        let sql = where_missing(without_comment_at_end(&sql));
        match scratch.execute_batch(&sql) {
            Ok(()) => text.push_str(&format!("\n{sql};\n")),
            Err(error) => {
                let reason = message_of(&error);
                text.push_str(&format!("\n-- This does not run here: {reason}.\n"));
                text.extend(sql.lines().map(|line| format!("-- {line}\n")));
                left_out.push((name, reason));
            }
        }
    }
    Ok(Baseline { text, left_out })
}

/// SQLite's own words.
pub(super) fn message_of(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) | rusqlite::Error::SqlInputError { msg: message, .. } => {
            message.clone()
        }
        other => other.to_string(),
    }
}

/// SQLite keeps a comment behind the last word, where it would hide the semicolon.
fn without_comment_at_end(sql: &str) -> &str {
    let (mut at, mut end) = (0, 0);
    while at < sql.len() {
        let (token, length) = next_token(&sql[at..]);
        at += length;
        if token != Token::Space {
            end = at;
        }
    }
    &sql[..end]
}

/// SQLite keeps these statements with their first words in capitals, and without IF NOT EXISTS.
fn where_missing(sql: &str) -> String {
    const KINDS: [&str; 6] = ["VIRTUAL TABLE", "TABLE", "UNIQUE INDEX", "INDEX", "VIEW", "TRIGGER"];
    let found = KINDS.iter().find_map(|kind| Some((kind, sql.strip_prefix("CREATE ")?.strip_prefix(*kind)?)));
    found.map_or_else(|| sql.to_owned(), |(kind, rest)| format!("CREATE {kind} IF NOT EXISTS{rest}"))
}
