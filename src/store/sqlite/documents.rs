//! Documents in a SQLite file.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Params};

use super::change_log::log_document;
use super::store::Store;
use crate::store::documents::{
    DocumentSource, FileChanges, NameTaken, NewDocument, StoredDocument,
};
use crate::store::error::StoreError;

/// The columns of a [`StoredDocument`].
const SELECT: &str = "SELECT id, text, source = 'file', retired_at,
    (SELECT json_group_array(alias) FROM _freshql_alias a WHERE a.id = _freshql_document.id) FROM _freshql_document";

/// All documents of a database, by id.
///
/// # Errors
/// Those of the database.
pub(in crate::store) fn documents(
    connection: &Connection,
) -> rusqlite::Result<Vec<StoredDocument>> {
    select(connection, &format!("{SELECT} ORDER BY id"), ())
}

/// The documents with these ids, as far as the database has them.
fn documents_among(
    connection: &Connection,
    ids: &[String],
) -> rusqlite::Result<Vec<StoredDocument>> {
    let sql = format!("{SELECT} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id");
    select(connection, &sql, [serde_json::json!(ids).to_string()])
}

fn select(
    connection: &Connection,
    sql: &str,
    values: impl Params,
) -> rusqlite::Result<Vec<StoredDocument>> {
    let mut statement = connection.prepare(sql)?;
    let documents = statement.query_map(values, |row| {
        let source = if row.get(2)? {
            DocumentSource::File { retired_at: row.get(3)? }
        } else {
            DocumentSource::Http
        };
        // The statement itself produces this JSON.
        let aliases = serde_json::from_str(&row.get::<_, String>(4)?).unwrap_or_default();
        Ok(StoredDocument { id: row.get(0)?, text: row.get(1)?, source, aliases })
    })?;
    documents.collect()
}

/// Runs a statement that returns the ids of the documents that it changed, and reports each change
/// to all nodes.
fn change(connection: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(sql)?;
    let changed: Vec<String> =
        statement.query_map(values, |row| row.get(0))?.collect::<Result<_, _>>()?;
    changed.iter().try_for_each(|id| log_document(connection, id))?;
    Ok(changed.len())
}

/// The first name of this document that another one already has.
fn taken(connection: &Connection, document: &NewDocument) -> rusqlite::Result<Option<NameTaken>> {
    let sql = "SELECT alias, id FROM _freshql_alias WHERE alias IN (SELECT value FROM json_each(?)) AND id <> ? LIMIT 1";
    let names = serde_json::json!(document.aliases).to_string();
    let mut statement = connection.prepare_cached(sql)?;
    let row = statement.query_row((names, &document.id), |row| {
        Ok(NameTaken { alias: row.get(0)?, id: row.get(1)? })
    });
    row.optional()
}

/// Gives a document names; true if any of them is new. A name of another document is reassigned:
/// current query files take precedence over previous ones, and over documents registered over HTTP,
/// which check [`taken`] first.
fn name(connection: &Connection, document: &NewDocument) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO _freshql_alias (alias, id) VALUES (?, ?)
        ON CONFLICT (alias) DO UPDATE SET id = excluded.id WHERE id <> excluded.id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut is_new = false;
    for alias in &document.aliases {
        is_new |= statement.execute([alias, &document.id])? > 0;
    }
    Ok(is_new)
}

impl Store {
    /// All documents, by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn documents(&self) -> Result<Vec<StoredDocument>, StoreError> {
        self.read(|snapshot| Ok(documents(snapshot.connection())?)).await?
    }

    /// The documents with these ids, as far as the database has them.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn documents_among(
        &self,
        ids: Vec<String>,
    ) -> Result<Vec<StoredDocument>, StoreError> {
        self.read(move |snapshot| Ok(documents_among(snapshot.connection(), &ids)?)).await?
    }

    /// Stores a document until it is removed; false if the database had it already.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn insert_document(
        &self,
        document: NewDocument,
    ) -> Result<Result<bool, NameTaken>, StoreError> {
        self.write(move |transaction| {
            let connection = transaction.connection();
            // Nothing has been written yet, and only one transaction can write at a time, whatever
            // program it belongs to.
            if let Some(taken) = taken(connection, &document)? {
                return Ok(Err(taken));
            }
            let NewDocument { id, text, .. } = &document;
            let sql = "INSERT INTO _freshql_document (id, text) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id";
            let is_new = change(connection, sql, [id, text])? == 1;
            let sql = "UPDATE _freshql_document SET source = 'http', retired_at = NULL
                WHERE id = ? AND source = 'file' RETURNING id";
            change(connection, sql, [id])?;
            if name(connection, &document)? && !is_new {
                log_document(connection, id)?;
            }
            Ok(Ok(is_new))
        })
        .await
    }

    /// Deletes a document; false if it did not exist.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn delete_document(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(move |transaction| {
            let sql = "DELETE FROM _freshql_document WHERE id = ? RETURNING id";
            Ok(change(transaction.connection(), sql, [&id])? == 1)
        })
        .await
    }

    /// Records what has changed in the query files.
    pub(in crate::store) async fn change_file_documents(
        &self,
        changes: FileChanges,
    ) -> Result<(), StoreError> {
        let FileChanges { gone, back, new } = changes;
        self.write(move |transaction| {
            let connection = transaction.connection();
            // Keep what another node has recorded in the meantime.
            let retire = "UPDATE _freshql_document SET retired_at = unixepoch()
                WHERE id = ? AND source = 'file' AND retired_at IS NULL RETURNING id";
            let restore = "UPDATE _freshql_document SET retired_at = NULL
                WHERE id = ? AND source = 'file' AND retired_at IS NOT NULL RETURNING id";
            let insert = "INSERT INTO _freshql_document (id, text, source) VALUES (?, ?, 'file')
                ON CONFLICT DO NOTHING RETURNING id";
            gone.iter().try_for_each(|id| change(connection, retire, [id]).map(drop))?;
            back.iter().try_for_each(|id| change(connection, restore, [id]).map(drop))?;
            for document in new.values() {
                let is_new = change(connection, insert, [&document.id, &document.text])? == 1;
                if name(connection, document)? && !is_new {
                    log_document(connection, &document.id)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Deletes documents that left the query files longer ago than this.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn delete_retired_documents(&self, retention: Duration) -> Result<usize, StoreError> {
        let seconds = i64::try_from(retention.as_secs()).unwrap_or(i64::MAX);
        self.write(move |transaction| {
            let sql = "DELETE FROM _freshql_document
                WHERE source = 'file' AND retired_at <= unixepoch() - ? RETURNING id";
            Ok(change(transaction.connection(), sql, [seconds])?)
        })
        .await
    }
}
