//! The documents in the database: those that were registered over HTTP, which stay until somebody
//! removes them, and those of query files, so that the servers that start after a file has changed
//! still know what it said.

use std::collections::HashMap;

/// A document as the database keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// Its id, as it was written.
    pub id: String,
    /// As it was registered, byte for byte.
    pub text: String,
    /// How it got there.
    pub source: DocumentSource,
    /// What manifests call it.
    pub aliases: Vec<String>,
}

/// A document that is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDocument {
    /// Its id.
    pub id: String,
    /// Byte for byte.
    pub text: String,
    /// What manifests call it, beside names that it has already.
    pub aliases: Vec<String>,
}

/// Why a document is not kept: another one has a name that it was to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTaken {
    /// The name.
    pub alias: String,
    /// The id of the document that has it.
    pub id: String,
}

/// How a document got into the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentSource {
    /// Registered over HTTP.
    Http,
    /// A server found it in a query file.
    File {
        /// When a server started for the first time that had no such file any more, in seconds
        /// since 1970. None: not yet.
        retired_at: Option<i64>,
    },
}

/// What has become of query files since a server last wrote down what they say.
#[derive(Debug, Default)]
pub(in crate::store) struct FileChanges {
    /// The ids of documents that left the files.
    pub(in crate::store) gone: Vec<String>,
    /// The ids of those that came back.
    pub(in crate::store) back: Vec<String>,
    /// New ones, and those that have new names.
    pub(in crate::store) new: HashMap<String, NewDocument>,
}

impl FileChanges {
    /// From what the database knows to what the files say.
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
        // Of those that are known, only names that are new count.
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
