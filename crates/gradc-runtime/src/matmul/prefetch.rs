//! Asks for memory before it is needed, so that it has come from afar while something else is computed.
//!
//! Nothing is read or written by that, and no address is wrong: where there is no memory, nothing happens. So does on
//! architectures for which there is no such instruction here.

use super::pack::Piece;

/// Bytes of a line of every cache.
const LINE: usize = 64;

/// A matrix of fewer bytes is in a cache near by, if it has been used before.
pub(super) const FAR: usize = 1 << 20;

/// A tile of so many depths takes so long to compute that its place can come from afar meanwhile.
pub(super) const DEEP: usize = 64;

/// Asks for the rows of a tile that is to be written, and perhaps read before.
#[inline(never)]
pub(super) fn rows_to_write<T>(first: *const T, rows: usize, stride: usize, elements: usize) {
    let lines = (elements * size_of::<T>()).div_ceil(LINE);
    for row in 0..rows {
        let row = first.wrapping_add(row * stride);
        (0..lines).for_each(|line| to_write(row.wrapping_byte_add(line * LINE)));
    }
}

/// Asks for a line that is to be written.
#[inline(always)]
fn to_write<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        // SAFETY: a hint; it is the same byte as one that does nothing, where a machine does not have it.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Asks for a line that is to be read, as far as the second-level cache.
#[inline(always)]
fn to_read<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a hint, which every x86-64 has.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// A piece that will be needed later, whose lines are asked for a few at a time.
pub(super) struct Ahead<T> {
    /// The next line.
    at: *const T,
    /// Lines of the current run of adjacent elements that have not been asked for.
    left: usize,
    /// Where the next run begins.
    run: *const T,
    /// Runs after the current one.
    runs: usize,
    /// Elements from run to run.
    stride: usize,
    /// Lines of a run.
    lines: usize,
}

impl<T> Ahead<T> {
    /// Nothing.
    pub(super) fn nothing() -> Ahead<T> {
        Ahead { at: std::ptr::null(), left: 0, run: std::ptr::null(), runs: 0, stride: 0, lines: 0 }
    }

    /// A piece whose elements are adjacent in one direction, and apart in the other. Nothing of any other piece: where all of it is
    /// adjacent, the machine itself sees what comes next.
    pub(super) fn new(piece: &Piece<T>) -> Ahead<T> {
        let (runs, stride, run) = match (piece.stride_across, piece.stride_depth) {
            (1, stride) => (piece.depth, stride, piece.across),
            (stride, 1) => (piece.across, stride, piece.depth),
            _ => return Ahead::nothing(),
        };
        let lines = (run * size_of::<T>()).div_ceil(LINE);
        if stride * size_of::<T>() <= lines * LINE {
            return Ahead::nothing();
        }
        Ahead { at: piece.from, left: 0, run: piece.from, runs, stride, lines }
    }

    /// How many lines there are.
    pub(super) fn lines(&self) -> usize {
        self.runs * self.lines + self.left
    }

    /// Asks for a few lines. Tiles of products that ask for nothing are not to pay for it.
    #[inline(never)]
    pub(super) fn ask(&mut self, count: usize) {
        for _ in 0..count {
            if self.left == 0 {
                if self.runs == 0 {
                    return;
                }
                (self.at, self.left) = (self.run, self.lines);
                self.run = self.run.wrapping_add(self.stride);
                self.runs -= 1;
            }
            to_read(self.at);
            self.at = self.at.wrapping_byte_add(LINE);
            self.left -= 1;
        }
    }
}
