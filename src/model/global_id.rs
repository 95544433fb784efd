//! Ids that are unique across all entities (`ids = "global"`), as Relay expects: the type name and
//! the row's key in one opaque string. Each row has exactly one spelling of its id.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Column, Entity, EntityId, Model};

/// The id of the row of this type with this key.
pub(crate) fn encode(type_name: &str, key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{type_name}:{key}"))
}

/// Why a string is not the expected id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotAnId {
    /// The API never returns such an id.
    Malformed,
    /// It is the id of a row of another type.
    OfAnother(String),
}

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("a string that is not an id of this API"),
            Self::OfAnother(type_name) => write!(f, "the id of a row of {type_name}"),
        }
    }
}

/// The type name and the row's key.
pub(crate) fn decode(id: &str) -> Option<(String, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
    let (type_name, key) = text.split_once(':')?;
    Some((type_name.to_owned(), key.to_owned()))
}

/// The key of a row of this entity.
///
/// # Errors
/// It is not an id, or is one of another entity.
pub(crate) fn decode_of(entity: &Entity, id: &str) -> Result<String, NotAnId> {
    match decode(id) {
        Some((type_name, key)) if type_name == entity.name => Ok(key),
        Some((type_name, _)) => Err(NotAnId::OfAnother(type_name)),
        None => Err(NotAnId::Malformed),
    }
}

impl Model {
    /// The same model with ids that are unique across all entities. This applies to entities whose
    /// key is a visible field `id`: they implement `Node`. Others keep their keys.
    #[must_use]
    pub fn with_global_ids(mut self) -> Self {
        let nodes: Vec<bool> = self.entities.iter().map(has_id).collect();
        let global = |target: EntityId| nodes[usize::from(target.0)].then_some(target);
        for entity in &mut self.entities {
            let (own, key) = (entity.id, usize::from(entity.key.0));
            for (index, column) in entity.columns.iter_mut().enumerate() {
                let target = column.references.as_ref().map(|reference| reference.target);
                column.global = if index == key { global(own) } else { target.and_then(global) };
            }
        }
        // Every answer that contains an id has different bytes.
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"freshql global ids 1");
        hasher.update(&self.fingerprint);
        self.fingerprint = *hasher.finalize().as_bytes();
        self
    }

    /// The entities whose rows are `Node`s.
    pub fn nodes(&self) -> impl Iterator<Item = &Entity> {
        self.entities.iter().filter(|entity| entity.is_node())
    }
}

impl Entity {
    /// Whether its rows have global ids and implement `Node`.
    pub fn is_node(&self) -> bool {
        self.column(self.key).global == Some(self.id)
    }
}

fn has_id(entity: &Entity) -> bool {
    let Column { field, hidden, scalar, .. } = entity.column(entity.key);
    field == "id" && !hidden && scalar.is_id()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = encode("Product", "0191408b:7");
        assert_eq!(decode(&id), Some(("Product".to_owned(), "0191408b:7".to_owned())));
        // Padding, white space, the other alphabet, non-zero trailing bits, no colon.
        for other in
            [format!("{id}="), format!("{id} "), "YTpifn4+".into(), "YTp".into(), "UHI".into()]
        {
            assert_eq!(decode(&other), None, "{other}");
        }
    }
}
