//! Reads the change log of a SQLite file, which its [triggers](super::triggers) write.

use std::borrow::Cow;
use std::sync::{Arc, Once};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::triggers::NEXT;
use crate::config::ChangeLogLimits;
use crate::dependency::{Mark, Version};
use crate::model::{ColumnId, Entity, Model, Scalar, Value};
use crate::store::change_log::{Change, Changes, Op, Record, Search};

/// How many records [`Search::Latest`] searches.
const LOOKED_AT: u32 = 100_000;

/// Up to `limit` records that have one of these marks (sorted). There is no index for this, so it
/// takes a while: it is for diagnosis only.
///
/// # Errors
/// The database cannot be read.
pub fn touching(
    connection: &Connection,
    model: &Model,
    marks: &[Mark],
    search: Search,
    limit: usize,
) -> rusqlite::Result<Vec<Record>> {
    let (after, direction, looked_at) = match search {
        Search::After(seq) => (seq, "", u32::MAX),
        Search::Latest => (Version(0), "DESC", LOOKED_AT),
    };
    let mut statement = connection.prepare(&format!(
        "SELECT seq, entity, id, op, changed, parts, at FROM _freshql_change WHERE seq > ? ORDER BY seq {direction} LIMIT ?"
    ))?;
    let mut rows = statement.query((after.0, looked_at))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let Some(change) = change(model, row)? else { continue };
        if found.len() == limit {
            break;
        }
        if change.marks().iter().any(|mark| marks.binary_search(mark).is_ok()) {
            found.push(Record { change, at: row.get(6)? });
        }
    }
    Ok(found)
}

/// The changes after `seq`, in order; None if there are more than `most` records. Rows of entities
/// that the model does not have are skipped. So the position to continue from is not the last of
/// these changes, but what [`newest`] returns in the same transaction.
///
/// # Errors
/// The database cannot be read.
pub fn since(
    connection: &Connection,
    model: &Model,
    seq: Version,
    most: usize,
) -> rusqlite::Result<Option<Changes>> {
    let mut statement = connection
        .prepare_cached("SELECT seq, entity, id, op, changed, parts FROM _freshql_change WHERE seq > ? ORDER BY seq")?;
    let mut rows = statement.query([seq.0])?;
    let mut changes = Changes::default();
    let mut read = 0;
    while let Some(row) = rows.next()? {
        read += 1;
        if read > most {
            return Ok(None);
        }
        match change(model, row)? {
            Some(change) => changes.rows.push(change),
            None if text(row.get_ref(1)?) == DOCUMENTS => {
                changes.documents.push(text(row.get_ref(2)?).into_owned())
            }
            None => {}
        }
    }
    Ok(Some(changes))
}

/// The number of the last record; 0 if there is none.
///
/// # Errors
/// The database cannot be read.
pub fn newest(connection: &Connection) -> rusqlite::Result<Version> {
    end_of_log(connection, "SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1")
}

/// A whole record as a string: two records are equal exactly if their strings are. None if there is
/// no such record.
///
/// # Errors
/// The database cannot be read.
pub fn record(connection: &Connection, seq: Version) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT concat_ws(',', quote(entity), quote(id), quote(op), quote(changed), quote(parts), quote(at))
        FROM _freshql_change WHERE seq = ?";
    connection.prepare_cached(sql)?.query_row([seq.0], |row| row.get(0)).optional()
}

/// Writes a record that makes all readers drop what they know about an entity, because its rows may
/// have changed without a record. Returns its number, the next of the clock. Such a record names no
/// row.
///
/// # Errors
/// The database cannot be written.
pub fn forget_entity(connection: &Connection, entity: &str) -> rusqlite::Result<Version> {
    let sql = format!(
        "INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
         VALUES ({NEXT}, ?, NULL, 'U', '', '{{}}') RETURNING seq"
    );
    connection.query_row(&sql, [entity], |row| row.get(0)).map(Version)
}

/// The entity name under which the log records changes of registered documents. GraphQL names have
/// no slash, so no entity can have it.
const DOCUMENTS: &str = "/q";

/// Records that this document has changed in the database, so that all nodes read it again. Call
/// this in the transaction that changes it.
///
/// # Errors
/// The database cannot be written.
pub fn log_document(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO _freshql_change (seq, entity, id, op, changed, parts) VALUES ({NEXT}, '{DOCUMENTS}', ?, 'U', '', '{{}}')"
    );
    connection.prepare_cached(&sql)?.execute([id]).map(drop)
}

/// The maximum number of records to delete in one transaction, so that other writers wait at most a
/// few milliseconds.
const PRUNED_AT_ONCE: i64 = 10_000;

/// The last record that [`prune`] would delete now; None if no record is too old or surplus. Only a
/// prefix of the log is ever deleted, whatever the records' times: a reader that finds its last
/// known record has therefore missed nothing.
///
/// # Errors
/// The database cannot be read.
pub fn surplus(
    connection: &Connection,
    limits: ChangeLogLimits,
) -> rusqlite::Result<Option<Version>> {
    let records: i64 = connection
        .prepare_cached("SELECT count(*) FROM _freshql_change")?
        .query_row([], |row| row.get(0))?;
    // The newest record stays.
    let most = (records - 1).clamp(0, PRUNED_AT_ONCE);
    let too_many = records.saturating_sub_unsigned(limits.max_records).clamp(0, most);
    // Times may be out of order: delete only what precedes the first young record.
    let sql = "SELECT count(*) FROM _freshql_change WHERE seq < coalesce((
          SELECT min(seq) FROM (SELECT seq, at FROM _freshql_change ORDER BY seq LIMIT ?1) WHERE at >= unixepoch() - ?2),
        (SELECT seq FROM _freshql_change ORDER BY seq LIMIT 1 OFFSET ?1))";
    let age = i64::try_from(limits.max_age.as_secs()).unwrap_or(i64::MAX);
    let too_old: i64 = connection.prepare_cached(sql)?.query_row([most, age], |row| row.get(0))?;
    match too_many.max(too_old) {
        0 => Ok(None),
        going => {
            let sql = "SELECT seq FROM _freshql_change ORDER BY seq LIMIT 1 OFFSET ?";
            connection
                .prepare_cached(sql)?
                .query_row([going - 1], |row| row.get(0))
                .map(Version)
                .optional()
        }
    }
}

/// Deletes records that are too old or too many, oldest first, a few thousand at most; the newest
/// always stays. Returns the number of deleted records.
///
/// # Errors
/// The database cannot be written.
pub fn prune(connection: &Connection, limits: ChangeLogLimits) -> rusqlite::Result<usize> {
    let Some(last) = surplus(connection, limits)? else { return Ok(0) };
    connection.prepare_cached("DELETE FROM _freshql_change WHERE seq <= ?")?.execute([last.0])
}

fn end_of_log(connection: &Connection, sql: &str) -> rusqlite::Result<Version> {
    let seq = connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
    Ok(Version(seq.unwrap_or(0)))
}

fn change(model: &Model, row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
    let Some(entity) = model.entity_by_name(&text(row.get_ref(1)?)) else { return Ok(None) };
    let id = match row.get_ref(2)? {
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Real(number),
        // A value that is not valid UTF-8 reads as NULL in the row, too.
        ValueRef::Text(text) => std::str::from_utf8(text).map_or(Value::Null, Value::text),
        ValueRef::Null | ValueRef::Blob(_) => Value::Null,
    };
    let op = match &*text(row.get_ref(3)?) {
        "I" => Op::Insert,
        "U" => Op::Update(changed(entity, &text(row.get_ref(4)?))),
        _ => Op::Delete,
    };
    let seq = Version(row.get(0)?);
    let (parts, unread) = parts(entity, row.get_ref(5)?);
    if let Some(column) = unread.first() {
        let column = &entity.column(*column).name;
        REPORTED.call_once(|| {
            tracing::warn!(
                seq = seq.0,
                table = entity.table,
                column,
                "a value in the change log cannot be read and counts as any value; logged once"
            );
        });
    }
    Ok(Some(Change { seq, entity: entity.id, id, op, parts, unread }))
}

/// Whether an unreadable value in the log has been reported.
static REPORTED: Once = Once::new();

fn text(value: ValueRef<'_>) -> Cow<'_, str> {
    match value {
        ValueRef::Text(text) => String::from_utf8_lossy(text),
        _ => Cow::Borrowed(""),
    }
}

/// The columns named in this space-separated text. A name that contains a space may be found where
/// other names meet: an additional column is harmless.
fn changed(entity: &Entity, names: &str) -> Vec<ColumnId> {
    let padded = format!(" {names} ");
    entity
        .column_ids()
        .filter(|id| padded.contains(&format!(" {} ", entity.column(*id).name)))
        .collect()
}

/// The values of the columns that can restrict lists, and the columns whose values cannot be read.
/// A column that can restrict lists only since the record was written has no values here. That is
/// safe: answers with such lists are newer, since the model is part of every ETag.
fn parts(entity: &Entity, json: ValueRef<'_>) -> (Vec<(ColumnId, Vec<Value>)>, Vec<ColumnId>) {
    let (mut parts, mut unread) = (Vec::new(), Vec::new());
    let written = text(json);
    if written.is_empty() {
        return (parts, unread);
    }
    let is_lossy = matches!(written, Cow::Owned(_));
    let Ok(object) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&written)
    else {
        // For example an infinity, which SQLite writes as an invalid JSON number.
        return (parts, entity.column_ids().filter(|id| entity.column(*id).part).collect());
    };
    for id in entity.column_ids() {
        let column = entity.column(id);
        let Some(values) = object.get(&column.name) else { continue };
        let values: Option<Vec<Value>> = values
            .as_array()
            .and_then(|all| all.iter().map(|value| part_value(column.scalar, value)).collect());
        match values {
            Some(values) if !(is_lossy && values.iter().any(is_damaged)) => {
                parts.push((id, values))
            }
            _ => unread.push(id),
        }
    }
    (parts, unread)
}

/// Whether it contained invalid UTF-8.
fn is_damaged(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.contains(char::REPLACEMENT_CHARACTER))
}

/// None for values that our triggers never write.
fn part_value(scalar: Scalar, json: &serde_json::Value) -> Option<Value> {
    Some(match json {
        serde_json::Value::String(text) => match (scalar, text.parse()) {
            // The log contains floats as strings, with all of their digits.
            (Scalar::Float, Ok(number)) => Value::Real(number),
            _ => Value::Text(Arc::from(text.as_str())),
        },
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Int(number),
            (None, number) => Value::Real(number?),
        },
        serde_json::Value::Bool(flag) => Value::Int((*flag).into()),
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EntityId;
    use crate::store::schema::layout::{Layout, test_models};
    use crate::store::sqlite::ddl::create_statements;

    fn database() -> (Connection, Model) {
        let model = test_models::every_kind();
        let connection = Connection::open_in_memory().unwrap();
        for statement in create_statements(&Layout::new(&model)) {
            connection.execute_batch(&statement).unwrap();
        }
        (connection, model)
    }

    /// All records, renumbered from 1 for readability.
    fn all(connection: &Connection, model: &Model) -> Vec<Change> {
        let mut changes = since(connection, model, Version(0), usize::MAX).unwrap().unwrap().rows;
        assert!(changes.is_sorted_by_key(|change| change.seq.0));
        changes.iter_mut().zip(1..).for_each(|(change, number)| change.seq = Version(number));
        changes
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn records_use_the_names_of_the_model() {
        let (connection, model) = database();
        assert_eq!(newest(&connection).unwrap(), Version(0));
        let run = |sql: &str| connection.execute_batch(sql).unwrap();
        run("INSERT INTO folders (id, path, title) VALUES (1, '/', 'root')");
        run("INSERT INTO \"order\" (code, \"unit price\", count) VALUES ('x', 5, NULL)");
        run("UPDATE \"order\" SET \"unit price\" = 6, folder_id = 1, open = 0");
        run("DELETE FROM folders");
        let changes = all(&connection, &model);
        let (folder, group) = (EntityId(0), EntityId(1));
        let folder_parts = vec![(ColumnId(1), vec![text("/")]), (ColumnId(3), vec![Value::Null])];
        let expected = [
            Change {
                seq: Version(1),
                entity: folder,
                id: Value::Int(1),
                op: Op::Insert,
                parts: folder_parts.clone(),
                unread: Vec::new(),
            },
            Change {
                seq: Version(2),
                entity: group,
                id: text("x"),
                op: Op::Insert,
                parts: vec![(ColumnId(4), vec![Value::Null]), (ColumnId(11), vec![Value::Null])],
                unread: Vec::new(),
            },
            Change {
                seq: Version(3),
                entity: group,
                id: text("x"),
                op: Op::Update(vec![ColumnId(1), ColumnId(3), ColumnId(11)]),
                parts: vec![
                    (ColumnId(4), vec![Value::Null, Value::Null]),
                    (ColumnId(11), vec![Value::Null, Value::Int(1)]),
                ],
                unread: Vec::new(),
            },
        ];
        assert_eq!(changes[..3], expected);
        let second = Version(kept(&connection)[1]);
        let rest = since(&connection, &model, second, 3).unwrap().unwrap().rows;
        assert_eq!(
            rest.iter().map(|change| &change.op).collect::<Vec<_>>(),
            [&changes[2].op, &changes[3].op, &changes[4].op]
        );
        assert_eq!((newest(&connection).unwrap(), rest.len()), (rest[2].seq, changes.len() - 2));
        assert_eq!(since(&connection, &model, second, 2).unwrap(), None, "too many");
        let deleted = changes.iter().find(|change| change.op == Op::Delete).unwrap();
        assert_eq!(
            (&deleted.entity, &deleted.id, &deleted.parts),
            (&folder, &Value::Int(1), &folder_parts)
        );
    }

    #[test]
    fn numbers_keep_their_last_digit() {
        let (connection, model) = database();
        connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        let numbers = [0.1, 0.1 + 0.2, 1e300, 5e-324, 1.0 / 3.0, -2.5];
        for (i, number) in (0_i64..).zip(&numbers) {
            connection
                .execute(
                    "INSERT INTO notes (id, \"group\", weight, big) VALUES (printf('%036d', ?), 'x', ?, ?)",
                    (i, number, i64::MAX - 1),
                )
                .unwrap();
        }
        let changes = all(&connection, &model);
        let found = |change: &Change, column| {
            change.parts.iter().find(|part| part.0 == column).unwrap().1[0].clone()
        };
        for (change, number) in changes.iter().zip(numbers) {
            assert_eq!(found(change, ColumnId(3)), Value::Real(number));
            assert_eq!(found(change, ColumnId(4)), Value::Int(i64::MAX - 1));
        }
        assert_eq!(changes.len(), numbers.len());
    }

    #[test]
    fn records_outside_the_model_are_skipped() {
        let (connection, model) = database();
        connection
            .execute_batch(
                "INSERT INTO _freshql_change (entity, id, op, parts) VALUES ('Gone', 1, 'I', '{}');
                 INSERT INTO _freshql_change (entity, id, op, changed, parts)
                   VALUES ('Folder', 1, 'U', 'gone title', '{\"gone\": [1, 2], \"path\": [null, \"/\"]}')",
            )
            .unwrap();
        let changes = all(&connection, &model);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].op, Op::Update(vec![ColumnId(2)]));
        assert_eq!(changes[0].parts, [(ColumnId(1), vec![Value::Null, text("/")])]);
        assert_eq!(newest(&connection).unwrap(), Version(2));
    }

    fn kept(connection: &Connection) -> Vec<i64> {
        let mut statement =
            connection.prepare("SELECT seq FROM _freshql_change ORDER BY seq").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn limits(seconds: u64, max_records: u64) -> ChangeLogLimits {
        ChangeLogLimits { max_age: std::time::Duration::from_secs(seconds), max_records }
    }

    #[test]
    fn excess_and_old_records_are_pruned_and_the_newest_kept() {
        let (connection, _) = database();
        assert_eq!(prune(&connection, limits(0, 1)).unwrap(), 0);
        connection
            .execute_batch(
                "INSERT INTO folders (title) VALUES ('a'), ('b'), ('c'), ('d'), ('e'), ('f')",
            )
            .unwrap();
        let all = kept(&connection);
        assert_eq!(prune(&connection, limits(3600, 10)).unwrap(), 0);
        assert_eq!(prune(&connection, limits(3600, 4)).unwrap(), 2);
        assert_eq!(kept(&connection), all[2..]);
        // The fourth record looks older than the third, because somebody has set the clock.
        for (age, record) in [(50, all[2]), (5000, all[3])] {
            let sql = "UPDATE _freshql_change SET at = at - ? WHERE seq = ?";
            connection.execute(sql, [age, record]).unwrap();
        }
        assert_eq!(prune(&connection, limits(3600, 10)).unwrap(), 0, "only a prefix goes");
        connection.execute_batch("UPDATE _freshql_change SET at = at - 7200").unwrap();
        assert_eq!(prune(&connection, limits(3600, 10)).unwrap(), 3);
        assert_eq!(kept(&connection), all[5..]);
        assert_eq!(prune(&connection, limits(0, 1)).unwrap(), 0, "the newest stays");
        connection.execute_batch("INSERT INTO folders (title) VALUES ('g')").unwrap();
        let last = kept(&connection);
        assert!(
            last.len() == 2 && last[0] == all[5] && last[1] > all[5],
            "numbers go on where they were: {last:?}"
        );
    }

    #[test]
    fn pruning_works_in_small_batches() {
        let (connection, _) = database();
        connection
            .execute_batch(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)
                 INSERT INTO _freshql_change (entity, id, op, parts) SELECT 'Folder', i, 'U', '{}' FROM n",
            )
            .unwrap();
        let deleted: Vec<usize> =
            (0..4).map(|_| prune(&connection, limits(3600, 100)).unwrap()).collect();
        assert_eq!(deleted, [10_000, 10_000, 4_900, 0]);
        assert_eq!(surplus(&connection, limits(3600, 100)).unwrap(), None);
        assert_eq!(kept(&connection), (24_901..=25_000).collect::<Vec<_>>());
    }
}
