//! What is asked, in full: everything that an answer depends on besides the data. Cache key, single
//! flight, canonical URL and ETag are all made from a [`Question`] by the two functions below. Both
//! destructure it field by field, so the compiler forces everyone who adds a field to decide what
//! it means for each of them.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::document_id::DocumentId;

/// One operation of one document, with its variables, seen through one view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Question<'a> {
    /// The document that contains the operation.
    pub document: DocumentId,
    /// The operation's name; None if it is anonymous.
    pub operation: Option<&'a str>,
    /// The variables as canonical JSON: defaults filled in, keys sorted, each value in the one
    /// spelling of its type.
    pub variables: &'a str,
    /// The part of the viewer that the answer depends on.
    pub view: View,
}

/// The part of the viewer that an answer depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum View {
    /// Everybody gets the same answer.
    #[default]
    Public,
    /// The answer is shared by the viewers for whom the rules come down to the same conditions: the
    /// blake3 hash of these conditions in canonical form.
    Private([u8; 32]),
}

impl View {
    /// Whether everybody gets the same answer.
    pub fn is_public(self) -> bool {
        self == Self::Public
    }
}

/// All but the unreserved characters of RFC 3986 §2.3, so that equal questions have equal URLs.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Question<'_> {
    /// Appends an encoding that can be decoded in only one way: different questions never give the
    /// same bytes, whatever follows.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Self { document, operation, variables, view } = self;
        let mut bytes = |value: Option<&[u8]>| {
            // A length that no value has, to encode None.
            out.extend_from_slice(
                &value.map_or(u64::MAX, |value| value.len() as u64).to_le_bytes(),
            );
            out.extend_from_slice(value.unwrap_or_default());
        };
        bytes(operation.map(str::as_bytes));
        bytes(Some(variables.as_bytes()));
        bytes(match view {
            View::Public => None,
            View::Private(digest) => Some(digest),
        });
        out.extend_from_slice(document.as_bytes());
    }

    /// The canonical URL of a question about a registered document: the id, the operation's name
    /// only if the document has several, the variables only if there are any. None if the answer
    /// depends on the viewer, because a URL alone then does not identify the answer.
    pub fn canonical_url(&self, is_only_operation: bool) -> Option<String> {
        let Self { document, operation, variables, view } = self;
        match view {
            View::Public => {}
            View::Private(_) => return None,
        }
        let mut url = format!("/q/{document}");
        if let (Some(name), false) = (operation, is_only_operation) {
            let _ = write!(url, "/{name}");
        }
        if *variables != "{}" {
            let _ = write!(url, "?variables={}", utf8_percent_encode(variables, RESERVED));
        }
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn different_questions_never_give_the_same_bytes_or_urls() {
        let (mut bytes, mut urls, mut count) = (HashSet::new(), HashSet::new(), 0);
        for document in ["{a}", "{b}"].map(DocumentId::of) {
            for operation in [None, Some(""), Some("A"), Some("A{}")] {
                for variables in ["{}", r#"{"a":1}"#, r#"{"a":"%22"}"#, r#"{"a":"é"}"#] {
                    let question = Question { document, operation, variables, view: View::Public };
                    assert!(urls.insert(question.canonical_url(false)));
                    count += 1;
                    for view in [View::Public, View::Private([0; 32]), View::Private([1; 32])] {
                        let question = Question { view, ..question };
                        let mut encoded = Vec::new();
                        question.encode(&mut encoded);
                        assert!(bytes.insert(encoded));
                        assert_eq!(question.canonical_url(false).is_some(), view.is_public());
                    }
                }
            }
        }
        assert_eq!((bytes.len(), urls.len()), (3 * count, count));
    }

    #[test]
    fn the_canonical_url_is_minimal() {
        let document = DocumentId::of("query A($a: Int) { a(a: $a) }");
        let question =
            |variables| Question { document, operation: Some("A"), variables, view: View::Public };
        assert_eq!(question("{}").canonical_url(true), Some(format!("/q/{document}")));
        assert_eq!(question("{}").canonical_url(false), Some(format!("/q/{document}/A")));
        assert_eq!(
            question(r#"{"a":-1}"#).canonical_url(true),
            Some(format!("/q/{document}?variables=%7B%22a%22%3A-1%7D"))
        );
    }
}
