//! Chooses names for types, fields, relations and lists that do not collide. It repeats, in terms
//! of the model's rules, which names the generated API uses.

use std::collections::HashSet;

use crate::model::naming::{lower_camel, pluralize, singularize, upper_first};
use crate::model::parse::sql_names::{MAX_SQL_NAME, has_odd_characters};
use crate::model::scalar::BUILT_IN;

/// Types that every API has, besides scalars and filters.
const TYPES: [&str; 6] =
    ["Query", "Mutation", "Subscription", "PageInfo", "OrderDirection", "StringMode"];
/// Suffixes of types derived from an entity's name.
const SUFFIXES: [&str; 7] =
    ["Connection", "Edge", "Where", "ListWhere", "OrderBy", "Input", "Patch"];
/// Names that no field may have, because the API generates something with that name next to it.
const FIELDS: [&str; 6] = ["etag", "and", "or", "not", "patch", "expectedEtag"];

/// Why a model cannot contain this name of a table or of a column.
pub(super) fn unspeakable(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    if name.is_empty() {
        Some("its name is empty")
    } else if has_odd_characters(name) {
        Some("its name has quotes or control characters")
    } else if name.len() > MAX_SQL_NAME {
        Some("its name is too long")
    } else if lower.starts_with("_freshql") {
        Some("its name begins as freshql's own do")
    } else {
        None
    }
}

/// Names of types and of root fields that are already used.
#[derive(Debug)]
pub(super) struct Taken {
    types: HashSet<String>,
    roots: HashSet<String>,
}

/// An entity's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntityName {
    /// `InvoiceLine`
    pub(super) name: String,
    /// The plural, if the usual one is already used.
    pub(super) plural: Option<String>,
}

impl Taken {
    pub(super) fn new() -> Self {
        let scalars = BUILT_IN.iter().flat_map(|(name, _)| {
            [(*name).to_owned(), format!("{name}Filter"), format!("Nullable{name}Filter")]
        });
        Self {
            types: TYPES.iter().map(|name| (*name).to_owned()).chain(scalars).collect(),
            roots: HashSet::new(),
        }
    }

    /// Reserves the name of a type that exists already.
    pub(super) fn reserve(&mut self, name: &str) {
        self.types.extend([name.to_owned(), format!("{name}Filter")]);
    }

    /// Chooses names for the entity of a table.
    pub(super) fn entity(&mut self, table: &str) -> EntityName {
        let base = pascal(&singularize(&words(table).join("_")));
        let name = first_free(&base, "Row", |name| {
            let is_free = |name: &str| !self.types.contains(name);
            is_free(name)
                && SUFFIXES.iter().all(|suffix| is_free(&format!("{name}{suffix}")))
                && !self.roots.contains(&lower_camel(name))
        });
        self.types.insert(name.clone());
        self.types.extend(SUFFIXES.iter().map(|suffix| format!("{name}{suffix}")));
        let singular = lower_camel(&name);
        let usual = pluralize(&singular);
        // The model gives words without a distinct plural this suffix, too.
        let usual = if usual == singular { format!("{singular}List") } else { usual };
        self.roots.insert(singular);
        let plural = first_free(&usual, "List", |plural| !self.roots.contains(plural));
        self.roots.insert(plural.clone());
        EntityName { name, plural: (plural != usual).then_some(plural) }
    }
}

impl Taken {
    /// Reserves the name of the lookup by these fields; false if it is already used.
    pub(super) fn lookup(&mut self, entity: &str, fields: &[String]) -> bool {
        let fields: Vec<String> = fields.iter().map(|field| upper_first(field)).collect();
        let name = format!("{}By{}", lower_camel(entity), fields.join("And"));
        self.roots.insert(name)
    }
}

/// The names of one entity's fields.
#[derive(Debug, Default)]
pub(super) struct Fields(HashSet<String>);

impl Fields {
    /// A name for a column's field.
    pub(super) fn column(&mut self, column: &str) -> String {
        let name = first_free(&camel(column), "Value", |name| self.is_free(name));
        self.0.insert(name.clone());
        name
    }

    /// A name for the key's field: `id`, even for `AlbumId` in `Album`, because clients' caches
    /// look for it.
    pub(super) fn key(&mut self, column: &str, entity: &str, others: &[&str]) -> String {
        let name = camel(column);
        let is_id = name == "id" || name == format!("{}Id", lower_camel(entity));
        if is_id && others.iter().all(|other| camel(other) != "id") {
            self.0.insert("id".to_owned());
            return "id".to_owned();
        }
        self.column(column)
    }

    /// A name for a relation, whose key will be called `<name>Id`: the column's name without the
    /// name of the other key at its end.
    pub(super) fn relation(&mut self, column: &str, target: &str, key: &str) -> String {
        let whole = camel(column);
        let key = pascal(key);
        let stem = ["Id", "ID", "Fk", &key]
            .iter()
            .find_map(|suffix| whole.strip_suffix(suffix))
            .unwrap_or(&whole);
        let base = if stem.is_empty() { lower_camel(target) } else { stem.to_owned() };
        let name = first_free(&base, "Ref", |name| {
            self.is_free(name) && self.is_free(&format!("{name}Id"))
        });
        self.0.insert(format!("{name}Id"));
        self.0.insert(name.clone());
        name
    }

    /// A name for the list of entities that refer to this one by a relation; `is_only` if it is
    /// their only relation to it.
    pub(super) fn list(&mut self, plural: &str, relation: &str, is_only: bool) -> String {
        let long = format!("{plural}By{}", upper_first(relation));
        let base = if is_only && self.is_free(plural) { plural.to_owned() } else { long };
        let name = first_free(&base, "List", |name| self.is_free(name));
        self.0.insert(name.clone());
        name
    }

    fn is_free(&self, name: &str) -> bool {
        !self.0.contains(name) && !FIELDS.contains(&name)
    }
}

/// The base; if it is used, the base with this suffix, or with a number.
fn first_free(base: &str, ending: &str, is_free: impl Fn(&str) -> bool) -> String {
    if is_free(base) {
        return base.to_owned();
    }
    let longer = format!("{base}{ending}");
    (1..)
        .map(|n| if n == 1 { longer.clone() } else { format!("{longer}{n}") })
        .find(|name| is_free(name))
        .unwrap_or(longer)
}

/// `first_name`, `FirstName`, `First Name`, `FIRST_NAME` → `firstName`.
fn camel(name: &str) -> String {
    lower_camel(&pascal(name))
}

/// `invoice_line` → `InvoiceLine`. A name that would begin with an invalid character gets the
/// prefix `N`.
pub(in crate::store) fn pascal(name: &str) -> String {
    let joined: String = words(name).iter().map(|word| upper_first(word)).collect();
    if joined.starts_with(|c: char| c.is_ascii_alphabetic()) {
        joined
    } else {
        format!("N{joined}")
    }
}

/// The words of a name, separated by everything but letters and digits. In a name of capitals only,
/// capitals do not separate words.
fn words(name: &str) -> Vec<String> {
    let shouts = !name.contains(|c: char| c.is_ascii_lowercase());
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| if shouts { word.to_ascii_lowercase() } else { word.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_singular_and_in_pascal_case() {
        for (table, name) in [
            ("artists", "Artist"),
            ("Album", "Album"),
            ("invoice_lines", "InvoiceLine"),
            ("MediaType", "MediaType"),
            ("ORDER DETAILS", "OrderDetail"),
            ("2nd-hand", "N2ndHand"),
            ("sales_people", "SalesPerson"),
        ] {
            assert_eq!(Taken::new().entity(table).name, name);
        }
    }

    #[test]
    fn names_reserved_by_the_api_are_avoided() {
        let mut taken = Taken::new();
        assert_eq!(taken.entity("dates").name, "DateRow");
        assert_eq!(taken.entity("query").name, "QueryRow");
        assert_eq!(taken.entity("item").name, "Item");
        assert_eq!(taken.entity("items").name, "ItemRow");
        assert_eq!(taken.entity("item_input").name, "ItemInputRow");
        let sheep = taken.entity("sheep");
        assert_eq!((sheep.name.as_str(), sheep.plural), ("Sheep", None));
    }

    #[test]
    fn field_names_do_not_collide() {
        let mut fields = Fields::default();
        assert_eq!(fields.key("AlbumId", "Album", &["Title"]), "id");
        assert_eq!(fields.column("First Name"), "firstName");
        assert_eq!(fields.column("first_name"), "firstNameValue");
        assert_eq!(fields.column("etag"), "etagValue");
        assert_eq!(fields.column("artist"), "artist");
        assert_eq!(fields.relation("artist_id", "Artist", "id"), "artistRef");
        assert_eq!(fields.relation("ReportsTo", "Employee", "id"), "reportsTo");
        assert_eq!(fields.relation("home_country_code", "Country", "code"), "homeCountry");
        assert_eq!(fields.relation("code", "Country", "code"), "code");
        assert_eq!(fields.list("albums", "artist", true), "albums");
        assert_eq!(fields.list("albums", "producer", true), "albumsByProducer");
        let mut fields = Fields::default();
        assert_eq!(fields.key("AlbumId", "Album", &["ID"]), "albumId");
    }
}
