//! The command `explain`: runs a query as the server would, on the same database, and prints why
//! its answer is as it is. It only reads, and has no response cache to inspect.

use std::fmt::{self, Display, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};

use super::error::StartError;
use super::serve::{Opening, open};
use crate::config::Config;
use crate::document_id::{DocumentId, DocumentRef};
use crate::graphql::explain::{
    self, ChangeReport, DecidedBy, DerivedFrom, Explanation, StatementReport,
};
use crate::graphql::{Document, Engine, GraphqlError, OperationKind};
use crate::model::diagnostic::did_you_mean;
use crate::persisted::{Registered, Registry, files};
use crate::viewer::{Claims, Viewer};

/// The maximum width of lines of names.
const WIDTH: usize = 100;

/// What to explain.
#[derive(Debug, Clone)]
pub struct ExplainRequest {
    /// The id of a registered document, a file with a document, or the name of an operation.
    pub document: String,
    /// A JSON object.
    pub variables: Option<String>,
    /// If the document has several.
    pub operation: Option<String>,
    /// Whether to print the report as JSON.
    pub json: bool,
    /// The claims of the viewer, as a JSON object; None for an anonymous viewer.
    pub claims: Option<String>,
}

/// Executes a query and reports on it.
///
/// # Errors
/// There is no such document, it is not a query, its variables do not coerce, or the database is
/// not ready.
pub async fn explain(config: &Config, wanted: &ExplainRequest) -> Result<String, StartError> {
    // Explaining must not change anything.
    let config = Config { migrate: false, readers: 1, ..config.clone() };
    let (engine, registry) = open(&config, Opening::ToLook).await?;
    // The claims are taken for those of a token of the first issuer.
    let roles = config.auth.first().map_or(Claims::ROLES, |issuer| &issuer.roles);
    let report = report(&engine, &registry, wanted, roles).await;
    // Close the store, so that no new log file is left next to the database.
    engine.store().close().await;
    report
}

async fn report(
    engine: &Engine,
    registry: &Registry,
    wanted: &ExplainRequest,
    roles: &str,
) -> Result<String, StartError> {
    let found = find(engine, registry, &wanted.document).await?;
    let document = found.document()?;
    let named = matches!(found, Subject::Named(_)).then_some(wanted.document.as_str());
    let operation = document
        .operation(wanted.operation.as_deref().or(named))
        .map_err(|error| anyhow!(error.message))?;
    if operation.kind() == OperationKind::Mutation {
        return Err(
            anyhow!("a mutation cannot be explained, because explaining executes it").into()
        );
    }
    let raw = serde_json::from_str(wanted.variables.as_deref().unwrap_or("{}"));
    let variables =
        operation.coerce_variables(&raw.context("the variables are not a JSON object")?);
    let variables = variables.map_err(|errors| sentence(&errors))?;
    let viewer = viewer(wanted, roles)?;
    let asked = engine.ask(operation, &variables, &viewer).map_err(|errors| sentence(&errors))?;
    let (answer, observation) = engine.observe(&asked).await.map_err(|errors| sentence(&errors))?;
    let explanation = explain::explain(engine, &asked, &answer, observation).await;
    let explanation = explanation.context("cannot read the change log")?;
    if wanted.json {
        let json = serde_json::to_string_pretty(&explanation).context("a report is JSON")?;
        return Ok(json + "\n");
    }
    Ok(Text(&explanation).to_string())
}

fn viewer(wanted: &ExplainRequest, roles: &str) -> Result<Viewer, anyhow::Error> {
    let Some(claims) = &wanted.claims else { return Ok(Viewer::Anonymous) };
    let claims = serde_json::from_str(claims).context("the claims are not a JSON object")?;
    Ok(Viewer::of(Claims::new(claims, roles)))
}

enum Subject {
    Registered(Arc<Registered>),
    /// Found by the name of one of its operations.
    Named(Arc<Registered>),
    File(Document),
}

impl Subject {
    fn document(&self) -> Result<&Document, anyhow::Error> {
        match self {
            Self::Registered(registered) | Self::Named(registered) => {
                registered.document.as_ref().map_err(|errors| {
                    sentence(errors).context("the registered document is no longer valid")
                })
            }
            Self::File(document) => Ok(document),
        }
    }
}

/// The operation that a misspelt name was probably meant to be.
fn meant(registry: &Registry, name: &str) -> Option<String> {
    let all = registry.list();
    let documents = all.iter().filter_map(|registered| registered.document.as_ref().ok());
    let names = documents
        .flat_map(|document| document.operations())
        .filter_map(|operation| operation.name());
    did_you_mean(name, names).map(|meant| format!("did you mean `{meant}`? "))
}

async fn find(engine: &Engine, registry: &Registry, name: &str) -> Result<Subject, StartError> {
    if let Some(registered) = DocumentRef::parse(name).and_then(|name| registry.find(&name)) {
        return Ok(Subject::Registered(registered));
    }
    if !Path::new(name).exists() {
        return match registry.named(name).as_slice() {
            [one] => Ok(Subject::Named(one.clone())),
            [] => {
                let help = meant(registry, name).unwrap_or_default();
                Err(anyhow!(
                    "{name} is neither the id of a registered document, nor a file, nor the name of an operation; {help}`freshql \
                     queries` lists the operations"
                )
                .into())
            }
            several => {
                let ids: Vec<String> =
                    several.iter().map(|registered| registered.id.to_string()).collect();
                Err(anyhow!(
                    "several documents have an operation {name}; name one by its id: {}",
                    ids.join(", ")
                )
                .into())
            }
        };
    }
    let text: Arc<str> =
        std::fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?.into();
    let document = engine.compiler().compile(DocumentId::of(&text), text.clone()).await;
    let mistakes = |errors: Vec<GraphqlError>| {
        StartError::Mistakes(
            errors.iter().map(|error| files::diagnostic(name, &text, error)).collect(),
        )
    };
    Ok(Subject::File(document.map_err(mistakes)?))
}

fn sentence(errors: &[GraphqlError]) -> anyhow::Error {
    let messages: Vec<_> = errors.iter().map(GraphqlError::in_full).collect();
    anyhow!(messages.join("; "))
}

/// The report as text.
struct Text<'a>(&'a Explanation);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation {
            question,
            etag,
            cache: _,
            policy,
            depends_on,
            latest_changes,
            sql,
            milliseconds,
        } = self.0;
        writeln!(f, "operation  {}", question.operation.as_deref().unwrap_or("(anonymous)"))?;
        writeln!(f, "document   {}", question.document)?;
        writeln!(f, "variables  {}", question.variables)?;
        if let Some(view) = &question.view {
            writeln!(f, "view       {}", view.digest)?;
            for rule in &view.rules {
                writeln!(f, "  {} {}: {}", rule.operation, rule.entity, rule.rows)?;
            }
        }

        match &etag.value {
            Some(etag) => writeln!(
                f,
                "\nETag  \"{etag}\" (\"{etag}.zst\", \"{etag}.br\", \"{etag}.gz\" where compressed)"
            )?,
            None => writeln!(f, "\nno ETag: the answer has errors in its fields")?,
        }
        derivation(f, &etag.derived_from)?;

        writeln!(f, "\nCache-Control      {}", policy.cache_control)?;
        if let Some(value) = &policy.cdn_cache_control {
            writeln!(f, "CDN-Cache-Control  {value}")?;
        }
        deciders(f, &policy.decided_by)?;
        writeln!(
            f,
            "  for hit or miss ask a server in mode open, with the request header freshql-explain: 1"
        )?;

        writeln!(f, "\ndepends on, as of change {}:", depends_on.as_of)?;
        for row in &depends_on.rows {
            match row.version {
                Some(version) => {
                    writeln!(f, "  row   {} {} at version {version}", row.entity, row.id)?
                }
                None => writeln!(f, "  row   {} {}, which is not there", row.entity, row.id)?,
            }
        }
        for part in &depends_on.parts {
            let watching = watching(&part.watching);
            writeln!(f, "  part  {}.{} = {}{watching}", part.entity, part.column, part.value)?;
        }
        for set in &depends_on.sets {
            writeln!(f, "  set   {}{}", set.entity, watching(&set.watching))?;
        }

        if latest_changes.is_empty() {
            writeln!(f, "\nthe log has no change of these")?;
        } else {
            writeln!(f, "\nlatest changes of these:")?;
        }
        latest_changes.iter().try_for_each(|change| change_line(f, change))?;

        writeln!(f, "\nSQL:")?;
        sql.iter().try_for_each(|statement| statement_lines(f, statement))?;
        let (plan, sql, json) = (milliseconds.plan, milliseconds.sql, milliseconds.json);
        writeln!(f, "\nms  plan {plan}, sql {sql}, json {json}")
    }
}

fn derivation(f: &mut fmt::Formatter<'_>, from: &DerivedFrom) -> fmt::Result {
    writeln!(f, "  derived from document, operation and variables, and")?;
    writeln!(f, "  epoch      {}", from.epoch)?;
    writeln!(f, "  model      {}", from.model)?;
    writeln!(f, "  rendering  {}", from.rendering)?;
    writeln!(f, "  rows       {}, each with its id and version", from.rows)?;
    if !from.missing.is_empty() {
        writeln!(f, "  not there  {}", from.missing.join(", "))?;
    }
    if !from.lists.is_empty() {
        let lists = from.lists.iter().map(|list| {
            let more = |flag: Option<bool>, text| if flag == Some(true) { text } else { "" };
            let (next, previous) =
                (more(list.has_next_page, "+"), more(list.has_previous_page, "+"));
            format!("{previous}{}{next}", list.length)
        });
        wrapped(f, "  lists      ", "of ", lists)?;
    }
    if !from.totals.is_empty() {
        wrapped(f, "  totals     ", "", from.totals.iter().map(i64::to_string))?;
    }
    if from.values > 0 {
        writeln!(f, "  schema     {} answers about it", from.values)?;
    }
    Ok(())
}

/// Comma-separated items, in lines of a readable length.
fn wrapped(
    f: &mut fmt::Formatter<'_>,
    head: &str,
    word: &str,
    items: impl Iterator<Item = String>,
) -> fmt::Result {
    let mut line = format!("{head}{word}");
    for (i, item) in items.enumerate() {
        if i > 0 {
            line.push(',');
            if line.len() + item.len() > WIDTH {
                writeln!(f, "{line}")?;
                line = " ".repeat(head.len());
            } else {
                line.push(' ');
            }
        }
        line.push_str(&item);
    }
    writeln!(f, "{line}")
}

fn deciders(f: &mut fmt::Formatter<'_>, by: &DecidedBy) -> fmt::Result {
    let all = [
        ("max-age", &by.max_age),
        ("s-maxage", &by.shared_max_age),
        ("stale-while-revalidate", &by.stale_while_revalidate),
        ("private", &by.private),
    ];
    for (name, field) in all {
        if let Some(field) = field {
            writeln!(f, "  {name} was decided by {field}")?;
        }
    }
    Ok(())
}

fn watching(columns: &[String]) -> String {
    if columns.is_empty() { String::new() } else { format!(", watching {}", columns.join(", ")) }
}

fn change_line(f: &mut fmt::Formatter<'_>, change: &ChangeReport) -> fmt::Result {
    let ChangeReport { seq, at, op, entity, id, columns, touched } = change;
    let columns =
        if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
    writeln!(f, "  {seq}  {at}  {op} of {entity} {id}{columns}")?;
    touched.iter().try_for_each(|what| writeln!(f, "      touched {what}"))
}

fn statement_lines(f: &mut fmt::Formatter<'_>, statement: &StatementReport) -> fmt::Result {
    let StatementReport { text, runs, rows, milliseconds, parameters } = statement;
    writeln!(f, "  {runs} × {text}")?;
    for values in parameters {
        let mut line = String::new();
        for (i, value) in values.iter().enumerate() {
            write!(line, "{}{value}", if i > 0 { ", " } else { "" })?;
        }
        writeln!(f, "      with {line}")?;
    }
    let more = runs.saturating_sub(parameters.len());
    if more > 0 {
        writeln!(f, "      and {more} more times")?;
    }
    writeln!(
        f,
        "      gave {rows} {} in {milliseconds} ms",
        if *rows == 1 { "row" } else { "rows" }
    )
}
