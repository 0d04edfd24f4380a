//! Where buffers are in the arena.
//!
//! Steps are gone through in order; a buffer gets the smallest gap that it fits into when it is written first, and leaves
//! one when it has been used last. With ordered sets of gaps that takes `n log n` time for `n` buffers. What is placed first knows
//! nothing of what comes, and may leave gaps that nothing fits into. So where there are few buffers they are also placed by size,
//! the largest first, each as low as it can be; the smaller one of both arenas is taken.

use std::collections::{BTreeMap, BTreeSet};

use crate::memory::Live;
use crate::plan::Plan;

/// A buffer to be placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Its size.
    pub(crate) bytes: usize,
    /// When it is in use.
    pub(crate) live: Live,
}

/// With more buffers than these, placing them by size takes too long: its time grows with the square of their number.
const FEW: usize = 512;

/// The offset of each buffer, a multiple of [`Plan::ALIGNMENT`], and the size of the arena. Buffers that are in use at
/// the same step do not overlap.
pub(crate) fn layout(requests: &[Request]) -> (Vec<usize>, usize) {
    let by_step = by_step(requests);
    if requests.len() > FEW || by_step.1 <= least(requests) {
        return by_step;
    }
    let by_size = by_size(requests);
    if by_size.1 < by_step.1 { by_size } else { by_step }
}

/// The most bytes that are in use at a step.
fn least(requests: &[Request]) -> usize {
    let in_use = |step: usize| {
        let there = requests.iter().filter(|request| (request.live.from..=request.live.to).contains(&step));
        there.map(|request| padded(request.bytes)).sum()
    };
    // Most are in use where one begins.
    requests.iter().map(|request| in_use(request.live.from)).max().unwrap_or(0)
}

fn by_size(requests: &[Request]) -> (Vec<usize>, usize) {
    let mut offsets = vec![0; requests.len()];
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(requests[i].bytes), requests[i].live.from, i));
    let mut size = 0;
    // Those that are placed, by offset.
    let mut placed: Vec<usize> = Vec::with_capacity(order.len());
    for i in order {
        let Request { bytes, live } = requests[i];
        let mut offset = 0;
        for &other in &placed {
            let Request { bytes: taken, live: then } = requests[other];
            if then.from > live.to || live.from > then.to {
                continue;
            }
            if offset + padded(bytes) <= offsets[other] {
                break;
            }
            offset = offset.max(offsets[other] + padded(taken));
        }
        offsets[i] = offset;
        size = size.max(offset + padded(bytes));
        placed.insert(placed.partition_point(|&other| offsets[other] <= offset), i);
    }
    (offsets, size)
}

fn by_step(requests: &[Request]) -> (Vec<usize>, usize) {
    let mut offsets = vec![0; requests.len()];
    let mut order: Vec<usize> = (0..requests.len()).collect();
    // Large ones first within a step: they are the hardest to fit.
    order.sort_by_key(|&i| (requests[i].live.from, std::cmp::Reverse(requests[i].bytes), i));
    let mut ends: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut gaps = Gaps::default();
    for i in order {
        let Request { bytes, live } = requests[i];
        while let Some(&(end, done)) = ends.first().filter(|(end, _)| *end < live.from) {
            ends.remove(&(end, done));
            gaps.give_back(offsets[done], padded(requests[done].bytes));
        }
        offsets[i] = gaps.take(padded(bytes));
        ends.insert((live.to, i));
    }
    (offsets, gaps.size)
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(Plan::ALIGNMENT)
}

/// The parts of the arena that are free.
#[derive(Default)]
struct Gaps {
    /// Sizes by offset. No two gaps touch.
    by_offset: BTreeMap<usize, usize>,
    /// Sizes with offsets.
    by_size: BTreeSet<(usize, usize)>,
    /// The end of the last buffer so far placed.
    size: usize,
}

impl Gaps {
    fn take(&mut self, bytes: usize) -> usize {
        if bytes == 0 {
            return 0;
        }
        if let Some(&(size, offset)) = self.by_size.range((bytes, 0)..).next() {
            self.remove(offset, size);
            if size > bytes {
                self.insert(offset + bytes, size - bytes);
            }
            return offset;
        }
        // Beyond all others, or into a gap that reaches the end and can grow.
        let (offset, tail) = match self.by_offset.last_key_value() {
            Some((&offset, &size)) if offset + size == self.size => (offset, size),
            _ => (self.size, 0),
        };
        if tail > 0 {
            self.remove(offset, tail);
        }
        self.size = offset + bytes;
        offset
    }

    fn give_back(&mut self, mut offset: usize, mut bytes: usize) {
        if bytes == 0 {
            return;
        }
        let before = self.by_offset.range(..offset).next_back().filter(|(before, size)| *before + *size == offset);
        if let Some((&before, &size)) = before {
            self.remove(before, size);
            (offset, bytes) = (before, bytes + size);
        }
        if let Some(&size) = self.by_offset.get(&(offset + bytes)) {
            self.remove(offset + bytes, size);
            bytes += size;
        }
        self.insert(offset, bytes);
    }

    fn insert(&mut self, offset: usize, size: usize) {
        self.by_offset.insert(offset, size);
        self.by_size.insert((size, offset));
    }

    fn remove(&mut self, offset: usize, size: usize) {
        self.by_offset.remove(&offset);
        self.by_size.remove(&(size, offset));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lays out requests of `(bytes, from, to)`, and checks every pair of them.
    fn check(requests: &[(usize, usize, usize)]) -> usize {
        let requests: Vec<Request> =
            requests.iter().map(|&(bytes, from, to)| Request { bytes, live: Live { from, to } }).collect();
        let (offsets, size) = layout(&requests);
        for (i, (a, &start)) in requests.iter().zip(&offsets).enumerate() {
            assert_eq!(start % Plan::ALIGNMENT, 0);
            assert!(start + a.bytes <= size);
            for (b, &other) in requests.iter().zip(&offsets).skip(i + 1) {
                let in_use_together = a.live.from <= b.live.to && b.live.from <= a.live.to;
                let apart = start + a.bytes <= other || other + b.bytes <= start;
                assert!(!in_use_together || apart, "{a:?} at {start} and {b:?} at {other}");
            }
        }
        size
    }

    #[test]
    fn what_is_not_in_use_together_shares_memory() {
        assert_eq!(check(&[(64, 0, 1), (64, 2, 3)]), 64);
        assert_eq!(check(&[(64, 0, 1), (64, 1, 2)]), 128);
        assert_eq!(check(&[]), 0);
    }

    #[test]
    fn sizes_are_padded_and_nothing_takes_no_memory() {
        assert_eq!(check(&[(1, 0, 9), (65, 0, 9), (0, 0, 9)]), 64 + 128);
    }

    #[test]
    fn gaps_merge_and_the_last_one_grows() {
        assert_eq!(check(&[(64, 0, 1), (64, 0, 1), (128, 2, 3)]), 128);
        assert_eq!(check(&[(128, 0, 9), (64, 0, 1), (256, 2, 3)]), 128 + 256);
    }

    #[test]
    fn a_gap_that_nothing_fits_into_is_avoided() {
        // Step by step, the last one would be behind the second, as the place of the first is too small.
        assert_eq!(check(&[(640, 0, 3), (704, 2, 5), (704, 4, 5)]), 2 * 704);
    }

    /// As in a training step: values of the forward pass live until the backward pass, in opposite order.
    #[test]
    fn a_forward_and_a_backward_pass_fit_tightly() {
        let layers = 50;
        let forward = (0..layers).map(|i| (1000, i, 2 * layers - i));
        let backward = (0..layers).map(|i| (1000, layers + i, layers + i + 1));
        let requests: Vec<_> = forward.chain(backward).collect();
        assert!(check(&requests) <= (layers + 3) * 1024);
    }

    #[test]
    fn random_requests_never_overlap() {
        let mut random = gradc_testing::Random::new(11);
        for _ in 0..50 {
            let count = random.below(60);
            let request = |random: &mut gradc_testing::Random| {
                let from = random.below(40);
                (random.below(1000), from, from + random.below(10))
            };
            let requests: Vec<_> = (0..count).map(|_| request(&mut random)).collect();
            check(&requests);
        }
    }
}
