//! The engine's answers to random queries over random rows agree with a simple in-memory
//! implementation.

use freshql::model::{ColumnId, Entity, FieldKind, Order, Value};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::properties::{check_bookshop, check_models};
use crate::queries::{Draft, filter_json};
use crate::random_choices::Tape;
use crate::reference::{List, Reference, input};
use crate::rows::{Row, Tables, any_tables};
use crate::shop::Shop;

/// Rows, and queries about them.
#[derive(Debug)]
struct Questions {
    rows: Tape,
    tapes: Vec<Tape>,
}

fn questions() -> impl Strategy<Value = Questions> {
    let tapes = (Tape::strategy(0..1500), vec(Tape::strategy(0..500), 1..12));
    tapes.prop_map(|(rows, tapes)| Questions { rows, tapes })
}

/// Turns a property of one query into a property of several.
fn each(
    property: impl Fn(&Shop, &Tables, &Tape) -> Result<(), TestCaseError>,
) -> impl Fn(&mut Shop, &Questions) -> Result<(), TestCaseError> {
    move |shop, questions| {
        let tables = any_tables(&shop.model, 12, &mut questions.rows.choices());
        shop.fill(&tables);
        questions.tapes.iter().try_for_each(|tape| property(shop, &tables, tape))
    }
}

#[test]
fn reads_agree_with_an_in_memory_model() {
    check_bookshop(100, questions(), each(is_a_plain_reading));
}

#[test]
fn reads_of_any_model_agree_with_an_in_memory_model() {
    check_models(60, questions(), each(is_a_plain_reading));
}

#[test]
fn pages_in_either_direction_show_each_row_once() {
    check_bookshop(60, questions(), each(pages_are_the_whole_list));
}

#[test]
fn pages_of_any_model_show_each_row_once() {
    check_models(60, questions(), each(pages_are_the_whole_list));
}

fn is_a_plain_reading(shop: &Shop, tables: &Tables, tape: &Tape) -> Result<(), TestCaseError> {
    let mut draft = Draft::new(&shop.model, tables, tape);
    let items = draft.root(3);
    let text = draft.document(&items);
    let expected = Reference { model: &shop.model, tables }.data(&items);
    let variables = draft.variables.into();
    let found = shop.data(&text, &variables);
    prop_assert_eq!(&found, &expected, "{}\n{}", &text, &variables);
    Ok(())
}

/// A list, and how a document selects its pages.
struct Walk<'a> {
    shop: &'a Shop,
    entity: &'a Entity,
    text: String,
    filter: serde_json::Value,
    parent: serde_json::Value,
}

/// A page in the engine's answer.
struct Page {
    keys: Vec<serde_json::Value>,
    cursors: Vec<String>,
    next: bool,
    previous: bool,
}

impl Walk<'_> {
    /// Reads a page and checks what does not depend on the list.
    fn page(
        &self,
        arguments: &[(&str, serde_json::Value)],
        total: usize,
    ) -> Result<Page, TestCaseError> {
        let mut variables = json!({});
        let given = [("w", &self.filter), ("id", &self.parent)];
        for (name, value) in
            given.into_iter().chain(arguments.iter().map(|(name, value)| (*name, value)))
        {
            if !value.is_null() {
                variables[name] = value.clone();
            }
        }
        let answer = self.shop.json(&self.text, &variables);
        let list = if self.parent.is_null() {
            &answer["data"]["list"]
        } else {
            &answer["data"]["parent"]["list"]
        };
        let edges = list["edges"].as_array().unwrap();
        let key = &self.entity.column(self.entity.key).field;
        let page = Page {
            keys: edges.iter().map(|edge| edge["node"][key].clone()).collect(),
            cursors: edges.iter().map(|edge| edge["cursor"].as_str().unwrap().to_owned()).collect(),
            next: list["pageInfo"]["hasNextPage"].as_bool().unwrap(),
            previous: list["pageInfo"]["hasPreviousPage"].as_bool().unwrap(),
        };
        prop_assert_eq!(&list["totalCount"], &json!(total));
        prop_assert_eq!(&list["pageInfo"]["startCursor"], &json!(page.cursors.first()));
        prop_assert_eq!(&list["pageInfo"]["endCursor"], &json!(page.cursors.last()));
        Ok(page)
    }
}

#[expect(clippy::too_many_lines, reason = "every way through a list, one after the other")]
fn pages_are_the_whole_list(
    shop: &Shop,
    tables: &Tables,
    tape: &Tape,
) -> Result<(), TestCaseError> {
    let model = &shop.model;
    let mut draft = Draft::new(model, tables, tape);
    let entity = draft.choices.of(&model.entities);
    // Lists at the root, and lists of a row.
    let relations: Vec<_> = model
        .entities
        .iter()
        .flat_map(|parent| parent.fields.iter().map(move |field| (parent, field)))
        .filter_map(|(parent, field)| match field.kind {
            FieldKind::ToMany { target, column } if target == entity.id && !field.hidden => {
                Some((parent, &field.name, column))
            }
            _ => None,
        })
        .collect();
    let relation =
        (!relations.is_empty() && draft.choices.chance(40)).then(|| *draft.choices.of(&relations));
    let filter = draft.choices.chance(30).then(|| draft.filter(entity, 2));
    let (order, order_text) = draft.order(entity);
    let order: Vec<(ColumnId, Order)> =
        order.into_iter().map(|(column, order, _)| (column, order)).collect();
    let parent_row = relation.and_then(|(parent, ..)| {
        let rows = &tables[usize::from(parent.id.0)];
        (!rows.is_empty()).then(|| draft.choices.of(rows))
    });
    if relation.is_some() && parent_row.is_none() {
        return Ok(());
    }

    let key_of = |entity: &Entity, row: &Row| {
        input(entity.column(entity.key).scalar, &row[usize::from(entity.key.0)])
    };
    let key = &entity.column(entity.key).field;
    let order_by = order_text.map(|text| format!(" orderBy: {text}")).unwrap_or_default();
    let list = |name: &str| {
        format!(
            "list: {name}(first: $first, last: $last, after: $after, before: $before, where: $w{order_by}) {{
                   edges {{ cursor node {{ {key} }} }} totalCount
                   pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }}"
        )
    };
    let head = format!(
        "$w: {}Where, $first: Int, $last: Int, $after: String, $before: String",
        entity.name
    );
    let (text, parent, parent_key) = match relation {
        None => (format!("query({head}) {{ {} }}", list(&entity.plural)), json!(null), Value::Null),
        Some((parent, name, _)) => {
            let row = parent_row.unwrap();
            let singular = &parent.singular;
            let argument = &parent.column(parent.key).field;
            let text = format!(
                "query({head}, $id: ID!) {{ parent: {singular}({argument}: $id) {{ {} }} }}",
                list(name)
            );
            (text, key_of(parent, row), row[usize::from(parent.key.0)].clone())
        }
    };
    let reference = List {
        entity: entity.id,
        cut: relation.map(|(_, _, column)| column),
        filter: filter.clone(),
        order,
        first: None,
        last: None,
    };
    let filter = filter.map_or(json!(null), |filter| filter_json(model, entity, &filter));
    let rows = Reference { model, tables }.rows(&reference, &parent_key);
    let expected: Vec<serde_json::Value> = rows.iter().map(|row| key_of(entity, row)).collect();
    let walk = Walk { shop, entity, text, filter, parent };
    let total = expected.len();

    // Forwards.
    let most = entity.max_page_size as usize;
    let size = 1 + draft.choices.below(4.min(most));
    let (mut keys, mut cursors, mut after) = (Vec::new(), Vec::new(), json!(null));
    loop {
        let page = walk.page(&[("first", json!(size)), ("after", after.clone())], total)?;
        prop_assert_eq!(page.previous, !after.is_null());
        keys.extend(page.keys);
        cursors.extend(page.cursors);
        prop_assert_eq!(page.next, keys.len() < total);
        if !page.next {
            break;
        }
        after = json!(cursors.last());
    }
    prop_assert_eq!(&keys, &expected, "{}\n{}", walk.text, walk.filter);

    // Backwards.
    let (mut keys, mut before) = (Vec::new(), json!(null));
    loop {
        let page = walk.page(&[("last", json!(size)), ("before", before.clone())], total)?;
        prop_assert_eq!(page.next, !before.is_null());
        keys.splice(0..0, page.keys);
        prop_assert_eq!(page.previous, keys.len() < total);
        if !page.previous {
            break;
        }
        before = json!(page.cursors.first());
    }
    prop_assert_eq!(&keys, &expected, "{}\n{}", walk.text, walk.filter);

    // Any range between two cursors, which may be in the wrong order.
    if total > 0 {
        let (from, to) = (draft.choices.below(total), draft.choices.below(total + 1));
        let size = draft.choices.below(4.min(most + 1));
        let (after, before) = (json!(cursors[from]), json!(cursors.get(to)));
        let between = expected.get(from + 1..to).unwrap_or_default();
        let more = between.len() > size;
        let page = walk.page(
            &[("first", json!(size)), ("after", after.clone()), ("before", before.clone())],
            total,
        )?;
        prop_assert_eq!(page.keys, &between[..size.min(between.len())]);
        prop_assert_eq!((page.previous, page.next), (true, more || !before.is_null()));
        let page = walk
            .page(&[("last", json!(size)), ("after", after), ("before", before.clone())], total)?;
        prop_assert_eq!(page.keys, &between[between.len().saturating_sub(size)..]);
        prop_assert_eq!((page.previous, page.next), (true, !before.is_null()));
    }
    Ok(())
}
