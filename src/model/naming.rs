//! Derives names from names: `ProductReview` to `product_review`, `productReview`,
//! `product_reviews`. It handles spelling only; which names are allowed is checked with the model.

/// `ProductReview` → `product_review`, `HTTPServer` → `http_server`, `line1Address` →
/// `line1_address`.
pub(crate) fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (i, &c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            let after_word = !chars[i - 1].is_ascii_uppercase() && chars[i - 1] != '_';
            let ends_acronym = chars[i - 1].is_ascii_uppercase()
                && chars.get(i + 1).is_some_and(|next| next.is_ascii_lowercase());
            if after_word || ends_acronym {
                snake.push('_');
            }
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// `ProductReview` → `productReview`, `URLPattern` → `urlPattern`, `URL` → `url`.
pub(crate) fn lower_camel(name: &str) -> String {
    let capitals = name.chars().take_while(char::is_ascii_uppercase).count();
    // The last capital of a longer run starts the next word, unless the run is the whole word.
    let next_is_lower = name.chars().nth(capitals).is_some_and(|c| c.is_ascii_lowercase());
    let lowered = if capitals > 1 && next_is_lower { capitals - 1 } else { capitals };
    name.chars()
        .enumerate()
        .map(|(i, c)| if i < lowered { c.to_ascii_lowercase() } else { c })
        .collect()
}

/// `merchantId` → `MerchantId`.
pub(crate) fn upper_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

/// The English plural of the last word of a name, in snake or camel case: `productCategory` →
/// `productCategories`, `sales_person` → `sales_people`. Words without a distinct plural are
/// returned unchanged.
pub(crate) fn pluralize(name: &str) -> String {
    let start = last_word(name);
    let (head, word) = name.split_at(start);
    let lower = word.to_ascii_lowercase();
    if UNCOUNTABLE.contains(&lower.as_str()) {
        return name.to_owned();
    }
    if let Some((_, plural)) = IRREGULAR.iter().find(|(singular, _)| *singular == lower) {
        let plural = if word.starts_with(|c: char| c.is_ascii_uppercase()) {
            upper_first(plural)
        } else {
            (*plural).to_owned()
        };
        return format!("{head}{plural}");
    }
    let before_last = lower.chars().rev().nth(1);
    if lower.ends_with('y') && !matches!(before_last, None | Some('a' | 'e' | 'i' | 'o' | 'u')) {
        return format!("{}ies", &name[..name.len() - 1]);
    }
    if ["s", "x", "z", "ch", "sh"].iter().any(|ending| lower.ends_with(ending)) {
        return format!("{name}es");
    }
    format!("{name}s")
}

/// The singular of the last word of a name, in snake or camel case: `product_categories` →
/// `product_category`. A word that is not a plural is returned unchanged; if English allows several
/// singulars (`leaves`), the first one that fits.
pub(crate) fn singularize(name: &str) -> String {
    let (head, word) = name.split_at(last_word(name));
    let lower = word.to_ascii_lowercase();
    let keeps = UNCOUNTABLE.contains(&lower.as_str())
        || ["ss", "us", "is"].iter().any(|end| lower.ends_with(end));
    if let Some((singular, _)) = IRREGULAR.iter().find(|(_, plural)| *plural == lower) {
        let capital = word.starts_with(|c: char| c.is_ascii_uppercase());
        return format!(
            "{head}{}",
            if capital { upper_first(singular) } else { (*singular).to_owned() }
        );
    }
    let cut = |count: usize| name[..name.len() - count].to_owned();
    if keeps || !lower.ends_with('s') || lower.len() < 3 {
        return name.to_owned();
    }
    if lower.ends_with("ies") && lower.len() > 4 {
        return format!("{}y", cut(3));
    }
    // `statuses`, but `houses` and `causes`.
    let of_us = lower.ends_with("uses") && !lower.ends_with("ouses") && !lower.ends_with("auses");
    if of_us || ["sses", "shes", "ches", "xes", "zzes"].iter().any(|end| lower.ends_with(end)) {
        return cut(2);
    }
    cut(1)
}

/// The start of the last word of a name, in snake or camel case.
fn last_word(name: &str) -> usize {
    let bytes = name.as_bytes();
    let starts_word = |i: usize| {
        bytes[i - 1] == b'_'
            || (bytes[i].is_ascii_uppercase()
                && (!bytes[i - 1].is_ascii_uppercase()
                    || bytes.get(i + 1).is_some_and(u8::is_ascii_lowercase)))
    };
    (1..bytes.len()).rev().find(|&i| name.is_char_boundary(i) && starts_word(i)).unwrap_or(0)
}

const UNCOUNTABLE: [&str; 16] = [
    "aircraft",
    "data",
    "deer",
    "equipment",
    "feedback",
    "fish",
    "information",
    "media",
    "metadata",
    "money",
    "news",
    "rice",
    "series",
    "sheep",
    "software",
    "species",
];

const IRREGULAR: [(&str, &str); 36] = [
    ("analysis", "analyses"),
    ("axis", "axes"),
    ("basis", "bases"),
    ("calf", "calves"),
    ("child", "children"),
    ("crisis", "crises"),
    ("criterion", "criteria"),
    ("datum", "data"),
    ("diagnosis", "diagnoses"),
    ("echo", "echoes"),
    ("foot", "feet"),
    ("goose", "geese"),
    ("half", "halves"),
    ("hero", "heroes"),
    ("hypothesis", "hypotheses"),
    ("knife", "knives"),
    ("leaf", "leaves"),
    ("life", "lives"),
    ("loaf", "loaves"),
    ("man", "men"),
    ("medium", "media"),
    ("mouse", "mice"),
    ("ox", "oxen"),
    ("person", "people"),
    ("phenomenon", "phenomena"),
    ("potato", "potatoes"),
    ("quiz", "quizzes"),
    ("salesman", "salesmen"),
    ("shelf", "shelves"),
    ("thesis", "theses"),
    ("thief", "thieves"),
    ("tomato", "tomatoes"),
    ("tooth", "teeth"),
    ("wife", "wives"),
    ("wolf", "wolves"),
    ("woman", "women"),
];

/// The name with its indefinite article, as pronounced: `a Merchant`, `an Issue`, `a User`,
/// `an Hour`, `an SKU`.
pub(crate) fn with_article(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let vowel = |c: Option<char>| c.is_some_and(|c| "aeiou".contains(c));
    let is_spelled_out = name.chars().skip(1).take(1).all(|second| second.is_ascii_uppercase());
    let mut letters = lower.chars();
    let (first, second, third) = (letters.next(), letters.next(), letters.next());
    let an = match first {
        // Spelled out letter by letter: an SKU, an MRI, a UPC.
        Some(c) if is_spelled_out => "aefhilmnorsx".contains(c),
        // Pronounced with a consonant at the front.
        Some('u') if !vowel(second) && vowel(third) => false,
        Some('e') if second == Some('u') => false,
        Some('o') if lower == "one" || lower == "once" || name.starts_with("One") => false,
        // Pronounced with a vowel at the front.
        Some('h') => ["hour", "honor", "honour", "honest", "heir"]
            .iter()
            .any(|silent| lower.starts_with(silent)),
        first => vowel(first),
    };
    format!("{} {name}", if an { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_follow_pronunciation() {
        for said in [
            "a Merchant",
            "an Issue",
            "an Author",
            "a User",
            "a Unit",
            "a UsageReport",
            "an Update",
            "an UmbrellaStand",
            "an Hour",
            "a House",
            "an Heir",
            "an SKU",
            "an MRIScan",
            "a UPC",
            "a URL",
            "an Event",
            "a EuropeanCity",
            "an Order",
            "a OneTimeToken",
            "an ID",
            "an Int",
            "a BigInt",
            "a Float",
            "a UUID",
            "an X",
            "a B",
        ] {
            let (_, name) = said.split_once(' ').unwrap();
            assert_eq!(with_article(name), said);
        }
    }

    #[test]
    fn snake_case_splits_words_and_acronyms() {
        for (name, snake) in [
            ("Product", "product"),
            ("ProductReview", "product_review"),
            ("HTTPServer", "http_server"),
            ("URL", "url"),
            ("productURL", "product_url"),
            ("line1Address", "line1_address"),
            ("already_snake", "already_snake"),
            ("Mixed_Case", "mixed_case"),
            ("a", "a"),
            ("", ""),
        ] {
            assert_eq!(snake_case(name), snake);
        }
    }

    #[test]
    fn lower_camel_lowers_the_first_word() {
        for (name, camel) in [
            ("Product", "product"),
            ("ProductReview", "productReview"),
            ("URLPattern", "urlPattern"),
            ("URL", "url"),
            ("X", "x"),
            ("already", "already"),
            ("V2Thing", "v2Thing"),
            ("", ""),
        ] {
            assert_eq!(lower_camel(name), camel);
        }
    }

    #[test]
    fn pluralize_changes_the_last_word() {
        for (singular, plural) in [
            ("product", "products"),
            ("productCategory", "productCategories"),
            ("product_category", "product_categories"),
            ("day", "days"),
            ("address", "addresses"),
            ("box", "boxes"),
            ("branch", "branches"),
            ("dish", "dishes"),
            ("status", "statuses"),
            ("person", "people"),
            ("salesPerson", "salesPeople"),
            ("sales_person", "sales_people"),
            ("child", "children"),
            ("sheep", "sheep"),
            ("tvSeries", "tvSeries"),
            ("y", "ys"),
            ("productURL", "productURLs"),
        ] {
            assert_eq!(pluralize(singular), plural);
        }
    }

    #[test]
    fn singularize_undoes_pluralize() {
        for (plural, singular) in [
            ("products", "product"),
            ("product_categories", "product_category"),
            ("InvoiceLines", "InvoiceLine"),
            ("days", "day"),
            ("addresses", "address"),
            ("boxes", "box"),
            ("branches", "branch"),
            ("statuses", "status"),
            ("houses", "house"),
            ("people", "person"),
            ("SalesPeople", "SalesPerson"),
            ("playlists", "playlist"),
            ("media_types", "media_type"),
            ("series", "series"),
            ("Album", "Album"),
            ("bus", "bus"),
            ("pies", "pie"),
        ] {
            assert_eq!(singularize(plural), singular);
        }
    }
}
