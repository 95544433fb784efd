//! Variables of a request. Their canonical form is JSON, and coerces to itself.
#![no_main]

use std::sync::{Arc, LazyLock};

use freshql::document_id::DocumentId;
use freshql::graphql::{Compiler, Document};
use freshql::model::parse::parse;
use libfuzzer_sys::fuzz_target;

const MODEL: &str = "enum E { A B }
type T @entity @unique(fields: [\"s\"]) {
  id: ID! @id @default(fn: UUID_V7)
  s: String! i: Int b: BigInt f: Float o: Boolean d: Decimal @column(precision: 12, scale: 2)
  t: DateTime y: Date u: UUID j: JSON e: E
}";

const DOCUMENT: &str = "query Q($w: TWhere, $o: [TOrderBy!] = [{s: DESC}], $first: Int = 3, $after: String, $id: ID! = \"x\", $c: Boolean = true) {
  ts(where: $w, orderBy: $o, first: $first, after: $after) @include(if: $c) { totalCount } t(id: $id) { id }
}
mutation M($input: TInput!, $patch: TPatch!, $id: ID!, $etag: String) {
  createT(input: $input) { id } updateT(id: $id, patch: $patch, expectedEtag: $etag) { id }
}";

static DOCUMENTS: LazyLock<Document> = LazyLock::new(|| {
    let model = parse("schema.graphql", MODEL).expect("the model has no mistakes").model;
    let compiler = Compiler::new(Arc::new(model)).expect("the model has an API");
    let runtime =
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    runtime
        .block_on(compiler.compile(DocumentId::of(DOCUMENT), DOCUMENT.into()))
        .expect("the document is valid")
});

fuzz_target!(|text: &str| {
    let Ok(raw) = serde_json::from_str::<serde_json::Map<_, _>>(text) else { return };
    for operation in DOCUMENTS.operations() {
        if let Ok(variables) = operation.coerce_variables(&raw) {
            let canonical = variables.canonical();
            let again =
                serde_json::from_str(canonical).expect("the canonical form is a JSON object");
            let again = operation.coerce_variables(&again);
            let again =
                again.unwrap_or_else(|errors| panic!("{canonical} does not coerce: {errors:?}"));
            assert_eq!(again.canonical(), canonical);
        }
    }
});
