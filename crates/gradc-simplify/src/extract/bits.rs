//! Sets of small numbers.

/// A set of numbers below a fixed bound.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bits(Box<[u64]>);

impl Bits {
    /// The empty set of numbers below `bound`.
    pub(super) fn new(bound: usize) -> Bits {
        Bits(vec![0; bound.div_ceil(64)].into())
    }

    /// Adds a number.
    pub(super) fn insert(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    /// Whether a number is in it.
    pub(super) fn contains(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 == 1
    }

    /// Adds all numbers of another set.
    pub(super) fn include(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own |= other);
    }

    /// The numbers in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        // Each word without its lowest bit, until none is left.
        let rest = |bits: u64| std::iter::successors(Some(bits), |bits| Some(bits & bits.wrapping_sub(1)));
        let lowest = move |bits: u64| rest(bits).take_while(|&bits| bits != 0).map(u64::trailing_zeros);
        self.0.iter().enumerate().flat_map(move |(word, &bits)| lowest(bits).map(move |bit| word * 64 + bit as usize))
    }
}
