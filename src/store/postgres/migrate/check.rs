//! Whether a PostgreSQL database has what a model needs: tables, columns, keys, indexes, and the
//! triggers without which an answer could be stale. It only inspects; a migration or
//! `freshql migrate repair` fixes what it finds.

use super::mend::{self, Exactness, Mend};
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::model::{DefaultValue, Model, Scalar};
use crate::store::guard::REMEDY;
use crate::store::postgres::catalogue::{Catalogue, FoundColumn, FoundTable};
use crate::store::postgres::ddl::{create_index, sql_type};
use crate::store::postgres::triggers::base_entity;
use crate::store::schema::layout::{Layout, Table, TableColumn};
use crate::store::schema::migrations::Problem;
use crate::store::sqlite::migrate::check::is_looked_up;

/// What the check needs from the contents of tables, in addition to the catalogue.
#[derive(Debug, Default)]
pub(in crate::store) struct Facts {
    /// The entities that have a version for all rows without one of their own; see [`base_entity`].
    pub(in crate::store) bases: Vec<String>,
}

/// The statement for [`Facts`], if the table exists.
pub(in crate::store) const BASES: &str = "SELECT entity FROM _freshql_version WHERE key = ''";

/// What this database lacks for this model, in the model's order. Anything beyond that is ignored,
/// unless it gets in the way.
pub(in crate::store) fn problems(
    catalogue: &Catalogue,
    facts: &Facts,
    model: &Model,
) -> Vec<Problem> {
    let layout = Layout::new(model);
    let mut problems = of_system(catalogue, &layout);
    for table in &layout.tables {
        let mut of_table = Problems::default();
        check_table(catalogue, facts, table, &mut of_table, true, Exactness::Exact);
        problems.extend(of_table.0);
    }
    problems
}

/// For each entity of the model, the most serious reason why its row versions may not reflect every
/// change. Whatever only keeps rows consistent (foreign keys, indexes) is ignored.
pub(in crate::store) fn unguarded(
    catalogue: &Catalogue,
    facts: &Facts,
    model: &Model,
    exactness: Exactness,
) -> Vec<Option<String>> {
    let layout = Layout::new(model);
    let system = of_system(catalogue, &layout);
    let reason = |table| {
        let mut problems = Problems(system.clone());
        check_table(catalogue, facts, table, &mut problems, false, exactness);
        // What a command repairs comes last: it cannot do so before the rest is fixed.
        let worst = problems.0.into_iter().min_by_key(|problem| problem.is_repaired);
        worst.map(|problem| match problem.help {
            _ if problem.is_repaired => format!("{}; {REMEDY}", problem.message),
            Some(help) => format!("{}; {help}", problem.message),
            None => problem.message,
        })
    };
    layout.tables.iter().map(reason).collect()
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, message: String) {
        self.0.push(Problem { message, sql: None, help: None, is_repaired: false });
    }

    fn helped(&mut self, message: String, help: &'static str) {
        self.0.push(Problem { message, sql: None, help: Some(help), is_repaired: false });
    }

    fn mended(&mut self, mends: Vec<Mend>) {
        self.0.extend(mends.into_iter().map(|Mend { message, sql, .. }| Problem {
            message,
            sql: (!sql.is_empty()).then(|| sql.join("\n")),
            help: None,
            is_repaired: true,
        }));
    }
}

fn of_system(catalogue: &Catalogue, layout: &Layout) -> Vec<Problem> {
    let mut problems = Problems::default();
    problems.mended(mend::system(catalogue, layout));
    problems.0
}

fn check_table(
    catalogue: &Catalogue,
    facts: &Facts,
    table: &Table,
    problems: &mut Problems,
    is_whole: bool,
    exactness: Exactness,
) {
    let name = table.name.as_str();
    let Some(found) = catalogue.table(name) else {
        match table.managed {
            true => problems.add(format!("table `{name}` is missing")),
            false => problems.add(format!(
                "table `{name}` is missing, and as the model says `managed: false`, no migration makes it"
            )),
        }
        return;
    };
    if let Some(what) = not_a_table(&found.kind) {
        problems.helped(
            format!("`{name}` is {what}, and nobody would see its rows change"),
            "serve the tables that it reads from",
        );
        return;
    }
    if found.is_filtered {
        problems.helped(
            format!(
                "row-level security applies to this role on `{name}`, and nobody would see when a policy shows other rows"
            ),
            "serve with the table's owner (without FORCE ROW LEVEL SECURITY), or with a role that has BYPASSRLS",
        );
    }
    check_heirs(catalogue, found, problems);
    check_privileges(table, found, problems);
    check_columns(table, found, problems, is_whole);
    if table.managed && found.column(VERSION_COLUMN).is_none() {
        let message =
            format!("column `{name}.{VERSION_COLUMN}` is missing, so its rows have no versions");
        problems.mended(vec![Mend { message, sql: Vec::new(), renews: true }]);
        return;
    }
    let is_theirs = !table.managed || found.is_adopted();
    if is_whole && !is_theirs {
        check_foreign_keys(catalogue, table, found, problems);
    }
    if is_whole {
        missing_indexes(table, found, &mut problems.0);
    }
    check_later_triggers(catalogue, table, found, problems);
    let mends = mend::triggers(catalogue, table, found, exactness);
    match table.managed {
        true => problems.mended(mends),
        false if !mends.is_empty() || !facts.bases.contains(&base_entity(&table.entity_name)) => {
            problems.0.push(Problem {
                message: format!(
                    "`{name}` is not watched as this model needs it: what others write there would not be seen"
                ),
                sql: None,
                help: Some("run `freshql migrate up`, which makes the triggers and gives every row a new version"),
                is_repaired: true,
            });
        }
        false => {}
    }
}

/// Whoever takes the right to read from the role does not want it to serve what it has cached.
fn check_privileges(table: &Table, found: &FoundTable, problems: &mut Problems) {
    let names = table.columns.iter().map(|column| column.name.as_str());
    let hidden = names.filter_map(|name| found.column(name)).find(|column| !column.is_readable);
    if let Some(hidden) = hidden {
        let message = format!("this role may not read `{}.{}`", found.name, hidden.name);
        problems.helped(message, "grant it SELECT on the table");
    }
}

fn not_a_table(kind: &str) -> Option<&'static str> {
    match kind {
        "v" => Some("a view"),
        "m" => Some("a materialized view"),
        "f" => Some("a foreign table"),
        _ => None,
    }
}

/// A table that inherits from another one (without being a partition) shows its rows there, but
/// does not fire its triggers.
fn check_heirs(catalogue: &Catalogue, found: &FoundTable, problems: &mut Problems) {
    for heir in catalogue.descendants(found).iter().filter(|heir| !heir.is_partition) {
        problems.helped(
            format!(
                "`{}` inherits from `{}`: its rows show there, and nobody would see them change",
                heir.name, found.name
            ),
            "make it a partition, or take the inheritance away with `ALTER TABLE … NO INHERIT`",
        );
    }
    for foreign in catalogue.descendants(found).iter().filter(|heir| heir.kind == "f") {
        problems.add(format!(
            "the partition `{}` of `{}` is a foreign table: nobody would see its rows change",
            foreign.name, found.name
        ));
    }
}

/// A trigger that fires after ours could change a row that already has its version.
fn check_later_triggers(
    catalogue: &Catalogue,
    table: &Table,
    found: &FoundTable,
    problems: &mut Problems,
) {
    use crate::store::postgres::catalogue::bits::{BEFORE, INSERT, ROW, UPDATE};
    if !table.managed {
        return;
    }
    for part in std::iter::once(found).chain(catalogue.descendants(found)) {
        let later = part.triggers.iter().filter(|trigger| {
            trigger.bits & (ROW | BEFORE) == ROW | BEFORE
                && trigger.bits & (INSERT | UPDATE) != 0
                && trigger.enabled != "D"
                && trigger.name.as_str() > crate::store::postgres::triggers::VERSION_TRIGGER
        });
        for trigger in later {
            problems.helped(
                format!(
                    "the trigger `{}` on `{}` fires behind freshql's: it could change a row that has its version already",
                    trigger.name, part.name
                ),
                "give it a name that comes before `zz_freshql`, with `ALTER TRIGGER … RENAME TO …`",
            );
        }
    }
}

fn check_columns(table: &Table, found: &FoundTable, problems: &mut Problems, is_whole: bool) {
    let name = table.name.as_str();
    let is_theirs = !table.managed || found.is_adopted();
    for column in &table.columns {
        let shown = format!("column `{name}.{}`", column.name.as_str());
        let Some(has) = found.column(column.name.as_str()) else {
            problems.add(format!("{shown} is missing"));
            continue;
        };
        let wanted = sql_type(column);
        if !holds(column, has) {
            let is = &has.sql_type;
            // PostgreSQL takes only `bigint` and `integer` for what AUTOINCREMENT counts.
            let is_number = *is == wanted || matches!(is.as_str(), "bigint" | "integer");
            problems.add(match column.scalar {
                Scalar::IdText if is_number => format!(
                    "{shown} is {is}, but an ID without `@default(fn: AUTOINCREMENT)` is a string"
                ),
                _ => format!("{shown} is {is}, and its values would not fit {wanted}"),
            });
        } else if !is_theirs && !is_as_wanted(column, has) {
            problems.add(format!("{shown} is {}, and should be {wanted}", shown_type(has)));
        }
        if table.managed && has.is_generated {
            problems.helped(
                format!("{shown} is computed by PostgreSQL only after its row has got its version"),
                "say `managed: false`, or take it out of the model",
            );
        }
        if column.name == table.key_column().name && found.key() != [column.name.as_str()] {
            problems.add(format!("{shown} is not the primary key"));
        }
        if !column.nullable && !has.not_null {
            problems.add(format!("{shown} may be NULL, and should be NOT NULL"));
        }
        if !is_whole || is_theirs {
            continue;
        }
        if column.nullable && has.not_null {
            problems.add(format!("{shown} is NOT NULL, and may be null in the model"));
        }
        if column.default == Some(DefaultValue::Autoincrement)
            && !has.is_identity
            && has.default.is_none()
        {
            problems.add(format!(
                "{shown} does not count: it should be GENERATED BY DEFAULT AS IDENTITY"
            ));
        }
    }
    let is_known = |column: &FoundColumn| {
        column.name == VERSION_COLUMN
            || table.columns.iter().any(|known| known.name.as_str() == column.name)
    };
    for extra in found.columns.iter().filter(|column| is_whole && !is_theirs && !is_known(column)) {
        if !extra.may_be_left_out() {
            problems.add(format!(
                "column `{name}.{}` is NOT NULL without a default, and not in the model: no row can be created",
                extra.name
            ));
        }
    }
    if let Some(version) = found.column(VERSION_COLUMN).filter(|_| table.managed)
        && (version.base != "int8" || !version.not_null)
    {
        problems.add(format!("column `{name}.{VERSION_COLUMN}` is not bigint NOT NULL"));
    }
}

fn shown_type(has: &FoundColumn) -> String {
    match has.collation.as_deref() {
        Some(collation) if !matches!(collation, "default") => {
            format!("{} COLLATE \"{collation}\"", has.sql_type)
        }
        _ => has.sql_type.clone(),
    }
}

/// Whether the type is the one that freshql gives it.
fn is_as_wanted(column: &TableColumn, has: &FoundColumn) -> bool {
    if column.type_override.is_some() {
        // PostgreSQL spells types in its own way.
        return true;
    }
    let wanted = match column.scalar {
        Scalar::IdInt | Scalar::BigInt => "bigint".to_owned(),
        Scalar::Int => "integer".to_owned(),
        Scalar::Boolean => "boolean".to_owned(),
        Scalar::Float => "double precision".to_owned(),
        Scalar::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        Scalar::DateTime => "timestamp(3) with time zone".to_owned(),
        Scalar::Date => "date".to_owned(),
        Scalar::IdUuid | Scalar::Uuid => "uuid".to_owned(),
        Scalar::Json => "jsonb".to_owned(),
        Scalar::IdText | Scalar::String | Scalar::Enum(_) => {
            return has.sql_type == "text" && has.collation.as_deref() == Some("C");
        }
    };
    has.sql_type == wanted
}

/// Whether a column of this type stores the model's values unchanged.
pub(in crate::store) fn holds(column: &TableColumn, has: &FoundColumn) -> bool {
    let base = has.base.as_str();
    let is_text =
        matches!(base, "text" | "varchar" | "bpchar" | "citext" | "name") || has.kind == "e";
    match column.scalar {
        Scalar::IdInt | Scalar::BigInt | Scalar::Int => matches!(base, "int2" | "int4" | "int8"),
        Scalar::Boolean => base == "bool",
        Scalar::Float => matches!(base, "float4" | "float8"),
        Scalar::Decimal { .. } => base == "numeric",
        Scalar::DateTime => matches!(base, "timestamptz" | "timestamp"),
        Scalar::Date => base == "date",
        Scalar::IdUuid | Scalar::Uuid => base == "uuid",
        Scalar::Json => matches!(base, "jsonb" | "json"),
        Scalar::IdText | Scalar::String | Scalar::Enum(_) => is_text,
    }
}

fn check_foreign_keys(
    catalogue: &Catalogue,
    table: &Table,
    found: &FoundTable,
    problems: &mut Problems,
) {
    for column in &table.columns {
        let Some(reference) = &column.references else { continue };
        let (name, target) = (column.name.as_str(), reference.table.as_str());
        let wanted = reference.on_delete.sql();
        let is_to = |key: &&crate::store::postgres::catalogue::FoundConstraint| {
            key.kind == "f"
                && key.columns == [name]
                && key
                    .target
                    .and_then(|oid| catalogue.by_oid(oid))
                    .is_some_and(|table| table.name == target)
        };
        match found.constraints.iter().find(is_to) {
            None => problems.add(format!(
                "column `{}.{name}` has no foreign key to `{target}`",
                table.name.as_str()
            )),
            Some(key) if key.on_delete_sql() != wanted => problems.add(format!(
                "the foreign key `{}.{name}` should say ON DELETE {wanted}: {}",
                table.name.as_str(),
                key.definition
            )),
            Some(key) if !key.is_valid => problems.helped(
                format!("the foreign key `{}.{name}` was never validated", table.name.as_str()),
                "run `ALTER TABLE … VALIDATE CONSTRAINT …`",
            ),
            Some(_) => {}
        }
    }
}

/// An index may have any name: only its columns matter. Lookups rely on uniqueness; without any
/// other index they are only slower.
pub(super) fn missing_indexes(table: &Table, found: &FoundTable, problems: &mut Vec<Problem>) {
    let is_theirs = !table.managed || found.is_adopted();
    let key = table.key_column().name.as_str();
    for index in table.indexes.iter().filter(|index| index.unique || !is_theirs) {
        let wanted: Vec<&str> =
            index.columns.iter().map(|id| table.column(*id).name.as_str()).collect();
        if found.indexes.iter().any(|has| has.covers(&wanted, key, index.unique)) {
            continue;
        }
        let kind = if index.unique { "unique index" } else { "index" };
        problems.push(Problem {
            message: format!(
                "{kind} over `{}` ({}) is missing",
                table.name.as_str(),
                wanted.join(", ")
            ),
            sql: table.managed.then(|| create_index(table, index)),
            help: None,
            is_repaired: table.managed,
        });
    }
}

/// What the owner should know about columns used for lookups, one sentence each.
pub(in crate::store) fn advice(catalogue: &Catalogue, model: &Model) -> Vec<String> {
    let layout = Layout::new(model);
    let mut advice = Vec::new();
    for table in &layout.tables {
        let Some(found) = catalogue.table(table.name.as_str()) else { continue };
        for column in table.columns.iter().filter(|column| is_looked_up(table, column)) {
            let Some(has) = found.column(column.name.as_str()) else { continue };
            if !has.is_compared_by_bytes() {
                advice.push(format!(
                    "`{}.{}` is {}, and freshql compares strings by their bytes: an index over it does not serve; make one \
                     over ((({}::text) COLLATE \"C\"))",
                    found.name,
                    has.name,
                    shown_type(has),
                    column.name
                ));
            }
        }
    }
    advice
}
