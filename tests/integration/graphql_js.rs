//! Compares our validation of documents with graphql-js 16 and 17: which documents parse, where a
//! mistake is, and which are valid for the demo's API. `tests/js/documents.mjs` generates the
//! documents, most of them by mutation.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;
use std::sync::Arc;

use freshql::document_id::DocumentId;
use freshql::graphql::{Code, Compiler};
use freshql::model::parse;
use freshql::syntax::{self, Purpose};
use serde::Deserialize;

use crate::installed_program::{node_program, packages, program, text, there, top};

/// The same documents every time, unless FRESHQL_DOCUMENTS_SEED is set.
const SEED: &str = "20261126";

/// Each one yields a document generated from the schema and two mutated ones.
const COUNT: &str = "1200";

#[derive(Deserialize)]
struct Line {
    kind: String,
    text: String,
    refused: Option<Refused>,
    refused17: Option<Refused>,
    invalid: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Refused {
    line: usize,
    column: usize,
    message: String,
}

#[test]
fn graphql_js_accepts_the_same_documents() {
    let parts = [program("node"), packages("tests/js")];
    if !there("graphql_js_accepts_the_same_documents", &parts) {
        return;
    }
    let model = parse("schema.graphql", include_str!("../../schema.graphql")).unwrap().model;
    let compiler = Compiler::new(Arc::new(model)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let sdl = directory.path().join("api.graphql");
    std::fs::write(&sdl, compiler.sdl()).unwrap();
    let seed = std::env::var("FRESHQL_DOCUMENTS_SEED").unwrap_or_else(|_| SEED.into());
    let mut command = Command::new(node_program());
    command.args(["documents.mjs", &seed, COUNT]).arg(&sdl).current_dir(top().join("tests/js"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut differences = String::new();
    for line in text(&output.stdout).lines() {
        let line: Line = serde_json::from_str(line).unwrap();
        let ours = runtime
            .block_on(compiler.compile(DocumentId::of(&line.text), line.text.as_str().into()));
        let ours = ours.err().unwrap_or_default();
        let verdict = match (&line.refused, &line.invalid) {
            (Some(_), _) => "refused",
            (None, Some(invalid)) if invalid.is_empty() => "valid",
            _ => "invalid",
        };
        *counts.entry(format!("{} {verdict}", line.kind)).or_default() += 1;
        if let Err(why) = grammar(&line).and_then(|()| validity(&line, &ours)) {
            writeln!(differences, "seed {seed}: {why}\n{}\n", line.text).unwrap();
        }
    }
    assert_eq!(differences, "", "{counts:?}");
    // The generator must still produce what it is meant to produce.
    let least = [
        ("generated valid", 300),
        ("generated invalid", 100),
        ("mutated refused", 1000),
        ("mutated invalid", 300),
    ];
    for (kind, least) in least {
        assert!(counts.get(kind).is_some_and(|count| *count >= least), "{kind}: {counts:?}");
    }
}

/// Both parse it, or both refuse it at the same position.
fn grammar(line: &Line) -> Result<(), String> {
    let ours = syntax::parse(&line.text, Purpose::Operations);
    // Version 17 accepts empty selection sets, which are not in the specification.
    let is_empty =
        |refused: &Refused| refused.message == "Syntax Error: Expected Name, found \"}\".";
    match (&line.refused, &line.refused17) {
        (Some(refused), None) if !is_empty(refused) => {
            return Err(format!("only 16 refuses: {}", refused.message));
        }
        (None, Some(refused)) => return Err(format!("only 17 refuses: {}", refused.message)),
        _ => {}
    }
    match (&line.refused, ours) {
        (None, Ok(_)) => Ok(()),
        (None, Err(error)) => Err(format!("we refuse: {} {}", error.pos, error.message)),
        (Some(refused), Ok(_)) => Err(format!("we take what is refused: {}", refused.message)),
        (Some(refused), Err(error)) => {
            // We report where the string begins, graphql-js where it should have ended.
            let is_open = error.message.ends_with("has no closing quote");
            let same = (error.pos.line, error.pos.column) == (refused.line, refused.column);
            match same || is_open {
                true => Ok(()),
                false => Err(format!(
                    "{} {}, but {}:{} {}",
                    error.pos, error.message, refused.line, refused.column, refused.message
                )),
            }
        }
    }
}

/// Both find it valid, or both invalid.
fn validity(line: &Line, ours: &[freshql::graphql::GraphqlError]) -> Result<(), String> {
    let Some(theirs) = &line.invalid else { return Ok(()) };
    // The limits are our own.
    if ours.iter().any(|error| error.code == Code::QueryTooComplex) {
        return Ok(());
    }
    // A null condition is allowed, but always a mistake.
    if theirs.is_empty()
        && !ours.is_empty()
        && ours.iter().all(|error| error.message.contains("null is no condition"))
    {
        return Ok(());
    }
    match (theirs.is_empty(), ours.is_empty()) {
        (true, false) => Err(format!("we find invalid: {}", ours[0].message)),
        (false, true) => Err(format!("we find valid: {}", theirs.join("; "))),
        _ => Ok(()),
    }
}
