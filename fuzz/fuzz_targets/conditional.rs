//! `If-Match` and `If-None-Match`, in several header lines. A client that sends our own tag back,
//! among whatever else, is understood.
#![no_main]

use freshql::conditional::{IfMatch, Outcome, evaluate};
use freshql::etag::{ResponseEtag, Variant};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|lines: (Vec<&[u8]>, Vec<&[u8]>)| {
    let (if_match, if_none_match) = lines;
    let current = ResponseEtag::of_content(b"freshql");
    let _ = IfMatch::parse(if_match.iter().copied());
    let outcome = evaluate(
        if_match.iter().copied(),
        if_none_match.iter().copied(),
        Some((&current, Variant::Plain)),
    );
    if if_match.is_empty() && if_none_match.is_empty() {
        assert_eq!(outcome, Outcome::Proceed);
    }
    let own = format!("\"{}\"", current.as_str());
    let own = evaluate(std::iter::empty(), [own.as_bytes()], Some((&current, Variant::Plain)));
    assert_eq!(own, Outcome::NotModified);
});
