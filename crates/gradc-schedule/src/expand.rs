//! What has no loops or no arithmetic of its own is written in what has.
//!
//! - A mean is a sum that is divided.
//! - Arithmetic on storage types (see [`DType::arithmetic`]) is arithmetic on converted operands, whose result is
//!   converted back. Conversions are elementwise, so they run in the kernels of what is around them: an element is loaded
//!   as 16 bits, computed with as an `f32`, and rounded where the program has a value of 16 bits. Operands of matrix
//!   products are converted by a kernel, since products read memory.
//! - Conversions between storage types and others go by way of the type of their arithmetic.
//! - Indices are `i32`.
//! - What is a result for the second time, or is a leaf, is a result of its own, which the kernel writes that computes the value or
//!   reads it; else a kernel more would copy it.
//!
//! What is left to kernels on storage types is loading, storing, choosing, and what rounds nothing ([`EXACT`]).

use std::borrow::Cow;

use gradc_ir::op::reduce_mean::REDUCE_MEAN;
use gradc_ir::op::stop_gradient::STOP_GRADIENT;
use gradc_ir::op::{self, OpDef, gather, one_hot, scatter_add};
use gradc_ir::{Attr, Attrs, Class, DType, Graph, Op, Output, Role, TensorType, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

/// Operators whose results are exact in any type of their operands.
static EXACT: [&OpDef; 12] = [
    &op::select::SELECT,
    &STOP_GRADIENT,
    &op::min::MIN,
    &op::max::MAX,
    &op::reduce_min::REDUCE_MIN,
    &op::reduce_max::REDUCE_MAX,
    &op::eq::EQ,
    &op::ne::NE,
    &op::lt::LT,
    &op::le::LE,
    &op::gt::GT,
    &op::ge::GE,
];

/// Operators whose results are exact in floats only: integers wrap.
static EXACT_ON_FLOATS: [&OpDef; 3] = [&op::neg::NEG, &op::abs::ABS, &op::sign::SIGN];

/// The graph with nothing in it that has to be expanded.
pub(crate) fn expand(graph: &Graph) -> Cow<'_, Graph> {
    let copied = copied_results(graph);
    let any_expanded = graph.values().any(|value| graph.op(value).is_some_and(|op| is_expanded(graph, value, op)));
    if !any_expanded && !copied.contains(&true) {
        return Cow::Borrowed(graph);
    }
    let mut expansion = Expansion { graph: graph.emptied(), casts: FxHashMap::default() };
    let mut places: Vec<ValueId> = Vec::with_capacity(graph.len());
    for value in graph.values() {
        let operands: Vec<ValueId> = graph.operands(value).iter().map(|operand| places[operand.index()]).collect();
        places.push(match graph.op(value) {
            Some(op) if is_expanded(graph, value, op) => {
                expansion.graph.set_origin(graph.node(value).origin);
                let expanded = expansion.expanded(op, &operands, graph.ty(value));
                if let Some(name) = graph.value_name(value) {
                    expansion.graph.set_value_name(expanded, name.clone());
                }
                expanded
            }
            _ => expansion.graph.copy_node(graph, value, &operands),
        });
    }
    for (output, is_copied) in graph.outputs().iter().zip(copied) {
        let place = places[output.value.index()];
        let result = if is_copied {
            expansion.graph.set_origin(graph.node(output.value).origin);
            expansion.graph.emit_typed(STOP_GRADIENT.op(), &[place], graph.ty(output.value).clone())
        } else {
            place
        };
        expansion.graph.add_output(output.role, output.name.clone(), result);
    }
    Cow::Owned(expansion.graph)
}

/// For each result, whether its elements are those of a leaf or of a result before it. The next values of parameters and state
/// are not looked at: they go where these are.
fn copied_results(graph: &Graph) -> Vec<bool> {
    let mut taken: FxHashSet<ValueId> = FxHashSet::default();
    let is_copied = |output: &Output| {
        let mut base = output.value;
        while graph.op(base).is_some_and(|op| op.is(&op::reshape::RESHAPE)) {
            base = graph.operands(base)[0];
        }
        output.role != Role::Update && (!taken.insert(base) || graph.leaf(base).is_some())
    };
    graph.outputs().iter().map(is_copied).collect()
}

fn is_expanded(graph: &Graph, value: ValueId, op: &Op) -> bool {
    let narrow = |dtype: DType| dtype.arithmetic() != dtype;
    let mut operands = graph.operands(value).iter().map(|&operand| graph.dtype(operand));
    if let Some(index) = index_operand(op) {
        let counts = op.is(&scatter_add::SCATTER_ADD) || op.is(&one_hot::ONE_HOT);
        return graph.dtype(graph.operands(value)[index]) != DType::I32 || counts && narrow(graph.dtype(value));
    }
    match op.def.class {
        _ if op.is(&REDUCE_MEAN) => true,
        Class::Elementwise | Class::Reduce | Class::Contract | Class::Accumulate => {
            let result = graph.dtype(value);
            if op.is(&op::cast::CAST) {
                return operands.any(|from| is_indirect(from, result));
            }
            let exact =
                EXACT.iter().any(|def| op.is(def)) || result.is_half() && EXACT_ON_FLOATS.iter().any(|def| op.is(def));
            !exact && (narrow(result) || operands.any(narrow))
        }
        Class::Source => op.is(&op::iota::IOTA) && narrow(graph.dtype(value)),
        Class::Movement | Class::Indexed | Class::Scan | Class::Custom => false,
    }
}

/// Which operand of an operator is indices.
fn index_operand(op: &Op) -> Option<usize> {
    if op.is(&gather::GATHER) {
        Some(1)
    } else {
        (op.is(&scatter_add::SCATTER_ADD) || op.is(&one_hot::ONE_HOT)).then_some(0)
    }
}

/// Whether a conversion goes by way of others.
fn is_indirect(from: DType, to: DType) -> bool {
    let direct = |narrow: DType, wide: DType| narrow.arithmetic() == narrow || narrow.arithmetic() == wide;
    !direct(from, to) || !direct(to, from)
}

struct Expansion {
    graph: Graph,
    /// What has been converted already, so that an operand of several operators is converted once.
    casts: FxHashMap<(ValueId, DType), ValueId>,
}

impl Expansion {
    /// `op`, whose result is of type `ty`, in operators that need no expansion.
    fn expanded(&mut self, op: &Op, operands: &[ValueId], ty: &TensorType) -> ValueId {
        if op.is(&op::cast::CAST) {
            return self.cast(operands[0], ty.dtype);
        }
        let mut operands = operands.to_vec();
        if let Some(index) = index_operand(op) {
            operands[index] = self.index(operands[index], extent(&self.graph, op, &operands));
        }
        let moves = op.is(&gather::GATHER);
        for operand in operands.iter_mut().filter(|_| !moves) {
            let dtype = self.graph.dtype(*operand).arithmetic();
            *operand = self.cast(*operand, dtype);
        }
        if op.is(&REDUCE_MEAN) {
            let mean = self.mean(operands[0], op.attrs.ints("axes"));
            return self.cast(mean, ty.dtype);
        }
        let attrs = op.attrs.iter().map(|(name, value)| match value {
            Attr::DType(dtype) => (*name, Attr::DType(dtype.arithmetic())),
            other => (*name, other.clone()),
        });
        let attrs = if moves { op.attrs.clone() } else { Attrs::new(attrs.collect::<Vec<_>>()) };
        let result = self.graph.emit(op.def.with(attrs), &operands);
        self.cast(result, ty.dtype)
    }

    fn mean(&mut self, x: ValueId, axes: &[usize]) -> ValueId {
        let graph = &mut self.graph;
        let count = axes.iter().map(|&axis| graph.shape(x)[axis] as f64).product();
        let sum = graph.reduce_sum(x, axes);
        let count = graph.full_like(sum, count);
        graph.div(sum, count)
    }

    /// `x` as a `to`, in conversions that kernels know.
    fn cast(&mut self, x: ValueId, to: DType) -> ValueId {
        if let Some(&known) = self.casts.get(&(x, to)) {
            return known;
        }
        if let Some(number) = self.graph.as_full(x) {
            let ty = self.graph.ty(x).with_dtype(to);
            return self.graph.full(to.convert(number, self.graph.dtype(x)), &ty);
        }
        let wide = self.graph.cast(x, self.graph.dtype(x).arithmetic());
        let mut rounded = self.graph.cast(wide, to.arithmetic());
        if to == DType::U8 && self.graph.dtype(x).is_float() {
            rounded = self.within_bytes(rounded);
        }
        let cast = self.graph.cast(rounded, to);
        self.casts.insert((x, to), cast);
        cast
    }

    /// Whole numbers with 0 for what is less than that and 255 for what is greater: from floats to bytes nothing wraps.
    fn within_bytes(&mut self, x: ValueId) -> ValueId {
        let graph = &mut self.graph;
        let [least, greatest] = [DType::U8.least(), DType::U8.greatest()].map(|limit| graph.full_like(x, limit));
        let raised = graph.max(x, least);
        graph.min(raised, greatest)
    }

    /// Indices below `extent` as `i32`, and −1 for all others.
    fn index(&mut self, indices: ValueId, extent: usize) -> ValueId {
        if self.graph.dtype(indices) != DType::I64 {
            return self.cast(indices, DType::I32);
        }
        let narrow = self.cast(indices, DType::I32);
        let graph = &mut self.graph;
        let first = graph.full_like(indices, 0.0);
        let last = graph.full_like(indices, (extent as f64 - 1.0).min(DType::I32.greatest()));
        let from_first = graph.ge(indices, first);
        let to_last = graph.le(indices, last);
        let inside = graph.and(from_first, to_last);
        let nowhere = graph.full_like(narrow, -1.0);
        graph.select(inside, narrow, nowhere)
    }
}

/// How many positions the indices of `op` choose from.
fn extent(graph: &Graph, op: &Op, operands: &[ValueId]) -> usize {
    if op.is(&gather::GATHER) {
        graph.shape(operands[0])[op.attrs.int("axis")]
    } else {
        op.attrs.int(if op.is(&one_hot::ONE_HOT) { "depth" } else { "extent" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradc_ir::{Role, text};

    #[test]
    fn a_chain_of_halves_rounds_at_each_value() {
        let mut graph = Graph::new("chain");
        let ty = TensorType::new(DType::Bf16, [3]);
        let (a, b) = (graph.input("a", ty.clone()), graph.input("b", ty));
        let product = graph.mul(a, b);
        let larger = graph.max(product, b);
        let sum = graph.add(larger, a);
        graph.add_output(Role::Output, "y", sum);
        let text = text::print(&expand(&graph));
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| line.contains('=')).collect();
        assert_eq!(
            lines,
            [
                "y.t1 = cast(a) : f32[3]",
                "y.t2 = cast(b) : f32[3]",
                "y.t3 = y.t1 * y.t2 : f32[3]",
                "y.t4 = cast(y.t3) : bf16[3]",
                "y.t5 = max(y.t4, b) : bf16[3]",
                "y.t6 = cast(y.t5) : f32[3]",
                "y.t7 = y.t6 + y.t1 : f32[3]",
                "y.t8 = cast(y.t7) : bf16[3]",
                "output y = y.t8",
            ]
        );
    }
}
