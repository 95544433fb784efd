//! The name of a document, blake3 of its exact UTF-8 bytes, and the forms in which clients write
//! it. Aliases are resolved by the registry.

use std::fmt;

/// `blake3(exact UTF-8 bytes)` of a document, written as 64 lower-case hex digits.
///
/// ```
/// use freshql::document_id::DocumentId;
///
/// let id = DocumentId::of("{ books { totalCount } }");
/// assert_eq!(DocumentId::parse(&id.to_string()), Some(id));
/// assert_ne!(DocumentId::of("{ books { totalCount } }\n"), id, "every byte counts");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentId([u8; 32]);

impl DocumentId {
    /// The id of this text.
    pub fn of(text: &str) -> Self {
        Self(*blake3::hash(text.as_bytes()).as_bytes())
    }

    /// The raw hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses 64 hex digits; upper case is rejected.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return None;
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocumentId({self})")
    }
}

impl serde::Serialize for DocumentId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for DocumentId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("expected 64 lower-case hex digits"))
    }
}

/// How a request names a document: in the path `/q/{id}`, as `documentId`, or as Apollo's
/// `sha256Hash`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DocumentRef {
    /// `<64 hex>` or `x-blake3:<64 hex>`. Without a prefix the digits may also be a sha256, as
    /// Apollo's manifests and `/graphql` clients write it: if no document has this id, look for the
    /// alias with the same digits.
    Id(DocumentId),
    /// `sha256:<64 hex>`, the registered scheme of the persisted-documents draft.
    Sha256([u8; 32]),
    /// Any other name: an md5 (Relay), a sha1 (graphql-codegen), or whatever a manifest calls its
    /// documents.
    Alias(String),
}

impl DocumentRef {
    /// Parses a reference whose percent-encoding (`sha256%3A…`) has been decoded. Hex digits and
    /// the scheme must be lower case, so that a document has one URL.
    ///
    /// None for what cannot name anything: the empty string, and either scheme followed by anything
    /// other than 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix("x-blake3:") {
            return DocumentId::parse(digits).map(Self::Id);
        }
        if let Some(digits) = text.strip_prefix("sha256:") {
            return DocumentId::parse(digits).map(|hash| Self::Sha256(hash.0));
        }
        match DocumentId::parse(text) {
            Some(id) => Some(Self::Id(id)),
            None if text.is_empty() => None,
            None => Some(Self::Alias(text.to_owned())),
        }
    }
}

impl fmt::Display for DocumentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Sha256(hash) => write!(f, "sha256:{}", hex::encode(hash)),
            Self::Alias(alias) => f.write_str(alias),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "cad92c2dc8b6edeb9a5a0a8cef3b6b6ea1a7aae2b1ce7d55e25b5f8a2c8e3e01";

    #[test]
    fn an_id_is_64_lower_case_hex_digits() {
        let id = DocumentId::of("{merchant}");
        assert_eq!(id.to_string(), blake3::hash(b"{merchant}").to_hex().as_str());
        assert_eq!(DocumentId::parse(&id.to_string()), Some(id));
        assert_ne!(id, DocumentId::of("{merchant}\n"));
        for text in
            ["", "ab", &HEX.to_uppercase(), &HEX[..63], &format!("{HEX}0"), &HEX.replace('c', "g")]
        {
            assert_eq!(DocumentId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn references_are_read_in_all_their_forms() {
        let id = DocumentId::parse(HEX).unwrap();
        assert_eq!(DocumentRef::parse(HEX), Some(DocumentRef::Id(id)));
        assert_eq!(DocumentRef::parse(&format!("x-blake3:{HEX}")), Some(DocumentRef::Id(id)));
        assert_eq!(DocumentRef::parse(&format!("sha256:{HEX}")), Some(DocumentRef::Sha256(id.0)));
        for alias in [
            "d41d8cd98f00b204e9800998ecf8427e",
            "md5:ab",
            "MerchantPage",
            "a:b",
            &HEX.to_uppercase(),
        ] {
            assert_eq!(
                DocumentRef::parse(alias),
                Some(DocumentRef::Alias(alias.to_owned())),
                "{alias}"
            );
        }
        for nothing in [
            "",
            "sha256:",
            "sha256:ab",
            "x-blake3:MerchantPage",
            &format!("sha256:{}", HEX.to_uppercase()),
        ] {
            assert_eq!(DocumentRef::parse(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_displayed_id_parses_back() {
        for text in [HEX, &format!("sha256:{HEX}"), "MerchantPage"] {
            assert_eq!(DocumentRef::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn json_contains_the_hex_digits() {
        let id = DocumentId::parse(HEX).unwrap();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{HEX}\""));
        assert_eq!(serde_json::from_str::<DocumentId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<DocumentId>("\"ab\"").is_err());
    }
}
