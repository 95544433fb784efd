//! Cursors that come back from clients: after the first byte, which chooses an ordering, the values
//! of a cursor in the form that base64 hides. One that is accepted is written again as it was.
#![no_main]

use std::sync::LazyLock;

use freshql::graphql::cursor::{decode, encode, ordering_id};
use freshql::model::parse::parse;
use freshql::model::{ColumnId, Entity, Order};
use libfuzzer_sys::fuzz_target;

static ENTITY: LazyLock<Entity> = LazyLock::new(|| {
    let text = "type T @entity { id: ID! @id @default(fn: AUTOINCREMENT) s: String f: Float i: Int! d: DateTime }";
    parse("schema.graphql", text).expect("the model has no mistakes").model.entities.remove(0)
});

fuzz_target!(|input: (u8, &str)| {
    let (chosen, text) = input;
    let ascending = Order { descending: false, nulls_first: true };
    let columns = ENTITY.column_ids().filter(|column| chosen >> column.0 & 1 == 1);
    let order: Vec<(ColumnId, Order)> = columns.map(|column| (column, ascending)).collect();
    let ordering = ordering_id(&ENTITY, &order);
    if let Ok(values) = decode(text, &ENTITY, &order, ordering) {
        let mut written = String::new();
        encode(ordering, values.iter().map(|value| value.as_ref()), &mut written);
        assert_eq!(decode(&written, &ENTITY, &order, ordering), Ok(values));
    }
    // Few inputs name the ordering by chance: the same bytes as the values of a cursor that does.
    let mut forged = String::new();
    encode(ordering, std::iter::once(freshql::model::ValueRef::Text(text)), &mut forged);
    let _ = decode(&forged, &ENTITY, &order, ordering);
});
