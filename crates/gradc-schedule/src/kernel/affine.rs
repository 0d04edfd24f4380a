//! Arithmetic on affine functions of loop indices.

use smallvec::smallvec;

use super::{Affine, LoopVar};

impl Affine {
    /// A function that does not depend on any index.
    pub fn constant(offset: i64) -> Affine {
        Affine { offset, ..Affine::default() }
    }

    /// One index.
    pub fn var(var: LoopVar) -> Affine {
        Affine { offset: 0, terms: smallvec![(var, 1)] }
    }

    /// The stride of an index; 0 where the function does not depend on it.
    pub fn stride(&self, var: LoopVar) -> i64 {
        self.terms.iter().find(|term| term.0 == var).map_or(0, |term| term.1)
    }

    /// `self + other · factor`
    #[must_use]
    pub fn plus(mut self, other: &Affine, factor: i64) -> Affine {
        self.offset += other.offset * factor;
        for &(var, stride) in &other.terms {
            self.add_term(var, stride * factor);
        }
        self
    }

    /// `self · factor + offset`
    #[must_use]
    pub fn scaled(&self, factor: i64, offset: i64) -> Affine {
        Affine::constant(offset).plus(self, factor)
    }

    /// The same function with each index replaced by another function.
    #[must_use]
    pub fn substituted(&self, mut with: impl FnMut(LoopVar) -> Affine) -> Affine {
        self.terms.iter().fold(Affine::constant(self.offset), |sum, &(var, stride)| sum.plus(&with(var), stride))
    }

    /// The least and the greatest value over all indices below the extents that `extent` gives, none of which is 0. What
    /// lies beyond 64 bits counts as the last number that does not: no address is that large.
    pub fn range(&self, extent: impl Fn(LoopVar) -> usize) -> (i64, i64) {
        self.terms.iter().fold((self.offset, self.offset), |(least, greatest), &(var, stride)| {
            let span = stride.saturating_mul(i64::try_from(extent(var)).unwrap_or(i64::MAX) - 1);
            (least.saturating_add(span.min(0)), greatest.saturating_add(span.max(0)))
        })
    }

    fn add_term(&mut self, var: LoopVar, stride: i64) {
        match self.terms.binary_search_by_key(&var, |term| term.0) {
            Ok(at) => {
                self.terms[at].1 += stride;
                if self.terms[at].1 == 0 {
                    self.terms.remove(at);
                }
            }
            Err(_) if stride == 0 => {}
            Err(at) => self.terms.insert(at, (var, stride)),
        }
    }
}
