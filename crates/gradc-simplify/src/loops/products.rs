//! Many small products that are one large one.

use gradc_ir::op::matmul::MATMUL;
use gradc_ir::op::{add, reduce_sum, reshape};
use gradc_ir::{Attr, Attrs, Graph, Op, OpDef, ValueId};

use super::{Bound, Loop, Outside};

/// A product of two matrices in the body.
struct Product {
    a: ValueId,
    transpose_a: bool,
    b: ValueId,
    transpose_b: bool,
}

impl Loop {
    /// A product of a slice with a constant in every step becomes one product of the whole sequence before the loop, whose
    /// rows are the sequence in its place.
    pub(super) fn project_sequences(&mut self, graph: &mut Graph) {
        let mut replacements = Vec::new();
        for value in self.body.values() {
            let Some(product) = self.product(value).filter(|product| !product.transpose_a) else { continue };
            let slice = self.without_reshape(product.a);
            let (Some(sequence), Some(weights)) = (self.sequence(slice), self.constant(product.b)) else { continue };
            let (rows, inner) = (self.body.shape(product.a)[0], self.body.shape(product.a)[1]);
            let columns = self.body.shape(value)[1];
            let flat = graph.reshape(sequence, &[self.length * rows, inner]);
            let all = graph.matmul_with(flat, false, weights, product.transpose_b);
            let outside = graph.reshape(all, &[self.length, rows, columns]);
            let name = self.body.value_name(value).cloned().unwrap_or_else(|| "xw".into());
            let leaf = self.new_leaf(&name, value);
            self.sequences.push(Bound { leaf, outside });
            replacements.push((value, leaf));
        }
        self.substitute(&replacements);
    }

    /// A stack of products with a constant becomes one product of a stack, after the loop.
    pub(super) fn project_stacks(&mut self) {
        let uses = self.uses();
        let values: Vec<ValueId> = self.stacks.iter().map(|stack| stack.value).collect();
        for value in values {
            let source = self.without_reshape(value);
            let Some(product) = self.product(source).filter(|product| !product.transpose_a) else { continue };
            let Some(weights) = self.constant(product.b) else { continue };
            // Where something in the loop reads it too, it is computed there.
            if uses[value.index()] > 1 || uses[source.index()] > 1 {
                continue;
            }
            let (rows, inner) = (self.body.shape(product.a)[0], self.body.shape(product.a)[1]);
            let extents = std::iter::once(self.length).chain(self.body.shape(value).iter().copied());
            let extents: Vec<usize> = extents.collect();
            let factor = self.without_reshape(product.a);
            let flat = reshaped(self.stack_of(factor), &[self.length * rows, inner]);
            let all = applied(&MATMUL, flags(false, product.transpose_b), vec![flat, Outside::Value(weights)]);
            self.replace_stack(value, &reshaped(all, &extents));
        }
    }

    /// A sum over all steps that a carry gathers becomes one product, or one sum, of stacks after the loop.
    pub(super) fn sum_at_once(&mut self) {
        let leaves: Vec<ValueId> = self.carries.iter().map(|carry| carry.leaf).collect();
        for leaf in leaves {
            let uses = self.uses();
            let Some(position) = self.carries.iter().position(|carry| carry.leaf == leaf) else { continue };
            let (first, next) = (self.carries[position].first, self.carries[position].next);
            if uses[leaf.index()] != 1 || uses[next.index()] != 1 {
                continue;
            }
            let mut terms = Vec::new();
            self.terms(next, &uses, &mut terms);
            let Some(own) = terms.iter().position(|&term| term == leaf) else { continue };
            terms.remove(own);
            // All of them or none: what stays in the loop is added to the sum in every step anyway.
            let sums: Option<Vec<Outside>> = terms.iter().map(|&term| self.sum_of(term)).collect();
            let Some(sums) = sums else { continue };
            let total = sums
                .into_iter()
                .fold(Outside::Value(first), |total, sum| applied(&add::ADD, Attrs::NONE, vec![total, sum]));
            self.replace_last(leaf, &total);
            self.carries.remove(position);
        }
    }

    /// What is added up to a value.
    fn terms(&self, value: ValueId, uses: &[usize], terms: &mut Vec<ValueId>) {
        let mut stack = vec![value];
        while let Some(value) = stack.pop() {
            match self.body.op(value) {
                Some(op) if op.is(&add::ADD) && uses[value.index()] == 1 => {
                    stack.extend(self.body.operands(value).iter().rev());
                }
                _ => terms.push(value),
            }
        }
    }

    /// The sum of a value over all steps, from stacks of what it is made of.
    fn sum_of(&mut self, value: ValueId) -> Option<Outside> {
        let op = self.body.op(value)?.clone();
        if op.is(&reduce_sum::REDUCE_SUM) {
            let operand = self.body.operands(value)[0];
            let axes: Vec<usize> =
                std::iter::once(0).chain(op.attrs.ints("axes").iter().map(|axis| axis + 1)).collect();
            let stack = self.varying_stack(operand)?;
            return Some(applied(&reduce_sum::REDUCE_SUM, Attrs::new([("axes", Attr::from(&*axes))]), vec![stack]));
        }
        // A reshape of a sum is the sum of reshapes.
        if op.is(&reshape::RESHAPE) {
            let sum = self.sum_of(self.body.operands(value)[0])?;
            return Some(reshaped(sum, self.body.shape(value)));
        }
        let product = self.product(value).filter(|product| product.transpose_a && !product.transpose_b)?;
        let rows = self.body.shape(product.a)[0];
        let mut side = |factor: ValueId| {
            let columns = self.body.shape(factor)[1];
            let source = self.without_reshape(factor);
            Some(reshaped(self.varying_stack(source)?, &[self.length * rows, columns]))
        };
        let (a, b) = (side(product.a)?, side(product.b)?);
        Some(applied(&MATMUL, flags(true, false), vec![a, b]))
    }

    /// The stack of a value that is another in each step.
    fn varying_stack(&mut self, value: ValueId) -> Option<Outside> {
        self.varies()[value.index()].then(|| self.stack_of(value))
    }

    /// How often a value of the body is read or handed on, by values that are.
    fn uses(&self) -> Vec<usize> {
        let live = self.body.ancestors(self.roots());
        let mut uses = vec![0; self.body.len()];
        for value in self.body.values().filter(|value| live[value.index()]) {
            self.body.operands(value).iter().for_each(|operand| uses[operand.index()] += 1);
        }
        self.roots().for_each(|root| uses[root.index()] += 1);
        uses
    }

    fn product(&self, value: ValueId) -> Option<Product> {
        let op = self.body.op(value).filter(|op| op.is(&MATMUL))?;
        if self.body.shape(value).rank() != 2 {
            return None;
        }
        let operands = self.body.operands(value);
        let (transpose_a, transpose_b) = (op.attrs.bool("transpose_a"), op.attrs.bool("transpose_b"));
        Some(Product { a: operands[0], transpose_a, b: operands[1], transpose_b })
    }

    /// What a value is a reshape of. The stack of the one is a reshape of the stack of the other.
    fn without_reshape(&self, value: ValueId) -> ValueId {
        let mut value = value;
        while self.body.op(value).is_some_and(|op| op.is(&reshape::RESHAPE)) {
            value = self.body.operands(value)[0];
        }
        value
    }
}

fn flags(transpose_a: bool, transpose_b: bool) -> Attrs {
    Attrs::new([("transpose_a", Attr::from(transpose_a)), ("transpose_b", transpose_b.into())])
}

fn applied(def: &'static OpDef, attrs: Attrs, operands: Vec<Outside>) -> Outside {
    Outside::Applied(def.with(attrs), operands)
}

fn reshaped(operand: Outside, shape: &[usize]) -> Outside {
    let op: Op = reshape::RESHAPE.with(Attrs::new([("shape", Attr::from(shape))]));
    Outside::Applied(op, vec![operand])
}
