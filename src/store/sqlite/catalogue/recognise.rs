//! Determines the scalar for which a column was created: what its type leaves open, its CHECK says.
//! A CHECK in the form of freshql's own counts as freshql's.

use super::definition::{ColumnText, Kind};
use crate::model::scalar::MAX_DIGITS;
use crate::model::{EnumId, Scalar};
use crate::store::schema::layout::{SqlName, TableColumn};
use crate::store::sqlite::expression::check_of;
use crate::store::sqlite::words::words;

/// A CHECK in freshql's form: its scalar and, for an enum, the listed values.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Recognised {
    /// An enum's index is meaningless.
    pub(in crate::store) scalar: Scalar,
    pub(in crate::store) values: Vec<String>,
}

/// The scalar that this CHECK implies for the column.
pub(in crate::store) fn recognise(column: &str, check: &str) -> Option<Recognised> {
    let name = SqlName::new(column);
    let said = words(check);
    let plain = [
        Scalar::Boolean,
        Scalar::Int,
        Scalar::Float,
        Scalar::DateTime,
        Scalar::Date,
        Scalar::Uuid,
        Scalar::Json,
    ];
    let decimals = (1..=MAX_DIGITS).flat_map(|precision| {
        (0..=precision).map(move |scale| Scalar::Decimal { precision, scale })
    });
    for scalar in plain.into_iter().chain(decimals) {
        for nullable in [false, true] {
            let form = check_of(&name, scalar, nullable, &[]);
            if form.is_some_and(|form| words(&format!("CHECK ({form})")) == said) {
                return Some(Recognised { scalar, values: Vec::new() });
            }
        }
    }
    let list = said.strip_prefix(&words(&format!("CHECK ({name} IN (")))?.strip_suffix("))")?;
    Some(Recognised { scalar: Scalar::Enum(EnumId(0)), values: strings(list)? })
}

/// Parses `'a','it''s'`.
fn strings(list: &str) -> Option<Vec<String>> {
    let mut values = Vec::new();
    let mut rest = list;
    loop {
        rest = rest.strip_prefix('\'')?;
        let mut value = String::new();
        loop {
            let (before, after) = rest.split_once('\'')?;
            value.push_str(before);
            rest = after;
            match rest.strip_prefix('\'') {
                Some(after) => {
                    value.push('\'');
                    rest = after;
                }
                None => break,
            }
        }
        values.push(value);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return rest.is_empty().then_some(values),
        }
    }
}

/// The scalar of a column without a CHECK of ours, by its declared type. Keys and foreign keys
/// contain ids.
pub(in crate::store) fn by_type(affinity: &str, is_identifier: bool) -> Scalar {
    match affinity {
        "INTEGER" if is_identifier => Scalar::IdInt,
        "INTEGER" => Scalar::BigInt,
        "REAL" | "NUMERIC" => Scalar::Float,
        _ if is_identifier => Scalar::IdText,
        _ => Scalar::String,
    }
}

/// The column's CHECKs in our form, and the others.
pub(in crate::store) fn checks(column: &ColumnText) -> (Vec<Recognised>, Vec<&str>) {
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for clause in column.of(Kind::Check) {
        match recognise(&column.name, &clause.text) {
            Some(recognised) => ours.push(recognised),
            None => theirs.push(clause.text.as_str()),
        }
    }
    (ours, theirs)
}

/// Whether this is the CHECK that this column should have.
pub(in crate::store) fn is_for(recognised: &Recognised, column: &TableColumn) -> bool {
    let wanted = check_of(&column.name, column.scalar, column.nullable, &column.enum_values);
    let has = check_of(&column.name, recognised.scalar, column.nullable, &recognised.values);
    wanted == has
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_of_ours_is_recognised() {
        let name = SqlName::new("unit price");
        let id = Scalar::Decimal { precision: 12, scale: 2 };
        for scalar in [Scalar::Boolean, Scalar::Int, Scalar::Float, Scalar::Date, Scalar::Uuid, id]
        {
            let check = format!("CHECK ({})", check_of(&name, scalar, true, &[]).unwrap());
            assert_eq!(
                recognise("unit price", &check),
                Some(Recognised { scalar, values: vec![] }),
                "{check}"
            );
        }
        let values = vec!["A".to_owned(), "it's".to_owned()];
        let check =
            format!("CHECK ({})", check_of(&name, Scalar::Enum(EnumId(3)), true, &values).unwrap());
        assert_eq!(
            recognise("unit price", &check),
            Some(Recognised { scalar: Scalar::Enum(EnumId(0)), values })
        );
        assert_eq!(recognise("other", &check), None);
        for theirs in
            ["CHECK (a BETWEEN 1 AND 5)", "CHECK (a IN ('x', y))", "CHECK (a IN ('x') OR b)"]
        {
            assert_eq!(recognise("a", theirs), None, "{theirs}");
        }
    }

    #[test]
    fn decimals_with_other_digits_are_told_apart() {
        let name = SqlName::new("a");
        let mut seen = std::collections::HashSet::new();
        for precision in 1..=MAX_DIGITS {
            for scale in 0..=precision {
                let scalar = Scalar::Decimal { precision, scale };
                let check = check_of(&name, scalar, true, &[]).unwrap();
                assert!(seen.insert(check.clone()), "{check}");
                let recognised = recognise("a", &format!("CHECK ({check})")).unwrap();
                assert_eq!(recognised.scalar, scalar, "{check}");
            }
        }
    }
}
