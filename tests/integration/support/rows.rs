//! Random rows for any model: with awkward values, and few different ones, so that many rows have
//! the same.

use freshql::model::{ColumnId, Entity, Model, Scalar, Value};

use crate::random_choices::Choices;

/// The rows of all tables, by entity and then by column.
pub(crate) type Tables = Vec<Vec<Row>>;

/// One row, by column.
pub(crate) type Row = Vec<Value>;

const TEXTS: [&str; 24] = [
    "a",
    "A",
    "",
    "b",
    "aa",
    "ab",
    "Ab",
    "aB",
    "é",
    "É",
    "e\u{301}",
    "ΣΑΣ",
    "σας",
    "σΑσ",
    "ß",
    "SS",
    "İ",
    "😀",
    "\u{FFFD}",
    "\u{E000}",
    "\"\\\n\u{1}",
    " a",
    "10",
    "9",
];
const INTS: [i64; 7] = [0, 1, -1, 2, 10, i32::MAX as i64, i32::MIN as i64];
const BIG_INTS: [i64; 8] = [0, 1, -1, 2, 1 << 53, (1 << 53) + 1, i64::MAX, i64::MIN];
const FLOATS: [f64; 12] = [
    0.0,
    1.0,
    -1.5,
    0.1,
    0.30000000000000004,
    1e308,
    -1e308,
    5e-324,
    0.1234567890123456,
    2.5e-7,
    1e15,
    123_456_789.123_456_79,
];
const DECIMALS: [i64; 9] = [0, 1, -1, 10_000, 15_000, 99_999, -99_999, 999_999_999, -999_999_999];
const TIMES: [&str; 4] = [
    "2026-11-22T09:30:00.000Z",
    "2026-11-22T09:30:00.001Z",
    "1969-12-31T23:59:59.999Z",
    "9999-12-31T23:59:59.999Z",
];
const DAYS: [&str; 4] = ["2026-11-22", "2026-11-23", "0001-01-01", "2024-02-29"];
const UUIDS: [&str; 3] = [
    "0190b4f4-0000-7000-8000-00000000000a",
    "0190b4f4-0000-7000-8000-00000000000b",
    "ffffffff-ffff-7fff-bfff-ffffffffffff",
];
const JSON: [&str; 5] = ["null", "[]", "{\"a\":[1,\"x\",null],\"b\":{}}", "\"é\\n\"", "-1.5"];

/// A value of a scalar, except for keys. There are only a few of each, so that many rows have the
/// same.
pub(crate) fn any_value(model: &Model, scalar: Scalar, choices: &mut Choices<'_>) -> Value {
    match scalar {
        Scalar::String => Value::text(*choices.of(&TEXTS)),
        Scalar::Int => Value::Int(*choices.of(&INTS)),
        Scalar::BigInt => Value::Int(*choices.of(&BIG_INTS)),
        Scalar::Float => Value::Real(*choices.of(&FLOATS)),
        Scalar::Boolean => Value::Int(choices.below(2) as i64),
        Scalar::Decimal { precision, .. } => {
            // The largest is sometimes the maximum, and otherwise one that fits every precision.
            let most = 10_i64.pow(precision.into()) - 1;
            let value = if choices.chance(20) {
                *choices.of(&[most, -most])
            } else {
                *choices.of(&DECIMALS)
            };
            Value::Int(value.clamp(-most, most))
        }
        Scalar::DateTime => Value::text(*choices.of(&TIMES)),
        Scalar::Date => Value::text(*choices.of(&DAYS)),
        Scalar::Uuid => Value::text(*choices.of(&UUIDS)),
        Scalar::Json => Value::text(*choices.of(&JSON)),
        Scalar::Enum(id) => Value::text(choices.of(&model.enum_type(id).values).0.as_str()),
        Scalar::IdInt | Scalar::IdText | Scalar::IdUuid => panic!("keys are made by any_key"),
    }
}

/// The key of the `number`th row.
fn any_key(scalar: Scalar, number: usize, choices: &mut Choices<'_>) -> Value {
    match scalar {
        // With gaps, and one maximum.
        Scalar::IdInt if number == 11 => Value::Int(i64::MAX),
        Scalar::IdInt => Value::Int(number as i64 * 3 + 1),
        Scalar::IdText => Value::text(format!("{}{number}", choices.of(&TEXTS))),
        // The order of the keys differs from that of the rows.
        Scalar::IdUuid => Value::text(format!(
            "0190b4f4-{:04x}-7000-8000-0000000000{number:02x}",
            choices.below(0xFFFF)
        )),
        other => panic!("{other:?} is no key"),
    }
}

/// A key of one of the entity's rows, or one that none of them has.
pub(crate) fn some_key(entity: &Entity, tables: &Tables, choices: &mut Choices<'_>) -> Value {
    let rows = &tables[usize::from(entity.id.0)];
    let scalar = entity.column(entity.key).scalar;
    if rows.is_empty() || choices.chance(10) {
        return match scalar {
            Scalar::IdInt => Value::Int(-7),
            Scalar::IdUuid => Value::text(UUIDS[2]),
            _ => Value::text("nobody"),
        };
    }
    choices.of(rows)[usize::from(entity.key.0)].clone()
}

/// Random rows that satisfy all rules of the model: up to `most` of each entity.
pub(crate) fn any_tables(model: &Model, most: usize, choices: &mut Choices<'_>) -> Tables {
    let keys: Vec<Vec<Value>> = model
        .entities
        .iter()
        .map(|entity| {
            let count = choices.below(most + 1);
            (0..count)
                .map(|number| any_key(entity.column(entity.key).scalar, number, choices))
                .collect()
        })
        .collect();
    // Rows are created after all keys are known; if a required relation finds no target, the entity
    // has none.
    let mut tables: Tables = vec![Vec::new(); model.entities.len()];
    for (entity, own) in model.entities.iter().zip(&keys) {
        for key in own {
            let row = any_row(model, entity, key, &keys, choices);
            let rows = &mut tables[usize::from(entity.id.0)];
            if let Some(row) = row
                && !entity
                    .uniques
                    .iter()
                    .any(|unique| rows.iter().any(|other| clashes(&row, other, &unique.columns)))
            {
                rows.push(row);
            }
        }
    }
    drop_dangling(model, &mut tables);
    tables
}

fn any_row(
    model: &Model,
    entity: &Entity,
    key: &Value,
    keys: &[Vec<Value>],
    choices: &mut Choices<'_>,
) -> Option<Row> {
    let mut row = Vec::new();
    for id in entity.column_ids() {
        let column = entity.column(id);
        row.push(if id == entity.key {
            key.clone()
        } else if column.nullable && choices.chance(30) {
            Value::Null
        } else if let Some(reference) = &column.references {
            match keys[usize::from(reference.target.0)].as_slice() {
                [] if column.nullable => Value::Null,
                [] => return None,
                targets => choices.of(targets).clone(),
            }
        } else {
            match any_value(model, column.scalar, choices) {
                // To clients, JSON's null is SQL's NULL.
                Value::Text(text)
                    if column.scalar == Scalar::Json && !column.nullable && *text == *"null" =>
                {
                    Value::text("[]")
                }
                value => value,
            }
        });
    }
    Some(row)
}

/// Whether two rows have the same values in these columns. NULL equals nothing.
pub(crate) fn clashes(one: &Row, other: &Row, columns: &[ColumnId]) -> bool {
    columns.iter().all(|id| {
        let (one, other) = (&one[usize::from(id.0)], &other[usize::from(id.0)]);
        *one != Value::Null && one == other
    })
}

/// Removes rows, or clears columns, that refer to rows which were not created.
fn drop_dangling(model: &Model, tables: &mut Tables) {
    loop {
        let mut changed = false;
        let keys: Vec<Vec<Value>> = model
            .entities
            .iter()
            .map(|e| {
                tables[usize::from(e.id.0)]
                    .iter()
                    .map(|row| row[usize::from(e.key.0)].clone())
                    .collect()
            })
            .collect();
        for entity in &model.entities {
            tables[usize::from(entity.id.0)].retain_mut(|row| {
                for (value, column) in row.iter_mut().zip(&entity.columns) {
                    let Some(reference) = &column.references else { continue };
                    if *value != Value::Null
                        && !keys[usize::from(reference.target.0)].contains(value)
                    {
                        changed = true;
                        if !column.nullable {
                            return false;
                        }
                        *value = Value::Null;
                    }
                }
                true
            });
        }
        if !changed {
            return;
        }
    }
}
