//! Documents that clients register themselves: automatic persisted queries, and repeated ad-hoc
//! documents. They are kept as long as there is room.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::registered::Sha256Hash;
use crate::document_id::DocumentId;
use crate::graphql::{Compiler, Document, GraphqlError};

/// The size of a compiled document in addition to its text, in bytes: an estimate that also bounds
/// the number of small documents.
const BASE_WEIGHT: u64 = 4096;

/// A plan is larger than the text from which it was made, by about this factor.
const WEIGHT_PER_BYTE: u64 = 16;

/// The maximum size of all learned documents, in bytes by the estimate above.
const CAPACITY: u64 = 32 << 20;

/// The learned documents. Bounded; the least used are evicted first.
pub struct LearnedDocuments {
    documents: Cache<Sha256Hash, Arc<Document>, BySize>,
}

#[derive(Clone)]
struct BySize;

impl Weighter<Sha256Hash, Arc<Document>> for BySize {
    fn weight(&self, _: &Sha256Hash, document: &Arc<Document>) -> u64 {
        weight(document.text().len())
    }
}

fn weight(length: usize) -> u64 {
    BASE_WEIGHT + WEIGHT_PER_BYTE * length as u64
}

impl Default for LearnedDocuments {
    fn default() -> Self {
        let expected = CAPACITY / weight(1024);
        Self { documents: Cache::with_weighter(expected as usize, CAPACITY, BySize) }
    }
}

impl LearnedDocuments {
    /// A document that was learned and is not yet evicted.
    pub fn get(&self, hash: Sha256Hash) -> Option<Arc<Document>> {
        self.documents.get(&hash)
    }

    /// The document with this text, compiled once for all concurrent callers.
    ///
    /// # Errors
    /// The document's mistakes; they are not cached.
    pub async fn learn(
        &self,
        compiler: &Compiler,
        hash: Sha256Hash,
        text: &str,
    ) -> Result<Arc<Document>, Vec<GraphqlError>> {
        let compile =
            async { compiler.compile(DocumentId::of(text), text.into()).await.map(Arc::new) };
        self.documents.get_or_insert_async(&hash, compile).await
    }
}
