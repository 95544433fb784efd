//! A simple in-memory model of writes: what each does to the rows, or why it is refused. The tests
//! compare the engine's writes with it.

use std::collections::HashMap;

use freshql::graphql::Code;
use freshql::model::{
    ColumnId, DefaultValue, Entity, EntityId, FieldKind, Model, OnDelete, Scalar, Value,
};
use serde_json::{Map, json};

use crate::random_write::{Action, Given, Token, Write};
use crate::reference::{at, json as json_text};
use crate::rows::{Row, Tables, clashes};

/// Why nothing is written.
#[derive(Debug)]
pub(crate) enum Stop {
    Refused(Refusal),
    /// One relation would delete a row and another one would keep it: the result depends on the
    /// database's order.
    Undecided,
}

/// Why a transaction is refused: the code, the field at fault, and the `extensions`, of which one
/// must be there.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) field: usize,
    pub(crate) extensions: Vec<(&'static str, Vec<serde_json::Value>)>,
}

/// The server's result: its answer, and the rows after it.
#[derive(Clone, Copy)]
pub(crate) struct Made<'a> {
    pub(crate) answer: &'a serde_json::Value,
    pub(crate) tables: &'a Tables,
}

/// The model's state.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    pub(crate) tables: Tables,
    /// The time of each row's last change.
    versions: HashMap<(EntityId, String), u64>,
    clock: u64,
}

/// Applies all writes; returns the rows as they are answered. Values that the server generates are
/// taken from its result, if there is one.
pub(crate) fn apply(
    model: &Model,
    books: &mut Books,
    writes: &[Write],
    made: Option<Made<'_>>,
) -> Result<Vec<serde_json::Value>, Stop> {
    for (field, write) in writes.iter().enumerate() {
        let entity = model.entity(write.entity);
        let is_wrong = |(id, given): &(ColumnId, Given)| match given {
            Given::Value(value) => *value == Value::Null && !entity.column(*id).nullable,
            Given::Wrong | Given::Unknown => true,
        };
        let is_missing = |id: ColumnId| {
            let column = entity.column(id);
            !column.nullable
                && column.default.is_none()
                && write.given.iter().all(|(given, _)| *given != id)
        };
        if write.given.iter().any(is_wrong)
            || (write.action == Action::Create && entity.column_ids().any(is_missing))
        {
            return Err(Stop::Refused(Refusal {
                code: Code::BadUserInput,
                field,
                extensions: Vec::new(),
            }));
        }
    }
    let mut answers = Vec::new();
    for (field, write) in writes.iter().enumerate() {
        let answer = match write.action {
            Action::Create => {
                let name = format!("w{field}");
                create(
                    model,
                    books,
                    write,
                    made.map(|made| Made { answer: &made.answer[name], ..made }),
                )
            }
            Action::Update => update(model, books, write),
            Action::Delete => delete(model, books, write),
        };
        answers.push(answer.map_err(|stop| match stop {
            Stop::Refused(refusal) => Stop::Refused(Refusal { field, ..refusal }),
            Stop::Undecided => Stop::Undecided,
        })?);
    }
    Ok(answers)
}

fn refusal(code: Code, extensions: Vec<(&'static str, Vec<serde_json::Value>)>) -> Stop {
    Stop::Refused(Refusal { code, field: 0, extensions })
}

/// If several are violated, the database may report any of them.
fn conflict(constraint: &str, fields: &[Vec<&str>]) -> Stop {
    let fields = fields.iter().map(|fields| json!(fields)).collect();
    refusal(Code::Conflict, vec![("constraint", vec![json!(constraint)]), ("fields", fields)])
}

fn create(
    model: &Model,
    books: &mut Books,
    write: &Write,
    made: Option<Made<'_>>,
) -> Result<serde_json::Value, Stop> {
    let entity = model.entity(write.entity);
    let mut row = Row::new();
    for id in entity.column_ids() {
        let column = entity.column(id);
        let given = write.given.iter().find_map(|(given, value)| match value {
            Given::Value(value) if *given == id => Some(value.clone()),
            _ => None,
        });
        row.push(match (given, &column.default) {
            (Some(value), _) => value,
            (None, None) => Value::Null,
            (None, Some(DefaultValue::Value(value))) => value.clone(),
            (None, Some(function)) => match made.and_then(|made| made.value(entity, id)) {
                Some(value) => {
                    check_made(function, column.scalar, &value);
                    value
                }
                // It is not selected; any new value will do.
                None => Value::Int(-1000 - books.clock as i64),
            },
        });
    }
    let key = at(&row, entity.key);
    if let (Some(_), Value::Int(key)) = (made, key) {
        let rows = &books.tables[usize::from(entity.id.0)];
        let highest = rows.iter().filter_map(|row| {
            if let Value::Int(key) = at(row, entity.key) { Some(key) } else { None }
        });
        assert!(
            highest.max().is_none_or(|highest| key > highest),
            "{key} was given after {rows:?}"
        );
    }
    check_unique(entity, &books.tables, &row, None)?;
    check_references(model, &books.tables, entity, &row, &write.given)?;
    books.touch(write.entity, at(&row, entity.key));
    let answer = if made.is_some() { shown(entity, &row) } else { json!(null) };
    books.tables[usize::from(entity.id.0)].push(row);
    Ok(answer)
}

fn update(model: &Model, books: &mut Books, write: &Write) -> Result<serde_json::Value, Stop> {
    let entity = model.entity(write.entity);
    let place = expected(model, books, write)?;
    let old = books.tables[usize::from(entity.id.0)][place].clone();
    let mut row = old.clone();
    for (id, given) in &write.given {
        if let Given::Value(value) = given {
            row[usize::from(id.0)] = value.clone();
        }
    }
    check_unique(entity, &books.tables, &row, Some(place))?;
    check_references(model, &books.tables, entity, &row, &write.given)?;
    if row != old {
        books.touch(write.entity, &write.key);
    }
    let answer = shown(entity, &row);
    books.tables[usize::from(entity.id.0)][place] = row;
    Ok(answer)
}

fn delete(model: &Model, books: &mut Books, write: &Write) -> Result<serde_json::Value, Stop> {
    let entity = model.entity(write.entity);
    let place = expected(model, books, write)?;
    let answer = shown(entity, &books.tables[usize::from(entity.id.0)][place]);
    let gone = cascade(model, &books.tables, entity, &write.key);
    let stays =
        |entity: &Entity, row: &Row| !gone.contains(&(entity.id, at(row, entity.key).clone()));
    let restricting = pointing(model, &books.tables, &gone, OnDelete::Restrict);
    if restricting.iter().any(|(entity, _, row)| !stays(entity, row)) {
        return Err(Stop::Undecided);
    }
    if !restricting.is_empty() {
        return Err(conflict("foreignKey", &[Vec::new()]));
    }
    let emptied: Vec<(EntityId, Value, ColumnId)> =
        pointing(model, &books.tables, &gone, OnDelete::SetNull)
            .into_iter()
            .filter(|(entity, _, row)| stays(entity, row))
            .map(|(entity, column, row)| (entity.id, at(row, entity.key).clone(), column))
            .collect();
    for (id, key, column) in emptied {
        let entity = model.entity(id);
        let rows = &mut books.tables[usize::from(id.0)];
        let row = rows.iter_mut().find(|row| *at(row, entity.key) == key).unwrap();
        row[usize::from(column.0)] = Value::Null;
        books.touch(id, &key);
    }
    for entity in &model.entities {
        books.tables[usize::from(entity.id.0)]
            .retain(|row| !gone.contains(&(entity.id, at(row, entity.key).clone())));
    }
    Ok(answer)
}

/// The rows that are deleted with this one, including itself.
fn cascade(model: &Model, tables: &Tables, entity: &Entity, key: &Value) -> Vec<(EntityId, Value)> {
    let mut gone = vec![(entity.id, key.clone())];
    loop {
        let before = gone.len();
        for (entity, _, row) in pointing(model, tables, &gone, OnDelete::Cascade) {
            let row = (entity.id, at(row, entity.key).clone());
            if !gone.contains(&row) {
                gone.push(row);
            }
        }
        if gone.len() == before {
            return gone;
        }
    }
}

/// The rows that refer to one of these by a relation of this kind.
fn pointing<'a>(
    model: &'a Model,
    tables: &'a Tables,
    rows: &[(EntityId, Value)],
    on_delete: OnDelete,
) -> Vec<(&'a Entity, ColumnId, &'a Row)> {
    let mut found = Vec::new();
    for entity in &model.entities {
        for id in entity.column_ids() {
            let Some(reference) =
                entity.column(id).references.as_ref().filter(|r| r.on_delete == on_delete)
            else {
                continue;
            };
            let points = |row: &&Row| rows.contains(&(reference.target, at(row, id).clone()));
            found.extend(
                tables[usize::from(entity.id.0)].iter().filter(points).map(|row| (entity, id, row)),
            );
        }
    }
    found
}

/// The row's index, if it is as expected.
fn expected(model: &Model, books: &Books, write: &Write) -> Result<usize, Stop> {
    let entity = model.entity(write.entity);
    let rows = &books.tables[usize::from(entity.id.0)];
    let place = rows.iter().position(|row| *at(row, entity.key) == write.key);
    let current = place.map_or(json!(null), |place| shown(entity, &rows[place]));
    let failed = || refusal(Code::PreconditionFailed, vec![("current", vec![current.clone()])]);
    match (&write.token, place) {
        (Token::Absent, _) if entity.require_etag => {
            Err(refusal(Code::PreconditionRequired, Vec::new()))
        }
        (Token::Absent | Token::Malformed | Token::OtherRow(_), None) => {
            Err(refusal(Code::NotFound, Vec::new()))
        }
        (Token::Malformed | Token::OtherRow(_), Some(_)) | (Token::Any | Token::Of(..), None) => {
            Err(failed())
        }
        (Token::Of(version, _), Some(place)) => {
            if books.version(write.entity, &write.key) == *version {
                Ok(place)
            } else {
                Err(failed())
            }
        }
        (Token::Absent | Token::Any, Some(place)) => Ok(place),
    }
}

fn check_unique(
    entity: &Entity,
    tables: &Tables,
    row: &Row,
    own: Option<usize>,
) -> Result<(), Stop> {
    let key = [vec![entity.key]];
    let others = || {
        tables[usize::from(entity.id.0)].iter().enumerate().filter(|(place, _)| Some(*place) != own)
    };
    let all = key.iter().chain(entity.uniques.iter().map(|unique| &unique.columns));
    let violated = all.filter(|columns| others().any(|(_, other)| clashes(row, other, columns)));
    let fields = violated
        .map(|columns| columns.iter().map(|id| entity.column(*id).field.as_str()).collect());
    let fields: Vec<Vec<&str>> = fields.collect();
    if fields.is_empty() { Ok(()) } else { Err(conflict("unique", &fields)) }
}

fn check_references(
    model: &Model,
    tables: &Tables,
    entity: &Entity,
    row: &Row,
    given: &[(ColumnId, Given)],
) -> Result<(), Stop> {
    let dangling = entity.column_ids().filter(|id| {
        let Some(reference) = &entity.column(*id).references else { return false };
        let target = model.entity(reference.target);
        let value = at(row, *id);
        given.iter().any(|(given, _)| given == id)
            && *value != Value::Null
            // A new row may refer to itself.
            && !(target.id == entity.id && value == at(row, entity.key))
            && tables[usize::from(target.id.0)].iter().all(|row| at(row, target.key) != value)
    });
    let fields: Vec<&str> = dangling.map(|id| entity.column(id).field.as_str()).collect();
    if fields.is_empty() { Ok(()) } else { Err(conflict("foreignKey", &[fields])) }
}

impl Made<'_> {
    /// A column of the created row; None if that is no longer visible.
    fn value(self, entity: &Entity, id: ColumnId) -> Option<Value> {
        let shown =
            |id: ColumnId| match (&self.answer[&entity.column(id).field], entity.column(id).scalar)
            {
                (serde_json::Value::String(text), Scalar::IdInt) => {
                    Value::Int(text.parse().unwrap())
                }
                (serde_json::Value::String(text), _) => Value::text(text.as_str()),
                (other, _) => panic!("a server makes no {other}"),
            };
        if !entity.column(id).hidden {
            return Some(shown(id));
        }
        let key = shown(entity.key);
        let mut rows = self.tables[usize::from(entity.id.0)].iter();
        rows.find(|row| *at(row, entity.key) == key).map(|row| at(row, id).clone())
    }
}

fn check_made(function: &DefaultValue, scalar: Scalar, value: &Value) {
    match (function, value) {
        (DefaultValue::UuidV7, Value::Text(text)) => {
            assert_eq!((text.len(), &text[14..15]), (36, "7"), "{text}")
        }
        (DefaultValue::Now, Value::Text(text)) if scalar == Scalar::Date => {
            let days = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
                - text.parse::<jiff::civil::Date>().unwrap();
            assert!(text.len() == 10 && matches!(days.get_days(), 0 | 1), "{text}");
        }
        (DefaultValue::Now, Value::Text(text)) => {
            let age = jiff::Timestamp::now().duration_since(text.parse().unwrap());
            assert!(text.len() == 24 && (0..60).contains(&age.as_secs()), "{text}");
        }
        (DefaultValue::Autoincrement, Value::Int(_)) => {}
        (function, value) => panic!("{function:?} does not make {value:?}"),
    }
}

impl Books {
    pub(crate) fn new(tables: Tables) -> Self {
        Self { tables, versions: HashMap::new(), clock: 0 }
    }

    /// The time of the row's last change.
    pub(crate) fn version(&self, entity: EntityId, key: &Value) -> u64 {
        self.versions.get(&(entity, format!("{key:?}"))).copied().unwrap_or(0)
    }

    /// Another program has written these rows instead.
    pub(crate) fn replace(&mut self, model: &Model, tables: Tables) {
        for entity in &model.entities {
            tables[usize::from(entity.id.0)]
                .iter()
                .for_each(|row| self.touch(entity.id, at(row, entity.key)));
        }
        self.tables = tables;
    }

    fn touch(&mut self, entity: EntityId, key: &Value) {
        self.clock += 1;
        self.versions.insert((entity, format!("{key:?}")), self.clock);
    }
}

/// The rows by key, in the database's order.
pub(crate) fn sorted(model: &Model, tables: &Tables) -> Tables {
    let by_key = |entity: &Entity| {
        let mut rows = tables[usize::from(entity.id.0)].clone();
        rows.sort_by(|one, other| match (at(one, entity.key), at(other, entity.key)) {
            (Value::Int(one), Value::Int(other)) => one.cmp(other),
            (Value::Text(one), Value::Text(other)) => one.cmp(other),
            keys => panic!("{keys:?}"),
        });
        rows
    };
    model.entities.iter().map(by_key).collect()
}

/// The fields that every write selects, and their columns.
pub(crate) fn selected(entity: &Entity) -> impl Iterator<Item = (&str, ColumnId)> {
    entity.fields.iter().filter(|field| !field.hidden).filter_map(|field| match field.kind {
        FieldKind::Scalar(column) => Some((field.name.as_str(), column)),
        _ => None,
    })
}

fn shown(entity: &Entity, row: &Row) -> serde_json::Value {
    let members = selected(entity).map(|(name, column)| {
        let text = json_text(entity.column(column).scalar, at(row, column));
        (name.to_owned(), serde_json::from_str(&text).unwrap())
    });
    members.collect::<Map<_, _>>().into()
}
