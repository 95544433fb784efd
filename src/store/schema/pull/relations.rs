//! Turns foreign keys into relations, in both directions. A column that cannot be a relation in the
//! model keeps the type of its values, with a comment that says why.

use super::draft::{Draft, Key, Relation};
use super::names::unspeakable;
use super::source::{Foreign, ForeignKey};
use super::values::makes_numbers;
use crate::model::naming::{lower_camel, pluralize};
use crate::model::{OnDelete, Scalar};
use crate::store::error::AdminError;
use crate::store::sqlite::migrate::check::affinity;

/// A foreign key, analysed before anything is changed.
struct Link {
    from: usize,
    field: usize,
    to: usize,
    on_delete: OnDelete,
    note: Option<String>,
}

/// Turns foreign keys into relations, in all drafts.
pub(super) fn link(database: &impl Foreign, drafts: &mut [Draft<'_>]) -> Result<(), AdminError> {
    let mut links: Vec<Link> = Vec::new();
    let mut refusals: Vec<(usize, usize, String)> = Vec::new();
    for (from, draft) in drafts.iter().enumerate() {
        for foreign_key in &draft.table.foreign_keys {
            for column in &foreign_key.columns {
                let is_this = |name: &str| name.eq_ignore_ascii_case(column);
                let Some(field) = draft.fields.iter().position(|field| is_this(&field.column.name))
                else {
                    continue;
                };
                if links.iter().any(|link| link.from == from && link.field == field) {
                    continue;
                }
                match judge(database, drafts, from, field, foreign_key)? {
                    Ok(link) => links.push(link),
                    Err(reason) => refusals.push((from, field, reason)),
                }
            }
        }
    }
    // SQLite lists foreign keys from last to first.
    links.sort_by_key(|link| (link.from, link.field));
    // Plain columns get their names first: relations give way to them.
    for (draft, field, reason) in refusals {
        if links.iter().any(|link| link.from == draft && link.field == field) {
            continue;
        }
        let Draft { fields, taken, .. } = &mut drafts[draft];
        let field = &mut fields[field];
        if field.ty.is_some() && field.name.is_empty() {
            field.name = taken.column(&field.column.name);
        }
        let said = field.note.take().map(|note| format!("{note}; ")).unwrap_or_default();
        field.note = Some(format!("{said}{reason}"));
    }
    for link in &links {
        let target = drafts[link.to].names.name.clone();
        let key =
            drafts[link.to].table.key().first().map_or("id", |key| key.name.as_str()).to_owned();
        let Draft { fields, taken, .. } = &mut drafts[link.from];
        let field = &mut fields[link.field];
        field.name = taken.relation(&field.column.name, &target, &key);
        field.ty = Some(target);
        field.relation = Some(Relation { on_delete: link.on_delete });
        field.note.clone_from(&link.note);
    }
    for link in &links {
        let is_only =
            links.iter().filter(|other| (other.from, other.to) == (link.from, link.to)).count()
                == 1;
        let names = &drafts[link.from].names;
        let entity = names.name.clone();
        let plural = names.plural.clone().unwrap_or_else(|| pluralize(&lower_camel(&entity)));
        let relation = drafts[link.from].fields[link.field].name.clone();
        let Draft { lists, taken, .. } = &mut drafts[link.to];
        // A list of the entity's own type is named after the relation, not after the type.
        let list = taken.list(&plural, &relation, is_only && link.from != link.to);
        lists.push((list, entity, relation));
    }
    Ok(())
}

/// Whether a foreign key can be a relation, and if not, why.
fn judge(
    database: &impl Foreign,
    drafts: &[Draft<'_>],
    from: usize,
    field: usize,
    foreign_key: &ForeignKey,
) -> Result<Result<Link, String>, AdminError> {
    let draft = &drafts[from];
    let this = &draft.fields[field];
    let there = &foreign_key.table;
    let reason = |text: String| Ok(Err(text));
    if unspeakable(&this.column.name).is_some() {
        return reason(format!("points to `{there}`"));
    }
    if foreign_key.columns.len() > 1 {
        return reason(format!("part of a foreign key to `{there}` over several columns"));
    }
    let Some(to) = drafts.iter().position(|draft| draft.table.name.eq_ignore_ascii_case(there))
    else {
        return reason(format!("points to `{there}`, which is no entity"));
    };
    let target = &drafts[to];
    let Some(key) = target.fields.iter().find(|field| field.is_key) else {
        return reason(format!("points to `{there}`, which has no key"));
    };
    if let Some(other) =
        foreign_key.target.as_ref().filter(|name| !name.eq_ignore_ascii_case(&key.column.name))
    {
        return reason(format!("points to `{there}.{other}`, which is not the key"));
    }
    if !this.column.is_exact() {
        return reason(format!(
            "points to `{there}`, and is compared by the collation {}",
            this.column.collation
        ));
    }
    if this.is_key {
        return reason(format!("points to `{there}`; a key cannot be a relation"));
    }
    let fits = match target.key {
        Key::RowNumber | Key::Number => this.values.are_ints(),
        Key::Text => this.values.are_texts(),
        Key::Uuid => this.values.have_form(Scalar::Uuid),
    };
    let affinity = affinity(&this.column.sql_type);
    let keeps = match target.key {
        Key::RowNumber | Key::Number => matches!(affinity, "INTEGER" | "NUMERIC" | "BLOB"),
        Key::Text => !makes_numbers(&this.column.sql_type),
        Key::Uuid => true,
    };
    if !keeps {
        let declared = &this.column.sql_type;
        return reason(format!(
            "points to `{there}`, and keeps keys of it as {affinity}, since it is declared {declared}"
        ));
    }
    if !fits || this.column.is_generated {
        return reason(format!("points to `{there}`, and has values that cannot be keys of it"));
    }
    let lost = lost_rows(database, draft, field, target)?;
    if lost > 0 {
        let rows = if lost == 1 { "1 row points".to_owned() } else { format!("{lost} rows point") };
        return reason(format!("{rows} to rows of `{there}` that are not there"));
    }
    let (on_delete, note) = match foreign_key.on_delete.as_str() {
        "CASCADE" => (OnDelete::Cascade, None),
        "SET NULL" if !this.column.not_null => (OnDelete::SetNull, None),
        "SET NULL" | "SET DEFAULT" => (
            OnDelete::Restrict,
            Some(format!("the table says ON DELETE {}", foreign_key.on_delete)),
        ),
        _ => (OnDelete::Restrict, None),
    };
    Ok(Ok(Link { from, field, to, on_delete, note }))
}

/// The number of rows whose foreign key refers to no row: the database did not enforce it.
fn lost_rows(
    database: &impl Foreign,
    from: &Draft<'_>,
    field: usize,
    to: &Draft<'_>,
) -> Result<i64, AdminError> {
    match to.table.key().first() {
        Some(key) => {
            database.lost_rows(from.table, &from.fields[field].column.name, to.table, &key.name)
        }
        None => Ok(0),
    }
}
