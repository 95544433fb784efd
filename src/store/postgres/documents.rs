//! The documents in a PostgreSQL database.

use std::time::Duration;

use super::Store;
use crate::store::documents::{FileChanges, NewDocument, StoredDocument};
use crate::store::error::StoreError;

impl Store {
    /// All documents of a database, by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn documents(&self) -> Result<Vec<StoredDocument>, StoreError> {
        Ok(Vec::new())
    }

    /// Those of these documents that the database has.
    ///
    /// # Errors
    /// The database's.
    pub async fn documents_among(&self, _ids: Vec<String>) -> Result<Vec<StoredDocument>, StoreError> {
        Ok(Vec::new())
    }

    /// Keeps a document until it is removed; false if the database had it already.
    ///
    /// # Errors
    /// The database's.
    pub async fn insert_document(&self, _document: NewDocument) -> Result<bool, StoreError> {
        Err(StoreError::Database("documents are not kept in PostgreSQL yet".into()))
    }

    /// Forgets a document; false if it was not there.
    ///
    /// # Errors
    /// The database's.
    pub async fn delete_document(&self, _id: &str) -> Result<bool, StoreError> {
        Ok(false)
    }

    pub(in crate::store) async fn change_file_documents(&self, _changes: FileChanges) -> Result<(), StoreError> {
        Ok(())
    }

    /// Forgets the documents that left the query files longer ago than this.
    ///
    /// # Errors
    /// The database's.
    pub async fn delete_retired_documents(&self, _retention: Duration) -> Result<usize, StoreError> {
        Ok(0)
    }
}
