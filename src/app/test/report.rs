//! The results of `freshql test`, for people and for programs.

use serde::Serialize;

use super::cases::{Case, Subject};

/// How many lines of a new answer are shown; the file contains all of them.
const GLIMPSE: usize = 20;

#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    #[serde(rename = "cases")]
    pub(super) outcomes: Vec<Outcome>,
    /// Snapshots that belong to no case.
    #[serde(rename = "unreferencedSnapshots")]
    pub(super) stray: Vec<String>,
    /// The number of mutations without a case, which were not run.
    #[serde(rename = "mutationsWithoutCase")]
    pub(super) mutations: usize,
}

/// The result of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// As in the snapshot.
    Passed,
    /// There is no snapshot yet.
    New,
    /// The answer differs from the snapshot.
    Changed,
    /// The answer was accepted.
    Updated,
    /// Wrong, whatever the snapshot says.
    Failed,
    /// A query that needs a case and has none.
    WithoutCase,
}

#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    query: String,
    case: String,
    file: String,
    pub(super) snapshot: String,
    pub(super) state: State,
    problems: Vec<String>,
    pub(super) notes: Vec<String>,
    /// The lines that differ; for a new answer, all lines.
    pub(super) difference: Option<String>,
}

impl Outcome {
    pub(super) fn of(subject: &Subject, case: &Case) -> Self {
        Self {
            query: subject.name.clone(),
            case: case.name.clone(),
            file: subject.file.clone(),
            snapshot: case.snapshot.display().to_string(),
            state: State::Passed,
            problems: Vec::new(),
            notes: Vec::new(),
            difference: None,
        }
    }

    /// Says what to write.
    pub(super) fn without_case(subject: &Subject, file: &str) -> Self {
        let names: Vec<_> =
            subject.uncovered.iter().map(|o| o.name().unwrap_or(&subject.name)).collect();
        let path = subject.cases_file.display();
        let how = if subject.cases_file.exists() { "add to" } else { "write" };
        let needs = if names.len() == 1 { "needs" } else { "need" };
        let problem = format!(
            "{} {needs} variables, so {how} {path}, for example:\n{file}",
            names.join(", ")
        );
        Self {
            query: subject.name.clone(),
            case: String::new(),
            file: subject.file.clone(),
            snapshot: String::new(),
            state: State::WithoutCase,
            problems: vec![problem],
            notes: Vec::new(),
            difference: None,
        }
    }

    pub(super) fn fail(&mut self, problem: String) {
        self.state = State::Failed;
        self.problems.push(problem);
    }

    fn name(&self) -> String {
        if self.case.is_empty() {
            self.query.clone()
        } else {
            format!("{}, case `{}`", self.query, self.case)
        }
    }
}

impl Report {
    /// Whether nothing is wrong and nothing is pending review.
    pub(super) fn is_good(&self) -> bool {
        self.outcomes.iter().all(|outcome| matches!(outcome.state, State::Passed | State::Updated))
    }

    pub(super) fn json(&self) -> String {
        let json =
            serde_json::to_string_pretty(self).expect("strings and numbers always serialise");
        json + "\n"
    }

    pub(super) fn text(&self, update: bool) -> String {
        let mut text = String::new();
        for outcome in &self.outcomes {
            let name = outcome.name();
            let snapshot = &outcome.snapshot;
            match outcome.state {
                State::Passed => {}
                State::New => text.push_str(&format!("new: {name}: there is no {snapshot} yet\n")),
                State::Changed => {
                    text.push_str(&format!("changed: {name}: not what {snapshot} says\n"))
                }
                State::Updated => text.push_str(&format!("updated: {name}: {snapshot}\n")),
                State::Failed => text.push_str(&format!("failed: {name}\n")),
                State::WithoutCase => text.push_str(&format!("no case: {name}\n")),
            }
            let told = outcome
                .problems
                .iter()
                .chain(&outcome.notes)
                .flat_map(|paragraph| paragraph.lines());
            let difference: Vec<&str> =
                outcome.difference.iter().flat_map(|difference| difference.lines()).collect();
            let (shown, rest) = match outcome.state {
                State::New => difference.split_at(difference.len().min(GLIMPSE)),
                _ => (&*difference, &[][..]),
            };
            told.chain(shown.iter().copied())
                .for_each(|line| text.push_str(&format!("  {line}\n")));
            if !rest.is_empty() {
                text.push_str(&format!("  … and {} lines more\n", rest.len()));
            }
        }
        for stray in &self.stray {
            let done =
                if update { "removed" } else { "no case makes it any more; --update removes it" };
            text.push_str(&format!("{stray}: {done}\n"));
        }
        text.push_str(&self.summary());
        text
    }

    fn summary(&self) -> String {
        let count =
            |state: State| self.outcomes.iter().filter(|outcome| outcome.state == state).count();
        let counts = [
            (State::Passed, "passed"),
            (State::Updated, "updated"),
            (State::Changed, "changed"),
            (State::New, "new"),
            (State::Failed, "failed"),
            (State::WithoutCase, "without a case"),
        ];
        let counted = counts.into_iter().map(|(state, word)| (count(state), word));
        let parts: Vec<_> =
            counted.filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        let mut summary = if parts.is_empty() { "no cases".to_owned() } else { parts.join(", ") };
        if self.mutations > 0 {
            let (plural, were) = if self.mutations == 1 { ("", "was") } else { ("s", "were") };
            summary +=
                &format!("; {} mutation{plural} without a case {were} not run", self.mutations);
        }
        summary.push('\n');
        if count(State::Changed) + count(State::New) > 0 {
            summary += "`freshql test --update` keeps the answers as they are now\n";
        }
        summary
    }
}
