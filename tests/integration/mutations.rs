//! The engine's writes are those of a plain bookkeeping in memory: random creates, updates and deletes, several in a
//! transaction, with inputs that are absent, null, wrong or in conflict, and with every kind of `expectedEtag`.

use std::collections::HashMap;

use freshql::graphql::{Code, GraphqlError, PathSegment};
use freshql::model::{ColumnId, DefaultValue, Entity, EntityId, FieldKind, Model, OnDelete, Scalar, Value};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, json};

use crate::bookshop::{Bookshop, Choices, MODEL, Row, Tables, any_tables, any_value, clashes, config, some_key};
use crate::reference::{at, input, json as json_text};

/// What an input says of a column.
#[derive(Debug, Clone)]
enum Given {
    Value(Value),
    /// Something that no column of its type takes.
    Wrong,
    /// A field that the input does not have.
    Unknown(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    Create,
    Update,
    Delete,
}

/// A root field of a mutation.
#[derive(Debug, Clone)]
struct Write {
    action: Action,
    entity: EntityId,
    key: Value,
    given: Vec<(ColumnId, Given)>,
    token: Token,
}

/// `expectedEtag`.
#[derive(Debug, Clone)]
enum Token {
    Absent,
    Any,
    Malformed,
    OtherRow(String),
    /// A state that the row is in, or was in.
    Of(u64, String),
}

/// Why a transaction is refused: the code, the field that is at fault, what its `extensions` must have.
#[derive(Debug)]
struct Refusal {
    code: Code,
    field: usize,
    extensions: Vec<(&'static str, serde_json::Value)>,
}

/// The books.
#[derive(Debug, Clone)]
struct Books {
    tables: Tables,
    /// When each row changed last.
    versions: HashMap<(EntityId, String), u64>,
    clock: u64,
}

#[test]
fn writes_are_those_of_a_plain_bookkeeping() {
    let shop = std::cell::RefCell::new(Bookshop::open());
    let tapes = (vec(any::<u32>(), 0..300), vec(vec(any::<u32>(), 0..80), 1..16));
    let outcome = TestRunner::new(config(60)).run(&tapes, |(rows, tapes)| {
        let mut shop = shop.borrow_mut();
        let tables = any_tables(&shop.model, 6, &mut Choices::new(&rows));
        shop.fill(&tables);
        let mut books = Books { tables, versions: HashMap::new(), clock: 0 };
        let mut tokens = HashMap::new();
        tapes.iter().try_for_each(|tape| transaction(&shop, &mut books, &mut tokens, tape))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// The tokens that rows have had: by row, those of each of its states.
type Tokens = HashMap<(EntityId, String), Vec<(u64, String)>>;

/// One random mutation, in the engine and in the books.
fn transaction(shop: &Bookshop, books: &mut Books, tokens: &mut Tokens, tape: &[u32]) -> Result<(), TestCaseError> {
    let model = &shop.model;
    let choices = &mut Choices::new(tape);
    note_tokens(shop, books, tokens);
    let writes: Vec<Write> = (0..=choices.below(3)).map(|_| any_write(model, books, tokens, choices)).collect();
    if writes.iter().any(|write| write.action == Action::Delete && is_decided_by_sqlite(model, &books.tables, write)) {
        return Ok(());
    }
    let (text, variables) = document(model, &writes, choices);
    let answer = shop.run(&text, &variables);
    let data: Option<serde_json::Value> =
        answer.as_ref().ok().map(|answer| serde_json::from_slice(&answer.body).unwrap());
    let data = data.map(|body: serde_json::Value| body["data"].clone());

    let before = books.clone();
    let expected = apply(model, books, &writes, data.as_ref());
    let context = || format!("{text}\n{variables}\n{answer:?}\n{expected:?}");
    match (&answer, &expected) {
        (Ok(_), Ok(rows)) => {
            for (i, row) in rows.iter().enumerate() {
                let mut found = data.as_ref().unwrap()[format!("w{i}")].clone();
                found.as_object_mut().unwrap().remove("etag");
                prop_assert_eq!(&found, row, "{}", context());
            }
        }
        (Err(errors), Err(refusal)) => {
            *books = before;
            check_errors(errors, refusal, &context())?;
        }
        _ => prop_assert!(false, "one took it, the other did not\n{}", context()),
    }
    prop_assert_eq!(shop.dump(), sorted(model, &books.tables), "{}", context());
    Ok(())
}

fn check_errors(errors: &[GraphqlError], refusal: &Refusal, context: &str) -> Result<(), TestCaseError> {
    for error in errors {
        prop_assert_eq!(error.code, refusal.code, "{}", context);
    }
    if refusal.code == Code::BadUserInput {
        return Ok(());
    }
    let error = &errors[0];
    prop_assert_eq!(errors.len(), 1);
    prop_assert_eq!(&error.path, &vec![PathSegment::Key(format!("w{}", refusal.field))], "{}", context);
    for (name, expected) in &refusal.extensions {
        let found = error.extensions.iter().find(|(found, _)| found == name);
        let mut found: serde_json::Value =
            found.map_or(json!("nothing"), |(_, raw)| serde_json::from_str(raw.get()).unwrap());
        found.as_object_mut().map(|object| object.remove("etag"));
        prop_assert_eq!(&found, expected, "{}\n{}", name, context);
    }
    Ok(())
}

/// Reads the present token of every row: it is another one exactly if the row has changed.
fn note_tokens(shop: &Bookshop, books: &Books, tokens: &mut Tokens) {
    for entity in &shop.model.entities {
        for row in &books.tables[usize::from(entity.id.0)] {
            let key = at(row, entity.key);
            let name = (entity.id, format!("{key:?}"));
            let version = books.versions.get(&name).copied().unwrap_or(0);
            let argument = &entity.column(entity.key).field;
            let text = format!("query($id: ID!) {{ row: {}({argument}: $id) {{ etag }} }}", entity.singular);
            let id = input(entity.column(entity.key).scalar, key);
            let etag = shop.json(&text, &json!({"id": id}))["data"]["row"]["etag"].as_str().unwrap().to_owned();
            let known = tokens.entry(name).or_default();
            match known.iter().find(|(of, _)| *of == version) {
                Some((_, token)) => assert_eq!(*token, etag, "{} {key:?} did not change", entity.name),
                None => {
                    assert!(known.iter().all(|(_, token)| *token != etag), "{} {key:?} changed", entity.name);
                    known.push((version, etag));
                }
            }
        }
    }
}

fn any_write(model: &Model, books: &Books, tokens: &Tokens, choices: &mut Choices<'_>) -> Write {
    let entity = choices.of(&model.entities);
    let action = *choices.of(&[Action::Update, Action::Create, Action::Delete, Action::Update]);
    let key = some_key(entity, &books.tables, choices);
    let mut given = Vec::new();
    for id in entity.column_ids() {
        let column = entity.column(id);
        let required = action == Action::Create && !column.nullable && column.default.is_none();
        if action == Action::Delete || (action == Action::Update && id == entity.key) {
            continue;
        }
        if column.readonly {
            if choices.chance(1) {
                given.push((id, Given::Unknown("joined")));
            }
            continue;
        }
        if !choices.chance(if required { 98 } else { 40 }) {
            continue;
        }
        let value = if choices.chance(if column.nullable { 25 } else { 2 }) {
            Given::Value(Value::Null)
        } else if choices.chance(1) {
            Given::Wrong
        } else if let Some(reference) = &column.references {
            Given::Value(some_key(model.entity(reference.target), &books.tables, choices))
        } else if id == entity.key {
            Given::Value(if choices.chance(20) { key.clone() } else { Value::text(format!("new{}", choices.below(9))) })
        } else {
            let value = any_value(model, column.scalar, choices);
            // As an input, JSON's null is SQL's.
            let is_null = input(column.scalar, &value).is_null();
            Given::Value(if is_null { Value::Null } else { value })
        };
        given.push((id, value));
    }
    let states = tokens.get(&(entity.id, format!("{key:?}")));
    let others: Vec<&String> = tokens
        .iter()
        .filter(|((other, name), _)| *other != entity.id || *name != format!("{key:?}"))
        .flat_map(|(_, states)| states.iter().map(|(_, token)| token))
        .collect();
    let newest = |states: &Vec<(u64, String)>| states.iter().max_by_key(|(version, _)| *version).unwrap().clone();
    let token = match (choices.below(10), states) {
        (3, _) => Token::Any,
        (4, _) => Token::Malformed,
        (5, _) if !others.is_empty() => Token::OtherRow((*others.iter().min().unwrap()).clone()),
        (6 | 7, Some(states)) => {
            let (version, token) = choices.of(states).clone();
            Token::Of(version, token)
        }
        (0..=2 | 8, Some(states)) if entity.require_etag || choices.chance(40) => {
            let (version, token) = newest(states);
            Token::Of(version, token)
        }
        _ => Token::Absent,
    };
    Write { action, entity: entity.id, key, given, token }
}

/// The writes as a document: inputs in variables, patches sometimes in the text with a variable for each column.
fn document(model: &Model, writes: &[Write], choices: &mut Choices<'_>) -> (String, serde_json::Value) {
    let (mut declared, mut fields, mut variables) = (Vec::new(), Vec::new(), Map::new());
    for (i, write) in writes.iter().enumerate() {
        let entity = model.entity(write.entity);
        let mut arguments = Vec::new();
        let verb = match write.action {
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        };
        if write.action != Action::Create {
            let key = entity.column(entity.key);
            declared.push(format!("$id{i}: ID!"));
            variables.insert(format!("id{i}"), input(key.scalar, &write.key));
            arguments.push(format!("{}: $id{i}", key.field));
            let token = match &write.token {
                Token::Absent => None,
                Token::Any => Some("*".to_owned()),
                Token::Malformed => Some("not a token".to_owned()),
                Token::OtherRow(token) | Token::Of(_, token) => Some(token.clone()),
            };
            declared.push(format!("$e{i}: String{}", if entity.require_etag { "!" } else { "" }));
            variables.extend(token.map(|token| (format!("e{i}"), token.into())));
            arguments.push(format!("expectedEtag: $e{i}"));
        }
        let json = |id: ColumnId, given: &Given| match given {
            Given::Value(value) => (entity.column(id).field.clone(), input(entity.column(id).scalar, value)),
            Given::Wrong if entity.column(id).scalar == Scalar::Json => {
                (entity.column(id).field.clone(), json!("a\0b"))
            }
            Given::Wrong => (entity.column(id).field.clone(), json!({"of": "no type"})),
            Given::Unknown(name) => ((*name).to_owned(), json!("2026-01-01T00:00:00Z")),
        };
        let is_plain = write.given.iter().all(|(_, given)| matches!(given, Given::Value(_)));
        match write.action {
            Action::Update if is_plain && choices.chance(40) => {
                // What is not given is a variable without a value.
                let mut members = Vec::new();
                for id in entity.column_ids().filter(|id| *id != entity.key && !entity.column(*id).readonly) {
                    let column = entity.column(id);
                    declared.push(format!("$p{i}_{}: {}", id.0, column.scalar.graphql_name(model)));
                    members.push(format!("{}: $p{i}_{}", column.field, id.0));
                    let given = write.given.iter().find(|(given, _)| *given == id);
                    variables.extend(given.map(|(_, given)| (format!("p{i}_{}", id.0), json(id, given).1)));
                }
                arguments.push(format!("patch: {{ {} }}", members.join(", ")));
            }
            Action::Create | Action::Update => {
                let (argument, ty) =
                    if write.action == Action::Create { ("input", "Input") } else { ("patch", "Patch") };
                declared.push(format!("$i{i}: {}{ty}!", entity.name));
                let members: Map<_, _> = write.given.iter().map(|(id, given)| json(*id, given)).collect();
                variables.insert(format!("i{i}"), members.into());
                arguments.push(format!("{argument}: $i{i}"));
            }
            Action::Delete => {}
        }
        let columns = selected(entity).map(|(name, _)| name).collect::<Vec<_>>().join(" ");
        fields.push(format!("w{i}: {verb}{}({}) {{ {columns} etag }}", entity.name, arguments.join(", ")));
    }
    let declared = if declared.is_empty() { String::new() } else { format!("({})", declared.join(", ")) };
    (format!("mutation{declared} {{ {} }}", fields.join(" ")), variables.into())
}

/// The fields that every write asks for, and their columns.
fn selected(entity: &Entity) -> impl Iterator<Item = (&str, ColumnId)> {
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

/// Does all writes or none; gives the rows as they are answered. What the server makes is taken from its answer.
fn apply(
    model: &Model,
    books: &mut Books,
    writes: &[Write],
    data: Option<&serde_json::Value>,
) -> Result<Vec<serde_json::Value>, Refusal> {
    for (field, write) in writes.iter().enumerate() {
        let entity = model.entity(write.entity);
        let is_wrong = |(id, given): &(ColumnId, Given)| match given {
            Given::Value(value) => *value == Value::Null && !entity.column(*id).nullable,
            Given::Wrong | Given::Unknown(_) => true,
        };
        let is_missing = |id: ColumnId| {
            let column = entity.column(id);
            !column.nullable && column.default.is_none() && write.given.iter().all(|(given, _)| *given != id)
        };
        if write.given.iter().any(is_wrong) || (write.action == Action::Create && entity.column_ids().any(is_missing)) {
            return Err(Refusal { code: Code::BadUserInput, field, extensions: Vec::new() });
        }
    }
    let mut answers = Vec::new();
    for (field, write) in writes.iter().enumerate() {
        let made = data.map(|data| &data[format!("w{field}")]);
        let answer = match write.action {
            Action::Create => create(model, books, write, made),
            Action::Update => update(model, books, write),
            Action::Delete => delete(model, books, write),
        };
        answers.push(answer.map_err(|refusal| Refusal { field, ..refusal })?);
    }
    Ok(answers)
}

fn refusal(code: Code, extensions: Vec<(&'static str, serde_json::Value)>) -> Refusal {
    Refusal { code, field: 0, extensions }
}

fn conflict(constraint: &str, fields: Vec<&str>) -> Refusal {
    refusal(Code::Conflict, vec![("constraint", json!(constraint)), ("fields", json!(fields))])
}

fn create(
    model: &Model,
    books: &mut Books,
    write: &Write,
    made: Option<&serde_json::Value>,
) -> Result<serde_json::Value, Refusal> {
    let entity = model.entity(write.entity);
    let mut row = Row::new();
    for id in entity.column_ids() {
        let column = entity.column(id);
        let given = write.given.iter().find_map(|(given, value)| match value {
            Given::Value(value) if *given == id => Some(value.clone()),
            _ => None,
        });
        // A transaction that is refused has no answer; then any new value will do.
        let from_answer = || match made {
            Some(made) => Value::text(made[&column.field].as_str().unwrap()),
            None => Value::Int(-1000 - books.clock as i64),
        };
        row.push(match (given, &column.default) {
            (Some(value), _) => value,
            (None, None) => Value::Null,
            (None, Some(DefaultValue::Value(value))) => value.clone(),
            (None, Some(DefaultValue::Autoincrement)) => match from_answer() {
                Value::Text(text) => Value::Int(text.parse().unwrap()),
                other => other,
            },
            (None, Some(DefaultValue::UuidV7)) => {
                let value = from_answer();
                if let Value::Text(text) = &value {
                    assert_eq!((text.len(), &text[14..15]), (36, "7"), "{text}");
                }
                value
            }
            (None, Some(DefaultValue::Now)) => {
                let value = from_answer();
                if let Value::Text(text) = &value {
                    let age = jiff::Timestamp::now().duration_since(text.parse().unwrap());
                    assert!(text.len() == 24 && age.as_secs() < 60, "{text}");
                }
                value
            }
        });
    }
    check_unique(entity, &books.tables, &row, None)?;
    check_references(model, &books.tables, entity, &row, &write.given)?;
    books.touch(write.entity, at(&row, entity.key));
    let answer = if made.is_some() { shown(entity, &row) } else { json!(null) };
    books.tables[usize::from(entity.id.0)].push(row);
    Ok(answer)
}

fn update(model: &Model, books: &mut Books, write: &Write) -> Result<serde_json::Value, Refusal> {
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

fn delete(model: &Model, books: &mut Books, write: &Write) -> Result<serde_json::Value, Refusal> {
    let entity = model.entity(write.entity);
    let place = expected(model, books, write)?;
    let answer = shown(entity, &books.tables[usize::from(entity.id.0)][place]);
    let gone = cascade(model, &books.tables, entity, &write.key);
    let stays = |entity: &Entity, row: &Row| !gone.contains(&(entity.id, at(row, entity.key).clone()));
    for (entity, _, row) in pointing(model, &books.tables, &gone, OnDelete::Restrict) {
        if stays(entity, row) {
            return Err(conflict("foreignKey", Vec::new()));
        }
    }
    let emptied: Vec<(EntityId, Value, ColumnId)> = pointing(model, &books.tables, &gone, OnDelete::SetNull)
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
        books.tables[usize::from(entity.id.0)].retain(|row| !gone.contains(&(entity.id, at(row, entity.key).clone())));
    }
    Ok(answer)
}

/// The rows that go with this one, itself included.
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

/// The rows that point to one of these by a relation of this kind.
fn pointing<'a>(
    model: &'a Model,
    tables: &'a Tables,
    rows: &[(EntityId, Value)],
    on_delete: OnDelete,
) -> Vec<(&'a Entity, ColumnId, &'a Row)> {
    let mut found = Vec::new();
    for entity in &model.entities {
        for id in entity.column_ids() {
            let Some(reference) = entity.column(id).references.as_ref().filter(|r| r.on_delete == on_delete) else {
                continue;
            };
            let points = |row: &&Row| rows.contains(&(reference.target, at(row, id).clone()));
            found.extend(tables[usize::from(entity.id.0)].iter().filter(points).map(|row| (entity, id, row)));
        }
    }
    found
}

/// A row that goes by one relation and must stay by another: which comes first is SQLite's own affair.
fn is_decided_by_sqlite(model: &Model, tables: &Tables, write: &Write) -> bool {
    let gone = cascade(model, tables, model.entity(write.entity), &write.key);
    let restricting = pointing(model, tables, &gone, OnDelete::Restrict);
    restricting.iter().any(|(entity, _, row)| gone.contains(&(entity.id, at(row, entity.key).clone())))
}

/// The row's place, if it is as it is expected to be.
fn expected(model: &Model, books: &Books, write: &Write) -> Result<usize, Refusal> {
    let entity = model.entity(write.entity);
    let rows = &books.tables[usize::from(entity.id.0)];
    let place = rows.iter().position(|row| *at(row, entity.key) == write.key);
    let current = place.map_or(json!(null), |place| shown(entity, &rows[place]));
    let failed = || refusal(Code::PreconditionFailed, vec![("current", current.clone())]);
    match (&write.token, place) {
        (Token::Absent, _) if entity.require_etag => Err(refusal(Code::PreconditionRequired, Vec::new())),
        (Token::Absent | Token::Malformed | Token::OtherRow(_), None) => Err(refusal(Code::NotFound, Vec::new())),
        (Token::Malformed | Token::OtherRow(_), Some(_)) | (Token::Any | Token::Of(..), None) => Err(failed()),
        (Token::Of(version, _), Some(place)) => {
            let name = (write.entity, format!("{:?}", write.key));
            if books.versions.get(&name).copied().unwrap_or(0) == *version { Ok(place) } else { Err(failed()) }
        }
        (Token::Absent | Token::Any, Some(place)) => Ok(place),
    }
}

fn check_unique(entity: &Entity, tables: &Tables, row: &Row, own: Option<usize>) -> Result<(), Refusal> {
    let key = [vec![entity.key]];
    let others = || tables[usize::from(entity.id.0)].iter().enumerate().filter(|(place, _)| Some(*place) != own);
    for columns in key.iter().chain(entity.uniques.iter().map(|unique| &unique.columns)) {
        if others().any(|(_, other)| clashes(row, other, columns)) {
            return Err(conflict("unique", columns.iter().map(|id| entity.column(*id).field.as_str()).collect()));
        }
    }
    Ok(())
}

fn check_references(
    model: &Model,
    tables: &Tables,
    entity: &Entity,
    row: &Row,
    given: &[(ColumnId, Given)],
) -> Result<(), Refusal> {
    let dangling = entity.column_ids().filter(|id| {
        let Some(reference) = &entity.column(*id).references else { return false };
        let target = model.entity(reference.target);
        let value = at(row, *id);
        given.iter().any(|(given, _)| given == id)
            && *value != Value::Null
            && tables[usize::from(target.id.0)].iter().all(|row| at(row, target.key) != value)
    });
    let fields: Vec<&str> = dangling.map(|id| entity.column(id).field.as_str()).collect();
    if fields.is_empty() { Ok(()) } else { Err(conflict("foreignKey", fields)) }
}

impl Books {
    fn touch(&mut self, entity: EntityId, key: &Value) {
        self.clock += 1;
        self.versions.insert((entity, format!("{key:?}")), self.clock);
    }
}

fn sorted(model: &Model, tables: &Tables) -> Tables {
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

#[test]
fn broken_check_names_the_columns_that_it_reads() {
    let shop = Bookshop::of_tables(MODEL, |statement| {
        statement.replacen("DEFAULT 3", "DEFAULT 3 CHECK (rank < 100 AND 'kids' <> 'nicknames')", 1)
    });
    let text = "mutation($rank: Int) { createAuthor(input: {name: \"Ann\", rank: $rank}) { rank } }";
    assert_eq!(shop.json(text, &json!({"rank": 99}))["data"]["createAuthor"]["rank"], 99);
    let errors = shop.run(text, &json!({"rank": 100})).unwrap_err();
    insta::assert_snapshot!(serde_json::to_string(&errors[0]).unwrap(), @r#"{"message":"a value of Author is not allowed by the database","locations":[{"line":1,"column":24}],"path":["createAuthor"],"extensions":{"code":"CONFLICT","constraint":"check","fields":["rank"]}}"#);
}
