//! The source's own rules: which room may import which, that nothing in `src/` knows the demo, and
//! that files have a heading and stay short. Paths are read from tokens, so comments and strings do
//! not count as imports.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The floor of each room. A room imports only from its own floor and those below.
const FLOORS: &[(&str, u8)] = &[
    // Words: imports nothing.
    ("syntax", 0),
    ("json", 0),
    ("model", 0),
    ("document_id", 0),
    ("causes", 0),
    ("dependency", 0),
    ("config", 0),
    // Pure rules: no I/O, no async, no HTTP server.
    ("question", 1),
    ("etag", 1),
    ("conditional", 1),
    ("cache_control", 1),
    ("viewer", 1),
    ("clock", 1),
    // Reads and writes rows, and reports changes.
    ("store", 2),
    ("outbound", 2),
    // What an operation means.
    ("graphql", 3),
    // Documents, stored answers, viewers.
    ("cache", 4),
    ("identity", 4),
    ("persisted", 4),
    ("purge", 4),
    // The HTTP layer: makes no decisions about data.
    ("http", 5),
    ("app", 5),
    ("cli", 5),
    ("main", 5),
    // Only lists the rooms.
    ("lib", 0),
    ("crate", 0),
];

/// Files with more lines than this need a reason.
const LONG: usize = 400;

/// Files that are longer, and why. Tests do not count.
const LONG_FOR_A_REASON: &[(&str, &str)] = &[
    (
        "app/database.rs",
        "the commands about migrations, which look at files, database and model in one way",
    ),
    ("cache.rs", "the life of a stored answer, from its look-up to its validity, in one reading"),
    ("etag.rs", "what both kinds of tags consist of, and how they are written and read"),
    ("graphql/bind.rs", "one walk over a plan that gives all of its arguments their values"),
    (
        "graphql/compile.rs",
        "an operation is walked once, and on the way all is gathered: statements, cache hints, what is done to whose rows",
    ),
    (
        "graphql/condition.rs",
        "a `where` argument, from its fields to its operators, with the limits of both",
    ),
    (
        "graphql/document.rs",
        "a document and its operations: what a request may ask of them before anything runs",
    ),
    ("graphql/lint.rs", "the advice on lists, and how it is found in a document"),
    (
        "graphql/read.rs",
        "levels are read, written and counted in one pass, whose parts share its state",
    ),
    ("model/parse/definitions.rs", "what a schema may define, and why everything else is refused"),
    (
        "model/parse/directives.rs",
        "the table of all directives, and how a use is checked against it",
    ),
    (
        "store/postgres/client.rs",
        "one conversation with a server: what is sent, what comes back, and in which state that leaves it",
    ),
    (
        "store/postgres/migrate/check.rs",
        "everything that a database may lack or have otherwise, each with its remedy",
    ),
    (
        "store/postgres/transaction.rs",
        "what a mutation may do, and for each what shows that it was done",
    ),
    (
        "store/schema/difference/changes.rs",
        "the difference between a database and a model, in one list of changes",
    ),
    (
        "store/schema/migrations.rs",
        "migrations as files and as a history: names, order, and how both are compared",
    ),
    ("store/sqlite/difference.rs", "how SQLite changes a table in place, and how it rebuilds one"),
    (
        "store/sqlite/migrate/check.rs",
        "everything that a database may lack or have otherwise, each with its remedy",
    ),
];

/// A file of the source.
pub(crate) struct Source {
    /// Relative to `src/`, with `/`.
    pub(crate) path: String,
    text: String,
    pub(crate) tokens: TokenStream,
    /// Whether it is only compiled for tests.
    pub(crate) test: bool,
}

impl Source {
    /// Reads a file; its parent determines whether it is only for tests.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let tokens = text.parse().unwrap_or_else(|error| panic!("src/{path}: {error}"));
        Self { path: path.to_owned(), text: text.to_owned(), tokens, test: false }
    }

    /// The modules that lead to this file: `["store", "select"]` for `store/select.rs`.
    pub(crate) fn modules(&self) -> Vec<&str> {
        let mut modules: Vec<_> = self.path.trim_end_matches(".rs").split('/').collect();
        if modules.last() == Some(&"mod") {
            modules.pop();
        }
        modules
    }

    fn room(&self) -> &str {
        self.modules()[0]
    }

    /// The number of lines before the tests, which come last.
    fn lines(&self) -> usize {
        self.text.lines().take_while(|line| *line != "#[cfg(test)]").count()
    }
}

#[test]
fn imports_lead_downward() {
    let mut mistakes = String::new();
    for source in sources() {
        let Some(own) = floor(source.room()) else {
            writeln!(mistakes, "src/{}: {} stands on no floor", source.path, source.room())
                .unwrap();
            continue;
        };
        let depth = if source.path == "lib.rs" { 0 } else { source.modules().len() };
        let mut rooms = BTreeSet::new();
        imported(source.tokens.clone(), depth, &mut rooms);
        for room in rooms {
            match floor(&room) {
                None => writeln!(mistakes, "src/{}: imports {room}, which stands on no floor", source.path),
                Some(other) if other > own => writeln!(
                    mistakes,
                    "src/{} on floor {own} imports {room} of floor {other}: what both need belongs further down",
                    source.path
                ),
                Some(_) => Ok(()),
            }
            .unwrap();
        }
    }
    assert!(mistakes.is_empty(), "\n{mistakes}");
}

#[test]
fn the_import_reader_understands_every_form_of_use() {
    let found = |text: &str, depth| {
        let mut rooms = BTreeSet::new();
        imported(text.parse().unwrap(), depth, &mut rooms);
        rooms.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(found("use crate::store::Store;", 1), ["store"]);
    assert_eq!(
        found("use crate::{model::{Model, Entity}, store, etag as e};", 1),
        ["etag", "model", "store"]
    );
    assert_eq!(found("fn f() -> crate::http::X { vec![crate::app::y()] }", 1), ["app", "http"]);
    assert_eq!(found("pub(crate) struct S; pub(in crate::graphql) fn f() {}", 2), ["graphql"]);
    assert_eq!(found("use super::http; use super::super::app;", 2), ["app"]);
    assert_eq!(
        found("use super::http; mod tests { use super::*; use super::super::app; }", 1),
        ["app", "http"]
    );
    assert_eq!(
        found("/// [`crate::http`]\n// crate::app\nconst S: &str = \"crate::app\";", 1),
        [""; 0]
    );
}

/// Names that only a driver may use.
const DRIVERS: &[(&str, &[&str])] = &[
    ("store/sqlite", &["rusqlite"]),
    ("store/postgres", &["postgres_protocol", "fallible_iterator"]),
];

#[test]
fn only_its_driver_knows_a_database() {
    let mut mistakes = String::new();
    for source in sources() {
        let mut names_here = BTreeSet::new();
        idents(source.tokens.clone(), &mut names_here);
        for (folder, names) in DRIVERS {
            if source.path.starts_with(folder) {
                continue;
            }
            for name in names.iter().filter(|name| names_here.contains(**name)) {
                writeln!(mistakes, "src/{} names {name}, which is {folder}'s", source.path)
                    .unwrap();
            }
        }
    }
    assert!(mistakes.is_empty(), "\n{mistakes}");
}

#[test]
fn nobody_above_the_store_names_a_driver() {
    let mut mistakes = String::new();
    for source in sources().iter().filter(|source| source.room() != "store" && !source.test) {
        let tokens: Vec<_> = without_tests(source.tokens.clone())
            .to_string()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        for path in tokens.windows(3) {
            if path[0] == "store"
                && path[1] == "::"
                && matches!(path[2].as_str(), "sqlite" | "postgres")
            {
                writeln!(
                    mistakes,
                    "src/{} names store::{}, which lies behind the contract",
                    source.path, path[2]
                )
                .unwrap();
            }
        }
    }
    assert!(mistakes.is_empty(), "\n{mistakes}");
}

#[test]
fn the_source_does_not_know_the_demo() {
    let names = demo_entities();
    assert!(names.len() >= 3, "{names:?}");
    let mut mistakes = String::new();
    for source in sources().into_iter().filter(|source| !source.test) {
        for word in words(source.tokens) {
            if names.iter().any(|name| word == *name || word.strip_suffix('s') == Some(name)) {
                writeln!(mistakes, "src/{} says `{word}`", source.path).unwrap();
            }
        }
    }
    assert!(
        mistakes.is_empty(),
        "a type of the demo, outside documentation and tests:\n{mistakes}"
    );
}

#[test]
fn every_file_begins_with_a_heading() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert!(silent.is_empty(), "these files do not open with `//!`: {silent:?}");
}

#[test]
fn files_are_short_or_have_a_reason() {
    let reason = |path: &str| LONG_FOR_A_REASON.iter().any(|(long, _)| *long == path);
    let mut mistakes = String::new();
    for source in sources().iter().filter(|source| !source.test) {
        let lines = source.lines();
        if lines > LONG && !reason(&source.path) {
            writeln!(
                mistakes,
                "src/{} has {lines} lines: divide it, or give the reason here",
                source.path
            )
            .unwrap();
        }
        // With some tolerance: files grow and shrink around the limit.
        if lines < LONG - 50 && reason(&source.path) {
            writeln!(mistakes, "src/{} has {lines} lines and needs no reason", source.path)
                .unwrap();
        }
    }
    assert!(mistakes.is_empty(), "\n{mistakes}");
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// All files in `src/`.
pub(crate) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let mut sources: Vec<_> = files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
            Source::new(&path, &text)
        })
        .collect();
    assert!(sources.len() > 30, "the source is not where it is looked for");

    // A file is for tests if its parent declares it so.
    let tests: BTreeSet<_> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        source.test = tests.contains(&source.modules().join("::"));
    }
    sources
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The modules that a file declares with `#[cfg(test)] mod name;`.
fn test_modules(source: &Source) -> Vec<String> {
    let lines: Vec<_> = source.text.lines().map(str::trim).collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]").filter_map(|pair| {
        let name = pair[1].strip_suffix(';')?.rsplit_once("mod ")?.1;
        Some([source.modules(), vec![name]].concat().join("::"))
    });
    declared.collect()
}

/// Collects the first segment of every path that starts at the crate's root: with `crate`, or with
/// enough `super`s. `depth` is the number of modules above these tokens.
fn imported(tokens: TokenStream, depth: usize, rooms: &mut BTreeSet<String>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(word) if word == "crate" && is_path(&tokens, at + 1) => {
                roots(tokens.get(at + 3), rooms);
                at += 3;
            }
            TokenTree::Ident(word) if word == "super" => {
                let mut supers = 1;
                while is_path(&tokens, at + 1)
                    && matches!(&tokens.get(at + 3), Some(TokenTree::Ident(i)) if *i == "super")
                {
                    supers += 1;
                    at += 3;
                }
                if supers >= depth && is_path(&tokens, at + 1) {
                    roots(tokens.get(at + 3), rooms);
                }
                at += 1;
            }
            TokenTree::Group(group) => {
                let module = group.delimiter() == Delimiter::Brace
                    && at >= 2
                    && matches!(&tokens[at - 2], TokenTree::Ident(word) if word == "mod");
                imported(group.stream(), depth + usize::from(module), rooms);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// Whether there is a `::` at this position.
pub(crate) fn is_path(tokens: &[TokenTree], at: usize) -> bool {
    let colon =
        |at| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    colon(at) && colon(at + 1)
}

/// What follows `crate::`: a name, or several in braces.
fn roots(token: Option<&TokenTree>, rooms: &mut BTreeSet<String>) {
    match token {
        Some(TokenTree::Ident(name)) => {
            rooms.insert(name.to_string());
        }
        Some(TokenTree::Group(group)) => {
            let mut first = true;
            for token in group.stream() {
                match token {
                    TokenTree::Ident(name) if first => {
                        rooms.insert(name.to_string());
                        first = false;
                    }
                    TokenTree::Punct(punct) if punct.as_char() == ',' => first = true,
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// The demo's entities in lower case.
fn demo_entities() -> Vec<String> {
    let model =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.graphql"))
            .unwrap();
    let types = model.lines().filter_map(|line| line.strip_prefix("type "));
    types.map(|line| line.split_whitespace().next().unwrap().to_lowercase()).collect()
}

/// All whole names.
fn idents(tokens: TokenStream, found: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => idents(group.stream(), found),
            TokenTree::Ident(name) => drop(found.insert(name.to_string())),
            TokenTree::Literal(_) | TokenTree::Punct(_) => {}
        }
    }
}

/// The words in names and strings in lower case, without documentation and items with
/// `#[cfg(test)]`.
fn words(tokens: TokenStream) -> Vec<String> {
    let mut words = Vec::new();
    for token in without_tests(tokens) {
        match token {
            TokenTree::Group(group) => words.extend(self::words(group.stream())),
            TokenTree::Ident(name) => split(&name.to_string(), &mut words),
            TokenTree::Literal(literal) => split(&literal.to_string(), &mut words),
            TokenTree::Punct(_) => {}
        }
    }
    words
}

/// Removes attributes, including documentation, and items with `#[cfg(test)]`.
pub(crate) fn without_tests(tokens: TokenStream) -> TokenStream {
    let mut rest = Vec::new();
    let mut skip_item = false;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                let inner = tokens.next_if(
                    |token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '!'),
                );
                let Some(TokenTree::Group(attribute)) = tokens.next() else { continue };
                let attribute = attribute.stream().to_string();
                skip_item |= inner.is_none() && attribute.replace(' ', "") == "cfg(test)";
            }
            // An item ends with its first braces or a semicolon.
            TokenTree::Group(group) if skip_item => {
                skip_item = group.delimiter() != Delimiter::Brace
            }
            TokenTree::Punct(punct) if skip_item => skip_item = punct.as_char() != ';',
            _ if skip_item => {}
            TokenTree::Group(group) => {
                rest.push(TokenTree::Group(Group::new(
                    group.delimiter(),
                    without_tests(group.stream()),
                )));
            }
            other => rest.push(other),
        }
    }
    rest.into_iter().collect()
}

/// `merchantId`, `merchant_id` and `MERCHANT_ID` all contain `merchant`.
fn split(text: &str, words: &mut Vec<String>) {
    let mut word = String::new();
    let mut lower = false;
    for letter in text.chars().chain([' ']) {
        if !letter.is_alphabetic() || (lower && letter.is_uppercase()) {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        if letter.is_alphabetic() {
            word.extend(letter.to_lowercase());
        }
        lower = letter.is_lowercase();
    }
}
