//! What the model's rules require of a change, as conditions in the statements of its flight.
//!
//! Only a statement that begins after the row was locked sees the row as it will be changed, and
//! the other rows that a rule looks at as they are at that time. So the row is locked first, then
//! one statement compares what was there before, and another one what the change has left. If
//! several rules allow the change, each may require something else of the result: which of them
//! held before is kept in a setting of the transaction.

use crate::model::{Model, Value};
use crate::store::postgres::dialect::Postgres;
use crate::store::render;
use crate::store::select::{Slot, SlotValue, Visible};
use crate::store::statement::Parameter;
use crate::store::steps::{Allowed, Rules};

/// The setting: for each rule, `1` if it allowed the change of the row as it was, otherwise `0`.
const HELD: &str = "freshql.held";

/// What rules require, without values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(in crate::store) struct Required {
    /// All of these must be found.
    all: Vec<Found>,
    /// One of these; None is always found. If there are none, nothing is required.
    either: Vec<Option<Found>>,
}

/// A row that must be found among those that are visible, and how many slots that takes in
/// addition to its key's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Found {
    from: Visible,
    slots: Slot,
}

impl Found {
    fn new(from: &Visible, values: &[SlotValue]) -> Self {
        Self { from: from.clone(), slots: Slot::try_from(values.len()).unwrap_or(Slot::MAX) }
    }

    fn allowed(allowed: Option<&Allowed>) -> Option<Self> {
        allowed.map(|Allowed { from, values }| Self::new(from, values))
    }
}

/// What must hold before a change, and the values of its slots. `key`: the row's.
pub(in crate::store::postgres) fn before(rules: &Rules, key: &Value) -> (Required, Vec<SlotValue>) {
    let all = rules.before.iter().map(|condition| Found::new(&condition.from, &condition.values));
    let either = rules.either.iter().map(|(before, _)| Found::allowed(before.as_ref()));
    let required = Required { all: all.collect(), either: either.collect() };
    let of_all = rules.before.iter().map(|condition| (&condition.key, &condition.values));
    let of_either = rules.either.iter().filter_map(|(before, _)| before.as_ref());
    let of_either = of_either.map(|allowed| (key, &allowed.values));
    (required, slots(of_all.chain(of_either)))
}

/// What must hold after it; None: nothing.
pub(in crate::store::postgres) fn after(
    rules: &Rules,
    key: &Value,
) -> Option<(Required, Vec<SlotValue>)> {
    if rules.either.iter().all(|(_, after)| after.is_none()) {
        return None;
    }
    let either = rules.either.iter().map(|(_, after)| Found::allowed(after.as_ref())).collect();
    let of_either = rules.either.iter().filter_map(|(_, after)| after.as_ref());
    let values = slots(of_either.map(|allowed| (key, &allowed.values)));
    Some((Required { all: Vec::new(), either }, values))
}

fn slots<'v>(rows: impl Iterator<Item = (&'v Value, &'v Vec<SlotValue>)>) -> Vec<SlotValue> {
    rows.flat_map(|(key, values)| {
        std::iter::once(SlotValue::One(key.clone())).chain(values.iter().cloned())
    })
    .collect()
}

/// Rendered conditions.
pub(super) struct Conditions {
    all: Vec<String>,
    either: Vec<String>,
    pub(super) parameters: Box<[Parameter]>,
}

impl Required {
    pub(in crate::store::postgres) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.either.is_empty()
    }

    /// The conditions; the numbers of their parameters begin after `behind`.
    pub(super) fn conditions(&self, model: &Model, behind: usize) -> Conditions {
        let all = self.all.iter().map(Some).chain(self.either.iter().map(Option::as_ref));
        let found: Vec<(&Visible, Slot)> =
            all.clone().flatten().map(|found| (&found.from, found.slots)).collect();
        let (texts, parameters) = render::finding(model, &Postgres, &found, behind);
        let mut texts = texts.into_iter();
        let mut condition = |found: Option<&Found>| match found.and_then(|_| texts.next()) {
            Some(text) => format!("EXISTS ({text})"),
            None => "true".to_owned(),
        };
        let mut all: Vec<String> = all.map(&mut condition).collect();
        let either = all.split_off(self.all.len());
        Conditions { all, either, parameters }
    }
}

impl Conditions {
    /// The condition that everything is found.
    pub(super) fn holds(&self) -> String {
        let either = self.either.join(" OR ");
        let either = (!self.either.is_empty()).then(|| format!("({either})"));
        let all: Vec<String> = self.all.iter().cloned().chain(either).collect();
        if all.is_empty() { "true".to_owned() } else { all.join(" AND ") }
    }

    /// A statement that returns a verdict on the condition; it keeps which rules held, if there are
    /// several.
    pub(super) fn before(&self, verdict: impl Fn(&str) -> String) -> String {
        if self.either.len() < 2 {
            return format!("SELECT {}", verdict(&self.holds()));
        }
        let number = 0..self.either.len();
        let held: Vec<String> = number.map(|at| format!("\"w\".\"r{at}\"")).collect();
        let rules = self.either.iter().enumerate().map(|(at, rule)| format!("{rule} AS \"r{at}\""));
        let rules: Vec<String> = rules.collect();
        let digits: Vec<String> = held.iter().map(|held| format!("{held}::int")).collect();
        let either = format!("({})", held.join(" OR "));
        let all: Vec<String> = self.all.iter().cloned().chain([either]).collect();
        // OFFSET 0: each is looked for once.
        format!(
            "SELECT {}, set_config('{HELD}', concat({}), true) FROM (SELECT {} OFFSET 0) AS \"w\"",
            verdict(&all.join(" AND ")),
            digits.join(", "),
            rules.join(", ")
        )
    }

    /// A statement that returns a verdict on what the change has left.
    pub(super) fn after(&self, verdict: impl Fn(&str) -> String) -> String {
        if self.either.len() < 2 {
            return format!("SELECT {}", verdict(&self.holds()));
        }
        let rules = self.either.iter().enumerate().map(|(at, rule)| {
            format!("(substr(current_setting('{HELD}'), {}, 1) = '1' AND {rule})", at + 1)
        });
        let rules: Vec<String> = rules.collect();
        format!("SELECT {}", verdict(&format!("({})", rules.join(" OR "))))
    }
}
