//! The trusted documents, by id and by alias. How they get here is decided in the files next to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::outdated::Outdated;
use super::registered::{Registered, Retired, Sha256Hash};
use crate::document_id::{DocumentId, DocumentRef};
use crate::graphql::Document;
use crate::store::{DocumentSource, FeedEvent, StoredDocument, Subscriber};

/// The trusted documents. Requests read them constantly; the admin API changes them now and then.
///
/// Other nodes register and remove documents, too. Before a lookup, callers make sure that the
/// registry matches the database: see [`Documents`](super::Documents).
#[derive(Default)]
pub struct Registry {
    documents: DashMap<DocumentId, Arc<Registered>>,
    /// Documents from the database, perhaps registered by another node, that nobody has requested
    /// here so far.
    uncompiled: DashMap<DocumentId, StoredDocument>,
    /// The sha256 names, as used by Apollo's tools and clients.
    hashes: DashMap<Sha256Hash, DocumentId>,
    /// All other names that manifests give them.
    aliases: DashMap<String, Alias>,
    generation: AtomicU64,
    pub(super) outdated: Outdated,
}

/// A name that a manifest gives a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Alias {
    id: DocumentId,
    /// Defined by a file, which takes precedence over the database.
    of_file: bool,
}

/// Why a document was not removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovalRefused {
    /// No document has this id.
    Unknown,
    /// These files contain it.
    InFiles(Vec<String>),
}

impl Registry {
    /// The document that a client names. Digits without a scheme are looked up as an id, then as a
    /// sha256, then as a name in a manifest.
    pub fn find(&self, name: &DocumentRef) -> Option<Arc<Registered>> {
        self.resolve(name).and_then(|id| self.get(id))
    }

    /// The document that a client names, if no other node can have changed the meaning of the name:
    /// it is in a file of this node, and its id is the hash of its text.
    pub fn find_in_files(&self, name: &DocumentRef) -> Option<Arc<Registered>> {
        let is_of_file = |registered: &Arc<Registered>| !registered.files.is_empty();
        let by_hash = |hash| self.by_hash(Sha256Hash(hash)).filter(is_of_file);
        match name {
            DocumentRef::Id(id) => {
                self.get(*id).filter(is_of_file).or_else(|| by_hash(*id.as_bytes()))
            }
            DocumentRef::Sha256(hash) => by_hash(*hash),
            DocumentRef::Alias(name) => {
                let id =
                    self.aliases.get(name).filter(|alias| alias.of_file).map(|alias| alias.id)?;
                self.get(id).filter(is_of_file)
            }
        }
    }

    /// The id of the document that a client names, compiled or not.
    pub(super) fn resolve(&self, name: &DocumentRef) -> Option<DocumentId> {
        let by_hash = |hash| self.hashes.get(&Sha256Hash(hash)).map(|id| *id);
        let hashed = match name {
            DocumentRef::Id(id) if self.is_there(*id) => Some(*id),
            DocumentRef::Id(id) => by_hash(*id.as_bytes()),
            DocumentRef::Sha256(hash) => by_hash(*hash),
            DocumentRef::Alias(_) => None,
        };
        hashed.or_else(|| self.by_alias(&name.to_string()))
    }

    fn is_there(&self, id: DocumentId) -> bool {
        self.documents.contains_key(&id) || self.uncompiled.contains_key(&id)
    }

    /// The document to which a manifest gave this name.
    pub(super) fn by_alias(&self, alias: &str) -> Option<DocumentId> {
        self.aliases.get(alias).map(|alias| alias.id)
    }

    /// The names that manifests gave this document, sorted.
    pub fn aliases(&self, id: DocumentId) -> Vec<String> {
        let named =
            self.aliases.iter().filter(|entry| entry.id == id).map(|entry| entry.key().clone());
        let mut names: Vec<String> = named.collect();
        names.sort();
        names
    }

    /// Records that a file gives a document this name.
    ///
    /// # Errors
    /// Another file has given it to the document that is returned.
    pub fn add_alias_of_file(&self, alias: &str, id: DocumentId) -> Result<(), DocumentId> {
        if is_hash_of(alias, id) {
            return Ok(());
        }
        if let Some(known) = self.aliases.get(alias).filter(|known| known.of_file && known.id != id)
        {
            return Err(known.id);
        }
        self.aliases.insert(alias.to_owned(), Alias { id, of_file: true });
        self.changed();
        Ok(())
    }

    /// Replaces the names that the database has for a document; names from files remain.
    pub(super) fn set_aliases(&self, id: DocumentId, names: &[String]) {
        self.aliases.retain(|_, known| known.id != id || known.of_file);
        for name in names {
            match self.aliases.entry(name.clone()) {
                Entry::Occupied(known) if known.get().of_file => {}
                entry => drop(entry.insert(Alias { id, of_file: false })),
            }
        }
    }

    /// The document whose text has this hash.
    pub fn by_hash(&self, hash: Sha256Hash) -> Option<Arc<Registered>> {
        // Copy the id, so that no lock is held while the other map is read.
        let id = self.hashes.get(&hash).map(|id| *id)?;
        self.get(id)
    }

    /// The document with this id, if it is compiled.
    pub fn get(&self, id: DocumentId) -> Option<Arc<Registered>> {
        self.documents.get(&id).map(|document| Arc::clone(&document))
    }

    /// A document that contains an operation with this name: probably the one that was meant.
    pub fn resembling(&self, operation_name: &str) -> Option<DocumentId> {
        self.named(operation_name).first().map(|registered| registered.id)
    }

    /// The valid documents with an operation of this name, ordered by id. Retired ones only if no
    /// other has the name.
    pub fn named(&self, operation_name: &str) -> Vec<Arc<Registered>> {
        let has_name = |document: &Document| {
            document.operations().iter().any(|o| o.name() == Some(operation_name))
        };
        let all = self.documents.iter().filter(|entry| entry.document.as_ref().is_ok_and(has_name));
        let mut named: Vec<_> = all.map(|entry| Arc::clone(&entry)).collect();
        named.sort_by_key(|registered| (registered.retired.is_some(), registered.id));
        let retired =
            named.iter().position(|registered| registered.retired.is_some()).unwrap_or(named.len());
        named.truncate(if retired == 0 { named.len() } else { retired });
        named
    }

    /// All documents, ordered by id.
    pub fn list(&self) -> Vec<Arc<Registered>> {
        let mut all: Vec<_> = self.documents.iter().map(|entry| Arc::clone(&entry)).collect();
        all.sort_by_key(|registered| registered.id);
        all
    }

    /// The number of changes. As long as it stays the same, names mean the same documents.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Applies the database's state of this document; None if the database does not have it. A new
    /// document is not compiled until somebody requests it.
    pub(super) fn follow(
        &self,
        id: DocumentId,
        stored: Option<StoredDocument>,
        retired: Option<Retired>,
    ) {
        self.set_aliases(id, stored.as_ref().map_or(&[], |stored| &stored.aliases));
        let Some(known) = self.get(id) else {
            match stored {
                Some(stored) => {
                    self.hashes.insert(Sha256Hash::of(&stored.text), id);
                    self.uncompiled.insert(id, stored);
                }
                None => match self.uncompiled.remove(&id) {
                    Some((_, gone)) => drop(self.hashes.remove(&Sha256Hash::of(&gone.text))),
                    None => return,
                },
            }
            return self.changed();
        };
        if stored.is_none() && known.files.is_empty() {
            // An error would mean that it is already gone, or is in a file.
            let _ = self.remove(id);
            return;
        }
        let is_stored = stored.is_some_and(|stored| stored.source == DocumentSource::Http);
        let retired = retired.filter(|_| known.files.is_empty());
        if (is_stored, retired) != (known.stored, known.retired) {
            let (text, document, files) =
                (known.text.clone(), known.document.clone(), known.files.clone());
            self.insert(Registered { id, text, document, files, stored: is_stored, retired });
        }
    }

    /// A document that [`Self::follow`] has left to be compiled.
    pub(super) fn uncompiled(&self, id: DocumentId) -> Option<StoredDocument> {
        self.uncompiled.get(&id).map(|stored| stored.clone())
    }

    /// The number of documents that are not yet compiled.
    pub fn count_uncompiled(&self) -> usize {
        self.uncompiled.len()
    }

    /// The ids of all documents that are not yet compiled.
    pub(super) fn all_uncompiled(&self) -> Vec<DocumentId> {
        self.uncompiled.iter().map(|entry| *entry.key()).collect()
    }

    /// The ids of all documents, compiled or not.
    pub(super) fn ids(&self) -> Vec<DocumentId> {
        self.documents.iter().map(|entry| *entry.key()).chain(self.all_uncompiled()).collect()
    }

    /// Records the result of compiling a document: `registered`, or None if it does not fit the
    /// model. This changes the meaning of no name.
    pub(super) fn settle(&self, id: DocumentId, registered: Option<Registered>) {
        match registered {
            Some(registered) => drop(self.documents.insert(id, Arc::new(registered))),
            None => {
                self.hashes.retain(|_, known| *known != id);
                self.aliases.retain(|_, known| known.id != id);
            }
        }
        self.uncompiled.remove(&id);
    }

    /// Call this after changing the maps, so that a caller who resolves a name before the change
    /// remembers the result under the old number.
    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Adds a document from a file. A second file with the same bytes is added to the first.
    pub fn add_file(&self, id: DocumentId, text: Arc<str>, document: Document, file: String) {
        match self.documents.entry(id) {
            Entry::Occupied(mut entry) => {
                let old = entry.get();
                let mut files = old.files.clone();
                files.push(file);
                let (document, stored) = (Ok(document), old.stored);
                entry.insert(Arc::new(Registered {
                    id,
                    text,
                    document,
                    files,
                    stored,
                    retired: None,
                }));
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

    /// Adds a document from the database, valid or not. Its known files are kept.
    pub(super) fn add_of_database(&self, registered: Registered) {
        let files = self.get(registered.id).map(|old| old.files.clone()).unwrap_or_default();
        self.insert(Registered { files, ..registered });
    }

    fn insert(&self, registered: Registered) {
        let (id, hash) = (registered.id, Sha256Hash::of(&registered.text));
        self.documents.insert(id, Arc::new(registered));
        self.hashes.insert(hash, id);
        self.changed();
    }

    /// The retired documents that have expired at this time, in seconds since 1970.
    pub fn expired(&self, now: i64) -> Vec<DocumentId> {
        let is_over = |registered: &Registered| {
            registered.retired.is_some_and(|retired| retired.until <= now)
        };
        self.documents.iter().filter(|entry| is_over(entry)).map(|entry| entry.id).collect()
    }

    /// Marks all documents of the database as unknown.
    pub fn doubt(&self) {
        self.outdated.mark_all();
        self.changed();
    }

    /// Removes a document that is in no file.
    ///
    /// # Errors
    /// It is kept; the value says why.
    pub fn remove(&self, id: DocumentId) -> Result<(), RemovalRefused> {
        let registered = self.get(id).ok_or(RemovalRefused::Unknown)?;
        if !registered.files.is_empty() {
            return Err(RemovalRefused::InFiles(registered.files.clone()));
        }
        self.documents.remove(&id);
        self.hashes.remove(&Sha256Hash::of(&registered.text));
        self.aliases.retain(|_, known| known.id != id);
        self.changed();
        Ok(())
    }
}

/// Whether a name is a spelling of the id itself, which need not be stored.
pub(super) fn is_hash_of(alias: &str, id: DocumentId) -> bool {
    DocumentRef::parse(alias) == Some(DocumentRef::Id(id))
}

/// Records what the feed reports, for the next lookup to read. The generation changes at once, so
/// that no URL is answered as before.
impl Subscriber for Registry {
    fn receive(&self, event: &FeedEvent) {
        match event {
            FeedEvent::Batch(batch) if batch.changes.documents.is_empty() => {}
            FeedEvent::Batch(batch) => {
                self.outdated.mark(&batch.changes.documents);
                self.changed();
            }
            FeedEvent::Forgotten => self.doubt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_parses_as_it_is_printed() {
        let hash = Sha256Hash::of("{__typename}");
        assert_eq!(
            hash.to_string(),
            "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38"
        );
        assert_eq!(Sha256Hash::parse(&hash.to_string()), Some(hash));
        assert_eq!(Sha256Hash::parse("ecf4"), None);
    }
}
