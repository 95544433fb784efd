//! A migration file, tried on an empty database in memory as `check` and `migrate new` do. Mistakes
//! have their place in it.
#![no_main]

use freshql::store::sqlite::migrate::{MigrateError, Migration, Migrations, rehearse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let migration = Migration {
        number: 1,
        name: "fuzz".into(),
        file: "0001_fuzz.sql".into(),
        text: text.into(),
        blake3: String::new(),
    };
    let migrations = Migrations { files: vec![migration], ..Migrations::default() };
    if let Err(MigrateError::Files(mistakes)) = rehearse(&migrations) {
        assert!(!mistakes.is_empty());
        for mistake in mistakes {
            assert!(mistake.span.end <= text.len(), "{mistake:?}");
            mistake.line_and_column(text);
        }
    }
});
