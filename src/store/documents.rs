//! The documents in the database: those registered over HTTP, which stay until somebody removes
//! them, and those of query files, so that servers that start after a file has changed still know
//! its previous contents.

use std::collections::HashMap;

/// A document as stored in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// Its id, as stored.
    pub id: String,
    /// The text as registered, byte for byte.
    pub text: String,
    /// How it was registered.
    pub source: DocumentSource,
    /// The names that manifests give it.
    pub aliases: Vec<String>,
}

/// A document to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDocument {
    /// Its id.
    pub id: String,
    /// The text, byte for byte.
    pub text: String,
    /// The names that manifests give it, in addition to its existing ones.
    pub aliases: Vec<String>,
}

/// Why a document is not stored: another one already has one of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTaken {
    /// The name.
    pub alias: String,
    /// The id of the document that has it.
    pub id: String,
}

/// How a document was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentSource {
    /// Registered over HTTP.
    Http,
    /// A server found it in a query file.
    File {
        /// When a server first started without the file, in seconds since 1970; None if that has
        /// not happened.
        retired_at: Option<i64>,
    },
}

/// What has changed in the query files since a server last recorded them.
#[derive(Debug, Default)]
pub(in crate::store) struct FileChanges {
    /// The ids of documents that left the files.
    pub(in crate::store) gone: Vec<String>,
    /// The ids of documents that came back.
    pub(in crate::store) back: Vec<String>,
    /// New documents, and known ones with new names.
    pub(in crate::store) new: HashMap<String, NewDocument>,
}

impl FileChanges {
    /// From what is in the database to what is in the files.
    pub(in crate::store) fn between(
        known: &[StoredDocument],
        current: HashMap<String, NewDocument>,
    ) -> Self {
        let is_retired = |document: &StoredDocument| match document.source {
            DocumentSource::Http => None,
            DocumentSource::File { retired_at } => Some(retired_at.is_some()),
        };
        let is_current = |document: &StoredDocument| current.contains_key(&document.id);
        let ids = |changed: &dyn Fn(&StoredDocument) -> bool| -> Vec<String> {
            known
                .iter()
                .filter(|document| changed(document))
                .map(|document| document.id.clone())
                .collect()
        };
        let gone = ids(&|document| is_retired(document) == Some(false) && !is_current(document));
        let back = ids(&|document| is_retired(document) == Some(true) && is_current(document));
        let mut new = current;
        // For known documents, only new names count.
        known.iter().for_each(|document| {
            let has_all = |new: &NewDocument| {
                new.aliases.iter().all(|alias| document.aliases.contains(alias))
            };
            if new.get(&document.id).is_some_and(has_all) {
                new.remove(&document.id);
            }
        });
        Self { gone, back, new }
    }

    pub(in crate::store) fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.back.is_empty() && self.new.is_empty()
    }
}
