//! The trusted documents, by id and by alias. It keeps them; how they got here is the business of
//! the files beside it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use sha2::{Digest, Sha256};

use super::outdated::Outdated;
use crate::document_id::{DocumentId, DocumentRef};
use crate::graphql::{Document, GraphqlError};
use crate::store::{DocumentSource, FeedEvent, StoredDocument, Subscriber};

/// The trusted documents. Requests read it all the time, the admin API writes it now and then.
///
/// Other nodes register and remove documents, too. Whoever looks one up makes sure first that this
/// is as the database is: see [`Documents`](super::Documents).
#[derive(Default)]
pub struct Registry {
    documents: DashMap<DocumentId, Arc<Registered>>,
    /// Those of the database, which another node may have registered, that nobody has asked for
    /// here so far.
    uncompiled: DashMap<DocumentId, StoredDocument>,
    /// What Apollo's tools and clients call them.
    hashes: DashMap<Sha256Hash, DocumentId>,
    /// Whatever else a manifest calls them.
    aliases: DashMap<String, Alias>,
    generation: AtomicU64,
    pub(super) outdated: Outdated,
}

/// A name that a manifest gives a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Alias {
    id: DocumentId,
    /// A file says so, whatever the database says.
    of_file: bool,
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

impl From<Sha256Hash> for DocumentRef {
    fn from(hash: Sha256Hash) -> Self {
        Self::Sha256(hash.0)
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
    /// The document, or why it is no longer valid: a stored one is kept when the model has changed
    /// under it.
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
pub enum RemovalRefused {
    /// There is none with this id.
    Unknown,
    /// These files hold it.
    InFiles(Vec<String>),
}

impl Registry {
    /// The document that a client names. Digits without a scheme are an id first, then a sha256,
    /// then a name of a manifest.
    pub fn find(&self, name: &DocumentRef) -> Option<Arc<Registered>> {
        self.resolve(name).and_then(|id| self.get(id))
    }

    /// The document that a client names, where no other node can have given the name another
    /// meaning: a file of this one has it, and its id is the hash of its text.
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

    /// The document that some manifest gave this name.
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

    /// A file gives a document this name.
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

    /// The names that the database has for a document, and no others but those of files.
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
        // The id is copied out, so that no lock is held while the other map is read.
        let id = self.hashes.get(&hash).map(|id| *id)?;
        self.get(id)
    }

    /// The document with this id, if it is compiled.
    pub fn get(&self, id: DocumentId) -> Option<Arc<Registered>> {
        self.documents.get(&id).map(|document| Arc::clone(&document))
    }

    /// Another operation than the one asked for that has this name: its document is probably the
    /// one that was meant.
    pub fn resembling(&self, operation_name: &str) -> Option<DocumentId> {
        self.named(operation_name).first().map(|registered| registered.id)
    }

    /// The valid documents with an operation of this name, ordered by id. Retired ones only where
    /// no other has the name.
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

    /// Counts the changes: while it stays, names mean the same documents.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Takes over what the database has of this document, None where it has none. One that is new
    /// is not compiled before somebody asks for it.
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
            // An error would mean that it is gone already, or in a file.
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

    /// How many there are.
    pub fn count_uncompiled(&self) -> usize {
        self.uncompiled.len()
    }

    /// All of them.
    pub(super) fn all_uncompiled(&self) -> Vec<DocumentId> {
        self.uncompiled.iter().map(|entry| *entry.key()).collect()
    }

    /// The ids of all documents, compiled or not.
    pub(super) fn ids(&self) -> Vec<DocumentId> {
        self.documents.iter().map(|entry| *entry.key()).chain(self.all_uncompiled()).collect()
    }

    /// It is compiled now: `registered`, or None where it does not fit the model. No name means
    /// another document than before.
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

    /// After the maps have changed: who resolves a name before this and remembers the result does
    /// so under the old number.
    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Adds a document from a file; a second file with the same bytes is remembered beside the
    /// first.
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

    /// Adds a document that the database has, valid or not. The files that hold it stay known.
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

    /// The retired documents whose time is over at this moment, in seconds since 1970.
    pub fn expired(&self, now: i64) -> Vec<DocumentId> {
        let is_over = |registered: &Registered| {
            registered.retired.is_some_and(|retired| retired.until <= now)
        };
        self.documents.iter().filter(|entry| is_over(entry)).map(|entry| entry.id).collect()
    }

    /// Nothing is known of the documents in the database any more.
    pub fn doubt(&self) {
        self.outdated.mark_all();
        self.changed();
    }

    /// Forgets a document that is in no file.
    ///
    /// # Errors
    /// It is kept; says why.
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

/// Whether a name is the id itself, in one of its spellings: that needs not be remembered.
pub(super) fn is_hash_of(alias: &str, id: DocumentId) -> bool {
    DocumentRef::parse(alias) == Some(DocumentRef::Id(id))
}

/// What the feed tells is noted here, and read by the next who looks a document up. The generation
/// moves at once, so that no URL is answered any more as it was before.
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
    fn a_hash_is_read_as_it_is_written() {
        let hash = Sha256Hash::of("{__typename}");
        assert_eq!(
            hash.to_string(),
            "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38"
        );
        assert_eq!(Sha256Hash::parse(&hash.to_string()), Some(hash));
        assert_eq!(Sha256Hash::parse("ecf4"), None);
    }
}
