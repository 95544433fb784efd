//! `freshql test`: runs every query with its cases, each on a copy of a scratch database, and
//! compares the answers with the snapshots next to the query files. It also tests that the ETag of
//! each query changes exactly when it should.

mod asking;
mod cases;
mod changes;
mod fill;
mod report;
mod scratch;
mod snapshot;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use http::StatusCode;

use self::asking::{Answered, Bench, CaseRequest};
use self::cases::{Case, Subject};
use self::fill::Filled;
use self::report::{Outcome, Report, State};
use self::scratch::Scratch;
use self::snapshot::{Comparison, Redaction};
use super::error::StartError;
use super::model_file::within;
use super::project::{self, Project};
use crate::causes::WithCauses;
use crate::config::Config;
use crate::graphql::OperationKind;
use crate::model::diagnostic::suggest;
use crate::persisted::files;

/// What to test, and how to report it.
#[derive(Debug, Clone, Default)]
pub struct TestOptions {
    /// Names of query files, without `.graphql`; none for all.
    pub names: Vec<String>,
    /// Accepts the answers as they are now.
    pub update: bool,
    /// Writes answers that are not accepted yet next to the snapshots, for review.
    pub pending: bool,
    /// Whether to report as JSON.
    pub json: bool,
    /// Whether to show differences in colour.
    pub colors: bool,
}

/// Runs the tests; returns the report, and whether all is well.
///
/// # Errors
/// The mistakes of the project's files, or the database cannot be built from them.
pub async fn test(config: &Config, options: &TestOptions) -> Result<(String, bool), StartError> {
    let since = SystemTime::now();
    let Project { model, compiler, registry, mistakes, .. } = project::read(config).await?;
    let queries = within(&config.dir, files::DIRECTORY);
    let (subjects, wrong) = cases::read(&registry, &queries)?;
    let mistakes = [mistakes, wrong].concat();
    if !mistakes.is_empty() {
        return Err(StartError::Mistakes(mistakes));
    }
    let named =
        |subject: &&Subject| options.names.is_empty() || options.names.contains(&subject.name);
    if let Some(unknown) =
        options.names.iter().find(|name| subjects.iter().all(|subject| subject.name != **name))
    {
        let help = suggest(unknown, subjects.iter().map(|subject| subject.name.as_str()));
        let help = help.map(|help| format!("; {help}")).unwrap_or_default();
        return Err(anyhow::anyhow!(
            "there is no query file {unknown}.graphql in {}{help}",
            queries.display()
        )
        .into());
    }
    let make = {
        let (config, model) = (config.clone(), model.clone());
        move || Scratch::make(&config, &model)
    };
    let scratch = tokio::task::spawn_blocking(make).await.context("preparing panicked")??;
    let bench = Bench::new(config, model, compiler, Arc::new(registry), scratch);
    let run = Run { bench, dir: config.dir.clone(), options, since };
    let mut report = Report::default();
    for subject in subjects.iter().filter(named) {
        report.mutations += subject.mutations;
        for case in &subject.cases {
            report.outcomes.push(run.case(subject, case).await?);
        }
        if !subject.uncovered.is_empty() {
            report.outcomes.extend(run.uncovered(subject).await?);
        }
    }
    if options.names.is_empty() {
        report.stray = run.stray(&report.outcomes, &queries).context("cannot remove a snapshot")?;
    }
    let text = if options.json { report.json() } else { report.text(options.update) };
    Ok((text, report.is_good()))
}

struct Run<'a> {
    bench: Bench,
    dir: PathBuf,
    options: &'a TestOptions,
    since: SystemTime,
}

impl Run<'_> {
    /// Runs the case, compares the answer, and tests the ETag.
    async fn case(&self, subject: &Subject, case: &Case) -> Result<Outcome, StartError> {
        let mut outcome = Outcome::of(subject, case);
        let document = subject.registered.document.as_ref();
        let document = document.map_err(|_| anyhow::anyhow!("{} is not valid", subject.file))?;
        let operation = document
            .operation(case.operation.as_deref())
            .map_err(|error| anyhow::anyhow!(error.message))?;
        let server = self.bench.server().await?;
        let question = match server.question(operation, case).await {
            Ok(question) => question,
            Err(error) => {
                outcome.fail(WithCauses(error.as_ref()).to_string());
                return Ok(outcome);
            }
        };
        // Observe first: a mutation changes what can be observed.
        let observed = match operation.kind() {
            OperationKind::Query => server.observe(&question).await,
            OperationKind::Mutation => None,
        };
        let answer = server.ask(&question, None).await?;
        if answer.status.as_u16() != case.status {
            outcome.fail(unexpected(&answer, case));
            return Ok(outcome);
        }
        let sql = observed.as_ref().filter(|_| answer.status == StatusCode::OK).map(
            |(_, observation)| observation.statements.iter().filter(|ran| ran.is_needed).count(),
        );
        let redaction = Redaction::new(self.since, &subject.registered.text);
        let text = snapshot::text(answer.status, &answer.headers, sql, &answer.body, &redaction);
        self.compare(subject, case, &question, &text, &mut outcome)?;
        if let (Some(observed), Some(etag), StatusCode::OK) =
            (&observed, answer.etag(), answer.status)
        {
            for problem in changes::problems(&server, &question, etag, observed).await? {
                outcome.fail(problem);
            }
        }
        Ok(outcome)
    }

    fn compare(
        &self,
        subject: &Subject,
        case: &Case,
        question: &CaseRequest<'_>,
        text: &str,
        outcome: &mut Outcome,
    ) -> Result<(), StartError> {
        let path = &case.snapshot;
        let pending = snapshot::pending(path);
        let failed = || format!("the snapshot {}", path.display());
        let old = match snapshot::compare(path, text).with_context(failed)? {
            Comparison::Same => {
                snapshot::remove(&pending).with_context(failed)?;
                return Ok(());
            }
            Comparison::New => None,
            Comparison::Different(old) => Some(old),
        };
        let verb = if question.operation.kind() == OperationKind::Query { "GET" } else { "POST" };
        let variables = serde_json::Value::Object(case.variables.clone());
        let request =
            format!("{verb} {} {variables}", question.operation.name().unwrap_or(&subject.name));
        let source = Path::new(&subject.file);
        let source = source.strip_prefix(&self.dir).unwrap_or(source).display().to_string();
        if self.options.update {
            snapshot::write(path, &source, &request, text).with_context(failed)?;
            snapshot::remove(&pending).with_context(failed)?;
            outcome.state = State::Updated;
            return Ok(());
        }
        if self.options.pending {
            snapshot::write(&pending, &source, &request, text).with_context(failed)?;
        }
        outcome.state = if old.is_some() { State::Changed } else { State::New };
        outcome.difference = Some(match old {
            Some(old) => {
                snapshot::difference(&old, text, self.options.colors && !self.options.json)
            }
            None => text.to_owned(),
        });
        Ok(())
    }

    /// Queries that need variables but have no case. With `--update` they get a first case if
    /// values are found.
    async fn uncovered(&self, subject: &Subject) -> Result<Vec<Outcome>, StartError> {
        let server = self.bench.server().await?;
        let is_single = subject.cases.is_empty() && subject.uncovered.len() == 1;
        let (mut cases, mut is_complete) = (Vec::new(), true);
        for operation in &subject.uncovered {
            let Filled { variables, is_complete: filled } =
                fill::fill(&server, operation, &subject.registered.text).await;
            is_complete &= filled;
            let name = operation.name().filter(|_| !is_single).map(str::to_owned);
            cases.push((name.clone().unwrap_or_else(|| "default".to_owned()), name, variables));
        }
        let file = fill::file(&cases);
        if self.options.update && is_complete && !subject.cases_file.exists() {
            let shown = subject.cases_file.display().to_string();
            std::fs::write(&subject.cases_file, file).with_context(|| shown.clone())?;
            let mut outcomes = Vec::new();
            let written = subject.with_cases(&cases);
            for case in &written.cases {
                let mut outcome = self.case(&written, case).await?;
                outcome.notes.push(format!(
                    "wrote {shown}, with what the scratch database has: see whether it is what you mean"
                ));
                outcomes.push(outcome);
            }
            return Ok(outcomes);
        }
        Ok(vec![Outcome::without_case(subject, &file)])
    }

    /// Snapshots that belong to no case; with `--update` they are deleted.
    fn stray(&self, outcomes: &[Outcome], queries: &Path) -> std::io::Result<Vec<String>> {
        let mut stray = Vec::new();
        for path in cases::snapshots(queries) {
            let accepted = path.with_extension("snap");
            let accepted = if path.extension().is_some_and(|e| e == "new") {
                path.with_extension("")
            } else {
                accepted
            };
            if outcomes.iter().any(|outcome| Path::new(&outcome.snapshot) == accepted) {
                continue;
            }
            if self.options.update {
                snapshot::remove(&path)?;
            }
            stray.push(path.display().to_string());
        }
        Ok(stray)
    }
}

/// The message for a status other than the expected one. It includes the body, which is not
/// compared then.
fn unexpected(answer: &Answered, case: &Case) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let expected = match case.status {
        200 => "200 is expected where the case has no \"status\"".to_owned(),
        status => format!("the case says {status}"),
    };
    format!("the status is {}, and {expected}: {}", answer.status.as_u16(), body.trim())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::PartialConfig;

    /// The project that `freshql init` writes, with servers for it.
    async fn bench(directory: &Path) -> (Bench, Vec<Subject>) {
        super::super::init(directory).unwrap();
        let config = Config::resolve(
            PartialConfig { dir: Some(directory.to_owned()), ..PartialConfig::default() },
            None,
        );
        let Project { model, compiler, registry, .. } = project::read(&config).await.unwrap();
        let (subjects, _) = cases::read(&registry, &within(directory, files::DIRECTORY)).unwrap();
        let scratch = Scratch::make(&config, &model).unwrap();
        (Bench::new(&config, model, compiler, Arc::new(registry), scratch), subjects)
    }

    fn case(name: &str) -> Case {
        let variables = match serde_json::json!({ "name": name }) {
            serde_json::Value::Object(variables) => variables,
            _ => unreachable!(),
        };
        let (headers, snapshot) = (BTreeMap::new(), PathBuf::new());
        Case {
            name: name.to_owned(),
            operation: None,
            variables,
            headers,
            viewer: None,
            status: 200,
            snapshot,
        }
    }

    #[tokio::test]
    async fn an_etag_that_misses_a_dependency_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let (bench, subjects) = bench(directory.path()).await;
        let page = &subjects.iter().find(|subject| subject.name == "author").unwrap().registered;
        let operation = page.document.as_ref().unwrap().operation(None).unwrap();
        let server = bench.server().await.unwrap();
        let calvino = server.question(operation, &case("Italo Calvino")).await.unwrap();
        let le_guin = server.question(operation, &case("Ursula K. Le Guin")).await.unwrap();
        let etag = server.ask(&calvino, None).await.unwrap().etag().unwrap().clone();
        let observed = server.observe(&calvino).await.unwrap();
        let problems = changes::problems(&server, &calvino, &etag, &observed).await.unwrap();
        assert_eq!(problems, Vec::<String>::new());

        // Pretends that the answer about one author depends on the other.
        let etag = server.ask(&calvino, None).await.unwrap().etag().unwrap().clone();
        let observed = server.observe(&le_guin).await.unwrap();
        let problems = changes::problems(&server, &calvino, &etag, &observed).await.unwrap();
        assert!(
            problems[0].starts_with("executed twice, the query has two ETags: "),
            "{problems:?}"
        );
        assert!(problems[1].starts_with("the ETag changes (to \""), "{problems:?}");
        assert!(
            problems[1].contains("when Author 01890a5d-ac96-774b-bcce-b302099a8058 gets another "),
            "{problems:?}"
        );
    }
}
