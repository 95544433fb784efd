//! Memory for bytes that are kept for long, of which there are many.

use std::alloc::System;

use allocator_api2::vec::Vec;
use bytes::Bytes;

/// These parts in one piece of memory.
///
/// It comes from the system's allocator: the fast ones (mimalloc, jemalloc) have four sizes between
/// powers of two, which wastes a tenth of a long answer on average. The system's goes in steps of
/// sixteen bytes, and is slower, which does not matter once per execution.
pub(super) fn in_one_piece(parts: &[&[u8]]) -> Bytes {
    let length = parts.iter().map(|part| part.len()).sum();
    // Slices are copied as a whole; this vector's own `extend_from_slice` goes byte by byte.
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
