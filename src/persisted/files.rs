//! Registers `queries/**/*.graphql` (and `.gql`), and the manifests next to them. Each query file
//! is one document; its id is the hash of its exact bytes, so a byte order mark or a different line
//! ending makes a different document. Files share fragments: see [`super::fragments`].

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fragments::{Composed, Fragments, is_library};
use super::manifest::{self, Entry};
use super::registry::Registry;
use crate::document_id::DocumentId;
use crate::graphql::validate::check_syntax;
use crate::graphql::{Compiler, GraphqlError, lint};
use crate::model::diagnostic::offset_of;
use crate::model::{Diagnostic, Model};
use crate::syntax::{self, Purpose};

/// The directory of query files, in the project directory.
pub(crate) const DIRECTORY: &str = "queries";

/// The suffix of files with cases for `freshql test`.
pub(crate) const CASES: &str = ".cases.json";

/// The maximum depth of directories; deeper ones come from a loop of symbolic links.
const DEEPEST: usize = 32;

/// Compiles all query files and manifests below `directory` and registers the documents without
/// mistakes. A missing directory counts as empty. Returns the mistakes of all files, ordered by
/// file name.
///
/// # Errors
/// The directory cannot be read.
pub(crate) async fn register(
    compiler: &Compiler,
    directory: &Path,
    registry: &Registry,
) -> io::Result<Vec<Diagnostic>> {
    let mut mistakes = Vec::new();
    let texts = read(find(directory)?, &mut mistakes)?;
    let fragments = Fragments::of(texts.iter().map(|(file, text)| (file.as_str(), &**text)));
    for (file, own) in &texts {
        if is_blank(own) {
            mistakes.push(blank(file.clone()));
            continue;
        }
        if is_library(own) {
            mistakes.extend(library_mistake(file, own));
            continue;
        }
        let document = match fragments.compose(file, own) {
            Ok(document) => document,
            Err(mistake) => {
                mistakes.push(mistake);
                continue;
            }
        };
        let id = DocumentId::of(&document.text);
        match compiler.compile_registered(id, Arc::clone(&document.text)).await {
            Ok(compiled) => registry.add_file(id, document.text, compiled, file.clone()),
            Err(errors) => {
                mistakes.extend(errors.iter().map(|error| placed(file, &document, error)))
            }
        }
    }
    for (file, text) in read(manifests(directory)?, &mut mistakes)? {
        register_manifest(compiler, &file, &text, registry, &mut mistakes).await;
    }
    mistakes.sort_by(|a, b| {
        (&a.file, a.span.start, &a.message).cmp(&(&b.file, b.span.start, &b.message))
    });
    // A mistake in a shared fragment is found once for each file that needs the fragment.
    mistakes.dedup();
    Ok(mistakes)
}

/// The `.json` files that contain documents, which excludes cases of `freshql test`.
fn manifests(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let files = find_json(directory)?;
    Ok(files.into_iter().filter(|path| !path.to_string_lossy().ends_with(CASES)).collect())
}

/// Registers the documents of a manifest, also under the names that it gives them.
async fn register_manifest(
    compiler: &Compiler,
    file: &str,
    json: &str,
    registry: &Registry,
    mistakes: &mut Vec<Diagnostic>,
) {
    let entries = match manifest::parse(json) {
        Ok(entries) => entries,
        Err(why) => {
            let help = "in queries/, .json files are manifests of persisted documents, or cases of `freshql test` (NAME.cases.json)";
            mistakes.push(Diagnostic::error(file, 0..0, why).with_help(help));
            return;
        }
    };
    for Entry { alias, text } in entries {
        let id = DocumentId::of(&text);
        let at = json.find(&alias).unwrap_or_default();
        let place = at..at + alias.len();
        match compiler.compile_registered(id, Arc::clone(&text)).await {
            Ok(document) => registry.add_file(id, text, document, file.to_owned()),
            Err(errors) => {
                for error in errors {
                    let (line, column) = error.locations.first().copied().unwrap_or((1, 1));
                    let message =
                        format!("{} (line {line}, column {column} of `{alias}`)", error.message);
                    mistakes.push(Diagnostic::error(file, place.clone(), message));
                }
                continue;
            }
        }
        if let Err(other) = registry.add_alias_of_file(&alias, id) {
            let message = format!("`{alias}` already names another document: {other}");
            mistakes.push(
                Diagnostic::error(file, place, message)
                    .with_help("a name must stand for a single document"),
            );
        }
    }
}

/// A syntax error in a file that contains only fragments. Its other mistakes are reported where the
/// fragments are used.
fn library_mistake(file: &str, text: &str) -> Option<Diagnostic> {
    let error = syntax::parse(text, Purpose::Operations).err()?;
    Some(Diagnostic::error(file, error.span, error.message))
}

/// The mistake with its location, which may be in the file of a shared fragment.
fn placed(file: &str, document: &Composed, error: &GraphqlError) -> Diagnostic {
    let mut mistake = diagnostic(file, &document.text, error);
    if let Some((other, at)) = document.foreign(mistake.span.start) {
        mistake.span = at..at + mistake.span.len();
        mistake.file = other.to_owned();
    }
    mistake
}

/// The mistakes of query files that do not depend on the model, for use when there is no valid
/// model.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn syntax_mistakes(directory: &Path) -> io::Result<Vec<Diagnostic>> {
    let mut mistakes = Vec::new();
    for (file, text) in read(find(directory)?, &mut mistakes)? {
        if is_blank(&text) {
            mistakes.push(blank(file));
            continue;
        }
        if is_library(&text) {
            mistakes.extend(library_mistake(&file, &text));
            continue;
        }
        let errors = check_syntax(&text).err().unwrap_or_default();
        mistakes.extend(errors.iter().map(|error| diagnostic(&file, &text, error)));
    }
    mistakes.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(mistakes)
}

/// Whether a text consists of white space, commas and comments only: a new file, or one that is
/// commented out.
fn is_blank(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    text.lines()
        .map(|line| line.trim_matches([' ', '\t', '\r', ',']))
        .all(|line| line.is_empty() || line.starts_with('#'))
}

fn blank(file: String) -> Diagnostic {
    Diagnostic::error(file, 0..0, "there is no operation in this file")
        .with_help("write a query or a mutation, or delete the file")
}

/// The texts of these files; unreadable files go to `mistakes`.
fn read(
    paths: Vec<PathBuf>,
    mistakes: &mut Vec<Diagnostic>,
) -> io::Result<Vec<(String, Arc<str>)>> {
    let mut texts = Vec::new();
    for path in paths {
        let file = path.display().to_string();
        match String::from_utf8(std::fs::read(&path).map_err(|error| named(&path, &error))?) {
            Ok(text) => texts.push((file, text.into())),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let line = error.as_bytes()[..valid].iter().filter(|b| **b == b'\n').count() + 1;
                let message = format!(
                    "not UTF-8: the first invalid byte is in line {line}, at offset {valid}"
                );
                mistakes.push(
                    Diagnostic::error(file, 0..0, message).with_help("save the file as UTF-8"),
                );
            }
        }
    }
    Ok(texts)
}

/// What deserves a second look in the registered files, ordered by file name.
pub(crate) fn lint(model: &Model, registry: &Registry) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for registered in registry.list() {
        let Ok(document) = &registered.document else { continue };
        let findings = lint::lint(model, document);
        for file in registered.files.iter().filter(|file| !is_manifest(file)) {
            warnings.extend(line_ends(file, &registered.text));
            let own = std::fs::metadata(file)
                .map_or(usize::MAX, |file| usize::try_from(file.len()).unwrap_or(usize::MAX));
            warnings.extend(findings.iter().map(|finding| {
                let place = word_at(&registered.text, finding.position);
                let make = if finding.is_mistake { Diagnostic::error } else { Diagnostic::warning };
                let found = match place.start < own {
                    true => make(file.clone(), place, finding.message.clone()),
                    false => make(
                        file.clone(),
                        0..0,
                        format!("{}, in a fragment of another file", finding.message),
                    ),
                };
                found.with_help(finding.help.clone())
            }));
        }
    }
    warnings.extend(repeated_names(registry));
    warnings.sort_by(|a, b| (&a.file, a.span.start).cmp(&(&b.file, b.span.start)));
    warnings
}

fn is_manifest(file: &str) -> bool {
    file.ends_with(".json")
}

/// Reports operations in different files that have the same name. Each file is served by its own
/// id, but client tools (code generators, manifests) expect one operation per name, and so does
/// `freshql explain`.
fn repeated_names(registry: &Registry) -> Vec<Diagnostic> {
    let mut places = Vec::new();
    for registered in registry.list() {
        for operation in registered.document.iter().flat_map(|document| document.operations()) {
            let Some(name) = operation.name() else { continue };
            // A client's manifest contains the operations of the query files again, formatted
            // differently.
            for file in registered.files.iter().filter(|file| !is_manifest(file)) {
                let place = word_at(&registered.text, operation.position());
                places.push((name.to_owned(), file.clone(), place));
            }
        }
    }
    places.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let mut warnings = Vec::new();
    for same in places.chunk_by(|a, b| a.0 == b.0) {
        let [(name, first, _), others @ ..] = same else { continue };
        for (_, file, place) in others {
            let warning = Diagnostic::warning(
                file,
                place.clone(),
                format!("the operation `{name}` is also in {first}"),
            );
            warnings.push(
                warning
                    .with_help("give it a unique name: client tools identify operations by name"),
            );
        }
    }
    warnings
}

/// An id is the hash of the exact bytes. The same file with other line endings, as git writes them
/// on some machines, is a different document, and clients that know the first id do not find it.
fn line_ends(file: &str, text: &str) -> Option<Diagnostic> {
    let at = text.find("\r\n")?;
    let message =
        "lines end with CRLF, which changes the id: with LF, the same text has a different one";
    let help = "save the file with LF, and put `*.graphql text eol=lf` into .gitattributes";
    Some(Diagnostic::warning(file, at..at, message).with_help(help))
}

/// The mistake with its location in the file.
pub(crate) fn diagnostic(file: &str, text: &str, error: &GraphqlError) -> Diagnostic {
    let place = error.locations.first().map_or(0..0, |position| word_at(text, *position));
    Diagnostic::error(file, place, error.message.clone())
}

/// The name or symbol at a line and column, for the caret to underline.
fn word_at(text: &str, (line, column): (usize, usize)) -> Range<usize> {
    let start = offset_of(text, line, column);
    let word = text[start..]
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len() - start);
    start..start + word.max(text[start..].chars().next().map_or(0, char::len_utf8))
}

/// All `.graphql` and `.gql` files below the directory, sorted by path. Hidden files and
/// directories are skipped: Kubernetes mounts the same files again in `..data`.
///
/// # Errors
/// A directory cannot be read.
pub(crate) fn find(directory: &Path) -> io::Result<Vec<PathBuf>> {
    find_with(directory, &["graphql", "gql"])
}

/// The `.json` files below the directory.
///
/// # Errors
/// A directory cannot be read.
pub(crate) fn find_json(directory: &Path) -> io::Result<Vec<PathBuf>> {
    find_with(directory, &["json"])
}

fn find_with(directory: &Path, extensions: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![(directory.to_owned(), 0)];
    while let Some((directory, depth)) = open.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if depth == 0 && error.kind() == io::ErrorKind::NotFound => {
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                continue;
            }
            let is_wanted = path
                .extension()
                .is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted));
            // This follows symbolic links, because mounted configuration consists of them.
            let metadata = match std::fs::metadata(&path) {
                Ok(metadata) => metadata,
                // Gone, or a dangling link; it only matters for the files that are wanted.
                Err(_) if !is_wanted => continue,
                Err(error) => return Err(named(&path, &error)),
            };
            if metadata.is_dir() {
                if depth < DEEPEST {
                    open.push((path, depth + 1));
                }
            } else if is_wanted {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The error with the file that it is about, and with a remedy if there is one.
fn named(path: &Path, error: &io::Error) -> io::Error {
    let message = match std::fs::read_link(path) {
        Ok(target) => format!(
            "{} is a symbolic link to {}, which cannot be read ({error}); remove the link, or put the file there",
            path.display(),
            target.display()
        ),
        Err(_) => format!("cannot read {}: {error}", path.display()),
    };
    io::Error::new(error.kind(), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::Code;
    use crate::model::parse::parse;

    #[cfg(unix)]
    #[test]
    fn a_dangling_link_is_reported_with_a_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let link = |name: &str| {
            std::os::unix::fs::symlink("../not/there", directory.path().join(name)).unwrap()
        };
        link("notes.txt");
        assert!(find(directory.path()).unwrap().is_empty());
        link("Page.graphql");
        let message = find(directory.path()).unwrap_err().to_string();
        assert!(message.contains("Page.graphql is a symbolic link to ../not/there"), "{message}");
        assert!(message.contains("remove the link"), "{message}");
    }

    #[test]
    fn files_are_found_in_subdirectories_and_sorted() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        std::fs::create_dir_all(root.join(".hidden")).unwrap();
        for name in ["z.graphql", "b/c/a.graphql", "b/readme.md", ".hidden/x.graphql", "a.graphql"]
        {
            std::fs::write(root.join(name), "{ __typename }").unwrap();
        }
        let found = find(root).unwrap();
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(root).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.graphql", "b/c/a.graphql", "z.graphql"]);
    }

    #[test]
    fn a_missing_directory_has_no_files() {
        assert!(find(Path::new("/does/not/exist")).unwrap().is_empty());
    }

    #[tokio::test]
    async fn crlf_line_endings_are_noted() {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in
            [("lf.graphql", "{\n  __typename\n}\n"), ("crlf.graphql", "{\r\n  __typename\r\n}\r\n")]
        {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let model = parse("schema.graphql", "type A @entity { id: ID! @id }").unwrap().model;
        let registry = Registry::default();
        let compiler = Compiler::new(Arc::new(model.clone())).unwrap();
        assert!(register(&compiler, directory.path(), &registry).await.unwrap().is_empty());
        assert_eq!(registry.list().len(), 2);
        let warnings = lint(&model, &registry);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].file.ends_with("/crlf.graphql")
                && warnings[0].message.starts_with("lines end with CRLF")
        );
    }

    #[test]
    fn an_error_points_to_its_location() {
        let text = "query A {\n  prodct(id: 1) { id }\n}\n";
        let error = GraphqlError::new(Code::GraphqlValidationFailed, "no such field").at(2, 3);
        let mistake = diagnostic("queries/a.graphql", text, &error);
        assert_eq!(&text[mistake.span], "prodct");
    }
}
