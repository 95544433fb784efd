//! The difference between a database and a model, independent of the dialect: which tables,
//! columns, keys, indexes and triggers are created, dropped or changed.
//!
//! A table that freshql created must be exactly as it would create it. A table that existed before
//! freshql (its version column has a constraint named `adopted`) must only be fit to be served: its
//! own types, defaults and CHECKs stay.

use super::convert;
use super::system::system_columns;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::model::{DefaultValue, Scalar};
use crate::store::schema::layout::{
    ForeignKey, Layout, Table, TableColumn, TableIndex, index_names,
};
use crate::store::sqlite::catalogue::definition::ColumnText;
use crate::store::sqlite::catalogue::keys::other_keys;
use crate::store::sqlite::catalogue::recognise::{self, by_type};
use crate::store::sqlite::catalogue::{
    Catalogue, FoundColumn, FoundForeignKey, FoundIndex, FoundTable, FoundTrigger,
};
use crate::store::sqlite::ddl::{is_strict_type, sql_type};
use crate::store::sqlite::expression::{check_expression, default_expression};
use crate::store::sqlite::migrate::check::{affinity, holds, is_default_other, is_looked_up};
use crate::store::sqlite::migrate::guard::is_outdated;
use crate::store::sqlite::triggers::{NAME_PREFIX, ROW_NUMBER_NAMES, Trigger, triggers_beside};
use crate::store::sqlite::words::words;

/// Everything that must be done.
pub(in crate::store) struct Changes<'a> {
    /// freshql's own tables that are missing.
    pub(in crate::store) system: Vec<&'static str>,
    /// Columns that freshql's own tables lack because an earlier release created them: the table
    /// and the column's name.
    pub(in crate::store) system_columns: Vec<(&'static str, String)>,
    /// Those among them that exist, in the form of an older release.
    pub(in crate::store) outdated: Vec<&'static str>,
    /// Tables that exist but differ from what they should be.
    pub(in crate::store) altered: Vec<Altered<'a>>,
    /// Missing tables, each after those to which it refers, unless there are cycles.
    pub(in crate::store) created: Vec<&'a Table>,
    /// Tables whose entities no longer exist.
    pub(in crate::store) abandoned: Vec<Abandoned<'a>>,
    /// Tables that have the triggers of an earlier release on PostgreSQL: all of the model's
    /// tables.
    pub(in crate::store) outdated_on_postgres: Vec<&'a Table>,
}

/// A table that has to change.
pub(in crate::store) struct Altered<'a> {
    pub(in crate::store) table: &'a Table,
    pub(in crate::store) found: &'a FoundTable,
    /// What happens to the model's columns, in its order.
    pub(in crate::store) columns: Vec<(&'a TableColumn, Fate<'a>)>,
    /// Columns of removed fields, and other columns that would prevent rows from being created.
    pub(in crate::store) dropped: Vec<Dropped<'a>>,
    /// The version column is missing: the table is being adopted.
    pub(in crate::store) is_new_here: bool,
    /// The primary key is a different column, or the table lacks the rowids on which the triggers
    /// rely.
    pub(in crate::store) is_rekeyed: bool,
    pub(in crate::store) dropped_indexes: Vec<&'a FoundIndex>,
    pub(in crate::store) created_indexes: Vec<&'a TableIndex>,
    pub(in crate::store) dropped_triggers: Vec<&'a FoundTrigger>,
    pub(in crate::store) created_triggers: Vec<Trigger>,
    pub(in crate::store) triggers: Vec<Trigger>,
    /// The versions of the rows have not been maintained for a while, so every row needs a new one.
    pub(in crate::store) is_unkept: bool,
}

/// What happens to a column.
pub(in crate::store) enum Fate<'a> {
    /// It is as it should be.
    Stays,
    /// It is new.
    Comes,
    /// It exists, but differs.
    Changes(Box<Alteration<'a>>),
}

/// A column that must change.
pub(in crate::store) struct Alteration<'a> {
    pub(in crate::store) found: &'a FoundColumn,
    /// The scalar that it was created for. An enum's index is meaningless.
    pub(in crate::store) was: Scalar,
    /// The enum values that it was created for, if any.
    pub(in crate::store) values: Vec<String>,
    pub(in crate::store) foreign_key: Option<&'a FoundForeignKey>,
    /// The declared type, or the form of the values, differs.
    pub(in crate::store) is_retyped: bool,
    pub(in crate::store) nullability: bool,
    pub(in crate::store) default: bool,
    pub(in crate::store) check: bool,
    pub(in crate::store) reference: bool,
    /// Its values are not compared by their bytes, but should be.
    pub(in crate::store) collation: bool,
    /// AUTOINCREMENT is added or removed.
    pub(in crate::store) counting: bool,
}

/// A column that the model does not have.
pub(in crate::store) struct Dropped<'a> {
    pub(in crate::store) found: &'a FoundColumn,
    /// Whether it belonged to a field (and was not added by hand).
    pub(in crate::store) was_field: bool,
    /// It is NOT NULL without a default, and nobody gives it a value any more.
    pub(in crate::store) relax: bool,
    /// A field's foreign key, which nobody maintains any more.
    pub(in crate::store) foreign_key: Option<&'a FoundForeignKey>,
}

/// A table whose entity no longer exists.
pub(in crate::store) struct Abandoned<'a> {
    pub(in crate::store) found: &'a FoundTable,
    pub(in crate::store) triggers: Vec<&'a FoundTrigger>,
}

impl Changes<'_> {
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.system.is_empty()
            && self.system_columns.is_empty()
            && self.altered.is_empty()
            && self.created.is_empty()
            && self.abandoned.is_empty()
            && self.outdated_on_postgres.is_empty()
    }
}

/// Compares a database with what a model needs.
pub(in crate::store) fn changes<'a>(catalogue: &'a Catalogue, layout: &'a Layout) -> Changes<'a> {
    // Unmanaged tables are never changed.
    let tables: Vec<&Table> =
        layout.in_dependency_order().into_iter().filter(|table| table.managed).collect();
    let is_ours = |table: &&FoundTable| {
        layout.tables.iter().all(|known| !known.name.as_str().eq_ignore_ascii_case(&table.name))
            && !table.name.starts_with(NAME_PREFIX)
            && !our_triggers(table).is_empty()
    };
    let abandoned = catalogue.tables.iter().filter(is_ours);
    let is_there =
        |name: &&str| catalogue.table(name).is_some_and(|found| !is_outdated(name, found));
    let system: Vec<&str> =
        layout.system_tables().into_iter().filter(|name| !is_there(name)).collect();
    Changes {
        system_columns: system_columns(catalogue),
        outdated: system.iter().copied().filter(|name| catalogue.table(name).is_some()).collect(),
        system,
        altered: tables
            .iter()
            .filter_map(|table| {
                Some(altered(catalogue, table, catalogue.table(table.name.as_str())?))
            })
            .filter(|altered| !altered.is_empty())
            .collect(),
        created: tables
            .into_iter()
            .filter(|table| catalogue.table(table.name.as_str()).is_none())
            .collect(),
        abandoned: abandoned
            .map(|found| Abandoned { found, triggers: our_triggers(found) })
            .collect(),
        outdated_on_postgres: Vec::new(),
    }
}

fn our_triggers(table: &FoundTable) -> Vec<&FoundTrigger> {
    table
        .triggers
        .iter()
        .filter(|trigger| trigger.name.to_ascii_lowercase().starts_with(NAME_PREFIX))
        .collect()
}

fn altered<'a>(catalogue: &'a Catalogue, table: &'a Table, found: &'a FoundTable) -> Altered<'a> {
    let is_new_here = found.column(VERSION_COLUMN).is_none();
    let is_adopted = is_new_here || found.is_adopted();
    let key: Vec<&str> =
        found.columns.iter().filter(|column| column.key > 0).map(|c| c.name.as_str()).collect();
    let key_name = table.key_column().name.as_str();
    let has_key = matches!(&key[..], [one] if one.eq_ignore_ascii_case(key_name));
    let columns = table
        .columns
        .iter()
        .map(|column| (column, fate(catalogue, table, column, found, is_adopted)))
        .collect();

    let (mut dropped_indexes, mut kept_indexes) = (Vec::new(), Vec::new());
    for index in &found.indexes {
        if is_ours(index, found)
            && table.indexes.iter().all(|wanted| !is_same_index(index, wanted, table))
        {
            dropped_indexes.push(index);
        } else {
            kept_indexes.push(index);
        }
    }
    let is_rekeyed = !has_key || words(&found.definition.options).contains("without rowid");
    // The key's own index is dropped together with the key.
    let is_of_the_key = |index: &FoundIndex| {
        index.sql.is_none()
            && index.columns.iter().flatten().map(String::as_str).eq(key.iter().copied())
    };
    kept_indexes.retain(|index| !(is_rekeyed && is_of_the_key(index)));
    let is_missing = |index: &&TableIndex| {
        let names: Vec<&str> =
            index.columns.iter().map(|id| table.column(*id).name.as_str()).collect();
        kept_indexes.iter().all(|kept| !kept.covers(&names, key_name, index.unique))
    };

    let ours = our_triggers(found);
    let wanted = triggers_beside(table, &other_keys(table, found, kept_indexes.iter().copied()));
    let same = |found: &FoundTrigger, wanted: &Trigger| {
        found.name.eq_ignore_ascii_case(wanted.name.as_str())
            && words(&found.sql) == words(wanted.sql.trim_end_matches(';'))
    };
    let is_unkept = ours.is_empty() && !is_new_here;
    Altered {
        table,
        found,
        columns,
        dropped: dropped(table, found, &ours, is_adopted),
        is_new_here,
        is_rekeyed,
        dropped_indexes,
        created_indexes: table.indexes.iter().filter(is_missing).collect(),
        dropped_triggers: ours
            .iter()
            .copied()
            .filter(|f| wanted.iter().all(|wanted| !same(f, wanted)))
            .collect(),
        created_triggers: wanted
            .iter()
            .filter(|w| ours.iter().all(|found| !same(found, w)))
            .cloned()
            .collect(),
        triggers: wanted,
        is_unkept,
    }
}

/// Whether it has the name that freshql would have given it.
pub(in crate::store) fn is_ours(index: &FoundIndex, table: &FoundTable) -> bool {
    let columns: Option<Vec<&str>> = index.columns.iter().map(|column| column.as_deref()).collect();
    let Some(columns) = columns.filter(|_| index.sql.is_some() && !index.is_partial) else {
        return false;
    };
    // Without the key, which may follow.
    let shorter = &columns[..columns.len() - 1];
    [&columns[..], shorter].iter().filter(|columns| !columns.is_empty()).any(|columns| {
        index_names(&table.name, columns, index.unique)
            .iter()
            .any(|name| name.as_str().eq_ignore_ascii_case(&index.name))
    })
}

fn is_same_index(found: &FoundIndex, wanted: &TableIndex, table: &Table) -> bool {
    let columns: Vec<&str> =
        table.index_columns(wanted).map(|column| column.name.as_str()).collect();
    found.name.eq_ignore_ascii_case(wanted.name.as_str())
        && found.unique == wanted.unique
        && found.columns.len() == columns.len()
        && found
            .columns
            .iter()
            .zip(columns)
            .all(|(f, w)| f.as_ref().is_some_and(|f| f.eq_ignore_ascii_case(w)))
}

fn dropped<'a>(
    table: &Table,
    found: &'a FoundTable,
    triggers: &[&FoundTrigger],
    is_adopted: bool,
) -> Vec<Dropped<'a>> {
    let is_known = |found: &&FoundColumn| {
        found.name.eq_ignore_ascii_case(VERSION_COLUMN)
            || table
                .columns
                .iter()
                .any(|column| column.name.as_str().eq_ignore_ascii_case(&found.name))
    };
    let extra = found.columns.iter().filter(|column| !is_known(column));
    let dropped = extra.map(|column| {
        // The triggers mention the columns of fields, and no others.
        let mention =
            words(&format!("NEW.{}", crate::store::schema::layout::SqlName::new(&column.name)));
        let mentions = |trigger: &&&FoundTrigger| {
            let text = words(&trigger.sql);
            text.match_indices(&mention).any(|(at, _)| {
                !text[at + mention.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
            })
        };
        let was_field = triggers.iter().any(|trigger| mentions(&trigger));
        Dropped {
            was_field,
            // Columns that were never in the model of an adopted table are left to its authors.
            relax: !column.may_be_left_out() && (was_field || !is_adopted),
            foreign_key: found.foreign_key(&column.name).filter(|_| was_field),
            found: column,
        }
    });
    dropped.filter(|dropped| dropped.was_field || dropped.relax).collect()
}

/// The scalar that a column was created for, and the values of an enum. A foreign key has no CHECK:
/// it has the type of what it refers to.
pub(in crate::store) fn made_for(
    catalogue: &Catalogue,
    table: &FoundTable,
    column: &FoundColumn,
) -> (Scalar, Vec<String>) {
    let said = by_check(table, &column.name).or_else(|| {
        let key = table.foreign_key(&column.name)?;
        let target = catalogue.table(&key.table)?;
        by_check(target, &target.columns.iter().find(|column| column.key == 1)?.name)
    });
    let is_identifier = column.key > 0 || table.foreign_key(&column.name).is_some();
    said.unwrap_or_else(|| (by_type(affinity(&column.sql_type), is_identifier), Vec::new()))
}

fn by_check(table: &FoundTable, column: &str) -> Option<(Scalar, Vec<String>)> {
    let check = recognise::checks(table.definition.column(column)?).0.into_iter().next()?;
    Some((check.scalar, check.values))
}

fn fate<'a>(
    catalogue: &'a Catalogue,
    table: &'a Table,
    column: &'a TableColumn,
    found: &'a FoundTable,
    is_adopted: bool,
) -> Fate<'a> {
    let name = column.name.as_str();
    let Some(has) = found.column(name) else { return Fate::Comes };
    let text = found.definition.column(name);
    let is_key = column.name == table.key_column().name;
    let wanted = sql_type(column);
    let is_same_type = match (&column.type_override, is_adopted) {
        (None, true) => holds(column, &has.sql_type),
        _ => wanted.eq_ignore_ascii_case(&has.sql_type),
    };
    // Types that authors chose are left alone.
    let is_as_it_is = is_adopted || column.type_override.is_some();
    let (was, values) = made_for(catalogue, found, has);
    // SQLite's rowid is never NULL, whatever its declaration says.
    let is_row_number = has.key == 1 && has.sql_type.eq_ignore_ascii_case("INTEGER");
    let foreign_key = found.foreign_key(name);
    let alteration = Alteration {
        found: has,
        is_retyped: !is_same_type || (!is_as_it_is && !convert::is_kept_alike(was, column.scalar)),
        was,
        values,
        foreign_key,
        // SQLite allows NULL in a key unless it is declared NOT NULL; an adopted table was checked
        // when its model was written.
        nullability: (has.not_null || is_row_number) == column.nullable && !(is_adopted && is_key),
        default: is_default_other(column, text, is_adopted),
        check: is_check_other(column, text, is_adopted),
        reference: is_reference_other(column, foreign_key, is_adopted),
        collation: is_looked_up(table, column) && !has.is_compared_by_bytes(),
        // Versions come from a single clock, so a reused key is unusual, but no danger.
        counting: !is_adopted
            && is_key
            && (column.default == Some(DefaultValue::Autoincrement))
                != found.definition.has_autoincrement(),
    };
    let alike = !(alteration.is_retyped
        || alteration.nullability
        || alteration.default
        || alteration.check
        || alteration.reference
        || alteration.collation
        || alteration.counting);
    if alike { Fate::Stays } else { Fate::Changes(Box::new(alteration)) }
}

fn is_check_other(column: &TableColumn, text: Option<&ColumnText>, is_adopted: bool) -> bool {
    let ours = text.map(|text| recognise::checks(text).0).unwrap_or_default();
    // Of the rules that its authors gave an adopted table, only a list of an enum's values follows
    // the model.
    if is_adopted && column.enum_values.is_empty() {
        return false;
    }
    match (&ours[..], check_expression(column)) {
        ([], Some(_)) => !is_adopted,
        ([], None) => false,
        (_, None) => true,
        (ours, Some(_)) => !ours.iter().all(|check| recognise::is_for(check, column)),
    }
}

fn is_reference_other(
    column: &TableColumn,
    found: Option<&FoundForeignKey>,
    is_adopted: bool,
) -> bool {
    match (found, &column.references) {
        (None, None) => false,
        (None, Some(_)) => true,
        (Some(_), None) => !is_adopted,
        (Some(found), Some(wanted)) if is_adopted => {
            !found.table.eq_ignore_ascii_case(wanted.table.as_str())
        }
        (Some(found), Some(wanted)) => !is_same_reference(found, wanted),
    }
}

fn is_same_reference(found: &FoundForeignKey, wanted: &ForeignKey) -> bool {
    found.table.eq_ignore_ascii_case(wanted.table.as_str())
        && found
            .target
            .as_ref()
            .is_none_or(|target| target.eq_ignore_ascii_case(wanted.column.as_str()))
        && wanted.on_delete.is_said_by(&found.on_delete)
}

impl<'a> Altered<'a> {
    fn is_empty(&self) -> bool {
        !self.is_rebuilt()
            && !self.is_new_here
            && self.columns.iter().all(|(_, fate)| matches!(fate, Fate::Stays))
            && self.dropped_indexes.is_empty()
            && self.created_indexes.is_empty()
            && self.dropped_triggers.is_empty()
            && self.created_triggers.is_empty()
    }

    /// SQLite cannot make this change in place.
    pub(in crate::store) fn is_rebuilt(&self) -> bool {
        let is_strict = words(&self.found.definition.options).contains("strict");
        self.is_rekeyed
            || self.dropped.iter().any(|dropped| dropped.relax || dropped.foreign_key.is_some())
            || self.columns.iter().any(|(column, fate)| match fate {
                Fate::Stays => false,
                Fate::Changes(_) => true,
                Fate::Comes => {
                    let constant = matches!(column.default, None | Some(DefaultValue::Value(_)));
                    let has_value = column.nullable || default_expression(column).is_some();
                    let fits = !is_strict || is_strict_type(&sql_type(column));
                    let is_allowed = !ROW_NUMBER_NAMES
                        .iter()
                        .any(|name| column.name.as_str().eq_ignore_ascii_case(name));
                    !(constant && has_value && fits && is_allowed)
                        || column.name == self.table.key_column().name
                }
            })
    }

    /// The columns that change.
    pub(in crate::store) fn alterations(
        &self,
    ) -> impl Iterator<Item = (&'a TableColumn, &Alteration<'a>)> {
        self.columns.iter().filter_map(|(column, fate)| match fate {
            Fate::Changes(alteration) => Some((*column, &**alteration)),
            _ => None,
        })
    }
}
