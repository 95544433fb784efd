//! The SDL of a model. One that is accepted has an API whose names do not clash.
#![no_main]

use std::sync::Arc;

use freshql::graphql::Compiler;
use freshql::model::parse::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match parse("schema.graphql", text) {
    Ok(parsed) => {
        let compiler = Compiler::new(Arc::new(parsed.model));
        assert!(compiler.is_ok(), "an accepted model has no API: {:?}", compiler.err());
    }
    Err(mistakes) => {
        assert!(!mistakes.is_empty());
        for mistake in mistakes {
            assert!(mistake.span.end <= text.len(), "{mistake:?}");
            mistake.line_and_column(text);
        }
    }
});
