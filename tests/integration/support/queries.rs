//! Random documents for any model: fields, aliases, fragments, conditions, filters, orderings,
//! pages. Each is created in two forms: as text for the engine and as a tree for the reference
//! implementation.

use freshql::model::{Column, ColumnId, Entity, EntityId, FieldKind, Model, Order, Scalar, Value};
use serde_json::{Map, json};

use crate::random_choices::{Choices, Tape};
use crate::reference::{
    Condition, Field, Item, Kind, List, Member, Operator, Where, input, literal,
};
use crate::rows::{Tables, any_value, some_key};

/// A document under construction.
pub(crate) struct Draft<'a, 't> {
    pub(crate) model: &'a Model,
    pub(crate) tables: &'a Tables,
    pub(crate) choices: Choices<'t>,
    /// `$name: Type`
    declared: Vec<String>,
    pub(crate) variables: Map<String, serde_json::Value>,
    fragments: Vec<String>,
    numbers: usize,
}

const DIRECTIONS: [(&str, bool, bool); 6] = [
    ("ASC", false, true),
    ("DESC", true, false),
    ("ASC_NULLS_FIRST", false, true),
    ("ASC_NULLS_LAST", false, false),
    ("DESC_NULLS_FIRST", true, true),
    ("DESC_NULLS_LAST", true, false),
];

impl<'a, 't> Draft<'a, 't> {
    pub(crate) fn new(model: &'a Model, tables: &'a Tables, tape: &'t Tape) -> Self {
        let choices = tape.choices();
        Self {
            model,
            tables,
            choices,
            declared: Vec::new(),
            variables: Map::new(),
            fragments: Vec::new(),
            numbers: 0,
        }
    }

    /// The document with these fields at its root.
    pub(crate) fn document(&mut self, items: &[Item]) -> String {
        let set = self.text(items);
        let declared = if self.declared.is_empty() {
            String::new()
        } else {
            format!("({})", self.declared.join(", "))
        };
        format!("query{declared} {set}\n{}", self.fragments.join("\n"))
    }

    /// Some fields of Query.
    pub(crate) fn root(&mut self, depth: usize) -> Vec<Item> {
        let mut items = Vec::new();
        for _ in 0..=self.choices.below(6) {
            let entity = self.choices.of(&self.model.entities);
            let mut field = match self.choices.below(4) {
                0 => self.one(entity, depth),
                _ => self.list_field(entity.id, None, &entity.plural, depth),
            };
            field.key = self.fresh("r");
            self.push("Query", &mut items, field);
        }
        items
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.numbers += 1;
        format!("{prefix}{}", self.numbers)
    }

    /// Declares a variable, with a value if there is one.
    fn variable(&mut self, ty: &str, value: Option<serde_json::Value>) -> String {
        let name = self.fresh("v");
        self.declared.push(format!("${name}: {ty}"));
        self.variables.extend(value.map(|value| (name.clone(), value)));
        format!("${name}")
    }

    /// A row, by its key or by a unique combination.
    fn one(&mut self, entity: &'a Entity, depth: usize) -> Field {
        let lookups: Vec<_> =
            entity.uniques.iter().filter(|unique| entity.has_lookup(unique)).collect();
        let (name, columns) = if !lookups.is_empty() && self.choices.chance(40) {
            let unique = *self.choices.of(&lookups);
            (&unique.lookup, unique.columns.clone())
        } else {
            (&entity.singular, vec![entity.key])
        };
        let rows = &self.tables[usize::from(entity.id.0)];
        let row = (!rows.is_empty() && self.choices.chance(80)).then(|| self.choices.of(rows));
        let (mut keys, mut arguments) = (Vec::new(), Vec::new());
        for id in columns {
            let column = entity.column(id);
            let value = match row.map(|row| &row[usize::from(id.0)]) {
                Some(value) if *value != Value::Null => value.clone(),
                _ if id == entity.key || column.references.is_some() => {
                    self.foreign_key(entity, id)
                }
                _ => any_value(self.model, column.scalar, &mut self.choices),
            };
            let ty = format!("{}!", column.scalar.graphql_name(self.model));
            let text = self.leaf(column.scalar, &value, &ty);
            // The argument has the name of the key.
            arguments.push(format!("{}: {text}", column.field));
            keys.push((id, value));
        }
        let items = self.object(entity, depth);
        let arguments = format!("({})", arguments.join(", "));
        Field {
            key: String::new(),
            name: name.clone(),
            arguments,
            condition: None,
            kind: Kind::One(entity.id, keys),
            items,
        }
    }

    /// A list field, whose key is set later.
    fn list_field(
        &mut self,
        entity: EntityId,
        cut: Option<ColumnId>,
        name: &str,
        depth: usize,
    ) -> Field {
        let (list, arguments) = self.list(entity, cut);
        let items = self.connection(entity, depth);
        Field {
            key: String::new(),
            name: name.to_owned(),
            arguments,
            condition: None,
            kind: Kind::List(list),
            items,
        }
    }

    fn list(&mut self, entity: EntityId, cut: Option<ColumnId>) -> (List, String) {
        let entity = self.model.entity(entity);
        let mut arguments = Vec::new();
        let filter = self
            .choices
            .chance(if cut.is_none() { 80 } else { 30 })
            .then(|| self.filter(entity, 3));
        if let Some(filter) = &filter {
            arguments.push(self.argument(
                "where",
                &format!("{}Where", entity.name),
                filter_json(self.model, entity, filter),
                |draft| draft.filter_text(entity, filter),
            ));
        }
        let (order, order_text) = self.order(entity);
        if let Some(text) = order_text {
            let json =
                order.iter().map(|(column, _, name)| json!({&entity.column(*column).field: name}));
            let json = serde_json::Value::Array(json.collect());
            arguments.push(self.argument(
                "orderBy",
                &format!("[{}OrderBy!]", entity.name),
                json,
                |_| text,
            ));
        }
        let order = order.into_iter().map(|(column, order, _)| (column, order)).collect();
        let (mut first, mut last) = (None, None);
        let size = self.choices.below(6.min(entity.max_page_size as usize + 1));
        let (name, end) =
            if self.choices.chance(40) { ("last", &mut last) } else { ("first", &mut first) };
        if !self.choices.chance(30) {
            *end = Some(size);
            arguments.push(self.argument(name, "Int", size.into(), |_| size.to_string()));
        }
        let text = if arguments.is_empty() {
            String::new()
        } else {
            format!("({})", arguments.join(", "))
        };
        (List { entity: entity.id, cut, filter, order, first, last }, text)
    }

    /// `name: value`, in the document or as a variable.
    fn argument(
        &mut self,
        name: &str,
        ty: &str,
        json: serde_json::Value,
        text: impl FnOnce(&mut Self) -> String,
    ) -> String {
        let value =
            if self.choices.chance(50) { self.variable(ty, Some(json)) } else { text(self) };
        format!("{name}: {value}")
    }

    /// The terms, and the argument's text if there is one.
    pub(crate) fn order(
        &mut self,
        entity: &Entity,
    ) -> (Vec<(ColumnId, Order, &'static str)>, Option<String>) {
        if self.choices.chance(40) {
            let order = entity.order_by.iter().map(|(column, order)| (*column, *order, ""));
            return (order.collect(), None);
        }
        let sortable: Vec<ColumnId> =
            entity.column_ids().filter(|id| entity.column(*id).is_sortable()).collect();
        let mut order: Vec<(ColumnId, Order, &'static str)> = Vec::new();
        let mut terms = Vec::new();
        for _ in 0..self.choices.below(4) {
            let (column, (name, descending, nulls_first)) =
                (*self.choices.of(&sortable), *self.choices.of(&DIRECTIONS));
            terms.push(format!("{{ {}: {name} }}", entity.column(column).field));
            order.push((column, Order { descending, nulls_first }, name));
        }
        (order, Some(format!("[{}]", terms.join(", "))))
    }

    /// A condition, never empty.
    pub(crate) fn filter(&mut self, entity: &'a Entity, depth: usize) -> Where {
        let mut members: Vec<Member> = Vec::new();
        for _ in 0..=self.choices.below(2) {
            let member = self.member(entity, depth);
            let name = member_name(entity, &member);
            if members.iter().all(|other| member_name(entity, other) != name) {
                members.push(member);
            }
        }
        members
    }

    fn member(&mut self, entity: &'a Entity, depth: usize) -> Member {
        let some = |draft: &mut Self| {
            (0..=draft.choices.below(2)).map(|_| draft.filter(entity, depth - 1)).collect()
        };
        let is_relation = |kind: FieldKind| !matches!(kind, FieldKind::Scalar(_));
        let relations: Vec<_> =
            entity.fields.iter().filter(|f| is_relation(f.kind) && !f.hidden).collect();
        match self.choices.below(8) {
            5 if depth > 0 => Member::And(some(self)),
            6 if depth > 0 => Member::Or(some(self)),
            7 if depth > 0 => Member::Not(self.filter(entity, depth - 1)),
            4 if depth > 0 && !relations.is_empty() => {
                let field = *self.choices.of(&relations);
                match field.kind {
                    FieldKind::ToOne { column, target } => Member::ToOne(
                        field.name.clone(),
                        column,
                        target,
                        self.filter(self.model.entity(target), depth - 1),
                    ),
                    FieldKind::ToMany { column, target } => {
                        let start = self.choices.below(3);
                        let quantifiers = &["some", "every", "none"]
                            [start..=(start + self.choices.below(2)).min(2)];
                        let target_entity = self.model.entity(target);
                        let quantified = quantifiers
                            .iter()
                            .map(|name| (*name, self.filter(target_entity, depth - 1)));
                        Member::ToMany(field.name.clone(), target, column, quantified.collect())
                    }
                    FieldKind::Scalar(_) => unreachable!("these are the relations"),
                }
            }
            _ => self.column_member(entity),
        }
    }

    fn column_member(&mut self, entity: &'a Entity) -> Member {
        let columns: Vec<ColumnId> =
            entity.column_ids().filter(|id| entity.column(*id).is_filterable()).collect();
        let id = *self.choices.of(&columns);
        let column = entity.column(id);
        let fold = column.scalar.is_textual() && self.choices.chance(40);
        let mut names = vec!["eq", "neq", "in", "notIn"];
        if column.nullable {
            names.push("isNull");
        }
        if column.scalar.is_ordered() {
            names.extend(["lt", "lte", "gt", "gte"]);
        }
        if column.scalar.is_textual() {
            names.extend(["contains", "startsWith", "endsWith"]);
        }
        let mut operators: Vec<Operator> = Vec::new();
        for _ in 0..=self.choices.below(2) {
            let name = *self.choices.of(&names);
            if operators.iter().any(|operator| operator_name(operator) == name) {
                continue;
            }
            operators.push(match name {
                "isNull" => Operator::IsNull(self.choices.chance(50)),
                "in" | "notIn" => {
                    let count = self.choices.below(4);
                    Operator::Many(name, (0..count).map(|_| self.value(entity, id)).collect())
                }
                name => Operator::One(name, self.value(entity, id)),
            });
        }
        Member::Column(id, operators, fold)
    }

    /// A value to compare a column with.
    fn value(&mut self, entity: &Entity, id: ColumnId) -> Value {
        let column = entity.column(id);
        if id == entity.key || column.references.is_some() {
            return self.foreign_key(entity, id);
        }
        any_value(self.model, column.scalar, &mut self.choices)
    }

    fn foreign_key(&mut self, entity: &Entity, id: ColumnId) -> Value {
        let target =
            entity.column(id).references.as_ref().map_or(entity.id, |reference| reference.target);
        some_key(self.model.entity(target), self.tables, &mut self.choices)
    }

    /// A value in a document: a literal or a variable.
    fn leaf(&mut self, scalar: Scalar, value: &Value, ty: &str) -> String {
        if self.choices.chance(30) {
            return self.variable(ty, Some(input(scalar, value)));
        }
        literal(scalar, value)
    }

    fn filter_text(&mut self, entity: &Entity, filter: &Where) -> String {
        let mut members: Vec<String> = filter
            .iter()
            .map(|member| {
                let name = member_name(entity, member);
                let value = match member {
                    Member::And(all) | Member::Or(all) => {
                        let all: Vec<_> =
                            all.iter().map(|filter| self.filter_text(entity, filter)).collect();
                        // A single value stands for a list of one.
                        if all.len() == 1 { all.concat() } else { format!("[{}]", all.join(", ")) }
                    }
                    Member::Not(filter) => self.filter_text(entity, filter),
                    Member::ToOne(_, _, target, filter) => {
                        self.filter_text(self.model.entity(*target), filter)
                    }
                    Member::ToMany(_, target, _, quantified) => {
                        let target = self.model.entity(*target);
                        let each = quantified.iter().map(|(name, filter)| {
                            format!("{name}: {}", self.filter_text(target, filter))
                        });
                        format!("{{ {} }}", each.collect::<Vec<_>>().join(", "))
                    }
                    Member::Column(id, operators, fold) => {
                        self.operators_text(entity.column(*id), operators, *fold)
                    }
                };
                format!("{name}: {value}")
            })
            .collect();
        members.extend(self.hole(entity, filter));
        format!("{{ {} }}", members.join(", "))
    }

    /// Sometimes a condition that has no effect, as forms send it.
    fn hole(&mut self, entity: &Entity, filter: &Where) -> Option<String> {
        if !self.choices.one_in(4) {
            return None;
        }
        let columns: Vec<_> =
            entity.columns.iter().filter(|c| c.scalar.is_filterable() && !c.hidden).collect();
        let column = *self.choices.of(&columns);
        let name = *self.choices.of(&["not", "and", "or", column.field.as_str()]);
        if filter.iter().any(|member| member_name(entity, member) == name) {
            return None;
        }
        let own = format!("{}Where", entity.name);
        let null = Some(serde_json::Value::Null);
        let value = match name {
            "not" if self.choices.chance(50) => self.variable(&own, null),
            "not" => format!("{{or: [{{not: {}}}]}}", self.variable(&own, None)),
            "and" => self.variable(&format!("[{own}!]"), Some(json!([{"not": {}}, {}]))),
            "or" => "[{}, {and: {}}]".to_owned(),
            _ => {
                format!("{{neq: {}}}", self.variable(column.scalar.graphql_name(self.model), null))
            }
        };
        Some(format!("{name}: {value}"))
    }

    fn operators_text(&mut self, column: &Column, operators: &[Operator], fold: bool) -> String {
        let ty = column.scalar.graphql_name(self.model).to_owned();
        let mut members: Vec<String> = operators
            .iter()
            .map(|operator| match operator {
                Operator::One(name, value) => {
                    format!("{name}: {}", self.leaf(column.scalar, value, &ty))
                }
                Operator::Many(name, values) => {
                    let ty = format!("{ty}!");
                    let values: Vec<_> =
                        values.iter().map(|value| self.leaf(column.scalar, value, &ty)).collect();
                    format!("{name}: [{}]", values.join(", "))
                }
                Operator::IsNull(is) => format!("isNull: {is}"),
            })
            .collect();
        if fold {
            members.push("mode: INSENSITIVE".to_owned());
        }
        // A variable without a value counts as an absent member.
        if operators.iter().all(|operator| operator_name(operator) != "eq")
            && self.choices.chance(20)
        {
            let variable = self.variable(&ty, None);
            members.push(format!("eq: {variable}"));
        }
        format!("{{ {} }}", members.join(", "))
    }

    /// A selection of a row.
    fn object(&mut self, entity: &'a Entity, depth: usize) -> Vec<Item> {
        let mut items = Vec::new();
        for _ in 0..=self.choices.below(4) {
            let field = self.choices.of(&entity.fields);
            if field.hidden {
                continue;
            }
            let plain = |key: String, kind: Kind, items: Vec<Item>| Field {
                key,
                name: field.name.clone(),
                arguments: String::new(),
                condition: None,
                kind,
                items,
            };
            let alias = if self.choices.chance(30) {
                format!("x_{}", field.name)
            } else {
                field.name.clone()
            };
            let field = match field.kind {
                FieldKind::Scalar(column) => plain(alias, Kind::Column(column), Vec::new()),
                _ if depth == 0 => continue,
                FieldKind::ToOne { column, target } => plain(
                    alias,
                    Kind::ToOne(column, target),
                    self.object(self.model.entity(target), depth - 1),
                ),
                FieldKind::ToMany { target, column } => {
                    let mut field = self.list_field(target, Some(column), &field.name, depth - 1);
                    field.key = self.fresh("l");
                    field
                }
            };
            self.push(&entity.name, &mut items, field);
        }
        self.close(&entity.name, items)
    }

    /// A selection of a connection.
    fn connection(&mut self, entity: EntityId, depth: usize) -> Vec<Item> {
        let entity = self.model.entity(entity);
        let name = format!("{}Connection", entity.name);
        let mut items = Vec::new();
        for _ in 0..=self.choices.below(3) {
            let (field, kind, inner) = match self.choices.below(5) {
                0 | 1 => ("nodes", Kind::Nodes, self.object(entity, depth)),
                2 => ("edges", Kind::Edges, self.edge(entity, depth)),
                3 => ("pageInfo", Kind::PageInfo, self.page_info()),
                _ => ("totalCount", Kind::TotalCount, Vec::new()),
            };
            let field = self.named(field, kind, inner);
            self.push(&name, &mut items, field);
        }
        self.close(&name, items)
    }

    fn edge(&mut self, entity: &'a Entity, depth: usize) -> Vec<Item> {
        let name = format!("{}Edge", entity.name);
        let mut items = Vec::new();
        for _ in 0..=self.choices.below(2) {
            let inner = self.object(entity, depth);
            let field = self.named("node", Kind::Node, inner);
            self.push(&name, &mut items, field);
        }
        self.close(&name, items)
    }

    fn page_info(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        for _ in 0..=self.choices.below(2) {
            let (field, kind) =
                *self.choices.of(&[("hasNextPage", false), ("hasPreviousPage", true)]);
            let kind = if kind { Kind::HasPreviousPage } else { Kind::HasNextPage };
            let field = self.named(field, kind, Vec::new());
            self.push("PageInfo", &mut items, field);
        }
        self.close("PageInfo", items)
    }

    fn named(&mut self, name: &str, kind: Kind, items: Vec<Item>) -> Field {
        let key = if self.choices.chance(20) { format!("x_{name}") } else { name.to_owned() };
        Field { key, name: name.to_owned(), arguments: String::new(), condition: None, kind, items }
    }

    /// Adds a field: unchanged, with a condition, in a fragment, or twice.
    fn push(&mut self, ty: &str, items: &mut Vec<Item>, mut field: Field) {
        if self.choices.chance(7) {
            field.condition = Some(self.condition());
        }
        let item = Item::Field(field);
        let wrapped = match self.choices.below(10) {
            8 => Item::Fragment(ty.to_owned(), None, None, vec![item]),
            9 => {
                let condition = self.choices.chance(50).then(|| self.condition());
                let name = self.choices.chance(70).then(|| self.fresh("F"));
                let spread = Item::Fragment(ty.to_owned(), name, condition, vec![item]);
                if self.choices.chance(30) {
                    items.push(spread.clone());
                }
                spread
            }
            _ => item,
        };
        items.push(wrapped);
    }

    /// A selection needs at least one field.
    fn close(&mut self, ty: &str, mut items: Vec<Item>) -> Vec<Item> {
        if items.is_empty() || self.choices.chance(10) {
            let kind = Kind::Typename(ty.to_owned());
            let field = self.named("__typename", kind, Vec::new());
            items.push(Item::Field(field));
        }
        items
    }

    fn condition(&mut self) -> Condition {
        let (include, value) = (self.choices.chance(50), self.choices.chance(50));
        let variable = self.variable("Boolean!", Some(value.into()));
        Condition { include, variable, value }
    }

    fn text(&mut self, items: &[Item]) -> String {
        let on = |condition: &Option<Condition>| match condition {
            Some(Condition { include, variable, .. }) => {
                format!(" @{}(if: {variable})", if *include { "include" } else { "skip" })
            }
            None => String::new(),
        };
        let mut texts = Vec::new();
        for item in items {
            texts.push(match item {
                Item::Field(Field { key, name, arguments, condition, items, .. }) => {
                    let alias = if key == name { String::new() } else { format!("{key}: ") };
                    let inner = if items.is_empty() {
                        String::new()
                    } else {
                        format!(" {}", self.text(items))
                    };
                    format!("{alias}{name}{arguments}{}{inner}", on(condition))
                }
                Item::Fragment(ty, None, condition, items) => {
                    format!("... on {ty}{} {}", on(condition), self.text(items))
                }
                Item::Fragment(ty, Some(name), condition, items) => {
                    let text = format!("fragment {name} on {ty} {}", self.text(items));
                    if !self.fragments.contains(&text) {
                        self.fragments.push(text);
                    }
                    format!("...{name}{}", on(condition))
                }
            });
        }
        format!("{{ {} }}", texts.join(" "))
    }
}

fn member_name<'m>(entity: &'m Entity, member: &'m Member) -> &'m str {
    match member {
        Member::And(_) => "and",
        Member::Or(_) => "or",
        Member::Not(_) => "not",
        Member::Column(column, ..) => &entity.column(*column).field,
        Member::ToOne(name, ..) | Member::ToMany(name, ..) => name,
    }
}

fn operator_name(operator: &Operator) -> &'static str {
    match operator {
        Operator::One(name, _) | Operator::Many(name, _) => name,
        Operator::IsNull(_) => "isNull",
    }
}

/// A condition as the value of a variable.
pub(crate) fn filter_json(model: &Model, entity: &Entity, filter: &Where) -> serde_json::Value {
    let members = filter.iter().map(|member| {
        let value = match member {
            Member::And(all) | Member::Or(all) => {
                all.iter().map(|filter| filter_json(model, entity, filter)).collect()
            }
            Member::Not(filter) => filter_json(model, entity, filter),
            Member::ToOne(_, _, target, filter) => {
                filter_json(model, model.entity(*target), filter)
            }
            Member::ToMany(_, target, _, quantified) => quantified
                .iter()
                .map(|(name, filter)| {
                    ((*name).to_owned(), filter_json(model, model.entity(*target), filter))
                })
                .collect::<Map<_, _>>()
                .into(),
            Member::Column(id, operators, fold) => {
                let scalar = entity.column(*id).scalar;
                let members = operators.iter().map(|operator| {
                    let value = match operator {
                        Operator::One(_, value) => input(scalar, value),
                        Operator::Many(_, values) => {
                            values.iter().map(|value| input(scalar, value)).collect()
                        }
                        Operator::IsNull(is) => (*is).into(),
                    };
                    (operator_name(operator).to_owned(), value)
                });
                let mode = fold.then(|| ("mode".to_owned(), "INSENSITIVE".into()));
                members.chain(mode).collect::<Map<_, _>>().into()
            }
        };
        (member_name(entity, member).to_owned(), value)
    });
    members.collect::<Map<_, _>>().into()
}
