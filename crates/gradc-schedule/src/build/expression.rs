//! Expressions of single elements.

use gradc_ir::op::{gather, one_hot};
use gradc_ir::{Class, DType, Op, ScalarBuilder, ScalarOp, ScalarValue, ValueId};
use smallvec::SmallVec;

use super::Builder;
use crate::groups::depth_of;
use crate::index::{Index, operand_reads};
use crate::kernel::{Access, Affine, Combine, Expr, Reg};
use crate::places::Place;
use crate::reduction::unrolled;

impl Builder<'_, '_> {
    /// A register that holds the element of `value` at `at`.
    pub(super) fn element(&mut self, value: ValueId, at: &Index) -> Reg {
        let position = at.flat(self.graph.shape(value));
        let key = (self.places.memory(value).unwrap_or(value), position);
        if let Some(reg) = self.held(&key) {
            return reg;
        }
        let reg = match self.places.of(value) {
            Place::Inline | Place::Dead => self.compute(value, at),
            Place::Leaf | Place::Root | Place::View => {
                let buffer = self.buffer(key.0, Access::Read);
                let load = Expr::Load { buffer, address: key.1.clone() };
                self.define(depth_of(&key.1), self.graph.dtype(value), load)
            }
        };
        self.hold(key, reg);
        reg
    }

    /// From here on, `reg` is the element of `value` at a position in row-major order.
    pub(super) fn hold(&mut self, key: (ValueId, Affine), reg: Reg) {
        let depth = self.registers[reg.0 as usize].1;
        self.elements[depth].insert(key, reg);
    }

    fn held(&self, key: &(ValueId, Affine)) -> Option<Reg> {
        self.elements.iter().find_map(|block| block.get(key)).copied()
    }

    /// Computes the element of `value` at `at` from its operands, whatever the place of `value` is.
    pub(super) fn compute(&mut self, value: ValueId, at: &Index) -> Reg {
        let graph = self.graph;
        let dtype = graph.dtype(value);
        let Some(op) = graph.op(value) else { return self.element(value, at) };
        if let Some(constant) = graph.as_full(value) {
            return self.constant(dtype, constant);
        }
        if op.is(&gather::GATHER) {
            return self.gather(value, op, at);
        }
        let reads = operand_reads(graph, value, at);
        let elements = reads.iter().filter_map(|read| read.at.as_ref().map(|at| (read.operand, at)));
        let operands: SmallVec<[Reg; 3]> = elements.map(|(operand, at)| self.element(operand, at)).collect();
        if let Some((combine, start)) = unrolled(graph, value) {
            return self.combined(dtype, combine, start, &operands);
        }
        match (op.def.class, op.def.lower) {
            (_, Some(lower)) => {
                let operands: SmallVec<[ScalarValue; 3]> = operands.iter().map(|reg| ScalarValue(reg.0)).collect();
                let mut lowering = Lowering { builder: self, dtype };
                let ScalarValue(reg) = lower(&mut lowering, &op.attrs, &operands);
                Reg(reg)
            }
            (Class::Source, None) => self.position(at.on_axis(graph.shape(value), op.attrs.int("axis")), dtype),
            _ if op.is(&one_hot::ONE_HOT) => {
                let axis = graph.shape(value).rank() - 1;
                let position = self.position(at.on_axis(graph.shape(value), axis), DType::I32);
                let hit = self.op(ScalarOp::Eq, &[position, operands[0]]);
                if dtype == DType::Bool { hit } else { self.op(ScalarOp::Cast(dtype), &[hit]) }
            }
            _ => operands[0],
        }
    }

    /// The combination of some elements, in their order. A sum begins with 0, for −0 is not 0.
    fn combined(&mut self, dtype: DType, combine: Combine, start: f64, elements: &[Reg]) -> Reg {
        let mut elements = elements.iter().copied();
        let first = match combine {
            Combine::Max | Combine::Min => elements.next(),
            Combine::Sum => None,
        };
        let first = first.unwrap_or_else(|| self.constant(dtype, start));
        elements.fold(first, |running, element| self.op(combine.op(), &[running, element]))
    }

    /// A position as a number.
    fn position(&mut self, position: Affine, dtype: DType) -> Reg {
        let reg = self.define(depth_of(&position), DType::I32, Expr::Index(position));
        if dtype == DType::I32 { reg } else { self.op(ScalarOp::Cast(dtype), &[reg]) }
    }

    /// The element of a table at an index that is an element of another tensor; outside of the table, NaN or 0.
    fn gather(&mut self, value: ValueId, op: &Op, at: &Index) -> Reg {
        let graph = self.graph;
        let (dtype, axis) = (graph.dtype(value), op.attrs.int("axis"));
        let missing = self.constant(dtype, if dtype.is_float() { f64::NAN } else { 0.0 });
        let (table, indices) = (graph.operands(value)[0], graph.operands(value)[1]);
        let shape = graph.shape(table);
        if shape[axis] == 0 {
            return missing;
        }
        let Some(index_at) = operand_reads(graph, value, at).into_iter().find_map(|read| read.at) else {
            return missing;
        };
        let index = self.element(indices, &index_at);
        let (guard, clamped) = self.clamped(index, shape[axis]);
        let rank = graph.shape(indices).rank();
        let strides = shape.strides();
        let around = (0..graph.shape(value).rank()).filter(|other| !(axis..axis + rank).contains(other));
        let own = (0..shape.rank()).filter(|&own| own != axis);
        let address = around.zip(own).fold(Affine::default(), |sum, (other, own)| {
            sum.plus(&at.on_axis(graph.shape(value), other), strides[own] as i64)
        });
        let depth = depth_of(&address).max(self.registers[clamped.0 as usize].1);
        let buffer = self.buffer(self.places.memory(table).unwrap_or(table), Access::Read);
        let load = Expr::LoadIndexed { buffer, address, index: clamped, stride: strides[axis] as i64 };
        let found = self.define(depth, dtype, load);
        self.op(ScalarOp::Select, &[guard, found, missing])
    }

    /// Whether an index is below `extent`, which is not 0, and the nearest one that is.
    pub(super) fn clamped(&mut self, index: Reg, extent: usize) -> (Reg, Reg) {
        let first = self.constant(DType::I32, 0.0);
        let last = self.constant(DType::I32, (extent - 1).min(i32::MAX as usize) as f64);
        let from_first = self.op(ScalarOp::Ge, &[index, first]);
        let to_last = self.op(ScalarOp::Le, &[index, last]);
        let guard = self.op(ScalarOp::And, &[from_first, to_last]);
        let above = self.op(ScalarOp::Max, &[index, first]);
        (guard, self.op(ScalarOp::Min, &[above, last]))
    }
}

/// Writes an operator's scalar operations to a kernel.
struct Lowering<'b, 'a, 'g> {
    builder: &'b mut Builder<'a, 'g>,
    /// The element type of the operator's result.
    dtype: DType,
}

impl ScalarBuilder for Lowering<'_, '_, '_> {
    fn constant(&mut self, value: f64) -> ScalarValue {
        ScalarValue(self.builder.constant(self.dtype, value).0)
    }

    fn op(&mut self, op: ScalarOp, operands: &[ScalarValue]) -> ScalarValue {
        let operands: SmallVec<[Reg; 3]> = operands.iter().map(|value| Reg(value.0)).collect();
        ScalarValue(self.builder.op(op, &operands).0)
    }
}
