//! Decides the outcome of a conditional request: 304, 412, or the answer (RFC 9110 §13). Pure
//! functions over the bytes of header lines; statuses and headers are up to [`crate::http`].
//!
//! Proxies rewrite the tags that clients send, so If-None-Match is compared leniently. That is
//! safe: a tag matches only if it starts with the whole base of the current ETag, which no other
//! answer has.

use crate::etag::{Coding, ResponseEtag, Variant};

/// The outcome of the preconditions of a GET or HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 304: the client already has the current answer.
    NotModified,
    /// 412: the client asked for a state other than the current one.
    PreconditionFailed,
    /// Answer as if there were no preconditions.
    Proceed,
}

/// `If-Match` of a mutation (RFC 9110 §13.1.1): strong comparison, so weak tags never match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: the row must exist.
    Any,
    /// The opaque tags, without quotes; any of them may match. Weak tags are dropped, so the list
    /// may be empty.
    Tags(Vec<String>),
}

/// The field is neither `*` nor a list of entity tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither `*` nor a list of quoted entity tags")]
pub struct Malformed;

/// Evaluates the preconditions of a GET or HEAD in the order of RFC 9110 §13.2.2, for an answer
/// that has this ETag in this variant. `if_match` and `if_none_match` are the values of all header
/// lines of that name, in order.
///
/// An answer without an ETag (an error, or data with field errors) has nothing to compare, so its
/// preconditions are ignored (§13.2.1). If-Modified-Since, If-Unmodified-Since and If-Range are
/// ignored too: answers have no `Last-Modified`, and ranges are not served.
///
/// ```
/// use freshql::conditional::{Outcome, evaluate};
/// use freshql::etag::{Coding, ResponseEtag, Variant};
///
/// let current = ResponseEtag::of_content(b"the answer");
/// let known = current.header(Variant::Plain, Coding::Brotli);
/// let outcome = |if_match: &[&str], if_none_match: &[&str]| {
///     let lines = |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>();
///     let (if_match, if_none_match) = (lines(if_match), lines(if_none_match));
///     let current = Some((&current, Variant::Plain));
///     evaluate(if_match.iter().map(|line| &line[..]), if_none_match.iter().map(|line| &line[..]), current)
/// };
/// assert_eq!(outcome(&[], &[]), Outcome::Proceed); // 200
/// assert_eq!(outcome(&[], &[&known]), Outcome::NotModified); // 304, whatever coding the client has
/// assert_eq!(outcome(&["\"another\""], &[&known]), Outcome::PreconditionFailed); // 412
/// ```
pub fn evaluate<'a>(
    if_match: impl IntoIterator<Item = &'a [u8]>,
    if_none_match: impl IntoIterator<Item = &'a [u8]>,
    current: Option<(&ResponseEtag, Variant)>,
) -> Outcome {
    let Some((current, variant)) = current else {
        return Outcome::Proceed;
    };

    // 1. If-Match: false → 412; true or absent → continue. A malformed field counts as false: its
    //    sender wants to be stopped in case of doubt.
    match search(if_match, |tag| tag.is_strongly(current, variant)) {
        Ok(TagMatch::Absent | TagMatch::Any | TagMatch::Match) => {}
        Ok(TagMatch::NoMatch) | Err(Malformed) => return Outcome::PreconditionFailed,
    }

    // 2. If-Unmodified-Since: ignored, see above.

    // 3. If-None-Match: false → 304 (the method is GET or HEAD); true or absent → continue. A
    //    malformed field is ignored: a full answer is never wrong.
    match search(if_none_match, |tag| tag.is_weakly(current, variant)) {
        Ok(TagMatch::Any | TagMatch::Match) => Outcome::NotModified,
        Ok(TagMatch::Absent | TagMatch::NoMatch) | Err(Malformed) => Outcome::Proceed,
    }

    // 4., 5. If-Modified-Since and If-Range: ignored, see above.
}

impl IfMatch {
    /// Parses all header lines named `If-Match`; None if there are none. An empty list is still a
    /// list: nothing matches it.
    ///
    /// # Errors
    /// The field is malformed. The caller must not ignore that, or a write meant to be conditional
    /// would run unconditionally.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<Self>, Malformed> {
        let mut tags = Vec::new();
        let found = search(lines, |tag| {
            if !tag.weak {
                // Our tokens are ASCII, so it does not matter how other bytes are replaced.
                tags.push(String::from_utf8_lossy(tag.opaque).into_owned());
            }
            false
        })?;
        Ok(match found {
            TagMatch::Absent => None,
            TagMatch::Any => Some(Self::Any),
            TagMatch::Match | TagMatch::NoMatch => Some(Self::Tags(tags)),
        })
    }
}

/// An entity tag as it was received (RFC 9110 §8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EntityTag<'a> {
    weak: bool,
    /// The bytes between the quotes; may contain commas, and bytes that are not UTF-8 (obs-text).
    opaque: &'a [u8],
}

/// What content-coding proxies append to the ETags that pass through them: Apache, Jetty, and their
/// imitators.
const FOREIGN_SUFFIXES: [&[u8]; 6] = [b"-gzip", b"--gzip", b";gzip", b"-br", b"-zstd", b"-df"];

impl<'a> EntityTag<'a> {
    /// Weak comparison (RFC 9110 §8.8.3.2) with all codings of the current answer. It ignores `W/`,
    /// our coding suffix and any number of proxy suffixes, but not the variant.
    fn is_weakly(self, current: &ResponseEtag, variant: Variant) -> bool {
        self.after_base(current, variant).is_some_and(|rest| {
            let mut rest = Coding::ALL[1..]
                .iter()
                .find_map(|coding| rest.strip_prefix(coding.suffix().as_bytes()))
                .unwrap_or(rest);
            while let Some(shorter) =
                FOREIGN_SUFFIXES.iter().find_map(|suffix| rest.strip_prefix(*suffix))
            {
                rest = shorter;
            }
            rest.is_empty()
        })
    }

    /// Strong comparison with each coding of the current answer. Any coding matches, since a client
    /// cannot know in which coding the next answer comes. A proxy suffix does not match, since it
    /// says that the proxy sent different bytes.
    fn is_strongly(self, current: &ResponseEtag, variant: Variant) -> bool {
        let is_coding =
            |rest: &[u8]| Coding::ALL.iter().any(|coding| coding.suffix().as_bytes() == rest);
        !self.weak && self.after_base(current, variant).is_some_and(is_coding)
    }

    /// What follows the base and the variant.
    fn after_base(self, current: &ResponseEtag, variant: Variant) -> Option<&'a [u8]> {
        self.opaque
            .strip_prefix(current.as_str().as_bytes())?
            .strip_prefix(variant.suffix().as_bytes())
    }
}

/// The result of [`search`].
#[derive(Debug, PartialEq, Eq)]
enum TagMatch {
    /// There is no such header line.
    Absent,
    /// `*`.
    Any,
    /// A list, and one of its tags matches.
    Match,
    /// A list, and none of its tags matches.
    NoMatch,
}

/// Parses all lines of one field as the single list that they form (RFC 9110 §5.3):
/// `"*" / #entity-tag`. Continues to the end even after a match, so that the validity of a field
/// does not depend on the order of its tags. Allocates nothing.
fn search<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
    mut is_wanted: impl FnMut(EntityTag<'a>) -> bool,
) -> Result<TagMatch, Malformed> {
    let mut found = TagMatch::Absent;
    let mut stars = 0;
    let mut tags = 0;
    for line in lines {
        if found == TagMatch::Absent {
            found = TagMatch::NoMatch;
        }
        let mut rest = line;
        while let Some(element) = next_element(&mut rest)? {
            match element {
                Element::Any => stars += 1,
                Element::Tag(tag) => {
                    tags += 1;
                    if is_wanted(tag) {
                        found = TagMatch::Match;
                    }
                }
            }
        }
    }
    match (stars, tags) {
        (0, _) => Ok(found),
        (1, 0) => Ok(TagMatch::Any),
        _ => Err(Malformed),
    }
}

enum Element<'a> {
    Any,
    Tag(EntityTag<'a>),
}

/// Takes one element and the comma after it off the front; None at the end. Empty elements are
/// skipped (RFC 9110 §5.6.1.2).
fn next_element<'a>(rest: &mut &'a [u8]) -> Result<Option<Element<'a>>, Malformed> {
    let input = skip(rest, |b| is_whitespace(b) || b == b',');
    if input.is_empty() {
        *rest = input;
        return Ok(None);
    }
    let (element, input) = if let Some(input) = input.strip_prefix(b"*") {
        (Element::Any, input)
    } else {
        // `W/` is case-sensitive, and the quote follows immediately.
        let (weak, input) = match input.strip_prefix(b"W/") {
            Some(input) => (true, input),
            None => (false, input),
        };
        let input = input.strip_prefix(b"\"").ok_or(Malformed)?;
        let after = skip(input, is_etagc);
        let opaque = &input[..input.len() - after.len()];
        (Element::Tag(EntityTag { weak, opaque }), after.strip_prefix(b"\"").ok_or(Malformed)?)
    };
    let input = skip(input, is_whitespace);
    match input.first() {
        None | Some(b',') => *rest = input,
        Some(_) => return Err(Malformed),
    }
    Ok(Some(element))
}

fn skip(input: &[u8], skipped: impl Fn(u8) -> bool) -> &[u8] {
    let end = input.iter().position(|b| !skipped(*b)).unwrap_or(input.len());
    &input[end..]
}

/// SP and HTAB.
fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Any visible character except the quote, and obs-text. There are no escapes: a backslash is an
/// ordinary character.
fn is_etagc(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document_id::DocumentId;
    use crate::etag::ResponseHasher;
    use crate::question::{Question, View};

    fn current() -> ResponseEtag {
        let document = DocumentId::of("{a}");
        let question = Question { document, operation: None, variables: "{}", view: View::Public };
        ResponseHasher::new(&[0; 32], &question).finish()
    }

    /// Replaces `E` in the table with the current base.
    fn lines(text: &[&str]) -> Vec<Vec<u8>> {
        text.iter().map(|line| line.replace('E', current().as_str()).into_bytes()).collect()
    }

    fn if_none_match(text: &[&str]) -> Outcome {
        let lines = lines(text);
        evaluate([], lines.iter().map(Vec::as_slice), Some((&current(), Variant::Plain)))
    }

    fn if_match(text: &[&str]) -> Outcome {
        let lines = lines(text);
        evaluate(lines.iter().map(Vec::as_slice), [], Some((&current(), Variant::Plain)))
    }

    #[test]
    fn if_none_match_finds_our_etag_in_every_form() {
        let table: &[(&str, &[&str])] = &[
            ("as it was sent", &["\"E\""]),
            ("brotli", &["\"E.br\""]),
            ("zstd", &["\"E.zst\""]),
            ("gzip", &["\"E.gz\""]),
            // A coding suffix or `W/` that was added in transit must still match.
            ("weakened by a proxy", &["W/\"E\""]),
            ("weakened with its coding, as Varnish does for identity clients", &["W/\"E.gz\""]),
            ("Apache", &["\"E-gzip\""]),
            ("Apache's brotli", &["\"E-br\""]),
            ("Jetty", &["\"E--gzip\""]),
            ("semicolon", &["W/\"E;gzip\""]),
            ("deflate", &["\"E-df\""]),
            ("proxy after our own coding", &["\"E.br-gzip\""]),
            ("two proxies", &["\"E-gzip--gzip\""]),
            // Lists, `*` and commas in tags must not be mis-parsed.
            ("a list", &["\"x\", \"E\", W/\"y\""]),
            ("a list without white space", &["\"x\",\"E\""]),
            ("tabs and spaces", &[" \t\"x\" \t,\t \"E\"\t "]),
            ("empty elements", &[",, ,\"E\", ,"]),
            ("a comma inside another tag", &["\"a,b\", \"E\""]),
            ("a star inside another tag", &["\"*\", \"E\""]),
            ("a backslash is no escape", &["\"a\\\", \"E\""]),
            ("bytes beyond ASCII", &["\"äöü\", \"E\""]),
            ("an empty tag", &["\"\", \"E\""]),
            ("several lines", &["\"x\", \"y\"", "\"E\""]),
            ("an empty line before", &["", "\"E\""]),
            ("star", &["*"]),
            ("star with white space and commas", &[", * ,"]),
            ("star and an empty line", &["*", ""]),
        ];
        for (name, text) in table {
            assert_eq!(if_none_match(text), Outcome::NotModified, "{name}");
        }
    }

    #[test]
    fn if_none_match_proceeds_if_the_etag_differs_or_the_header_is_invalid() {
        let table: &[(&str, &[&str])] = &[
            ("absent", &[]),
            ("empty", &[""]),
            ("only commas", &[" , ,"]),
            ("another tag", &["\"x\""]),
            ("the base of a longer tag", &["\"E1\""]),
            ("a coding that is not ours", &["\"E.lz4\""]),
            ("another media type", &["\"E.gql\""]),
            ("another media type in a coding", &["\"E.gql.br\""]),
            ("two of our codings", &["\"E.br.gz\""]),
            ("our coding after a proxy's", &["\"E-gzip.br\""]),
            ("half a suffix", &["\"E-\""]),
            ("with something before", &["\"xE\""]),
            ("part of a tag with a comma", &["\"x,E\""]),
            ("quoted inside a tag", &["\"W/E\""]),
            // Invalid fields are ignored as a whole, whatever the order.
            ("star among tags", &["*, \"E\""]),
            ("tags before a star", &["\"E\", *"]),
            ("star in another line", &["\"E\"", "*"]),
            ("two stars", &["*, *"]),
            ("without quotes", &["E"]),
            ("without the last quote", &["\"E"]),
            ("lower-case w", &["w/\"E\""]),
            ("space after W/", &["W/ \"E\""]),
            ("no comma between tags", &["\"E\" \"x\""]),
            ("garbage after a match", &["\"E\", x"]),
            ("suffix outside the quotes", &["\"E\"-gzip"]),
            ("a space inside a tag", &["\"a b\", \"E\""]),
            ("a control character inside a tag", &["\"a\u{7f}\", \"E\""]),
            ("semicolons between tags", &["\"x\"; \"E\""]),
        ];
        for (name, text) in table {
            assert_eq!(if_none_match(text), Outcome::Proceed, "{name}");
        }
    }

    #[test]
    fn if_match_compares_strongly() {
        for text in
            [&["\"E\""][..], &["\"E.br\""], &["\"x\", \"E.gz\""], &["\"x\"", "\"E\""], &["*"], &[]]
        {
            assert_eq!(if_match(text), Outcome::Proceed, "{text:?}");
        }
        for text in [
            &["W/\"E\""][..],
            &["\"E-gzip\""],
            &["\"x\""],
            &[""],
            &["E"],
            &["*, \"E\""],
            &["\"E\", x"],
        ] {
            assert_eq!(if_match(text), Outcome::PreconditionFailed, "{text:?}");
        }
    }

    #[test]
    fn if_match_is_evaluated_before_if_none_match() {
        let (ours, other) = (lines(&["\"E\""]), lines(&["\"x\""]));
        let outcome = |a: &[Vec<u8>], b: &[Vec<u8>]| {
            evaluate(
                a.iter().map(Vec::as_slice),
                b.iter().map(Vec::as_slice),
                Some((&current(), Variant::Plain)),
            )
        };
        assert_eq!(outcome(&other, &ours), Outcome::PreconditionFailed);
        assert_eq!(outcome(&ours, &ours), Outcome::NotModified);
        assert_eq!(outcome(&ours, &other), Outcome::Proceed);
    }

    #[test]
    fn a_tag_of_another_media_type_never_matches() {
        let outcome = |text: &str, variant| {
            let line = text.replace('E', current().as_str());
            evaluate([], [line.as_bytes()], Some((&current(), variant)))
        };
        for tag in ["\"E.gql\"", "W/\"E.gql.br\"", "\"E.gql.gz-gzip\"", "\"x\", \"E.gql.zst\""] {
            assert_eq!(outcome(tag, Variant::GraphqlResponse), Outcome::NotModified, "{tag}");
            assert_eq!(outcome(tag, Variant::Plain), Outcome::Proceed, "{tag}");
        }
        for tag in ["\"E\"", "\"E.br\"", "\"E.br.gql\""] {
            assert_eq!(outcome(tag, Variant::GraphqlResponse), Outcome::Proceed, "{tag}");
        }
    }

    #[test]
    fn an_answer_without_etag_has_no_preconditions() {
        for line in [&b"*"[..], b"\"x\"", b"garbage"] {
            assert_eq!(evaluate([line], [line], None), Outcome::Proceed);
        }
    }

    #[test]
    fn a_mutations_if_match_is_read_strictly() {
        let parse = |lines: &[&[u8]]| IfMatch::parse(lines.iter().copied());
        let tags =
            |tags: &[&str]| Ok(Some(IfMatch::Tags(tags.iter().map(|t| (*t).to_owned()).collect())));
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[b"*"]), Ok(Some(IfMatch::Any)));
        assert_eq!(parse(&[b"\"a\", W/\"b\"", b"\"c,d\""]), tags(&["a", "c,d"]));
        assert_eq!(parse(&[b"W/\"a\""]), tags(&[]));
        assert_eq!(parse(&[b""]), tags(&[]));
        assert_eq!(parse(&[b"\"\xff\""]), tags(&["\u{fffd}"]));
        for malformed in [&b"a"[..], b"\"a", b"*, \"a\"", b"**", b"\"a\" \"b\"", b"w/\"a\""] {
            assert_eq!(parse(&[malformed]), Err(Malformed), "{}", malformed.escape_ascii());
        }
    }

    /// Tags that are not ours: none starts with the base.
    fn foreign_tag() -> impl Strategy<Value = Vec<u8>> {
        let opaque =
            proptest::collection::vec(any::<u8>().prop_filter("etagc", |b| is_etagc(*b)), 0..12);
        (any::<bool>(), opaque).prop_map(|(weak, opaque)| tag(weak, &opaque))
    }

    fn our_tag() -> impl Strategy<Value = Vec<u8>> {
        let coding = proptest::sample::select(Coding::ALL.to_vec());
        let suffixes =
            proptest::collection::vec(proptest::sample::select(FOREIGN_SUFFIXES.to_vec()), 0..3);
        (any::<bool>(), coding, suffixes).prop_map(|(weak, coding, suffixes)| {
            let opaque =
                [current().as_str().as_bytes(), coding.suffix().as_bytes(), &suffixes.concat()]
                    .concat();
            tag(weak, &opaque)
        })
    }

    fn tag(weak: bool, opaque: &[u8]) -> Vec<u8> {
        [if weak { &b"W/\""[..] } else { b"\"" }, opaque, b"\""].concat()
    }

    /// Joins the tags of each line with any legal separator.
    fn field(tags: Vec<Vec<u8>>, separator: &str, lines: usize) -> Vec<Vec<u8>> {
        tags.chunks(tags.len().div_ceil(lines).max(1))
            .map(|line| line.join(separator.as_bytes()))
            .collect()
    }

    proptest! {
        #[test]
        fn a_list_matches_if_and_only_if_our_tag_is_in_it(
            before in proptest::collection::vec(foreign_tag(), 0..4),
            ours in proptest::option::of(our_tag()),
            after in proptest::collection::vec(foreign_tag(), 0..4),
            separator in "[ \t]{0,2},[ \t,]{0,2}",
            lines in 1usize..4,
        ) {
            let expected = if ours.is_some() { Outcome::NotModified } else { Outcome::Proceed };
            let tags: Vec<_> = before.into_iter().chain(ours).chain(after).collect();
            let lines = field(tags, &separator, lines);
            prop_assert_eq!(evaluate([], lines.iter().map(Vec::as_slice), Some((&current(), Variant::Plain))), expected);
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in prop_oneof![proptest::collection::vec(any::<u8>(), 0..40), "[\"W/*, x]{0,20}".prop_map(String::into_bytes)],
        ) {
            let outcome = evaluate([], [bytes.as_slice()], Some((&current(), Variant::Plain)));
            let star = bytes.contains(&b'*');
            prop_assert!(outcome == Outcome::Proceed || star, "{:?} does not hold our tag", bytes);
            let read = IfMatch::parse([bytes.as_slice()]);
            prop_assert!(!matches!(read, Ok(Some(IfMatch::Any))) || star);
        }
    }
}
