//! Writes a first model for an existing database: types, keys, relations in both directions,
//! uniqueness, indexes and defaults, as far as they are declared and its rows comply. What the
//! model cannot express goes into comments. It reads the database and writes nothing.

mod draft;
pub(in crate::store) mod gathered;
pub(in crate::store) mod names;
mod relations;
mod sdl;
pub(in crate::store) mod source;
pub(in crate::store) mod values;

use self::draft::{Draft, DraftField, Key};
use self::gathered::Values;
use self::names::{Fields, Taken, unspeakable};
use self::source::{Column, Foreign, Table, TableKind};
use self::values::{Choice, choose};
use crate::model::Scalar;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::store::error::AdminError;
use crate::store::schema::layout::SqlName;

/// The text of a model, and what happened to the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// `schema.graphql`.
    pub sdl: String,
    /// A first migration that creates the tables as they are, unless they exist: later migrations
    /// start from there.
    pub baseline: String,
    /// The tables that became entities.
    pub entities: Vec<String>,
    /// The tables that did not become entities, and why.
    pub left_out: Vec<(String, String)>,
}

/// Reads a database's tables and all their rows.
///
/// # Errors
/// The database cannot be read.
pub(in crate::store) fn pull(database: &impl Foreign) -> Result<Pulled, AdminError> {
    let tables = database.tables()?;
    let baseline = database.baseline()?;
    let mut left_out = Vec::new();
    let mut drafts = Vec::new();
    let mut taken = Taken::new();
    let known =
        tables.iter().flat_map(|table| &table.columns).filter_map(|column| column.known.as_ref());
    known.filter_map(|known| known.values.as_ref()).for_each(|(name, _)| taken.reserve(name));
    for table in &tables {
        if let Some((_, reason)) = baseline.left_out.iter().find(|(name, _)| *name == table.name) {
            left_out
                .push((table.name.clone(), format!("its statement does not run here: {reason}")));
            continue;
        }
        match draft(database, table, &mut taken)? {
            Ok(draft) => drafts.push(draft),
            Err(reason) => left_out.push((table.name.clone(), reason)),
        }
    }
    relations::link(database, &mut drafts)?;
    for draft in &mut drafts {
        sdl::name_lookups(draft, &mut taken);
    }
    let entities = drafts.iter().map(|draft| draft.table.name.clone()).collect();
    Ok(Pulled { sdl: sdl::write(&drafts, &left_out), baseline: baseline.text, entities, left_out })
}

/// An entity without relations, or why there can be none.
fn draft<'a>(
    database: &impl Foreign,
    table: &'a Table,
    taken: &mut Taken,
) -> Result<Result<Draft<'a>, String>, AdminError> {
    let key_columns = table.key();
    if let Some(reason) = &table.unfit {
        return Ok(Err(reason.clone()));
    }
    let reason = match (table.kind, &key_columns[..]) {
        (TableKind::View, _) => "it is a view",
        (TableKind::Virtual, _) => "it is a virtual table",
        (TableKind::WithoutRowid, _) => {
            "it is WITHOUT ROWID, where triggers cannot see which row another displaces"
        }
        (TableKind::Table, []) => "it has no primary key",
        (TableKind::Table, [_, _, ..]) => "its primary key has several columns",
        (TableKind::Table, [_]) if table.column(VERSION_COLUMN).is_some() => {
            "it has a column `_version` of its own"
        }
        (TableKind::Table, [key]) => {
            unspeakable(&table.name).or(unspeakable(&key.name)).unwrap_or_default()
        }
    };
    if !reason.is_empty() {
        return Ok(Err(reason.to_owned()));
    }
    let all = database.values(table)?;
    let key_column = key_columns[0];
    let of_key =
        table.columns.iter().zip(&all).find(|(column, _)| column.key > 0).map(|(_, values)| values);
    let key = match key(table, key_column, of_key.unwrap_or(&Values::default())) {
        Ok(key) => key,
        Err(reason) => return Ok(Err(reason)),
    };
    let mut fields_taken = Fields::default();
    let names = taken.entity(&table.name);
    let others: Vec<&str> = table
        .columns
        .iter()
        .filter(|column| column.key == 0)
        .map(|column| column.name.as_str())
        .collect();
    let key_name = fields_taken.key(&key_column.name, &names.name, &others);
    let related: Vec<&str> =
        table.foreign_keys.iter().flat_map(|key| &key.columns).map(String::as_str).collect();
    let mut notes = Vec::new();
    if key == Key::Number {
        let counts =
            if key_column.known.is_some() { "identity column" } else { "INTEGER PRIMARY KEY" };
        notes.push(format!(
            "The key `{}` is no {counts}, so nothing generates it, and no row can be created.",
            key_column.name
        ));
    }
    let fields = table.columns.iter().zip(all).map(|(column, values)| {
        let is_key = column.key > 0;
        let Choice { scalar, note } = match column {
            _ if is_key => Choice { scalar: Some(Scalar::IdText), note: None },
            _ if column.is_generated => {
                Choice { scalar: None, note: Some("computed by SQLite".to_owned()) }
            }
            _ if unspeakable(&column.name).is_some() => {
                Choice { scalar: None, note: unspeakable(&column.name).map(str::to_owned) }
            }
            Column { known: Some(known), .. } => {
                Choice { scalar: known.scalar, note: known.note.clone() }
            }
            _ => choose(column, &values),
        };
        let is_related = related.iter().any(|related| related.eq_ignore_ascii_case(&column.name));
        let name = match column {
            _ if is_key => key_name.clone(),
            // A relation gets its name after all other fields.
            _ if is_related || scalar.is_none() => String::new(),
            _ => fields_taken.column(&column.name),
        };
        let of_enum = column
            .known
            .as_ref()
            .and_then(|known| known.values.as_ref())
            .map(|(name, _)| name.clone());
        let ty = scalar.map(|scalar| of_enum.unwrap_or_else(|| scalar.built_in_name().to_owned()));
        DraftField { column, values, name, ty, scalar, is_key, relation: None, note }
    });
    let fields: Vec<DraftField<'_>> = fields.collect();
    if key != Key::Text && fields.iter().all(|field| field.is_key || field.ty.is_none()) {
        return Ok(Err("it has no column beside the key that the model can have".to_owned()));
    }
    let out = fields.iter().filter(|field| field.ty.is_none() && !field.column.is_generated);
    for field in out.filter(|field| field.column.not_null && field.column.default.is_none()) {
        notes.push(format!("`{}` must have a value, so no row can be created.", field.column.name));
    }
    notes.extend(refused_writes(database, table, &fields));
    Ok(Ok(Draft {
        table,
        names,
        key,
        fields,
        lists: Vec::new(),
        taken: fields_taken,
        nameless: Vec::new(),
        notes,
    }))
}

/// Writes that SQLite refuses, whatever the values: the table's triggers, CHECKs or indexes use
/// functions or collations that only its own program provides.
fn refused_writes(
    database: &impl Foreign,
    table: &Table,
    fields: &[DraftField<'_>],
) -> Vec<String> {
    let name = SqlName::new(&table.name);
    let columns = fields.iter().filter(|field| field.ty.is_some() && !field.is_key);
    let sets: Vec<String> = columns
        .map(|field| {
            let column = SqlName::new(&field.column.name);
            format!("{column} = {column}")
        })
        .collect();
    let sets = if sets.is_empty() { "rowid = rowid".to_owned() } else { sets.join(", ") };
    let statements = [
        ("created", format!("INSERT INTO {name} DEFAULT VALUES")),
        ("changed", format!("UPDATE {name} SET {sets}")),
        ("deleted", format!("DELETE FROM {name} WHERE rowid = 0")),
    ];
    let mut refused: Vec<(Vec<&str>, String)> = Vec::new();
    for (verb, sql) in statements {
        let Some(reason) = database.refuses(&sql) else { continue };
        match refused.iter_mut().find(|(_, other)| *other == reason) {
            Some((verbs, _)) => verbs.push(verb),
            None => refused.push((vec![verb], reason)),
        }
    }
    let note = |(verbs, reason): (Vec<&str>, String)| {
        format!("No row can be {} here: {reason}.", verbs.join(" or "))
    };
    refused.into_iter().map(note).collect()
}

/// Who generates the keys of a table, or why nobody can.
fn key(table: &Table, column: &Column, values: &Values) -> Result<Key, String> {
    if values.nulls > 0 {
        return Err(format!("its primary key `{}` is NULL in some rows", column.name));
    }
    if !column.is_exact() {
        return Err(format!(
            "its primary key `{}` is compared by the collation {}",
            column.name, column.collation
        ));
    }
    let upper = column.sql_type.to_ascii_uppercase();
    if !table.has_key_index {
        return Ok(Key::RowNumber);
    }
    if upper.contains("INT") {
        // Without NOT NULL, SQLite accepts NULL for such a key.
        let is_sound = values.are_ints() && column.not_null;
        return is_sound.then_some(Key::Number).ok_or_else(|| {
            format!(
                "its primary key `{}` {} is neither SQLite's row number nor NOT NULL",
                column.name, column.sql_type
            )
        });
    }
    if !values.are_texts() {
        return Err(format!("its primary key `{}` holds other things than texts", column.name));
    }
    let is_uuid = ["UUID", "GUID", "UNIQUEIDENTIFIER"].iter().any(|word| upper.contains(word));
    let all_uuids = values.have_form(Scalar::Uuid);
    if all_uuids && (is_uuid || values.texts > 0) {
        return Ok(Key::Uuid);
    }
    if values::makes_numbers(&column.sql_type) {
        return Err(format!(
            "its primary key `{}` is declared {}, so SQLite makes numbers of texts that look like one",
            column.name, column.sql_type
        ));
    }
    Ok(Key::Text)
}
