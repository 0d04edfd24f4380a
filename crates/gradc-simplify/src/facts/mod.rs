//! What is known about a value, for all its elements at once. Unknown means no.

mod range;
mod transfer;

pub use range::Range;

use gradc_ir::{Op, TensorType};

/// Facts about a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Its type. Two values of one class have one type.
    pub ty: TensorType,
    /// Where its elements lie.
    pub range: Range,
    /// The one number that all elements are, to the bit.
    pub constant: Option<f64>,
    /// The axis along which elements sum to one.
    pub sums_to_one: Option<usize>,
    /// The axes along which elements sum to zero, in the bits of a mask; none are known where it is 0.
    pub sums_to_zero_along: u32,
    /// The axes along which the greatest element is zero, in the bits of a mask; none are known where it is 0.
    pub shifted_along: u32,
    /// Whether, of the elements along the axis in which they add up to one, one is 1 and the others are 0.
    pub one_hot: bool,
    /// Whether exchanging the last two axes changes nothing.
    pub symmetric: bool,
    /// Whether elements are made of exponentials in a way in which they may vanish where their logarithms are ordinary.
    pub vanishing: bool,
    /// Whether indices come from whoever feeds the graph and are in range for what they index.
    pub trusted_index: bool,
    pub(crate) narrowings: Narrowings,
}

/// How often a range became narrower. That is nothing about the value: any two are equal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Narrowings(u8);

impl Narrowings {
    /// So many may end anywhere, those after them only where a [landmark](Range::at_landmarks) is. Where a value equals one that is
    /// computed from it, as `h = h * h`, each range gives a narrower one, and there is no last: widening, as in P. and R. Cousot,
    /// *Abstract interpretation* (1977).
    const ANYWHERE: u8 = 16;
}

impl PartialEq for Narrowings {
    fn eq(&self, _: &Narrowings) -> bool {
        true
    }
}

/// Facts as a key of a map: numbers by their bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    ty: TensorType,
    range: [u64; 2],
    nan: bool,
    constant: Option<u64>,
    sums_to_one: Option<usize>,
    sums_to_zero_along: u32,
    shifted_along: u32,
    flags: [bool; 4],
}

impl Facts {
    /// A value of which only the type is known.
    pub fn of_type(ty: TensorType) -> Facts {
        let range = match ty.dtype {
            dtype if dtype.is_float() => Range::ANY,
            dtype => Range::between(dtype.least(), dtype.greatest()),
        };
        Facts {
            ty,
            range,
            constant: None,
            sums_to_one: None,
            sums_to_zero_along: 0,
            shifted_along: 0,
            one_hot: false,
            symmetric: false,
            vanishing: false,
            trusted_index: false,
            narrowings: Narrowings::default(),
        }
    }

    /// What follows for an application from what is known about its operands; `None` where the types do not fit.
    pub fn of_application(op: &Op, operands: &[&Facts]) -> Option<Facts> {
        let types: smallvec::SmallVec<[&TensorType; 4]> = operands.iter().map(|facts| &facts.ty).collect();
        let ty = op.infer(&types).ok()?;
        Some(transfer::facts(op, operands, ty))
    }

    /// The key of these facts: that of others is the same where they are the same to the bit.
    pub(crate) fn key(&self) -> Key {
        let Facts { ty, range, constant, sums_to_one, sums_to_zero_along, shifted_along, .. } = self;
        let &Facts { one_hot, symmetric, vanishing, trusted_index, .. } = self;
        let &Range { low, high, nan } = range;
        Key {
            ty: ty.clone(),
            range: [low.to_bits(), high.to_bits()],
            nan,
            constant: constant.map(f64::to_bits),
            sums_to_one: *sums_to_one,
            sums_to_zero_along: *sums_to_zero_along,
            shifted_along: *shifted_along,
            flags: [one_hot, symmetric, vanishing, trusted_index],
        }
    }

    /// The numbers of elements.
    pub fn elements(&self) -> usize {
        self.ty.shape.elements()
    }

    /// Whether the greatest element along `axes` is zero.
    pub fn is_shifted_along(&self, axes: &[usize]) -> bool {
        !axes.is_empty() && self.shifted_along == mask(axes)
    }

    /// Whether all of `other` follows from this.
    pub fn imply(&self, other: &Facts) -> bool {
        let (own, wanted) = (self.range, other.range);
        self.ty == other.ty
            && own.low >= wanted.low
            && own.high <= wanted.high
            && (wanted.nan || !own.nan)
            && other.constant.is_none_or(|number| self.constant.map(f64::to_bits) == Some(number.to_bits()))
            && (other.sums_to_one.is_none() || self.sums_to_one == other.sums_to_one)
            && (other.sums_to_zero_along == 0 || self.sums_to_zero_along == other.sums_to_zero_along)
            && (other.shifted_along == 0 || self.shifted_along == other.shifted_along)
            && (self.one_hot || !other.one_hot)
            && (self.symmetric || !other.symmetric)
            && (self.vanishing || !other.vanishing)
            && (self.trusted_index || !other.trusted_index)
    }

    /// Takes over what is known about an equal value. Says whether something was learnt.
    pub fn learn(&mut self, other: &Facts) -> bool {
        assert_eq!(self.ty, other.ty, "gradc has a bug: two values of different types were taken to be equal");
        let is_last = self.narrowings.0 >= Narrowings::ANYWHERE;
        let narrower = if is_last { other.range.at_landmarks() } else { other.range };
        let range = self.range.intersection(narrower);
        let mut learnt = range != self.range;
        self.narrowings.0 = self.narrowings.0.saturating_add(learnt.into());
        self.range = range;
        learnt |= self.constant.is_none() && other.constant.is_some();
        self.constant = self.constant.or(other.constant);
        learnt |= self.sums_to_one.is_none() && other.sums_to_one.is_some();
        self.sums_to_one = self.sums_to_one.or(other.sums_to_one);
        for (own, other) in
            [(&mut self.sums_to_zero_along, other.sums_to_zero_along), (&mut self.shifted_along, other.shifted_along)]
        {
            learnt |= *own == 0 && other != 0;
            *own = if *own == 0 { other } else { *own };
        }
        for (own, other) in [
            (&mut self.one_hot, other.one_hot),
            (&mut self.symmetric, other.symmetric),
            (&mut self.vanishing, other.vanishing),
            (&mut self.trusted_index, other.trusted_index),
        ] {
            learnt |= !*own && other;
            *own |= other;
        }
        learnt
    }
}

/// Axes as the bits of a mask; [`gradc_ir::Shape::MAX_RANK`] bits are enough.
pub(crate) fn mask(axes: &[usize]) -> u32 {
    axes.iter().fold(0, |mask, &axis| mask | 1 << axis)
}

#[cfg(test)]
mod tests {
    use gradc_interp::evaluate_all;
    use gradc_ir::op::mul::MUL;
    use gradc_ir::{DType, TensorType};
    use gradc_testing::{random_bindings, random_graph};

    use super::{Facts, Range};
    use crate::Options;
    use crate::canonical::import;
    use crate::rules::compiled::RuleSet;
    use crate::terms::Terms;

    /// What is derived about each value of a graph holds for what it turns out to be.
    #[test]
    fn derived_facts_hold() {
        let options = Options { trust_indices: false, ..Options::default() };
        let none = RuleSet::new(|_| false);
        for (seed, dtype) in (0..80).map(|seed| (seed, if seed % 2 == 0 { DType::F64 } else { DType::F32 })) {
            let graph = random_graph(seed, 30, dtype);
            let (arena, places) = import(&graph, &none, &options, |_| false, Default::default());
            let values = evaluate_all(&graph, &random_bindings(&graph, seed)).expect("all leaves are bound");
            for value in graph.values() {
                let Some(id) = places[value.index()] else { continue };
                let (facts, found) = (arena.facts(id), values.get(value));
                assert!(facts.hold_for(found), "{seed}: {:?} against {found:?}", facts);
            }
        }
    }

    /// A value that equals a multiple of itself is a zero, which no number of steps reaches by halving it.
    #[test]
    fn narrowing_by_what_a_value_is_computed_from_ends() {
        let of = |range: Range| Facts { range, ..Facts::of_type(TensorType::new(DType::F64, [3])) };
        for (range, factor) in [(Range::between(-1.0, 1.0), 0.9999), (Range::between(0.25, 1e300), 0.5)] {
            let (mut facts, factor) = (of(range), of(Range::point(factor)));
            let mut next = || {
                let product = Facts::of_application(&MUL.op(), &[&facts, &factor]).expect("the types are the same");
                let learnt = facts.learn(&product);
                assert!(range.low <= facts.range.low && facts.range.high <= range.high);
                learnt
            };
            let steps = (0..100).take_while(|_| next()).count();
            assert!((16..32).contains(&steps), "{range:?}: {steps}");
            assert!(facts.range.high < range.high, "{range:?}");
        }
    }
}
