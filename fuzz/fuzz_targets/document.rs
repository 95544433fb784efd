//! A GraphQL document, validated and compiled against the example's API.
#![no_main]

use std::sync::{Arc, LazyLock};

use freshql::document_id::DocumentId;
use freshql::graphql::Compiler;
use freshql::model::parse::parse;
use libfuzzer_sys::fuzz_target;

static COMPILER: LazyLock<Compiler> = LazyLock::new(|| {
    let model = parse("schema.graphql", include_str!("../../schema.graphql"))
        .expect("the example has no mistakes")
        .model;
    Compiler::new(Arc::new(model)).expect("the example has an API")
});

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers")
});

fuzz_target!(|text: &str| {
    let compiled = RUNTIME.block_on(COMPILER.compile(DocumentId::of(text), text.into()));
    if let Err(errors) = compiled {
        assert!(!errors.is_empty() && errors.len() <= 100);
    }
});
