//! How this suite tests properties: with how many cases, from which seed, and what is reported for
//! a failure.
//!
//! With the variable `CI`, the cases are the same every time, so that results can be compared;
//! without it, they differ every time. Two variables change that:
//!
//! - `FRESHQL_TEST_CASES`: the number of cases for every property, instead of its own.
//! - `FRESHQL_TEST_SEED`: the seed of the cases. A property that fails reports its seed.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Duration;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use crate::random_choices::Tape;
use crate::random_model::RandomModel;
use crate::shop::Shop;

/// The seed if `CI` is set.
const SEED: u64 = 20_261_122;

/// How long failing cases are simplified.
const SHRINKING: Duration = Duration::from_secs(90);

/// Tests a property with this many random cases.
#[track_caller]
pub(crate) fn check<S: Strategy>(
    cases: u32,
    strategy: S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let cases = number("FRESHQL_TEST_CASES").map_or(cases, |cases| cases.try_into().unwrap());
    let is_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    let seed = number("FRESHQL_TEST_SEED").unwrap_or_else(|| if is_ci { SEED } else { any_seed() });
    let mut runner = TestRunner::new(Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        // A failing case is printed and becomes a separate test; a file of seeds would not be
        // readable.
        failure_persistence: None,
        max_shrink_iters: 10_000,
        max_shrink_time: SHRINKING.as_millis() as u32,
        ..Config::default()
    });
    let again = format!("FRESHQL_TEST_SEED={seed} FRESHQL_TEST_CASES={cases} shows this again");
    match runner.run(&strategy, |case| quietly(|| property(case))) {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{why}\nfor {case:?}\n{again}"),
        Err(TestError::Abort(why)) => panic!("{why}\n{again}"),
    }
}

/// Tests a property with the bookshop, whose rows it creates itself.
pub(crate) fn check_bookshop<S: Strategy>(
    cases: u32,
    strategy: S,
    property: impl Fn(&mut Shop, &S::Value) -> Result<(), TestCaseError>,
) {
    let shop = RefCell::new(Shop::bookshop());
    check(cases, strategy, |value| property(&mut shop.borrow_mut(), &value));
}

/// Tests a property with as many random models.
pub(crate) fn check_models<S: Strategy>(
    cases: u32,
    strategy: S,
    property: impl Fn(&mut Shop, &S::Value) -> Result<(), TestCaseError>,
) {
    check(cases, (strategy, Tape::strategy(0..400)), |(value, model)| {
        let sdl = RandomModel::new(&mut model.choices()).sdl();
        // A failure cannot be understood without the model.
        quietly(|| property(&mut Shop::of(&sdl), &value)).map_err(|error| match error {
            TestCaseError::Fail(why) => TestCaseError::fail(format!("{why}\n{sdl}")),
            reject => reject,
        })
    });
}

thread_local! {
    /// Why the property that this thread is testing has panicked. None: it is not testing one.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Turns a panic into an error with its location. While a failing case is being simplified, it
/// panics many times, which must not clutter the output.
fn quietly(property: impl FnOnce() -> Result<(), TestCaseError>) -> Result<(), TestCaseError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_quiet = PANIC
                .with_borrow_mut(|why| why.as_mut().map(|why| *why = panic.to_string()).is_some());
            if !is_quiet {
                usual(panic);
            }
        }));
    });
    let outer = PANIC.replace(Some(String::new()));
    let outcome = catch_unwind(AssertUnwindSafe(property));
    let why = PANIC.replace(outer).unwrap_or_default();
    outcome.unwrap_or_else(|_| Err(TestCaseError::fail(why)))
}

/// Short, because somebody may have to type it.
fn any_seed() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}
