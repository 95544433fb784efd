//! Which requests `freshql test` makes: the named cases in `queries/<name>.cases.json` and, for a
//! query that needs no variables, the request without any.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::app::error::StartError;
use crate::graphql::{Operation, OperationKind};
use crate::model::Diagnostic;
use crate::model::diagnostic::offset_of;
use crate::persisted::files::{self, CASES};
use crate::persisted::{Registered, Registry};

/// The directory with the snapshots, next to the query files.
const SNAPSHOTS: &str = "snapshots";

/// The name of the implicit case.
const DEFAULT: &str = "default";

/// A document, and the cases for it.
pub(super) struct Subject {
    pub(super) registered: Arc<Registered>,
    pub(super) file: String,
    /// The file's name without its extension: `Books`.
    pub(super) name: String,
    /// The path of its cases, whether or not the file exists.
    pub(super) cases_file: PathBuf,
    pub(super) cases: Vec<Case>,
    /// Queries without a case that need one.
    pub(super) uncovered: Vec<Arc<Operation>>,
    /// The number of mutations without a case, which are not run.
    pub(super) mutations: usize,
}

/// One request, and the name under which its answer is stored.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) operation: Option<String>,
    pub(super) variables: Map<String, Value>,
    pub(super) headers: BTreeMap<String, String>,
    /// The claims of the viewer; None for an anonymous viewer.
    pub(super) viewer: Option<Map<String, Value>>,
    pub(super) status: u16,
    pub(super) snapshot: PathBuf,
}

/// A case as written in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The operation, if the document has several.
    operation: Option<String>,
    #[serde(default)]
    variables: Map<String, Value>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    r#as: Option<Map<String, Value>>,
    /// The expected status.
    #[serde(default = "ok")]
    status: u16,
}

fn ok() -> u16 {
    200
}

/// The cases of all documents in files, in file order, and the mistakes in the case files.
///
/// # Errors
/// A case file cannot be read.
pub(super) fn read(
    registry: &Registry,
    directory: &Path,
) -> Result<(Vec<Subject>, Vec<Diagnostic>), StartError> {
    let (mut subjects, mut mistakes) = (Vec::new(), Vec::new());
    for registered in registry.list() {
        for file in &registered.files {
            subjects.push(subject(&registered, file, &mut mistakes)?);
        }
    }
    subjects.sort_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
    for stray in files_of_cases(directory).context("cannot read the queries")? {
        if !subjects.iter().any(|subject| subject.cases_file == stray) {
            let message = "there is no query file for these cases";
            let help =
                "a file of cases has the query file's name: Books.cases.json for Books.graphql";
            mistakes.push(
                Diagnostic::error(stray.display().to_string(), 0..0, message).with_help(help),
            );
        }
    }
    mistakes.extend(same_snapshots(&subjects));
    Ok((subjects, mistakes))
}

fn subject(
    registered: &Arc<Registered>,
    file: &str,
    mistakes: &mut Vec<Diagnostic>,
) -> Result<Subject, StartError> {
    let path = Path::new(file);
    let operations =
        registered.document.as_ref().map(|document| document.operations()).unwrap_or_default();
    let is_manifest = path.extension().is_some_and(|extension| extension == "json");
    let subject_name = match operations.first().and_then(|operation| operation.name()) {
        // A manifest's file contains other documents, too.
        Some(name) if is_manifest => name.to_owned(),
        _ => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let cases_file = path.with_file_name(format!("{subject_name}{CASES}"));
    let written = match std::fs::read_to_string(&cases_file) {
        Ok(text) => parse(&cases_file, &text, operations, mistakes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(anyhow::Error::new(error).context(cases_file.display().to_string()).into());
        }
    };
    // `{}` means that the query is not to be tested.
    let is_refused = written.as_ref().is_some_and(Vec::is_empty);
    let mut cases: Vec<Case> = written
        .into_iter()
        .flatten()
        .map(|(name, written)| Case {
            snapshot: snapshot_of(path, &subject_name, &name),
            name,
            operation: written.operation,
            variables: written.variables,
            headers: written.headers,
            viewer: written.r#as,
            status: written.status,
        })
        .collect();
    let is_covered = |operation: &Operation| {
        operations.len() == 1 && !cases.is_empty()
            || cases.iter().any(|case| {
                case.operation.is_some() && case.operation.as_deref() == operation.name()
            })
    };
    let open: Vec<&Arc<Operation>> =
        operations.iter().filter(|o| !is_refused && !is_covered(o)).collect();
    let mutations =
        open.iter().filter(|operation| operation.kind() == OperationKind::Mutation).count();
    let (uncovered, free): (Vec<_>, Vec<_>) = open
        .into_iter()
        .filter(|operation| operation.kind() == OperationKind::Query)
        .partition(|operation| !operation.required_variables().is_empty());
    cases.extend(free.into_iter().map(|operation| {
        let operation = operation.name().filter(|_| operations.len() > 1).map(str::to_owned);
        let name = operation.clone().unwrap_or_else(|| DEFAULT.to_owned());
        let (variables, headers) = (Map::new(), BTreeMap::new());
        Case {
            snapshot: snapshot_of(path, &subject_name, &name),
            name,
            operation,
            variables,
            headers,
            viewer: None,
            status: ok(),
        }
    }));
    let (registered, file, uncovered) =
        (registered.clone(), file.to_owned(), uncovered.into_iter().cloned().collect());
    Ok(Subject { registered, file, name: subject_name, cases_file, cases, uncovered, mutations })
}

impl Subject {
    /// The same subject with only these cases (name, operation, variables).
    pub(super) fn with_cases(
        &self,
        cases: &[(String, Option<String>, Map<String, Value>)],
    ) -> Self {
        let path = Path::new(&self.file);
        let cases = cases.iter().map(|(name, operation, variables)| Case {
            snapshot: snapshot_of(path, &self.name, name),
            name: name.clone(),
            operation: operation.clone(),
            variables: variables.clone(),
            headers: BTreeMap::new(),
            viewer: None,
            status: ok(),
        });
        Self {
            registered: self.registered.clone(),
            file: self.file.clone(),
            name: self.name.clone(),
            cases_file: self.cases_file.clone(),
            cases: cases.collect(),
            uncovered: Vec::new(),
            mutations: 0,
        }
    }
}

/// The path of a case's snapshot, for a query file and its name.
fn snapshot_of(file: &Path, name: &str, case: &str) -> PathBuf {
    file.with_file_name(SNAPSHOTS).join(format!("{name}__{}.snap", file_name(case)))
}

/// None if the file is wrong.
fn parse(
    file: &Path,
    text: &str,
    operations: &[Arc<Operation>],
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Vec<(String, Written)>> {
    let shown = file.display().to_string();
    let Cases(cases) = match serde_json::from_str(text) {
        Ok(cases) => cases,
        Err(error) => {
            let at = offset_of(text, error.line(), error.column());
            let help = r#"cases are written as {"name": {"variables": {…}, "headers": {…}, "status": 200}}; all three may be left out"#;
            mistakes.push(Diagnostic::error(shown, at..at, error.to_string()).with_help(help));
            return None;
        }
    };
    let names: Vec<&str> = operations.iter().filter_map(|operation| operation.name()).collect();
    for (name, case) in &cases {
        let at = text.find(&format!("\"{name}\"")).unwrap_or_default();
        let wrong = match &case.operation {
            Some(operation) if !names.contains(&operation.as_str()) => {
                format!("there is no operation `{operation}`")
            }
            None if operations.len() > 1 => {
                "the document has several operations, and the case names none".to_owned()
            }
            _ => continue,
        };
        let help = format!(r#"write "operation" and one of {}"#, names.join(", "));
        mistakes.push(Diagnostic::error(&shown, at..at + name.len() + 2, wrong).with_help(help));
    }
    Some(cases)
}

/// In file order.
struct Cases(Vec<(String, Written)>);

impl<'de> Deserialize<'de> for Cases {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Cases;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a member for each case")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cases, A::Error> {
                let mut cases: Vec<(String, Written)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if cases.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format!("there are two cases `{name}`")));
                    }
                    cases.push((name, map.next_value()?));
                }
                Ok(Cases(cases))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// The part of a case's name that is valid in file names on every system.
fn file_name(case: &str) -> String {
    let kept =
        case.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' });
    kept.collect()
}

/// Reports cases that would share a snapshot file.
fn same_snapshots(subjects: &[Subject]) -> Vec<Diagnostic> {
    let mut known: HashMap<&Path, &str> = HashMap::new();
    let mut mistakes = Vec::new();
    for subject in subjects {
        for case in &subject.cases {
            if let Some(other) = known.insert(&case.snapshot, &case.name) {
                let path = case.snapshot.display();
                let message = format!(
                    "the cases `{other}` and `{}` have the same snapshot, {path}",
                    case.name
                );
                let file = subject.cases_file.display().to_string();
                mistakes.push(
                    Diagnostic::error(file, 0..0, message)
                        .with_help("give one of them another name"),
                );
            }
        }
    }
    mistakes
}

/// All case files below a directory.
fn files_of_cases(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let files = files::find_json(directory)?;
    Ok(files.into_iter().filter(|path| path.to_string_lossy().ends_with(CASES)).collect())
}

/// All snapshots below a directory, accepted or pending review.
pub(super) fn snapshots(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            // Links are not followed: nothing outside the project is deleted.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !name.starts_with('.') {
                open.push(path);
            } else if (name.ends_with(".snap") || name.ends_with(".snap.new"))
                && directory.file_name().is_some_and(|name| name == SNAPSHOTS)
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
