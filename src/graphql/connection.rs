//! Lists as Relay cursor connections: the types around an entity's rows, and the arguments of every
//! list field. Follows the GraphQL Cursor Connections Specification, and adds `nodes` and
//! `totalCount`.

use async_graphql::dynamic::TypeRef;

use super::definition::{Definitions, FieldDef, InputDef};
use crate::model::{Entity, generated};

/// The arguments of a field that returns a connection of this entity.
pub(super) fn arguments(entity: &Entity, has_order: bool) -> Vec<InputDef> {
    let page = entity.max_page_size;
    let mut args = vec![
        InputDef::new("first", TypeRef::named(TypeRef::INT)).describe(format!(
            "How many, from the start. At most {page}; {} if neither `first` nor `last` is given.",
            entity.default_page_size()
        )),
        InputDef::new("after", TypeRef::named(TypeRef::STRING))
            .describe("Only what comes after this cursor."),
        InputDef::new("last", TypeRef::named(TypeRef::INT))
            .describe(format!("How many, from the end. At most {page}.")),
        InputDef::new("before", TypeRef::named(TypeRef::STRING))
            .describe("Only what comes before this cursor."),
        InputDef::new("where", TypeRef::named(generated::condition(&entity.name)))
            .describe("Only rows that match."),
    ];
    if has_order {
        let ty = TypeRef::named_nn_list(generated::order(&entity.name));
        args.push(
            InputDef::new("orderBy", ty)
                .describe("The first term counts most; the key is always the last."),
        );
    }
    args
}

/// The type of a field that returns a connection of this entity.
pub(super) fn connection_of(entity: &Entity) -> TypeRef {
    TypeRef::named_nn(generated::connection(&entity.name))
}

/// `XConnection` and `XEdge`.
pub(super) fn define(definitions: &mut Definitions, entity: &Entity) {
    let name = &entity.name;
    definitions.add_object(
        generated::connection(name),
        Some(format!("A page of a list of {name} rows.")),
        vec![
            FieldDef::new("edges", TypeRef::named_nn_list_nn(generated::edge(name)))
                .describe("The rows with their cursors."),
            FieldDef::new("nodes", TypeRef::named_nn_list_nn(name.clone())).describe("The rows."),
            FieldDef::new("pageInfo", TypeRef::named_nn("PageInfo"))
                .describe("Where this page stands in the list."),
            FieldDef::new("totalCount", TypeRef::named_nn(TypeRef::INT))
                .describe("How many rows the whole list has; counted only where it is asked for."),
        ],
    );
    definitions.add_object(
        generated::edge(name),
        Some(format!("A {name} row in a list.")),
        vec![
            FieldDef::new("cursor", TypeRef::named_nn(TypeRef::STRING))
                .describe("The row's place in this ordering, for `after` and `before`."),
            FieldDef::new("node", TypeRef::named_nn(name.clone())).describe("The row."),
        ],
    );
}

/// `PageInfo`.
pub(super) fn define_page_info(definitions: &mut Definitions) {
    definitions.add_object(
        "PageInfo",
        Some("Where a page stands in its list.".into()),
        vec![
            FieldDef::new("hasNextPage", TypeRef::named_nn(TypeRef::BOOLEAN))
                .describe("Rows follow this page."),
            FieldDef::new("hasPreviousPage", TypeRef::named_nn(TypeRef::BOOLEAN))
                .describe("Rows precede this page."),
            FieldDef::new("startCursor", TypeRef::named(TypeRef::STRING))
                .describe("The first row's; null if there is none."),
            FieldDef::new("endCursor", TypeRef::named(TypeRef::STRING))
                .describe("The last row's; null if there is none."),
        ],
    );
}
