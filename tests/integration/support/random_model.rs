//! Random models: entities with every kind of key, every scalar, relations (to themselves, in
//! cycles, several between the same two), entities that join two others, uniques, indexes, enums,
//! hidden and read-only fields, defaults, and names that are SQL keywords or unusual. Their SDL is
//! generated in `random_sdl.rs`, changes in `random_change.rs`.

use crate::random_choices::Choices;

/// A model that the parser accepts.
#[derive(Debug, Clone, Default)]
pub(crate) struct RandomModel {
    pub(crate) enums: Vec<RandomEnum>,
    pub(crate) entities: Vec<RandomEntity>,
    /// Names are never used twice.
    named: usize,
    words: Vec<&'static str>,
}

#[derive(Debug, Clone)]
pub(crate) struct RandomEnum {
    pub(crate) name: String,
    pub(crate) values: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct RandomEntity {
    pub(crate) name: String,
    pub(crate) key: Key,
    /// The key's field, and its column if that has another name.
    pub(crate) key_name: String,
    pub(crate) key_column: Option<String>,
    pub(crate) fields: Vec<RandomField>,
    /// Over two or three fields each.
    pub(crate) uniques: Vec<Vec<String>>,
    pub(crate) indexes: Vec<Vec<String>>,
    pub(crate) table: Option<String>,
    pub(crate) plural: Option<String>,
    pub(crate) order_by: Vec<(String, &'static str)>,
    pub(crate) max_page_size: Option<usize>,
    pub(crate) require_etag: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Text,
    Uuid,
    Number,
}

#[derive(Debug, Clone)]
pub(crate) struct RandomField {
    pub(crate) name: String,
    pub(crate) column: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
    pub(crate) default: Default,
    pub(crate) unique: bool,
    pub(crate) index: bool,
    pub(crate) hidden: bool,
    pub(crate) readonly: bool,
    /// The list on the relation's other side.
    pub(crate) back: Back,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A built-in scalar, by name.
    Scalar(&'static str),
    Decimal(u8, u8),
    /// By name.
    Enum(String),
    /// To the entity with this name.
    Relation(String, &'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Default {
    None,
    /// One of two values for each type.
    Value(bool),
    /// `fn:`, if the type has one and it need not be unique.
    Function,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    Shown,
    Hidden,
    None,
}

const SCALARS: [&str; 9] =
    ["String", "Int", "BigInt", "Float", "Boolean", "DateTime", "Date", "UUID", "JSON"];
pub(crate) const DEFAULTS: [Default; 4] =
    [Default::None, Default::Value(false), Default::Value(true), Default::Function];
const DIRECTIONS: [&str; 6] =
    ["ASC", "DESC", "ASC_NULLS_FIRST", "ASC_NULLS_LAST", "DESC_NULLS_FIRST", "DESC_NULLS_LAST"];

/// Words with a meaning in GraphQL, SQL, SQLite, or the API.
const TYPES: [&str; 10] = [
    "Order",
    "Group",
    "User",
    "Node",
    "URLEntry",
    "snake_type",
    "Series",
    "Person",
    "_Private",
    "Index",
];
const FIELDS: [&str; 26] = [
    "order",
    "group",
    "select",
    "index",
    "where",
    "first",
    "values",
    "type",
    "from",
    "URLCode",
    "_under",
    "snake_case",
    "x",
    "rowid",
    "oid",
    "key",
    "node",
    "nodes",
    "cursor",
    "totalCount",
    "version",
    "null",
    "default",
    "input",
    "patch",
    "Upper",
];

/// What an existing database may call its tables and columns; `#` is a number.
const SQL_NAMES: [&str; 14] = [
    "Spaced name #",
    "größe#",
    "it's #",
    "#begins",
    "a-b#",
    "a.b#",
    "what?#",
    "%s#",
    "$1_#",
    "[#]",
    "`#`",
    ":p#",
    "CamelCase#",
    "('#'), --",
];

impl RandomModel {
    /// One to four entities.
    pub(crate) fn new(choices: &mut Choices<'_>) -> Self {
        let mut model = Self::default();
        for _ in 0..1 + choices.below(4) {
            model.add_entity(choices);
        }
        // Now relations can refer to later entities, so that there are cycles.
        for _ in 0..choices.below(4) {
            let at = choices.below(model.entities.len());
            let kind = model.relation(choices);
            model.add_field_of(at, kind, choices);
        }
        for at in 0..model.entities.len() {
            model.order(at, choices);
        }
        model
    }

    /// One of the words, or else a generated unique name.
    fn name(&mut self, start: &str, words: &[&'static str], choices: &mut Choices<'_>) -> String {
        if choices.one_in(4) {
            let word = *choices.of(words);
            if !self.words.contains(&word) {
                self.words.push(word);
                return word.to_owned();
            }
        }
        self.plain_name(start)
    }

    pub(crate) fn plain_name(&mut self, start: &str) -> String {
        self.named += 1;
        format!("{start}{}", self.named)
    }

    fn sql_name(&mut self, choices: &mut Choices<'_>) -> Option<String> {
        choices
            .one_in(8)
            .then(|| self.plain_name("#"))
            .map(|number| choices.of(&SQL_NAMES).replace('#', &number[1..]))
    }

    pub(crate) fn add_entity(&mut self, choices: &mut Choices<'_>) {
        let name = self.name("Thing", &TYPES, choices);
        let key = *choices.of(&[Key::Text, Key::Uuid, Key::Number]);
        let key_name = if choices.one_in(5) { self.plain_name("code") } else { "id".to_owned() };
        let plain = RandomField {
            name: self.plain_name("field"),
            column: None,
            kind: Kind::Scalar("String"),
            nullable: true,
            default: Default::None,
            unique: false,
            index: false,
            hidden: false,
            readonly: false,
            back: Back::None,
        };
        // An entity with nothing but a key that clients choose must be writable, too.
        let is_bare = key == Key::Text && choices.one_in(6);
        let entity = RandomEntity {
            name,
            key,
            key_name,
            key_column: self.sql_name(choices),
            fields: if is_bare { vec![] } else { vec![plain] },
            uniques: vec![],
            indexes: vec![],
            table: self.sql_name(choices),
            plural: choices.one_in(6).then(|| self.plain_name("manyThings")),
            order_by: vec![],
            max_page_size: choices.one_in(4).then(|| 1 + choices.below(7)),
            require_etag: choices.one_in(5),
        };
        let joins = !self.entities.is_empty() && choices.one_in(4);
        self.entities.push(entity);
        let at = self.entities.len() - 1;
        if joins {
            self.join(at, choices);
        }
        for _ in 0..choices.below(if is_bare { 2 } else { 6 }) {
            let kind = self.kind(choices);
            self.add_field_of(at, kind, choices);
        }
        for _ in 0..choices.below(3) {
            let unique = choices.one_in(2);
            self.cut(at, choices, unique);
        }
    }

    /// Two relations to existing entities, in which no pair appears twice.
    fn join(&mut self, at: usize, choices: &mut Choices<'_>) {
        let mut pair = Vec::new();
        for _ in 0..2 {
            let target = self.entities[choices.below(at)].name.clone();
            let on_delete = *choices.of(&["CASCADE", "RESTRICT"]);
            self.add_field_of(at, Kind::Relation(target, on_delete), choices);
            let field = self.entities[at].fields.last_mut().expect("it was just added");
            (field.nullable, field.readonly, field.unique) = (false, false, false);
            pair.push(field.name.clone());
        }
        self.entities[at].uniques.push(pair);
    }

    pub(crate) fn kind(&mut self, choices: &mut Choices<'_>) -> Kind {
        match choices.below(13) {
            at @ 0..9 => Kind::Scalar(SCALARS[at]),
            9 => {
                let precision = 1 + choices.below(18);
                Kind::Decimal(precision as u8, choices.below(precision + 1) as u8)
            }
            10 => {
                if self.enums.is_empty() || choices.one_in(3) {
                    let name = self.plain_name("Kind");
                    let values = (0..1 + choices.below(3))
                        .map(|_| self.name("VALUE_", &["select", "a", "Null"], choices));
                    let values = values.collect();
                    self.enums.push(RandomEnum { name, values });
                }
                Kind::Enum(choices.of(&self.enums).name.clone())
            }
            _ => self.relation(choices),
        }
    }

    fn relation(&mut self, choices: &mut Choices<'_>) -> Kind {
        let target = choices.of(&self.entities).name.clone();
        let on_delete: &&str = choices.of(&["RESTRICT", "CASCADE", "SET_NULL"]);
        Kind::Relation(target, on_delete)
    }

    pub(crate) fn add_field_of(&mut self, at: usize, kind: Kind, choices: &mut Choices<'_>) {
        let name = self.name("field", &FIELDS, choices);
        let can_cut = kind != Kind::Scalar("JSON");
        let is_relation = matches!(kind, Kind::Relation(..));
        let default = if is_relation { Default::None } else { *choices.of(&DEFAULTS) };
        // A required relation may only refer to earlier entities: otherwise, no row of a cycle
        // could be created first. But a row whose key the client chooses may refer to itself.
        let points_back = match &kind {
            Kind::Relation(target, _) => {
                let target = self.entities.iter().position(|entity| entity.name == *target);
                target < Some(at)
                    || (target == Some(at)
                        && self.entities[at].key == Key::Text
                        && choices.one_in(3))
            }
            _ => true,
        };
        let nullable =
            choices.below(2) == 0 || !points_back || matches!(kind, Kind::Relation(_, "SET_NULL"));
        let unique = can_cut && choices.one_in(6);
        let field = RandomField {
            name,
            column: self.sql_name(choices),
            nullable,
            default,
            unique,
            index: can_cut && !unique && choices.one_in(5),
            hidden: choices.one_in(6),
            readonly: (default != Default::None || nullable) && choices.one_in(8),
            back: *choices.of(&[Back::Shown, Back::Shown, Back::Shown, Back::Hidden, Back::None]),
            kind,
        };
        self.entities[at].fields.push(field);
    }

    fn order(&mut self, at: usize, choices: &mut Choices<'_>) {
        let entity = &mut self.entities[at];
        for field in
            entity.fields.iter().filter(|field| field.kind != Kind::Scalar("JSON") && !field.hidden)
        {
            if choices.one_in(6) {
                entity.order_by.push((field.name.clone(), *choices.of(&DIRECTIONS)));
            }
        }
    }

    /// Adds a unique or an index over several columns, or removes one.
    pub(crate) fn cut(&mut self, at: usize, choices: &mut Choices<'_>, unique: bool) {
        let entity = &mut self.entities[at];
        let list = if unique { &mut entity.uniques } else { &mut entity.indexes };
        if !list.is_empty() && choices.one_in(2) {
            list.pop();
            return;
        }
        let fields = entity.fields.iter().filter(|field| field.kind != Kind::Scalar("JSON"));
        let names: Vec<&String> =
            fields.map(|field| &field.name).chain([&entity.key_name]).collect();
        let mut some: Vec<String> = Vec::new();
        for _ in 0..2 + choices.below(2) {
            let name = *choices.of(&names);
            if !some.contains(name) {
                some.push(name.clone());
            }
        }
        let are_there = |known: &Vec<String>| {
            known.len() == some.len() && known.iter().all(|name| some.contains(name))
        };
        if some.len() > 1 && !entity.uniques.iter().chain(&entity.indexes).any(are_there) {
            if unique { entity.uniques.push(some) } else { entity.indexes.push(some) }
        }
    }
}
