//! stub
/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {}
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct StoreError;
impl Store {
    pub async fn open(path: &std::path::Path, readers: usize) -> Result<Self, StoreError> { unimplemented!() }
    pub async fn documents(&self) -> Result<Vec<(String, String)>, StoreError> { unimplemented!() }
    pub async fn insert_document(&self, id: String, text: String) -> Result<bool, StoreError> { unimplemented!() }
    pub async fn delete_document(&self, id: &str) -> Result<bool, StoreError> { unimplemented!() }
    pub async fn ping(&self) -> Result<(), StoreError> { unimplemented!() }
}
