//! The source of all randomness in a test: a list of numbers that proptest generates, and
//! simplifies when a test fails.

use proptest::arbitrary::any;
use proptest::collection::{SizeRange, vec};
use proptest::strategy::Strategy;

/// Numbers that determine choices.
#[derive(Clone)]
pub(crate) struct Tape(Vec<u32>);

/// The result of the choices is more readable than the numbers, and a failing test prints it.
impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} choices", self.0.len())
    }
}

impl Tape {
    /// This many numbers.
    pub(crate) fn strategy(length: impl Into<SizeRange>) -> impl Strategy<Value = Self> {
        vec(any::<u32>(), length).prop_map(Self)
    }

    pub(crate) fn choices(&self) -> Choices<'_> {
        Choices::new(&self.0)
    }
}

/// All choices of a test, in order. proptest generates them and, when a test fails, removes some
/// and makes others smaller. So the first alternative of each choice is the simplest, and is what
/// an empty tape chooses.
pub(crate) struct Choices<'a>(std::slice::Iter<'a, u32>);

impl<'a> Choices<'a> {
    pub(crate) fn new(tape: &'a [u32]) -> Self {
        Self(tape.iter())
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.next().map_or(0, |choice| *choice as usize % end)
    }

    /// True in `percent` percent of cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    /// True once in this many times.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub(crate) fn of<'c, T>(&mut self, candidates: &'c [T]) -> &'c T {
        &candidates[self.below(candidates.len())]
    }
}
