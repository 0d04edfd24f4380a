//! Values that are products of given factors, in whatever order they were multiplied.

use egg::Id;
use gradc_ir::op::mul::MUL;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::terms::Terms;

/// A few values, as often as each is a factor.
pub(crate) type Factors = SmallVec<[Id; 6]>;

/// The operands of the products that a class has.
pub(crate) type Products = SmallVec<[[Id; 2]; 4]>;

/// Whether a value is known as the product of these; there are less than 32.
pub(super) fn is_product(terms: &dyn Terms, value: Id, factors: &[Id]) -> bool {
    let products = |class: Id| {
        let operands = |term: &crate::term::Term| <[Id; 2]>::try_from(term.applies(&MUL)?.1).ok();
        terms.terms(class).iter().filter_map(operands).collect()
    };
    Groupings::new(factors, |id| terms.find(id), products).find(value)
}

/// The search for a way in which a value is the product of given factors.
pub(crate) struct Groupings<'f, Find, Of> {
    factors: &'f [Id],
    /// The name of a value's class.
    find_class: Find,
    /// The products in a class.
    products: Of,
    /// What was found out, so that each class is looked at once for each choice of factors; these have a bit each.
    known: FxHashMap<(Id, u32), Option<Grouping>>,
}

/// A product, and which of the factors are in its first operand.
#[derive(Clone, Copy)]
struct Grouping {
    operands: [Id; 2],
    first: u32,
}

impl<Find: Fn(Id) -> Id, Of: Fn(Id) -> Products> Groupings<'_, Find, Of> {
    /// A search among classes that have these names and products.
    pub(crate) fn new(factors: &[Id], find_class: Find, products: Of) -> Groupings<'_, Find, Of> {
        Groupings { factors, find_class, products, known: FxHashMap::default() }
    }

    /// Whether a value is the product of all.
    pub(crate) fn find(&mut self, value: Id) -> bool {
        self.is_product(value, self.all())
    }

    /// The products that a value consists of where it is that of all, each after those that are its operands. An operand is
    /// the number of a factor or, counted on from these, of a product.
    pub(crate) fn written_out(&mut self, value: Id) -> Option<Vec<[usize; 2]>> {
        let mut products = Vec::new();
        let all = self.all();
        self.is_product(value, all).then_some(())?;
        self.write(value, all, &mut products)?;
        Some(products)
    }

    fn write(&self, value: Id, some: u32, products: &mut Vec<[usize; 2]>) -> Option<usize> {
        if some.is_power_of_two() {
            return Some(some.trailing_zeros() as usize);
        }
        let Grouping { operands, first } = (*self.known.get(&((self.find_class)(value), some))?)?;
        let operands = [self.write(operands[0], first, products)?, self.write(operands[1], some & !first, products)?];
        products.push(operands);
        Some(self.factors.len() + products.len() - 1)
    }

    fn all(&self) -> u32 {
        (1u32 << self.factors.len()) - 1
    }

    /// Whether a value is the product of some of the factors: those that `some` has a bit for, one at least.
    fn is_product(&mut self, value: Id, some: u32) -> bool {
        let value = (self.find_class)(value);
        if some.is_power_of_two() {
            return value == (self.find_class)(self.factors[some.trailing_zeros() as usize]);
        }
        if let Some(known) = self.known.get(&(value, some)) {
            return known.is_some();
        }
        let mut found = None;
        for operands in (self.products)(value) {
            // Which of the factors are in the first operand: some, and not all.
            let mut first = (some - 1) & some;
            while first != 0 && found.is_none() {
                if self.is_product(operands[0], first) && self.is_product(operands[1], some & !first) {
                    found = Some(Grouping { operands, first });
                }
                first = (first - 1) & some;
            }
        }
        self.known.insert((value, some), found);
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Classes 0, 1 and 2 are factors; 3 is `0 * 1` and also `3 * 4`, 5 is `2 * 6` and `3 * 2`, 6 is `5 * 0`.
    fn products(class: Id) -> Products {
        let operands: &[[usize; 2]] = match usize::from(class) {
            3 => &[[3, 4], [0, 1]],
            5 => &[[2, 6], [3, 2]],
            6 => &[[5, 0]],
            _ => &[],
        };
        operands.iter().map(|operands| operands.map(Id::from)).collect()
    }

    fn written_out(value: usize, factors: &[usize]) -> Option<Vec<[usize; 2]>> {
        let factors: Vec<Id> = factors.iter().copied().map(Id::from).collect();
        let mut groupings = Groupings::new(&factors, |id| id, products);
        let written = groupings.written_out(Id::from(value));
        assert_eq!(groupings.find(Id::from(value)), written.is_some());
        written
    }

    #[test]
    fn products_are_written_out_with_these_factors_and_no_others() {
        assert_eq!(written_out(0, &[0]), Some(vec![]));
        assert_eq!(written_out(0, &[1]), None);
        assert_eq!(written_out(3, &[1, 0]), Some(vec![[1, 0]]));
        assert_eq!(written_out(5, &[2, 1, 0]), Some(vec![[2, 1], [3, 0]]));
        assert_eq!(written_out(5, &[2, 3]), Some(vec![[1, 0]]));
        assert_eq!(written_out(5, &[0, 1]), None);
        assert_eq!(written_out(5, &[0, 1, 2, 2]), None);
        // Through a class that is a product of itself.
        assert_eq!(written_out(6, &[0, 0, 1, 2]).map(|products| products.len()), Some(3));
    }
}
