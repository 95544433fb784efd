//! The trusted documents, by id and by alias. It keeps them; how they got here is the business of the files beside it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use sha2::{Digest, Sha256};

use crate::document_id::{DocumentId, DocumentRef};
use crate::graphql::{Document, GraphqlError};

/// The trusted documents. Requests read it all the time, the admin API writes it now and then.
#[derive(Default)]
pub struct Registry {
    documents: DashMap<DocumentId, Arc<Registered>>,
    /// What Apollo's tools and clients call them.
    hashes: DashMap<Sha256Hash, DocumentId>,
    generation: AtomicU64,
}

/// sha256 of a document's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Hash([u8; 32]);

impl Sha256Hash {
    /// The hash of this text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Reads 64 hex digits, in either case.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A trusted document, and where it came from.
pub struct Registered {
    /// Its id.
    pub id: DocumentId,
    /// As it was registered, byte for byte.
    pub text: Arc<str>,
    /// The document, or why it is no longer valid: a stored one is kept when the model has changed under it.
    pub document: Result<Document, Vec<GraphqlError>>,
    /// The files that hold it; the API cannot remove what is in a file.
    pub files: Vec<String>,
    /// It was registered over the API and is kept in the database.
    pub stored: bool,
    /// It was in a query file once, and is served for a while longer.
    pub retired: Option<Retired>,
}

/// When a document left the query files, and when it is forgotten, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retired {
    /// The start of the first server that had no such file.
    pub since: i64,
    /// From here on the document is unknown.
    pub until: i64,
}

/// A moment in seconds since 1970, as people and programs read it: `2026-11-26T09:00:00Z`.
pub fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// Why a document was not removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// There is none with this id.
    Unknown,
    /// These files hold it.
    InFiles(Vec<String>),
}

impl Registry {
    /// The document that a client names. Digits without a scheme are an id first, and else a sha256.
    pub fn find(&self, name: &DocumentRef) -> Option<Arc<Registered>> {
        match name {
            DocumentRef::Id(id) => self.get(*id).or_else(|| self.by_hash(Sha256Hash(*id.as_bytes()))),
            DocumentRef::Sha256(hash) => self.by_hash(Sha256Hash(*hash)),
            DocumentRef::Alias(_) => None,
        }
    }

    /// The document whose text has this hash.
    pub fn by_hash(&self, hash: Sha256Hash) -> Option<Arc<Registered>> {
        // The id is copied out, so that no lock is held while the other map is read.
        let id = self.hashes.get(&hash).map(|id| *id)?;
        self.get(id)
    }

    /// The document with this id.
    pub fn get(&self, id: DocumentId) -> Option<Arc<Registered>> {
        self.documents.get(&id).map(|document| Arc::clone(&document))
    }

    /// Another operation than the one asked for that has this name: its document is probably the one that was meant.
    pub fn resembling(&self, operation_name: &str) -> Option<DocumentId> {
        self.named(operation_name).first().map(|registered| registered.id)
    }

    /// The valid documents with an operation of this name, ordered by id. Retired ones only where no other has the name.
    pub fn named(&self, operation_name: &str) -> Vec<Arc<Registered>> {
        let has_name = |document: &Document| document.operations().iter().any(|o| o.name() == Some(operation_name));
        let all = self.documents.iter().filter(|entry| entry.document.as_ref().is_ok_and(has_name));
        let mut named: Vec<_> = all.map(|entry| Arc::clone(&entry)).collect();
        named.sort_by_key(|registered| (registered.retired.is_some(), registered.id));
        let retired = named.iter().position(|registered| registered.retired.is_some()).unwrap_or(named.len());
        named.truncate(if retired == 0 { named.len() } else { retired });
        named
    }

    /// All documents, ordered by id.
    pub fn list(&self) -> Vec<Arc<Registered>> {
        let mut all: Vec<_> = self.documents.iter().map(|entry| Arc::clone(&entry)).collect();
        all.sort_by_key(|registered| registered.id);
        all
    }

    /// Counts the changes: while it stays, names mean the same documents.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// After the maps have changed: who resolves a name before this and remembers the result does so under the old number.
    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Adds a document from a file; a second file with the same bytes is remembered beside the first.
    pub fn add_file(&self, id: DocumentId, text: Arc<str>, document: Document, file: String) {
        match self.documents.entry(id) {
            Entry::Occupied(mut entry) => {
                let old = entry.get();
                let mut files = old.files.clone();
                files.push(file);
                let (document, stored) = (Ok(document), old.stored);
                entry.insert(Arc::new(Registered { id, text, document, files, stored, retired: None }));
            }
            Entry::Vacant(entry) => {
                self.hashes.insert(Sha256Hash::of(&text), id);
                entry.insert(Arc::new(Registered {
                    id,
                    text,
                    document: Ok(document),
                    files: vec![file],
                    stored: false,
                    retired: None,
                }));
            }
        }
        self.changed();
    }

    /// Adds a document that was registered over the API, valid or not.
    pub fn add_stored(&self, id: DocumentId, text: Arc<str>, document: Result<Document, Vec<GraphqlError>>) {
        let files = self.get(id).map(|old| old.files.clone()).unwrap_or_default();
        self.insert(Registered { id, text, document, files, stored: true, retired: None });
    }

    /// Adds a document that some server found in a query file: `retired` unless that file may still be there.
    pub fn add_of_files(&self, id: DocumentId, text: Arc<str>, document: Document, retired: Option<Retired>) {
        self.insert(Registered { id, text, document: Ok(document), files: Vec::new(), stored: false, retired });
    }

    fn insert(&self, registered: Registered) {
        let (id, hash) = (registered.id, Sha256Hash::of(&registered.text));
        self.documents.insert(id, Arc::new(registered));
        self.hashes.insert(hash, id);
        self.changed();
    }

    /// The retired documents whose time is over at this moment, in seconds since 1970.
    pub fn expired(&self, now: i64) -> Vec<DocumentId> {
        let is_over = |registered: &Registered| registered.retired.is_some_and(|retired| retired.until <= now);
        self.documents.iter().filter(|entry| is_over(entry)).map(|entry| entry.id).collect()
    }

    /// Forgets a document that is in no file.
    ///
    /// # Errors
    /// It is kept; says why.
    pub fn remove(&self, id: DocumentId) -> Result<(), Kept> {
        let registered = self.get(id).ok_or(Kept::Unknown)?;
        if !registered.files.is_empty() {
            return Err(Kept::InFiles(registered.files.clone()));
        }
        self.documents.remove(&id);
        self.hashes.remove(&Sha256Hash::of(&registered.text));
        self.changed();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = Sha256Hash::of("{__typename}");
        assert_eq!(hash.to_string(), "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38");
        assert_eq!(Sha256Hash::parse(&hash.to_string()), Some(hash));
        assert_eq!(Sha256Hash::parse("ecf4"), None);
    }
}
