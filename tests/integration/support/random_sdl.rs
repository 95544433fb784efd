//! Random models as `schema.graphql`.

use std::fmt::Write as _;

use crate::random_model::{Back, Default, Key, Kind, RandomEntity, RandomField, RandomModel};

impl RandomModel {
    /// The text of `schema.graphql`.
    pub(crate) fn sdl(&self) -> String {
        let mut sdl = String::new();
        for known in &self.enums {
            let _ = writeln!(sdl, "enum {} {{ {} }}", known.name, known.values.join(" "));
        }
        for entity in &self.entities {
            let _ = write!(sdl, "type {} @entity{}", entity.name, entity.arguments());
            for (directive, list) in [("unique", &entity.uniques), ("index", &entity.indexes)] {
                for names in list {
                    let _ = write!(sdl, " @{directive}(fields: {names:?})");
                }
            }
            let key = match entity.key {
                Key::Text => "",
                Key::Uuid => " @default(fn: UUID_V7)",
                Key::Number => " @default(fn: AUTOINCREMENT)",
            };
            let column = entity
                .key_column
                .as_ref()
                .map(|name| format!(" @column(name: {name:?})"))
                .unwrap_or_default();
            let _ = writeln!(sdl, " {{\n  {}: ID! @id{key}{column}", entity.key_name);
            for field in &entity.fields {
                let is_unique =
                    field.unique || entity.uniques.iter().any(|names| names.contains(&field.name));
                let _ = writeln!(sdl, "  {}", self.field(field, is_unique));
            }
            for (of, field) in self.pointing(&entity.name) {
                let hidden = if field.back == Back::Hidden { " @hidden" } else { "" };
                let name = &field.name;
                let _ =
                    writeln!(sdl, "  {name}Back: [{of}!]! @derivedFrom(field: \"{name}\"){hidden}");
            }
            sdl.push_str("}\n");
        }
        sdl
    }

    /// The relations to an entity that have a list there: the entity that has the field, and the
    /// field.
    fn pointing<'a>(&'a self, target: &'a str) -> impl Iterator<Item = (&'a str, &'a RandomField)> {
        let all = self
            .entities
            .iter()
            .flat_map(|entity| entity.fields.iter().map(|field| (entity.name.as_str(), field)));
        let points =
            move |field: &RandomField| matches!(&field.kind, Kind::Relation(to, _) if to == target);
        all.filter(move |(_, field)| field.back != Back::None && points(field))
    }

    fn field(&self, field: &RandomField, is_unique: bool) -> String {
        let column = field.column.as_ref().map(|name| format!("name: {name:?}"));
        let on_column = column.as_ref().map(|name| format!(" @column({name})")).unwrap_or_default();
        let (of, mut directives) = match &field.kind {
            Kind::Scalar(name) => ((*name).to_owned(), on_column),
            Kind::Decimal(precision, scale) => {
                let name = column.map(|name| format!("{name}, ")).unwrap_or_default();
                (
                    "Decimal".to_owned(),
                    format!(" @column({name}precision: {precision}, scale: {scale})"),
                )
            }
            Kind::Enum(name) => (name.clone(), on_column),
            Kind::Relation(target, on_delete) => {
                let column = field
                    .column
                    .as_ref()
                    .map(|name| format!("column: {name:?}, "))
                    .unwrap_or_default();
                (target.clone(), format!(" @relation({column}onDelete: {on_delete})"))
            }
        };
        if field.default != Default::None {
            let _ = write!(directives, " @default({})", self.default(field, is_unique));
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

    fn default(&self, field: &RandomField, is_unique: bool) -> String {
        let is_function = field.default == Default::Function;
        let other = field.default == Default::Value(true);
        let of =
            |[one, another]: [&str; 2]| format!("value: {}", if other { another } else { one });
        match &field.kind {
            Kind::Scalar("String") => of([r#""it's \"so\"""#, r#""""#]),
            Kind::Scalar("Int") => of(["-7", "2147483647"]),
            Kind::Scalar("BigInt") => of(["9007199254740993", "\"-9223372036854775808\""]),
            Kind::Scalar("Float") => of(["0.1", "1e300"]),
            Kind::Scalar("Boolean") => of(["true", "false"]),
            // Whether two rows are created at the same time is not determined.
            Kind::Scalar("DateTime" | "Date") if is_function && !is_unique => "fn: NOW".to_owned(),
            Kind::Scalar("DateTime") => {
                of(["\"2026-11-22T09:30:00Z\"", "\"2026-11-22T09:30:00.001+01:00\""])
            }
            Kind::Scalar("Date") => of(["\"2024-02-29\"", "\"0001-01-01\""]),
            Kind::Scalar("UUID") if is_function => "fn: UUID_V7".to_owned(),
            Kind::Scalar("UUID") => of([
                "\"0190B4F4-0000-7000-8000-00000000000A\"",
                "\"ffffffff-ffff-7fff-bfff-ffffffffffff\"",
            ]),
            Kind::Scalar(_) => of(["{b: [1, null], a: \"x\"}", "\"it's\""]),
            Kind::Decimal(precision, scale) => {
                let digits = "9".repeat(usize::from(*precision));
                let (whole, rest) = digits.split_at(usize::from(precision - scale));
                let most =
                    format!("\"-{}{whole}.{rest}\"", if whole.is_empty() { "0" } else { "" });
                of(["\"0\"", most.replace(".\"", "\"").as_str()])
            }
            Kind::Enum(name) => {
                let known =
                    self.enums.iter().find(|known| known.name == *name).expect("enums stay");
                let (first, last) = (&known.values[0], &known.values[known.values.len() - 1]);
                of([first, last])
            }
            Kind::Relation(..) => unreachable!("relations have no defaults"),
        }
    }
}

impl RandomEntity {
    /// In parentheses, if there are any.
    fn arguments(&self) -> String {
        let mut arguments = Vec::new();
        arguments.extend(self.table.as_ref().map(|name| format!("table: {name:?}")));
        arguments.extend(self.plural.as_ref().map(|name| format!("plural: {name:?}")));
        arguments.extend(self.max_page_size.map(|size| format!("maxPageSize: {size}")));
        if self.require_etag {
            arguments.push("requireEtag: true".to_owned());
        }
        let order: Vec<String> = self
            .order_by
            .iter()
            .map(|(name, way)| format!("{{{}: {way}}}", self.argument(name)))
            .collect();
        if !order.is_empty() {
            arguments.push(format!("orderBy: [{}]", order.join(", ")));
        }
        if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) }
    }

    /// The name of a field in filters and orderings.
    fn argument(&self, name: &str) -> String {
        let field = self.fields.iter().find(|field| field.name == name);
        let is_relation = field.is_some_and(|field| matches!(field.kind, Kind::Relation(..)));
        if is_relation { format!("{name}Id") } else { name.to_owned() }
    }
}
