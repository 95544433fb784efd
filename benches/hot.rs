//! Runs one of freshql's pure hot functions a given number of times: `hot NAME COUNT`; without
//! arguments, the names.
//!
//! `benches/instructions` counts its instructions at two counts; the difference is what the calls
//! cost, and nothing of what starts and ends the program. Nothing here reads the clock.

#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::hint::black_box;
use std::process::ExitCode;

use freshql::clock::{Clock, DEFAULT_CAPACITY};
use freshql::conditional::evaluate;
use freshql::dependency::{Dependencies, Dependency, Mark, Version};
use freshql::document_id::DocumentId;
use freshql::etag::{Coding, EntityEtagKey, ResponseEtag, ResponseHasher, Variant};
use freshql::model::scalar::ValueRef;
use freshql::model::{ColumnId, EntityId, Model, Scalar, Value};
use freshql::question::{Question, View};

/// A name, and what it says to run that often.
type Case = (&'static str, fn(usize));

const CASES: &[Case] = &[
    ("If-None-Match, one tag that matches", if_none_match_one),
    ("If-None-Match, five tags, the last matches", if_none_match_five),
    ("ETag of 21 rows and a list", response_etag),
    ("ETag of 141 rows and 81 lists", response_etag_of_many),
    ("token of a row", row_token),
    ("token of a row, read", row_token_read),
    ("JSON of a text of 120 bytes", json_text),
    ("JSON of a text of 120 bytes, twenty of them escaped", json_escaped),
    ("JSON of a uuid, a decimal and a time", json_scalars),
    ("marks of 22 dependencies, each once", touched),
    ("marks of 202 dependencies, each twice", touched_twice),
    ("22 marks looked up after 100 000 changes", verified),
    ("22 marks verified again after ten more", verified_again),
];

const ID: &str = "01907b71-0000-7000-8000-00000000002a";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        // `cargo bench` says `--bench`.
        [] | [_] => {
            for (name, _) in CASES {
                println!("{name}");
            }
            ExitCode::SUCCESS
        }
        [name, count] => match (CASES.iter().find(|case| case.0 == name), count.parse()) {
            (Some((_, run)), Ok(count)) => {
                run(count);
                ExitCode::SUCCESS
            }
            _ => ExitCode::FAILURE,
        },
        _ => ExitCode::FAILURE,
    }
}

fn hasher() -> ResponseHasher {
    let document = DocumentId::of("query Detail($id: ID!) { merchant(id: $id) { id } }");
    let variables = "{\"id\":\"01907b71-0000-7000-8000-000000000001\"}";
    ResponseHasher::new(
        &[2; 32],
        &Question { document, operation: Some("Detail"), variables, view: View::Public },
    )
}

fn etag() -> ResponseEtag {
    hasher().finish()
}

fn if_none_match_one(count: usize) {
    let etag = etag();
    let header = etag.header(Variant::Plain, Coding::Identity);
    for _ in 0..count {
        black_box(evaluate(
            [],
            [black_box(header.as_bytes())],
            Some((black_box(&etag), Variant::Plain)),
        ));
    }
}

fn if_none_match_five(count: usize) {
    let etag = etag();
    let header = format!(
        "\"a\", W/\"b,c\", \"0123456789abcdefghijkl.br\", \"d\", {}",
        etag.header(Variant::Plain, Coding::Gzip)
    );
    for _ in 0..count {
        black_box(evaluate(
            [],
            [black_box(header.as_bytes())],
            Some((black_box(&etag), Variant::Plain)),
        ));
    }
}

fn response_etag(count: usize) {
    let (start, id) = (hasher(), Value::text(ID));
    for _ in 0..count {
        let mut hasher = start.clone();
        for version in 0..21 {
            hasher.row(EntityId(1), black_box(&id), Version(version));
        }
        hasher.list(20, None, None);
        black_box(hasher.finish());
    }
}

fn response_etag_of_many(count: usize) {
    let (start, id) = (hasher(), Value::text(ID));
    for _ in 0..count {
        let mut hasher = start.clone();
        for version in 0..141 {
            hasher.row(EntityId(1), black_box(&id), Version(version));
        }
        for _ in 0..81 {
            hasher.list(2, None, None);
        }
        black_box(hasher.finish());
    }
}

fn row_token(count: usize) {
    let (key, id) = (EntityEtagKey::new(&[1; 16], "Merchant"), Value::text(ID));
    for version in 0..count {
        black_box(key.etag(black_box(&id), Version(version as i64)));
    }
}

fn row_token_read(count: usize) {
    let (key, id) = (EntityEtagKey::new(&[1; 16], "Merchant"), Value::text(ID));
    let token = key.etag(&id, Version(42));
    for _ in 0..count {
        let _ = black_box(key.read(black_box(token.as_str()), black_box(&id)));
    }
}

fn model() -> Model {
    Model {
        entities: Vec::new(),
        enums: Vec::new(),
        by_name: Default::default(),
        fingerprint: [0; 32],
        has_rules: false,
    }
}

fn json(count: usize, values: &[(Scalar, ValueRef<'_>)]) {
    let (model, mut out) = (model(), Vec::with_capacity(1024));
    for _ in 0..count {
        out.clear();
        for (scalar, value) in values {
            let _ = black_box(black_box(scalar).write_json(&model, black_box(*value), &mut out));
        }
        black_box(&out);
    }
}

fn json_text(count: usize) {
    json(count, &[(Scalar::String, ValueRef::Text(&"plain text! ".repeat(10)))]);
}

fn json_escaped(count: usize) {
    json(count, &[(Scalar::String, ValueRef::Text(&"\"plain\" text".repeat(10)[..120]))]);
}

fn json_scalars(count: usize) {
    json(
        count,
        &[
            (Scalar::IdUuid, ValueRef::Text(ID)),
            (Scalar::Decimal { precision: 12, scale: 2 }, ValueRef::Int(1999)),
            (Scalar::DateTime, ValueRef::Text("2026-11-22T09:30:00.000Z")),
        ],
    );
}

fn dependencies(rows: usize, lists: usize) -> Vec<Dependency> {
    let rows = (0..rows).map(|n| Dependency::Row(EntityId(1), Value::text(format!("{n:036}"))));
    let lists = (0..lists).map(|n| Dependency::Part {
        entity: EntityId(1),
        column: ColumnId(3),
        value: Value::text(format!("{n:036}")),
        watching: [ColumnId(1)].into(),
    });
    rows.chain(lists).collect()
}

fn touched(count: usize) {
    let dependencies = dependencies(21, 1);
    for _ in 0..count {
        black_box(Dependencies { all: black_box(dependencies.clone()) }.marks());
    }
}

fn touched_twice(count: usize) {
    let dependencies = [dependencies(121, 81), dependencies(121, 81)].concat();
    for _ in 0..count {
        black_box(Dependencies { all: black_box(dependencies.clone()) }.marks());
    }
}

fn verified(count: usize) {
    let clock = Clock::new(DEFAULT_CAPACITY);
    let computed_at = clock.revision();
    clock.apply((0..100_000).map(|n| Mark::row(EntityId(2), &Value::Int(n))));
    let marks = Dependencies { all: dependencies(21, 1) }.marks();
    for _ in 0..count {
        black_box(clock.is_unchanged(black_box(&marks), computed_at));
    }
}

fn verified_again(count: usize) {
    let clock = Clock::new(DEFAULT_CAPACITY);
    clock.apply((0..100_000).map(|n| Mark::row(EntityId(2), &Value::Int(n))));
    let verified_at = clock.revision();
    for n in 0..10 {
        clock.apply([Mark::row(EntityId(2), &Value::Int(n))]);
    }
    let marks = Dependencies { all: dependencies(21, 1) }.marks();
    for _ in 0..count {
        black_box(clock.is_unchanged(black_box(&marks), verified_at));
    }
}
