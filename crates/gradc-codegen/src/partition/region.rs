//! Pieces of memory that are touched, and when two of them have no byte in common.

use smallvec::SmallVec;

/// A run of bytes, and the same run again wherever a few nested steps lead from it: some rows of a matrix, some of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    /// The first byte.
    start: i64,
    /// How many bytes follow one another, one at least.
    run: i64,
    /// How often a step is taken, twice at least, and how many bytes it leads on: in ascending order, each further than what is
    /// before it reaches.
    steps: SmallVec<[(i64, i64); 2]>,
}

impl Region {
    /// So many bytes from `start`, for each combination of the indices of nested loops of these extents and strides in bytes. It
    /// may be larger than what is touched. No extent is 0, and nor is `run`.
    pub(super) fn new(start: i64, run: i64, loops: impl IntoIterator<Item = (usize, i64)>) -> Region {
        let mut region = Region { start, run, steps: SmallVec::new() };
        for (extent, stride) in loops {
            let extent = i64::try_from(extent).unwrap_or(i64::MAX);
            if extent > 1 && stride != 0 {
                // From the other end, where it leads back.
                region.start = region.start.saturating_add(stride.min(0).saturating_mul(extent - 1));
                region.steps.push((extent, stride.saturating_abs()));
            }
        }
        region.steps.sort_unstable_by_key(|&(_, stride)| stride);
        // What leads to the next byte, or to one that is there already, makes the run longer.
        let run = &mut region.run;
        region.steps.retain(|&mut (extent, stride)| {
            let apart = stride > *run;
            if !apart {
                *run = run.saturating_add(stride.saturating_mul(extent - 1));
            }
            apart
        });
        region
    }

    /// The same in memory that begins so many bytes further on.
    pub(super) fn moved(&self, bytes: i64) -> Region {
        Region { start: self.start.saturating_add(bytes), ..self.clone() }
    }

    /// One more than the last byte.
    fn end(&self) -> i64 {
        let reach = |end: i64, &(extent, stride): &(i64, i64)| end.saturating_add(stride.saturating_mul(extent - 1));
        self.steps.iter().fold(self.start.saturating_add(self.run), reach)
    }

    /// Whether there is no byte that both have. Where this is false, there may be none all the same.
    ///
    /// Either one ends before the other begins; or there is a distance *M* so that, modulo *M*, they lie on different arcs of a
    /// circle: columns of a matrix whose rows are *M* apart.
    pub(super) fn is_apart_from(&self, other: &Region) -> bool {
        if self.end() <= other.start || other.end() <= self.start {
            return true;
        }
        let moduli = self.steps.iter().chain(&other.steps).map(|&(_, stride)| stride);
        moduli.into_iter().any(|modulus| {
            let (Some(own), Some(others)) = (self.width(modulus), other.width(modulus)) else { return false };
            let distance = (i128::from(other.start) - i128::from(self.start)).rem_euclid(modulus.into());
            distance >= own.into() && i128::from(modulus) - distance >= others.into()
        })
    }

    /// The length of the arc that everything is on, modulo something; `None` where it is all of the circle.
    fn width(&self, modulus: i64) -> Option<i64> {
        let turns = self.steps.iter().filter(|(_, stride)| stride % modulus != 0);
        let width =
            turns.fold(self.run, |width, &(extent, stride)| width.saturating_add(stride.saturating_mul(extent - 1)));
        (width < modulus).then_some(width)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gradc_testing::Random;

    use super::*;

    fn bytes(start: i64, run: i64, loops: &[(usize, i64)]) -> BTreeSet<i64> {
        let mut bytes: BTreeSet<i64> = (start..start + run).collect();
        for &(extent, stride) in loops {
            bytes = bytes.iter().flat_map(|byte| (0..extent as i64).map(move |at| byte + at * stride)).collect();
        }
        bytes
    }

    #[test]
    fn rows_and_columns_are_apart_from_their_neighbours() {
        // A matrix of 6 rows of 10 numbers.
        let rows = |from: i64, count: usize| Region::new(from * 40, 4, [(count, 40), (10, 4)]);
        let columns = |from: i64, count: usize| Region::new(from * 4, 4, [(6, 40), (count, 4)]);
        assert_eq!(rows(1, 5), Region::new(40, 200, []));
        assert!(rows(0, 2).is_apart_from(&rows(2, 4)));
        assert!(!rows(0, 3).is_apart_from(&rows(2, 4)));
        assert!(columns(0, 3).is_apart_from(&columns(3, 7)));
        assert!(!columns(0, 4).is_apart_from(&columns(3, 7)));
        assert!(!columns(0, 4).is_apart_from(&rows(0, 2)));
        // The columns of heads, in two nested steps.
        let head = |at: i64| Region::new(at * 8, 8, [(4, 64), (3, 512)]);
        assert!(head(0).is_apart_from(&head(1)) && !head(2).is_apart_from(&head(2)));
        // Backwards.
        assert_eq!(Region::new(36, 4, [(10, -4)]), Region::new(0, 40, []));
    }

    /// It never claims of two regions that they are apart where they are not, nor loses a byte.
    #[test]
    fn what_is_said_to_be_apart_is() {
        let mut random = Random::new(11);
        let mut apart = 0;
        for _ in 0..20_000 {
            let mut any = || {
                let count = random.below(4);
                let loops: Vec<(usize, i64)> =
                    (0..count).map(|_| (1 + random.below(4), random.below(30) as i64 - 9)).collect();
                (random.below(60) as i64, 1 + random.below(6) as i64, loops)
            };
            let ((a_start, a_run, a_loops), (b_start, b_run, b_loops)) = (any(), any());
            let (a, b) = (Region::new(a_start, a_run, a_loops.clone()), Region::new(b_start, b_run, b_loops.clone()));
            let (of_a, of_b) = (bytes(a_start, a_run, &a_loops), bytes(b_start, b_run, &b_loops));
            let steps: Vec<(usize, i64)> = a.steps.iter().map(|&(extent, stride)| (extent as usize, stride)).collect();
            assert_eq!(bytes(a.start, a.run, &steps), of_a);
            if a.is_apart_from(&b) {
                apart += 1;
                assert!(of_a.is_disjoint(&of_b), "{a:?} and {b:?}");
            }
        }
        assert!(apart > 2_000, "{apart}");
    }
}
