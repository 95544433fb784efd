//! Derives the two validators that clients see: the ETag of a whole answer, and the token of one
//! row at one version.
//!
//! Both hash what was read, never the bytes that were written, so an answer's validator costs the
//! same whether the answer has one byte or a megabyte. This module follows RFC 9110 §8.8.3 for the
//! form of an ETag. How a client's tags are compared (§13) is decided in [`crate::conditional`].

mod ingredients;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::dependency::Version;
use crate::model::{EntityId, Value};
use crate::question::Question;

pub use ingredients::Ingredient;

/// The version of the answer format. Raise it in every release that may write different bytes for
/// the same rows and the same document. Otherwise a client that holds the old bytes is told that
/// they are fresh.
///
/// This is not the crate's version, so that a release which leaves the bytes unchanged keeps all
/// caches warm, and so that the nodes of two such releases agree during a rolling upgrade.
pub const RENDERING: u32 = 1;

/// Domain separation: says what the hash covers and in which layout, so that it equals no other
/// hash of this crate. Raise it when the layout of [`ResponseHasher`]'s buffer changes.
const RESPONSE_FORMAT: &[u8; 20] = b"freshql.response.v2\n";

/// The same for [`ResponseEtag::of_content`].
const CONTENT_FORMAT: &[u8; 19] = b"freshql.content.v1\n";

/// The same for [`EntityEtagKey`].
const ENTITY_FORMAT: &[u8; 18] = b"freshql.entity.v2\n";

/// The content codings of an answer. Each has its own strong ETag, because its bytes differ (RFC
/// 9110 §8.8.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// No coding.
    Identity,
    /// Brotli.
    Brotli,
    /// Zstandard.
    Zstd,
    /// Gzip.
    Gzip,
}

impl Coding {
    /// All codings, identity first.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Brotli, Self::Zstd, Self::Gzip];

    /// The suffix of this coding's ETag.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// The media types in which one URL may answer. Each has its own strong ETag: the bytes are equal,
/// but a cache that gets a 304 for one type must not reuse the `Content-Type` of the other (RFC
/// 9110 §8.8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// The only media type of almost every URL.
    Plain,
    /// `application/graphql-response+json` at `/graphql`.
    GraphqlResponse,
}

impl Variant {
    /// What this variant adds to the ETag between the base and the coding's suffix.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::GraphqlResponse => ".gql",
        }
    }
}

/// The base of a response's ETag: 128 bits, base64url, 22 characters, without quotes or coding
/// suffix.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResponseEtag([u8; 22]);

impl ResponseEtag {
    /// The ETag of a resource that consists of exactly these bytes.
    pub fn of_content(bytes: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(CONTENT_FORMAT).update(bytes);
        Self(encode::<16, 22>(first(hasher.finalize().as_bytes())))
    }

    /// The 22 characters.
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }

    /// The value of the `ETag` header, with quotes. Each content coding has its own validator (RFC
    /// 9110 §8.8.3.3):
    ///
    /// ```
    /// use freshql::etag::{Coding, ResponseEtag, Variant};
    ///
    /// let etag = ResponseEtag::of_content(b"type Query");
    /// assert_eq!(etag.header(Variant::Plain, Coding::Identity), format!("\"{}\"", etag.as_str()));
    /// assert_eq!(etag.header(Variant::Plain, Coding::Brotli), format!("\"{}.br\"", etag.as_str()));
    /// ```
    pub fn header(&self, variant: Variant, coding: Coding) -> String {
        let mut text = String::with_capacity(32);
        text.push('"');
        text.push_str(self.as_str());
        text.push_str(variant.suffix());
        text.push_str(coding.suffix());
        text.push('"');
        text
    }
}

/// Collects, in response order, what an answer's ETag is derived from.
///
/// All items go into one buffer that is hashed once, since blake3 is fastest on long inputs. Every
/// item starts with a tag and either has a fixed size or is preceded by its length. The buffer can
/// therefore be decoded in only one way: different sequences of calls never produce the same bytes.
#[derive(Clone)]
pub struct ResponseHasher {
    buffer: Vec<u8>,
}

/// The first byte of each item. The numbers are part of [`RESPONSE_FORMAT`].
#[derive(Clone, Copy)]
#[repr(u8)]
enum Item {
    Row = 1,
    Missing = 2,
    List = 3,
    Total = 4,
    Value = 5,
}

impl ResponseHasher {
    /// Starts with the question, for the model with this fingerprint. The epoch stays zero until
    /// [`Self::set_epoch`].
    pub fn new(fingerprint: &[u8; 32], question: &Question<'_>) -> Self {
        // Room for the question and some twenty rows; a longer buffer grows by doubling.
        let mut hasher = Self { buffer: Vec::with_capacity(1024 + question.variables.len()) };
        let buffer = &mut hasher.buffer;
        buffer.extend_from_slice(RESPONSE_FORMAT);
        buffer.extend_from_slice(&RENDERING.to_le_bytes());
        buffer.extend_from_slice(&[0; 16]);
        buffer.extend_from_slice(fingerprint);
        let length_at = buffer.len();
        buffer.extend_from_slice(&[0; 8]);
        question.encode(buffer);
        let length = (buffer.len() - length_at - 8) as u64;
        buffer[length_at..length_at + 8].copy_from_slice(&length.to_le_bytes());
        hasher
    }

    /// Sets the database's epoch, which is known only once the snapshot is open.
    pub fn set_epoch(&mut self, epoch: &[u8; 16]) {
        let at = RESPONSE_FORMAT.len() + size_of::<u32>();
        if let Some(place) = self.buffer.get_mut(at..at + epoch.len()) {
            place.copy_from_slice(epoch);
        }
    }

    /// Sets the version of the answer format, which is [`RENDERING`] until then.
    pub fn set_rendering(&mut self, rendering: u32) {
        let at = RESPONSE_FORMAT.len();
        if let Some(place) = self.buffer.get_mut(at..at + size_of::<u32>()) {
            place.copy_from_slice(&rendering.to_le_bytes());
        }
    }

    /// For a read that needs no ETag.
    pub fn unused() -> Self {
        Self { buffer: Vec::new() }
    }

    /// Records a row that was read.
    pub fn row(&mut self, entity: EntityId, id: &Value, version: Version) {
        // Hot path: tag, entity, version and the id's tag have fixed sizes and are appended with
        // one copy.
        let mut head = [0; 12];
        head[0] = Item::Row as u8;
        head[1..3].copy_from_slice(&entity.0.to_le_bytes());
        head[3..11].copy_from_slice(&version.0.to_le_bytes());
        head[11] = value_tag(id);
        self.buffer.extend_from_slice(&head);
        match id {
            Value::Null => {}
            Value::Int(n) => self.buffer.extend_from_slice(&n.to_le_bytes()),
            Value::Real(x) => self.buffer.extend_from_slice(&x.to_bits().to_le_bytes()),
            Value::Text(text) => self.bytes(text.as_bytes()),
        }
    }

    /// Records a row that was looked up and not found.
    pub fn missing(&mut self, entity: EntityId) {
        self.tag(Item::Missing);
        self.buffer.extend_from_slice(&entity.0.to_le_bytes());
    }

    /// Records the end of a list. A page flag is None if it was not requested.
    pub fn list(
        &mut self,
        length: usize,
        has_next_page: Option<bool>,
        has_previous_page: Option<bool>,
    ) {
        self.tag(Item::List);
        self.buffer.extend_from_slice(&(length as u64).to_le_bytes());
        self.buffer.extend_from_slice(&[flag(has_next_page), flag(has_previous_page)]);
    }

    /// Records a `totalCount`.
    pub fn total(&mut self, count: i64) {
        self.tag(Item::Total);
        self.buffer.extend_from_slice(&count.to_le_bytes());
    }

    /// Records a value that no row's version covers.
    pub fn value(&mut self, bytes: &[u8]) {
        self.tag(Item::Value);
        self.bytes(bytes);
    }

    /// The ETag of everything recorded.
    pub fn finish(self) -> ResponseEtag {
        let hash = blake3::hash(&self.buffer);
        ResponseEtag(encode::<16, 22>(first(hash.as_bytes())))
    }

    fn tag(&mut self, item: Item) {
        self.buffer.push(item as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.buffer.extend_from_slice(bytes);
    }
}

/// The opaque token of one row at one version: 96 bits, base64url, 16 characters.
///
/// The first 40 bits are a hash of the row's name, which identifies the row that a token belongs
/// to. The other 56 bits are the version, masked with more of that hash so that nobody is tempted
/// to read or count it. The token is neither a secret nor a signature: it authorises nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntityEtag([u8; 16]);

/// Why a token does not name a version of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a token.
    #[error("not an etag of this server")]
    Malformed,
    /// It is (or looks like) the token of another row, or of this row before the database's epoch
    /// was renewed.
    #[error("the etag of another row")]
    OtherRow,
}

impl EntityEtag {
    /// The 16 characters.
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }
}

/// The common part of all tokens of one entity, hashed once, so that each row costs a single
/// compression.
#[derive(Clone)]
pub struct EntityEtagKey([u8; 32]);

impl EntityEtagKey {
    /// The key of this entity in the database with this epoch.
    pub fn new(epoch: &[u8; 16], entity_name: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        // The name is the only item of variable length, so it must come last.
        hasher.update(ENTITY_FORMAT).update(epoch).update(entity_name.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The token of the row with this id at this version.
    ///
    /// Only the lower 56 bits of the version fit. Microseconds since 1970 need 51 of them, and
    /// exceed 56 bits from the year 4253 on. The token of a version outside that range is read by
    /// [`Self::read`] as a different version, so the write is refused instead of overwriting a
    /// change.
    pub fn etag(&self, id: &Value, version: Version) -> EntityEtag {
        let mut token = self.row_hash(id);
        xor(&mut token[5..], &version.0.to_be_bytes()[1..]);
        EntityEtag(encode(&token))
    }

    /// The version that `token` names, if it is a token of the row with this id.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn read(&self, token: &str, id: &Value) -> Result<Version, TokenError> {
        let mut bytes = [0; 12];
        // 16 characters encode 12 bytes with no bits to spare, so each token has exactly one
        // spelling.
        if token.len() != 16 || URL_SAFE_NO_PAD.decode_slice(token, &mut bytes) != Ok(12) {
            return Err(TokenError::Malformed);
        }
        let hash = self.row_hash(id);
        if bytes[..5] != hash[..5] {
            return Err(TokenError::OtherRow);
        }
        let mut version = [0; 8];
        version[1..].copy_from_slice(&bytes[5..]);
        xor(&mut version[1..], &hash[5..]);
        Ok(Version(i64::from_be_bytes(version)))
    }

    fn row_hash(&self, id: &Value) -> [u8; 12] {
        let hash = match id {
            Value::Null => blake3::keyed_hash(&self.0, &[value_tag(id)]),
            Value::Int(n) => self.tagged(value_tag(id), &n.to_le_bytes()),
            Value::Real(x) => self.tagged(value_tag(id), &x.to_bits().to_le_bytes()),
            Value::Text(text) => self.tagged(value_tag(id), text.as_bytes()),
        };
        *first(hash.as_bytes())
    }

    fn tagged(&self, tag: u8, bytes: &[u8]) -> blake3::Hash {
        // Almost all ids fit into blake3's 64-byte block. Only longer ones use the incremental
        // hasher, whose state is large.
        let mut block = [0; 64];
        match block.get_mut(1..=bytes.len()) {
            Some(rest) => {
                rest.copy_from_slice(bytes);
                block[0] = tag;
                blake3::keyed_hash(&self.0, &block[..=bytes.len()])
            }
            None => blake3::Hasher::new_keyed(&self.0).update(&[tag]).update(bytes).finalize(),
        }
    }
}

fn xor(bytes: &mut [u8], with: &[u8]) {
    for (byte, with) in bytes.iter_mut().zip(with) {
        *byte ^= with;
    }
}

/// The numbers are part of both hash formats.
fn value_tag(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Int(_) => 1,
        Value::Real(_) => 2,
        Value::Text(_) => 3,
    }
}

fn flag(flag: Option<bool>) -> u8 {
    match flag {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    }
}

fn first<const N: usize>(hash: &[u8; 32]) -> &[u8; N] {
    hash.first_chunk().expect("no more than 32 bytes are asked for")
}

fn encode<const N: usize, const M: usize>(bytes: &[u8; N]) -> [u8; M] {
    let mut text = [0; M];
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
    debug_assert_eq!(written, Ok(M), "M is the length of N bytes in base64");
    text
}

fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).expect("base64url is ASCII")
}

impl fmt::Display for ResponseEtag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ResponseEtag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseEtag({self})")
    }
}

impl fmt::Display for EntityEtag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for EntityEtag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntityEtag({self})")
    }
}

impl fmt::Debug for ResponseHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseHasher({} bytes)", self.buffer.len())
    }
}

impl fmt::Debug for EntityEtagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntityEtagKey")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document_id::DocumentId;
    use crate::question::View;

    const EPOCH: [u8; 16] = [7; 16];

    #[derive(Debug, Clone, PartialEq)]
    enum Call {
        Row(u16, Value, i64),
        Missing(u16),
        List(usize, Option<bool>, Option<bool>),
        Total(i64),
        Value(Vec<u8>),
    }

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Int),
            (-4i64..4).prop_map(Value::Int),
            any::<i32>().prop_map(|n| Value::Real(f64::from(n))),
            "[a-c]{0,3}|.{0,80}".prop_map(|text| Value::Text(text.into())),
        ]
    }

    /// Small domains, so that sequences are often nearly equal.
    fn calls() -> impl Strategy<Value = Vec<Call>> {
        let call = prop_oneof![
            (0u16..3, values(), 0i64..3)
                .prop_map(|(entity, id, version)| Call::Row(entity, id, version)),
            (0u16..3).prop_map(Call::Missing),
            (0usize..3, any::<Option<bool>>(), any::<Option<bool>>())
                .prop_map(|(n, a, b)| Call::List(n, a, b)),
            (0i64..3).prop_map(Call::Total),
            proptest::collection::vec(0u8..6, 0..12).prop_map(Call::Value),
        ];
        proptest::collection::vec(call, 0..6)
    }

    fn at(
        epoch: &[u8; 16],
        fingerprint: &[u8; 32],
        document: DocumentId,
        operation: Option<&str>,
        variables: &str,
    ) -> ResponseHasher {
        let question = Question { document, operation, variables, view: View::Public };
        let mut hasher = ResponseHasher::new(fingerprint, &question);
        hasher.set_epoch(epoch);
        hasher
    }

    fn hasher(calls: &[Call]) -> ResponseHasher {
        let mut hasher = at(&EPOCH, &[1; 32], DocumentId::of("{a}"), None, "{}");
        for call in calls {
            match call {
                Call::Row(entity, id, version) => {
                    hasher.row(EntityId(*entity), id, Version(*version))
                }
                Call::Missing(entity) => hasher.missing(EntityId(*entity)),
                Call::List(length, next, previous) => hasher.list(*length, *next, *previous),
                Call::Total(count) => hasher.total(*count),
                Call::Value(bytes) => hasher.value(bytes),
            }
        }
        hasher
    }

    proptest! {
        #[test]
        fn different_reads_give_different_etags(a in calls(), b in calls()) {
            prop_assert_eq!(a == b, hasher(&a).finish() == hasher(&b).finish());
        }

        #[test]
        fn a_token_gives_its_version_back(name in ".{0,20}", id in values(), version in 0i64..1 << 56) {
            let token = EntityEtagKey::new(&EPOCH, &name).etag(&id, Version(version));
            prop_assert_eq!(EntityEtagKey::new(&EPOCH, &name).read(token.as_str(), &id), Ok(Version(version)));
        }

        #[test]
        fn a_token_of_another_row_says_so(a in values(), b in values(), version in 0i64..1 << 56) {
            prop_assume!(a != b);
            let token = EntityEtagKey::new(&EPOCH, "Product").etag(&a, Version(version));
            prop_assert_eq!(EntityEtagKey::new(&EPOCH, "Product").read(token.as_str(), &b), Err(TokenError::OtherRow));
            prop_assert_eq!(EntityEtagKey::new(&EPOCH, "Products").read(token.as_str(), &a), Err(TokenError::OtherRow));
            prop_assert_eq!(EntityEtagKey::new(&[8; 16], "Product").read(token.as_str(), &a), Err(TokenError::OtherRow));
        }

        #[test]
        fn no_string_makes_parsing_panic(text in ".{0,24}|[A-Za-z0-9_-]{16}") {
            prop_assert!(EntityEtagKey::new(&EPOCH, "Product").read(&text, &Value::Int(1)).is_err());
        }
    }

    #[test]
    fn every_part_of_a_question_enters_the_etag() {
        let id = DocumentId::of("{a}");
        let questions = [
            at(&EPOCH, &[1; 32], id, None, "{}"),
            at(&[8; 16], &[1; 32], id, None, "{}"),
            at(&EPOCH, &[2; 32], id, None, "{}"),
            at(&EPOCH, &[1; 32], DocumentId::of("{b}"), None, "{}"),
            at(&EPOCH, &[1; 32], id, Some(""), "{}"),
            at(&EPOCH, &[1; 32], id, Some("{}"), ""),
            at(&EPOCH, &[1; 32], id, None, "{\"a\":1}"),
        ];
        let mut etags: std::collections::HashSet<_> =
            questions.iter().cloned().map(ResponseHasher::finish).collect();
        assert_eq!(etags.len(), questions.len());
        for rendering in [0, RENDERING + 1] {
            let [mut question, ..] = questions.clone();
            question.set_rendering(rendering);
            assert!(etags.insert(question.finish()));
        }
    }

    #[test]
    fn etags_are_stable_between_releases() {
        // A failure here means that every validator that clients hold becomes invalid. Was
        // RENDERING or a format meant to change?
        let mut hasher = hasher(&[Call::Row(1, Value::Text("b5".into()), 42), Call::Missing(2)]);
        hasher.list(1, Some(true), None);
        hasher.total(9);
        hasher.value(b"x");
        assert_eq!(
            hasher.finish().header(Variant::Plain, Coding::Brotli),
            "\"Av1kSNdDrprfarDRuNFm_Q.br\""
        );
        let token = EntityEtagKey::new(&EPOCH, "Product").etag(&Value::Int(5), Version(42));
        assert_eq!(token.as_str(), "UHw-tvyDpQhRad8W");
    }

    #[test]
    fn malformed_tokens_are_told_from_those_of_other_rows() {
        let read = |token: &str| EntityEtagKey::new(&EPOCH, "Product").read(token, &Value::Int(5));
        for token in [
            "",
            "*",
            "AAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAA=",
            "AAAAAAAAAAAAAAA+",
            "ÄÄÄÄÄÄÄÄ",
        ] {
            assert_eq!(read(token), Err(TokenError::Malformed), "{token}");
        }
        assert_eq!(read("AAAAAAAAAAAAAAAA"), Err(TokenError::OtherRow));
    }

    #[test]
    fn an_impossible_version_matches_no_row() {
        for version in [-1, i64::MIN, i64::MAX, 1 << 56] {
            let token = EntityEtagKey::new(&EPOCH, "Product").etag(&Value::Null, Version(version));
            let read = EntityEtagKey::new(&EPOCH, "Product").read(token.as_str(), &Value::Null);
            assert!(read.is_ok_and(|read| read != Version(version)));
        }
    }

    #[test]
    fn long_ids_hash_as_short_ones_do() {
        let key = EntityEtagKey::new(&EPOCH, "Product");
        for length in [62, 63, 64, 65, 200] {
            let id = Value::Text("x".repeat(length).into());
            let expected =
                blake3::keyed_hash(&key.0, format!("\u{3}{}", "x".repeat(length)).as_bytes());
            assert_eq!(key.row_hash(&id), expected.as_bytes()[..12]);
        }
    }
}
