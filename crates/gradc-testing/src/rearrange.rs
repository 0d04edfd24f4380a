//! Operators whose attributes depend on shapes: sources, movement, and what reads or writes at indices.

use gradc_ir::op::window::Windows;
use gradc_ir::{DType, OpDef, Shape, TensorType, ValueId};

use crate::grow::Garden;
use crate::interval::Facts;

impl Garden {
    /// Applies an operator that moves elements, or gives up.
    ///
    /// # Panics
    /// For an operator that is not known here: whoever adds one of these classes adds it here.
    pub(crate) fn rearrange(&mut self, def: &'static OpDef) -> Option<ValueId> {
        match def.name {
            "full" => self.grow_full(),
            "iota" => self.grow_iota(),
            "broadcast" => self.grow_broadcast(),
            "reshape" => self.grow_reshape(),
            "transpose" => self.grow_transpose(),
            "slice" => self.grow_slice(),
            "pad" => self.grow_pad(),
            "concat" => self.grow_concat(),
            "gather" => self.grow_gather(),
            "scatter_add" => self.grow_scatter_add(),
            "one_hot" => self.grow_one_hot(),
            "window" => self.grow_window(),
            "overlap_add" => self.grow_overlap_add(),
            name => unreachable!("random graphs do not know how to apply {name}"),
        }
    }

    fn any(&mut self, min_rank: usize) -> Option<ValueId> {
        self.find(|garden, value| (min_rank..=4).contains(&garden.graph.shape(value).rank()))
    }

    fn grow_full(&mut self) -> Option<ValueId> {
        let like = self.find_of(self.float)?;
        let number = *self.random.pick(&[-1.0, -0.5, 0.25, 0.5, 1.0, 2.0]);
        let value = self.graph.full_like(like, number);
        Some(self.accept(value, Facts::exact(number, number)))
    }

    fn grow_iota(&mut self) -> Option<ValueId> {
        let like = self.any(1)?;
        let shape = self.graph.shape(like).clone();
        let axis = self.random.below(shape.rank());
        let integer =
            if shape[axis] < 200 { *self.random.pick(&[DType::I32, DType::I64, DType::U8]) } else { DType::I32 };
        let dtype = if shape[axis] < 4 && self.random.chance(0.5) { self.float } else { integer };
        let last = shape[axis] as f64 - 1.0;
        let value = self.graph.iota(axis, &TensorType { dtype, shape });
        Some(self.accept(value, Facts::exact(0.0, last)))
    }

    fn grow_broadcast(&mut self) -> Option<ValueId> {
        let x = self.find(|garden, value| garden.graph.shape(value).rank() < 3)?;
        let mut shape = self.graph.shape(x).to_vec();
        let position = self.random.below(shape.len() + 1);
        let extent = self.extent();
        shape.insert(position, extent);
        let axes: Vec<usize> = (0..shape.len()).filter(|&axis| axis != position).collect();
        if !self.affordable(&shape) {
            return None;
        }
        let value = self.graph.broadcast(x, &axes, &shape);
        Some(self.accept(value, self.facts(x)))
    }

    /// Merges two axes or splits one.
    fn grow_reshape(&mut self) -> Option<ValueId> {
        let x = self.any(1)?;
        let mut shape = self.graph.shape(x).to_vec();
        let axis = self.random.below(shape.len());
        if axis + 1 < shape.len() && self.random.chance(0.5) {
            shape[axis] *= shape.remove(axis + 1);
        } else {
            let divisor = [4, 3, 2, 1].into_iter().find(|&divisor| shape[axis].is_multiple_of(divisor)).unwrap_or(1);
            shape[axis] /= divisor;
            shape.insert(axis, divisor);
        }
        let value = self.graph.reshape(x, &shape);
        Some(self.accept(value, self.facts(x)))
    }

    fn grow_transpose(&mut self) -> Option<ValueId> {
        let x = self.any(2)?;
        let mut permutation: Vec<usize> = (0..self.graph.shape(x).rank()).collect();
        for i in (1..permutation.len()).rev() {
            permutation.swap(i, self.random.below(i + 1));
        }
        let value = self.graph.transpose(x, &permutation);
        Some(self.accept(value, self.facts(x)))
    }

    fn grow_slice(&mut self) -> Option<ValueId> {
        let x = self.any(1)?;
        let shape = self.graph.shape(x).clone();
        let start: Vec<usize> = shape.iter().map(|&extent| self.random.below(extent.div_ceil(2))).collect();
        let limit: Vec<usize> =
            (0..shape.rank()).map(|axis| start[axis] + 1 + self.random.below(shape[axis] - start[axis])).collect();
        let stride: Vec<usize> = (0..shape.rank()).map(|_| 1 + self.random.below(2)).collect();
        let value = self.graph.slice(x, &start, &limit, &stride);
        Some(self.accept(value, self.facts(x)))
    }

    fn grow_pad(&mut self) -> Option<ValueId> {
        let x = self.any(1)?;
        let rank = self.graph.shape(x).rank();
        let mut counts = || -> Vec<usize> { (0..rank).map(|_| self.random.below(3)).collect() };
        let (low, high) = (counts(), counts());
        let interior: Vec<usize> = (0..rank).map(|_| self.random.below(2)).collect();
        let number = *self.random.pick(&[0.0, 1.0]);
        let padded = |axis: usize| low[axis] + high[axis] + self.graph.shape(x)[axis] * (interior[axis] + 1);
        if !self.affordable(&(0..rank).map(padded).collect::<Shape>()) {
            return None;
        }
        let value = self.graph.pad(x, &low, &high, &interior, number);
        Some(self.accept(value, self.facts(x).or(Facts::exact(number, number))))
    }

    fn grow_concat(&mut self) -> Option<ValueId> {
        let a = self.any(1)?;
        let shape = self.graph.shape(a).clone();
        let axis = self.random.below(shape.rank());
        let dtype = self.graph.dtype(a);
        let b = self.find(|garden, value| {
            let other = garden.graph.shape(value);
            garden.graph.dtype(value) == dtype
                && other.rank() == shape.rank()
                && other.without(&[axis]) == shape.without(&[axis])
        })?;
        let mut whole = shape.to_vec();
        whole[axis] += self.graph.shape(b)[axis];
        if !self.affordable(&whole) {
            return None;
        }
        let value = self.graph.concat(&[a, b], axis);
        Some(self.accept(value, self.facts(a).or(self.facts(b))))
    }

    /// Integers without rounding errors that lie below `end`.
    fn indices(&mut self, end: usize) -> Option<ValueId> {
        self.find(|garden, value| {
            let facts = garden.facts(value);
            let small = garden.graph.shape(value).rank() <= 2;
            garden.graph.dtype(value).is_integer() && small && facts.exact && facts.within((0.0, end as f64 - 1.0))
        })
    }

    fn grow_gather(&mut self) -> Option<ValueId> {
        let x = self.find(|garden, value| garden.graph.shape(value).iter().any(|&extent| extent > 2))?;
        let shape = self.graph.shape(x).clone();
        let axis = shape.iter().position(|&extent| extent > 2)?;
        if self.graph.dtype(x) == DType::Bool {
            return None;
        }
        let indices = self.indices(shape[axis])?;
        let kept = shape[..axis].iter().chain(&shape[axis + 1..]);
        if !self.affordable(&kept.chain(self.graph.shape(indices).iter()).copied().collect::<Shape>()) {
            return None;
        }
        let value = self.graph.gather(x, indices, axis);
        Some(self.accept(value, self.facts(x)))
    }

    fn grow_scatter_add(&mut self) -> Option<ValueId> {
        let indices = self.find(|garden, value| {
            garden.graph.dtype(value).is_integer() && garden.facts(value).exact && garden.graph.shape(value).rank() > 0
        })?;
        let extents = self.graph.shape(indices).clone();
        let float = self.float;
        let updates = self.find(|garden, value| {
            garden.graph.dtype(value) == float && garden.graph.shape(value).starts_with(&extents)
        })?;
        let extent = self.extent();
        let facts = self.facts(updates).summed(extents.elements());
        let value = self.graph.scatter_add(indices, updates, 0, extent);
        Some(self.accept(value, facts))
    }

    /// Windows of one to three elements along some axis.
    fn grow_window(&mut self) -> Option<ValueId> {
        let x = self.any(1)?;
        let mut shape = self.graph.shape(x).to_vec();
        let axis = self.random.below(shape.len());
        let mut number = |limit: usize| 1 + self.random.below(limit);
        let windows = Windows { size: number(3), stride: number(2), dilation: number(2) };
        let count = windows.count(shape[axis])?;
        shape.splice(axis..=axis, [count, windows.size]);
        if count == 0 || !self.affordable(&shape) {
            return None;
        }
        let value = self.graph.window(x, axis, windows);
        Some(self.accept(value, self.facts(x)))
    }

    /// Adds up two neighbouring axes as windows that reach just to the end of the new one, or not quite.
    fn grow_overlap_add(&mut self) -> Option<ValueId> {
        let float = self.float;
        let x = self.find(|garden, value| {
            garden.graph.dtype(value) == float && (2..=4).contains(&garden.graph.shape(value).rank())
        })?;
        let shape = self.graph.shape(x).clone();
        let axis = self.random.below(shape.rank() - 1);
        let (stride, dilation) = (1 + self.random.below(2), 1 + self.random.below(2));
        let [count, size] = [shape[axis], shape[axis + 1]];
        if count == 0 || size == 0 {
            return None;
        }
        let extent = (count - 1) * stride + (size - 1) * dilation + 1 + self.random.below(stride);
        let facts = self.facts(x).summed(count.min(size));
        let value = self.graph.overlap_add(x, axis, extent, stride, dilation);
        Some(self.accept(value, facts))
    }

    fn grow_one_hot(&mut self) -> Option<ValueId> {
        let indices = self.find(|garden, value| garden.graph.dtype(value).is_integer() && garden.facts(value).exact)?;
        let depth = self.extent();
        let shape: Shape = self.graph.shape(indices).iter().copied().chain([depth]).collect();
        if !self.affordable(&shape) {
            return None;
        }
        let dtype = *self.random.pick(&[self.float, self.float, DType::Bool, DType::I32]);
        let value = self.graph.one_hot(indices, depth, dtype);
        Some(self.accept(value, Facts::exact(0.0, 1.0)))
    }
}
