//! PostgreSQL's snapshots: which transactions a reader sees
//! (<https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT>).

/// The transactions that had ended when it was taken: those below `xmin`, and those below `xmax`
/// that are not in `running`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct Snapshot {
    /// All below this had ended.
    pub(in crate::store) xmin: u64,
    /// None from this one on had begun.
    pub(in crate::store) xmax: u64,
    /// Those between that were still running; sorted.
    pub(in crate::store) running: Vec<u64>,
}

impl Snapshot {
    /// Parses the binary format of a `pg_snapshot`; None if it is invalid.
    pub(in crate::store) fn read(bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk()?;
        let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
        let mut numbers =
            rest.chunks_exact(8).map(|bytes| bytes.try_into().map(u64::from_be_bytes));
        let mut next = || numbers.next()?.ok();
        let (xmin, xmax) = (next()?, next()?);
        let running = (0..count).map(|_| next()).collect::<Option<_>>()?;
        Some(Self { xmin, xmax, running })
    }

    /// Whether this reader sees everything that the other one saw.
    pub(in crate::store) fn covers(&self, other: &Self) -> bool {
        other.xmax <= self.xmax
            && self
                .running
                .iter()
                .take_while(|xid| **xid < other.xmax)
                .all(|xid| other.running.binary_search(xid).is_ok())
    }

    /// The numbers of the running transactions, in the text format of an array.
    pub(super) fn running_array(&self) -> String {
        let numbers: Vec<String> = self.running.iter().map(u64::to_string).collect();
        format!("{{{}}}", numbers.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(xmin: u64, xmax: u64, running: &[u64]) -> Snapshot {
        Snapshot { xmin, xmax, running: running.to_vec() }
    }

    #[test]
    fn a_snapshot_covers_another_if_it_sees_everything_that_one_saw() {
        let now = snapshot(10, 20, &[10, 15]);
        assert!(now.covers(&now));
        assert!(now.covers(&snapshot(10, 20, &[10, 12, 15])), "12 has ended since");
        assert!(now.covers(&snapshot(5, 12, &[5, 10])));
        assert!(now.covers(&snapshot(9, 10, &[9])), "10 had not begun then");
        assert!(!now.covers(&snapshot(10, 20, &[10])), "it saw 15");
        assert!(!now.covers(&snapshot(15, 21, &[15])), "it saw what came later");
    }

    #[test]
    fn the_binary_form_is_read() {
        let mut bytes = 2_i32.to_be_bytes().to_vec();
        for number in [10_u64, 20, 10, 15] {
            bytes.extend(number.to_be_bytes());
        }
        assert_eq!(Snapshot::read(&bytes), Some(snapshot(10, 20, &[10, 15])));
        assert_eq!(Snapshot::read(&bytes[..bytes.len() - 1]), None);
        assert_eq!(snapshot(1, 9, &[1, 4]).running_array(), "{1,4}");
    }
}
