//! Documents in a PostgreSQL database. Each statement that changes them also notifies all nodes.

use std::time::Duration;

use super::Store;
use super::client::{Blocking, ClientError, Execute, Parameter, Rows, Session};
use crate::config::PostgresUrl;
use crate::store::documents::{
    DocumentSource, FileChanges, NameTaken, NewDocument, StoredDocument,
};
use crate::store::error::{Constraint, StoreError};

/// The columns of a [`StoredDocument`].
const SELECT: &str = "SELECT id, text, source = 'file', floor(extract(epoch FROM retired_at))::bigint,
    coalesce((SELECT json_agg(alias ORDER BY alias COLLATE \"C\") FROM _freshql_alias AS a WHERE a.id = d.id), '[]')
    FROM _freshql_document AS d";
const IN_ORDER: &str = "ORDER BY id COLLATE \"C\"";

/// Stores the names of these documents: objects with an id and aliases. A name that belongs to
/// another document is moved to this one: the current query files override earlier ones and
/// documents registered over HTTP, which use [`NAME_ONCE`].
const NAME: &str = "INSERT INTO _freshql_alias AS known (alias, id)
      SELECT DISTINCT ON (alias) alias, document ->> 'id' FROM json_array_elements($1::json) AS document,
        json_array_elements_text(document -> 'aliases') AS alias ORDER BY alias, document ->> 'id'
      ON CONFLICT (alias) DO UPDATE SET id = excluded.id WHERE known.id <> excluded.id RETURNING id";

/// Stores the names of such a document, unless another document has one of them: then it fails,
/// together with its transaction, even if the other one commits while this waits.
const NAME_ONCE: &str = "INSERT INTO _freshql_alias (alias, id)
      SELECT DISTINCT given.alias, document ->> 'id' FROM json_array_elements($1::json) AS document,
        json_array_elements_text(document -> 'aliases') AS given (alias)
        WHERE NOT EXISTS (SELECT FROM _freshql_alias AS known WHERE known.alias = given.alias AND known.id = document ->> 'id')
        ORDER BY given.alias RETURNING id";

/// The name of this document that belongs to another one.
const TAKEN: &str = "SELECT alias, id FROM _freshql_alias WHERE alias IN (SELECT json_array_elements_text($2::json))
      AND id <> $1::text LIMIT 1";

/// How often a document is tried if another node inserts the same one concurrently: the second
/// attempt finds what the other node has written.
const ATTEMPTS: u32 = 5;

/// Runs a statement that returns the ids of the documents that it has changed, notifies all nodes
/// of each, and returns their number.
fn notifying(change: &str) -> String {
    format!(
        "WITH changed AS ({change}), notified AS (INSERT INTO _freshql_change (entity, id, op, changed, parts)
           SELECT DISTINCT '/q', id, 'U'::\"char\", '', '{{}}'::text[] FROM changed)
         SELECT count(*) FROM changed"
    )
}

/// All documents of a database, by id.
///
/// # Errors
/// Those of the database.
pub(in crate::store) fn of(url: &PostgresUrl) -> Result<Vec<StoredDocument>, ClientError> {
    let mut connection = Blocking::connect(url, Session::for_commands(url))?;
    let sql = format!("{SELECT} {IN_ORDER}");
    Ok(read(&connection.query(Execute::text(&sql, &[]))?))
}

fn read(rows: &Rows) -> Vec<StoredDocument> {
    let document = |row: super::client::RowRef<'_>| StoredDocument {
        id: row.string(0),
        text: row.string(1),
        source: if row.is(2) {
            DocumentSource::File { retired_at: row.int(3) }
        } else {
            DocumentSource::Http
        },
        // Our own statement produces this JSON.
        aliases: row.text(4).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default(),
    };
    rows.iter().map(document).collect()
}

fn json<'d>(documents: impl Iterator<Item = &'d NewDocument>) -> String {
    let object = |document: &NewDocument| serde_json::json!({ "id": document.id, "text": document.text, "aliases": document.aliases });
    serde_json::Value::Array(documents.map(object).collect()).to_string()
}

impl Store {
    /// All documents, by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn documents(&self) -> Result<Vec<StoredDocument>, StoreError> {
        let sql = format!("{SELECT} {IN_ORDER}");
        let mut lease = self.reader().await?;
        Ok(read(&lease.connection().query(Execute::text(&sql, &[])).await?))
    }

    /// The documents with these ids, as far as the database has them.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn documents_among(
        &self,
        ids: Vec<String>,
    ) -> Result<Vec<StoredDocument>, StoreError> {
        let sql =
            format!("{SELECT} WHERE id IN (SELECT json_array_elements_text($1::json)) {IN_ORDER}");
        let ids = serde_json::json!(ids).to_string();
        let mut lease = self.reader().await?;
        Ok(read(&lease.connection().query(Execute::text(&sql, &[Parameter::Text(&ids)])).await?))
    }

    /// Stores a document until it is removed; false if the database has it already.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn insert_document(
        &self,
        document: NewDocument,
    ) -> Result<Result<bool, NameTaken>, StoreError> {
        let insert = notifying(
            "INSERT INTO _freshql_document (id, text) VALUES ($1::text, $2::text) ON CONFLICT DO NOTHING RETURNING id",
        );
        let keep = notifying(
            "UPDATE _freshql_document SET source = 'http', retired_at = NULL
               WHERE id = $1::text AND source = 'file' RETURNING id",
        );
        let (id, text) = (Parameter::Text(&document.id), Parameter::Text(&document.text));
        let objects = json(std::iter::once(&document));
        let (name, objects) = (notifying(NAME_ONCE), [Parameter::Text(&objects)]);
        let mut attempt = 1;
        loop {
            let changed =
                self.change(&[(&insert, &[id, text]), (&keep, &[id]), (&name, &objects)]).await;
            match changed {
                Ok(counts) => return Ok(Ok(counts.first() == Some(&1))),
                // Another document has the name, or the document was removed before it got the
                // name.
                Err(
                    error @ StoreError::Constraint(
                        Constraint::Unique(_) | Constraint::ForeignKey(_),
                    ),
                ) => {
                    if let Some(taken) = self.taken(&document).await? {
                        return Ok(Err(taken));
                    }
                    if attempt == ATTEMPTS {
                        return Err(error);
                    }
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn taken(&self, document: &NewDocument) -> Result<Option<NameTaken>, StoreError> {
        let names = serde_json::json!(document.aliases).to_string();
        let mut lease = self.writer().await?;
        let parameters = [Parameter::Text(&document.id), Parameter::Text(&names)];
        let rows = lease.connection().query(Execute::text(TAKEN, &parameters)).await?;
        Ok(rows.first().map(|row| NameTaken { alias: row.string(0), id: row.string(1) }))
    }

    /// Removes a document; false if there was none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn delete_document(&self, id: &str) -> Result<bool, StoreError> {
        let delete = notifying("DELETE FROM _freshql_document WHERE id = $1::text RETURNING id");
        Ok(self.change(&[(&delete, &[Parameter::Text(id)])]).await?.first() == Some(&1))
    }

    /// Records what has become of the query files.
    pub(in crate::store) async fn change_file_documents(
        &self,
        changes: FileChanges,
    ) -> Result<(), StoreError> {
        let FileChanges { gone, back, new } = changes;
        // Changes that another node has made in the meantime are kept.
        let retire = notifying(
            "UPDATE _freshql_document SET retired_at = now() WHERE source = 'file' AND retired_at IS NULL
               AND id IN (SELECT json_array_elements_text($1::json)) RETURNING id",
        );
        let restore = notifying(
            "UPDATE _freshql_document SET retired_at = NULL WHERE source = 'file' AND retired_at IS NOT NULL
               AND id IN (SELECT json_array_elements_text($1::json)) RETURNING id",
        );
        let insert = notifying(
            "INSERT INTO _freshql_document (id, text, source)
               SELECT document ->> 'id', document ->> 'text', 'file' FROM json_array_elements($1::json) AS document
               ORDER BY 1 ON CONFLICT DO NOTHING RETURNING id",
        );
        let [gone, back] = [gone, back].map(|ids| serde_json::json!(ids).to_string());
        let new = json(new.values());
        let [gone, back, new] = [&gone, &back, &new].map(|json| [Parameter::Text(json)]);
        let name = notifying(NAME);
        self.change(&[(&retire, &gone), (&restore, &back), (&insert, &new), (&name, &new)])
            .await
            .map(drop)
    }

    /// Deletes the documents that left the query files longer ago than this.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn delete_retired_documents(&self, retention: Duration) -> Result<usize, StoreError> {
        let delete = notifying(
            "DELETE FROM _freshql_document
               WHERE source = 'file' AND retired_at <= now() - make_interval(secs => $1::float8) RETURNING id",
        );
        let seconds = retention.as_secs().to_string();
        let counts = self.change(&[(&delete, &[Parameter::Text(&seconds)])]).await?;
        Ok(counts.first().and_then(|count| usize::try_from(*count).ok()).unwrap_or_default())
    }

    /// Runs such statements in one transaction, and returns when this server knows of their
    /// changes.
    async fn change(
        &self,
        statements: &[(&str, &[Parameter<'_>])],
    ) -> Result<Vec<i64>, StoreError> {
        let flight: Vec<Execute<'_>> =
            statements.iter().map(|(sql, parameters)| Execute::text(sql, parameters)).collect();
        let mut lease = self.writer().await?;
        let rows = lease.connection().flight(&flight).await?;
        drop(lease);
        self.catch_up().await?;
        Ok(rows
            .iter()
            .map(|rows| rows.first().and_then(|row| row.int(0)).unwrap_or_default())
            .collect())
    }
}
