//! Memory for many long-lived byte strings.

use std::alloc::System;

use allocator_api2::vec::Vec;
use bytes::Bytes;

/// Copies these parts into one allocation.
///
/// It uses the system allocator. The fast allocators (mimalloc, jemalloc) have four size classes
/// between powers of two, which wastes a tenth of a long answer on average. The system's has steps
/// of sixteen bytes; it is slower, which does not matter once per execution.
pub(super) fn in_one_piece(parts: &[&[u8]]) -> Bytes {
    let length = parts.iter().map(|part| part.len()).sum();
    // `copy_from_slice` copies a slice as a whole; this vector's own `extend_from_slice` copies
    // byte by byte.
    let mut piece = Vec::with_capacity_in(length, System);
    piece.resize(length, 0);
    let mut rest = piece.as_mut_slice();
    for part in parts {
        let (start, end) = rest.split_at_mut(part.len());
        start.copy_from_slice(part);
        rest = end;
    }
    Bytes::from_owner(piece)
}
