//! Random models, and random changes of them: entities with every kind of key, every scalar, relations (to themselves, in
//! circles, several between the same two), uniques, indexes, enums, hidden and read-only fields, defaults. A model is
//! made from a list of [`Choices`], so that proptest can make a failing one smaller.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::strategy::Strategy;

/// Numbers that decide what is made. Where they end, the simplest is made.
#[derive(Clone)]
pub(crate) struct Choices {
    numbers: Vec<u16>,
    at: usize,
}

/// The model that comes of them says more than the numbers.
impl std::fmt::Debug for Choices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} choices", self.numbers.len())
    }
}

impl Choices {
    /// So many of them.
    pub(crate) fn strategy(count: usize) -> impl Strategy<Value = Self> {
        vec(proptest::num::u16::ANY, count).prop_map(|numbers| Self { numbers, at: 0 })
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let number = self.numbers.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(number) % count.max(1)
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    /// One of these.
    pub(crate) fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// A model that the parser takes.
#[derive(Debug, Clone, Default)]
pub(crate) struct RandomModel {
    pub(crate) enums: Vec<RandomEnum>,
    pub(crate) entities: Vec<RandomEntity>,
    /// Names are never given twice.
    named: usize,
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
    pub(crate) fields: Vec<RandomField>,
    /// Over two fields each.
    pub(crate) uniques: Vec<[String; 2]>,
    pub(crate) indexes: Vec<[String; 2]>,
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
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
    pub(crate) default: bool,
    pub(crate) unique: bool,
    pub(crate) index: bool,
    pub(crate) hidden: bool,
    pub(crate) readonly: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of the built-in ones, by name.
    Scalar(&'static str),
    Decimal(u8, u8),
    /// By name.
    Enum(String),
    /// To the entity of this name.
    Relation(String, &'static str),
}

const SCALARS: [&str; 9] = ["String", "Int", "BigInt", "Float", "Boolean", "DateTime", "Date", "UUID", "JSON"];

impl RandomModel {
    /// One to four entities.
    pub(crate) fn new(choices: &mut Choices) -> Self {
        let mut model = Self::default();
        for _ in 0..1 + choices.below(4) {
            model.add_entity(choices);
        }
        model
    }

    /// Changes something.
    pub(crate) fn change(&mut self, choices: &mut Choices) {
        for _ in 0..1 + choices.below(4) {
            self.change_once(choices);
        }
    }

    fn name(&mut self, start: &str) -> String {
        self.named += 1;
        format!("{start}{}", self.named)
    }

    fn add_entity(&mut self, choices: &mut Choices) {
        let name = self.name("Thing");
        let key = *choices.of(&[Key::Text, Key::Uuid, Key::Number]);
        let plain = RandomField {
            name: self.name("field"),
            kind: Kind::Scalar("String"),
            nullable: true,
            default: false,
            unique: false,
            index: false,
            hidden: false,
            readonly: false,
        };
        self.entities.push(RandomEntity { name, key, fields: vec![plain], uniques: vec![], indexes: vec![] });
        let at = self.entities.len() - 1;
        for _ in 0..choices.below(6) {
            self.add_field(at, choices);
        }
    }

    fn kind(&mut self, choices: &mut Choices) -> Kind {
        match choices.below(13) {
            at @ 0..9 => Kind::Scalar(SCALARS[at]),
            9 => {
                let precision = 1 + choices.below(18);
                Kind::Decimal(precision as u8, choices.below(precision + 1) as u8)
            }
            10 => {
                if self.enums.is_empty() || choices.one_in(3) {
                    let name = self.name("Kind");
                    let values = (0..1 + choices.below(3)).map(|_| self.name("VALUE_")).collect();
                    self.enums.push(RandomEnum { name, values });
                }
                Kind::Enum(choices.of(&self.enums).name.clone())
            }
            _ => {
                let target = choices.of(&self.entities).name.clone();
                let on_delete: &&str = choices.of(&["RESTRICT", "CASCADE", "SET_NULL"]);
                Kind::Relation(target, on_delete)
            }
        }
    }

    fn add_field(&mut self, at: usize, choices: &mut Choices) {
        let kind = self.kind(choices);
        let name = self.name("field");
        let can_cut = kind != Kind::Scalar("JSON");
        let is_relation = matches!(kind, Kind::Relation(..));
        let default = !is_relation && choices.one_in(2);
        // A relation that must be there may only point to what was there before: no circle of those has a beginning.
        let points_back = match &kind {
            Kind::Relation(target, _) => self.entities.iter().position(|e| e.name == *target) < Some(at),
            _ => true,
        };
        let nullable = choices.below(2) == 0 || !points_back || matches!(kind, Kind::Relation(_, "SET_NULL"));
        let unique = can_cut && choices.one_in(6);
        let field = RandomField {
            name,
            nullable,
            default,
            unique,
            index: can_cut && !unique && choices.one_in(5),
            hidden: !is_relation && choices.one_in(6),
            readonly: default && choices.one_in(6),
            kind,
        };
        self.entities[at].fields.push(field);
    }

    fn change_once(&mut self, choices: &mut Choices) {
        let at = choices.below(self.entities.len());
        match choices.below(12) {
            0 | 1 => self.add_field(at, choices),
            2 => self.add_entity(choices),
            3 if self.entities.len() > 1 => {
                let gone = self.entities.remove(at).name;
                let points = |kind: &Kind| matches!(kind, Kind::Relation(target, _) if *target == gone);
                for entity in &mut self.entities {
                    let fields: Vec<String> =
                        entity.fields.iter().filter(|f| points(&f.kind)).map(|f| f.name.clone()).collect();
                    fields.iter().for_each(|field| entity.forget(field));
                }
            }
            4 if self.entities[at].fields.len() > 1 => {
                let entity = &mut self.entities[at];
                let field = entity.fields[1 + choices.below(entity.fields.len() - 1)].name.clone();
                entity.forget(&field);
            }
            5 => {
                if let Some(changed) = self.enums.last_mut() {
                    if changed.values.len() > 1 && choices.one_in(3) {
                        changed.values.pop();
                    } else {
                        self.named += 1;
                        changed.values.push(format!("VALUE_{}", self.named));
                    }
                }
            }
            6 => self.cut(at, choices, true),
            7 => self.cut(at, choices, false),
            _ => self.change_field(at, choices),
        }
    }

    fn cut(&mut self, at: usize, choices: &mut Choices, unique: bool) {
        let entity = &mut self.entities[at];
        let list = if unique { &mut entity.uniques } else { &mut entity.indexes };
        if !list.is_empty() && choices.one_in(2) {
            list.pop();
            return;
        }
        let names: Vec<String> =
            entity.fields.iter().filter(|f| f.kind != Kind::Scalar("JSON")).map(|f| f.name.clone()).collect();
        let (one, other) = (choices.below(names.len()), choices.below(names.len()));
        let pair = [names[one].clone(), names[other].clone()];
        let is_there = entity
            .uniques
            .iter()
            .chain(&entity.indexes)
            .any(|known| known == &pair || (known[0] == pair[1] && known[1] == pair[0]));
        if one != other && !is_there {
            if unique { entity.uniques.push(pair) } else { entity.indexes.push(pair) }
        }
    }

    fn change_field(&mut self, at: usize, choices: &mut Choices) {
        let which = choices.below(self.entities[at].fields.len());
        let change = choices.below(8);
        let kind = if change == 7 { self.kind(choices) } else { Kind::Scalar("String") };
        let entity = &mut self.entities[at];
        let field = &mut entity.fields[which];
        let is_relation = matches!(field.kind, Kind::Relation(..));
        let can_cut = field.kind != Kind::Scalar("JSON");
        match change {
            0 | 1 if !is_relation => {
                field.default = !field.default;
                field.readonly &= field.default;
            }
            2 | 3 if !is_relation && which > 0 => field.nullable = !field.nullable,
            2 | 3 => field.nullable = true,
            4 if can_cut => {
                field.unique = !field.unique;
                field.index = false;
            }
            5 if can_cut && !field.unique => field.index = !field.index,
            6 => {
                if let Kind::Relation(_, on_delete) = &mut field.kind {
                    *on_delete =
                        *choices.of(if field.nullable { &["SET_NULL", "CASCADE"] } else { &["RESTRICT", "CASCADE"] });
                }
            }
            // Another type, under the same name: not from or to a relation, whose column has another name.
            7 if which > 0 && !is_relation && !matches!(kind, Kind::Relation(..)) && can_cut => {
                let name = field.name.clone();
                if kind == Kind::Scalar("JSON") {
                    (field.unique, field.index) = (false, false);
                    entity.uniques.retain(|pair| !pair.contains(&name));
                    entity.indexes.retain(|pair| !pair.contains(&name));
                }
                entity.fields[which].kind = kind;
            }
            _ => {}
        }
    }

    /// What `schema.graphql` says.
    pub(crate) fn sdl(&self) -> String {
        let mut sdl = String::new();
        for known in &self.enums {
            let _ = writeln!(sdl, "enum {} {{ {} }}", known.name, known.values.join(" "));
        }
        for entity in &self.entities {
            let _ = write!(sdl, "type {} @entity", entity.name);
            for (directive, list) in [("unique", &entity.uniques), ("index", &entity.indexes)] {
                for [one, other] in list {
                    let _ = write!(sdl, " @{directive}(fields: [\"{one}\", \"{other}\"])");
                }
            }
            let key = match entity.key {
                Key::Text => "",
                Key::Uuid => " @default(fn: UUID_V7)",
                Key::Number => " @default(fn: AUTOINCREMENT)",
            };
            let _ = writeln!(sdl, " {{\n  id: ID! @id{key}");
            for field in &entity.fields {
                let _ = writeln!(sdl, "  {}", self.field(field));
            }
            for (list, of, field) in self.lists(&entity.name) {
                let _ = writeln!(sdl, "  {list}: [{of}!]! @derivedFrom(field: \"{field}\")");
            }
            sdl.push_str("}\n");
        }
        sdl
    }

    /// The lists of what points to an entity: their names, of what, by which field.
    fn lists(&self, target: &str) -> Vec<(String, &str, &str)> {
        let all = self.entities.iter().flat_map(|entity| entity.fields.iter().map(move |field| (entity, field)));
        let points = |field: &RandomField| matches!(&field.kind, Kind::Relation(to, _) if to == target);
        let pointing = all.filter(|(_, field)| points(field));
        pointing
            .map(|(entity, field)| (format!("{}Back", field.name), entity.name.as_str(), field.name.as_str()))
            .collect()
    }

    fn field(&self, field: &RandomField) -> String {
        let (of, mut directives) = match &field.kind {
            Kind::Scalar(name) => ((*name).to_owned(), String::new()),
            Kind::Decimal(precision, scale) => {
                ("Decimal".to_owned(), format!(" @column(precision: {precision}, scale: {scale})"))
            }
            Kind::Enum(name) => (name.clone(), String::new()),
            Kind::Relation(target, on_delete) => (target.clone(), format!(" @relation(onDelete: {on_delete})")),
        };
        if field.default {
            let default = match &field.kind {
                Kind::Scalar("String") => "value: \"it's \\\"so\\\"\"",
                Kind::Scalar("Int") => "value: -7",
                Kind::Scalar("BigInt") => "value: 9007199254740993",
                Kind::Scalar("Float") => "value: 0.1",
                Kind::Scalar("Boolean") => "value: true",
                Kind::Scalar("DateTime") | Kind::Scalar("Date") => "fn: NOW",
                Kind::Scalar("UUID") => "fn: UUID_V7",
                Kind::Scalar(_) => "value: {b: [1, null], a: \"x\"}",
                Kind::Decimal(..) => "value: \"0\"",
                Kind::Enum(name) => {
                    let known = self.enums.iter().find(|known| known.name == *name);
                    &format!("value: {}", known.map_or("NONE", |known| &known.values[0]))
                }
                Kind::Relation(..) => unreachable!("relations have no defaults"),
            };
            let _ = write!(directives, " @default({default})");
        }
        for (is, directive) in [
            (field.unique, " @unique"),
            (field.index, " @index"),
            (field.hidden, " @hidden"),
            (field.readonly, " @readonly"),
        ] {
            directives.push_str(if is { directive } else { "" });
        }
        format!("{}: {of}{}{directives}", field.name, if field.nullable { "" } else { "!" })
    }
}

impl RandomEntity {
    fn forget(&mut self, field: &str) {
        self.fields.retain(|known| known.name != field);
        self.uniques.retain(|pair| pair.iter().all(|known| known != field));
        self.indexes.retain(|pair| pair.iter().all(|known| known != field));
    }
}
