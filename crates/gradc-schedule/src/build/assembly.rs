//! Steps whose loops are over their operands: concatenation, padding, overlap-add, scatter-add; and copies.

use gradc_ir::op::{concat, overlap_add, pad};
use gradc_ir::{Op, ValueId};

use super::Builder;
use crate::index::{Index, merged_windows, squeezed};
use crate::kernel::{Access, Affine, Combine, Expr, Reg, Stmt};

impl Builder<'_, '_> {
    /// Puts a result together from its operands.
    pub(super) fn assembly(&mut self, root: ValueId) {
        let Some(op) = self.graph.op(root) else { return };
        self.name(root);
        if op.is(&concat::CONCAT) {
            self.concat(root, op.attrs.int("axis"));
        } else if op.is(&pad::PAD) {
            self.pad(root, op);
        } else if op.is(&overlap_add::OVERLAP_ADD) {
            self.overlap_add(root, op);
        } else {
            self.scatter(root, op);
        }
    }

    /// Copies one buffer to another, both of the type of `value`.
    pub(super) fn copy(&mut self, value: ValueId) {
        self.names.push("copy");
        let dtype = self.graph.dtype(value);
        let (from, to) = (self.add_buffer(value, Access::Read), self.add_buffer(value, Access::Write));
        self.each(self.graph.shape(value).elements(), |builder, address| {
            let load = Expr::Load { buffer: from, address: address.clone() };
            let reg = builder.define(builder.depth(), dtype, load);
            builder.push(Stmt::Store { buffer: to, address, value: reg });
        });
    }

    /// Stores each operand to its part of the result.
    fn concat(&mut self, root: ValueId, axis: usize) {
        let graph = self.graph;
        let mut offset = 0;
        for &operand in graph.operands(root) {
            self.place(root, operand, |other, at| if other == axis { at.scaled(1, offset) } else { at.clone() });
            offset += graph.shape(operand)[axis] as i64;
        }
    }

    /// Fills the result, then stores the operand over it.
    fn pad(&mut self, root: ValueId, op: &Op) {
        self.fill(root, op.attrs.float("value"));
        let (low, interior) = (op.attrs.ints("low"), op.attrs.ints("interior"));
        let operand = self.graph.operands(root)[0];
        self.place(root, operand, |axis, at| at.scaled(interior[axis] as i64 + 1, low[axis] as i64));
    }

    /// Stores each element of `operand` to where `to` says on each axis of `root`.
    fn place(&mut self, root: ValueId, operand: ValueId, to: impl Fn(usize, &Affine) -> Affine) {
        self.each_element(operand, |builder, at, element| {
            let target = at.iter().enumerate().map(|(axis, at)| to(axis, at)).collect();
            builder.store(root, Index::Axes(target).flat(builder.graph.shape(root)), element);
        });
    }

    /// Loops over the elements of `operand`, of which `body` is given the position on each axis and the value.
    fn each_element(&mut self, operand: ValueId, body: impl FnOnce(&mut Self, &[Affine], Reg)) {
        let shape = self.graph.shape(operand);
        if shape.elements() == 0 {
            return;
        }
        let loops = squeezed(shape);
        loops.iter().for_each(|&extent| self.open(extent));
        let at = Index::identity(shape);
        let element = self.element(operand, &at);
        let axes: Vec<Affine> = (0..shape.rank()).map(|axis| at.on_axis(shape, axis)).collect();
        body(self, &axes, element);
        loops.iter().for_each(|_| self.close());
    }

    /// Zeros, to which each entry of each window is added, window by window. Along the axes after it, and along a window
    /// itself, no two entries meet, so that the inner loops are vector loops.
    fn overlap_add(&mut self, root: ValueId, op: &Op) {
        self.fill(root, 0.0);
        self.each_element(self.graph.operands(root)[0], |builder, at, entry| {
            let element = Index::Axes(merged_windows(op, at)).flat(builder.graph.shape(root));
            builder.combine(root, element, Combine::Sum, entry);
        });
    }

    /// Zeros, to which each update is added at its index.
    fn scatter(&mut self, root: ValueId, op: &Op) {
        let graph = self.graph;
        let (axis, extent) = (op.attrs.int("axis"), op.attrs.int("extent"));
        let (indices, updates) = (graph.operands(root)[0], graph.operands(root)[1]);
        self.fill(root, 0.0);
        let shape = graph.shape(updates);
        if extent == 0 || shape.elements() == 0 {
            return;
        }
        let loops = squeezed(shape);
        loops.iter().for_each(|&extent| self.open(extent));
        let at: Vec<Affine> = (0..shape.rank()).map(|axis| Index::identity(shape).on_axis(shape, axis)).collect();
        let end = axis + graph.shape(indices).rank();
        let index = self.element(indices, &Index::Axes(at[axis..end].into()));
        let (guard, index) = self.clamped(index, extent);
        let value = self.element(updates, &Index::Axes(at.clone()));
        let own = at[..axis].iter().chain([&Affine::default()]).chain(&at[end..]).cloned().collect();
        let address = Index::Axes(own).flat(graph.shape(root));
        let stride = graph.shape(root).strides()[axis] as i64;
        let buffer = self.buffer(root, Access::Write);
        self.push(Stmt::ScatterAdd { buffer, address, index, stride, value, guard });
        loops.iter().for_each(|_| self.close());
    }
}
