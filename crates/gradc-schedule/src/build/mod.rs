//! Kernels from steps: loops are opened and closed, and expressions become statements at the outermost loop that they
//! depend on.

mod assembly;
mod chunks;
mod expression;
mod finish;
mod loops;

use gradc_ir::op::stop_gradient::STOP_GRADIENT;
use gradc_ir::{DType, Graph, Op, ScalarOp, ValueId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::groups::{Groups, Work};
use crate::kernel::{Access, Affine, BufferParam, Expr, Kernel, Loop, LoopKind, LoopVar, Reg, Stmt};
use crate::places::Places;

/// A kernel, and the roots and leaves whose memory its buffers are.
pub(crate) struct Built {
    /// The kernel. Its buffers have no names yet, and its loops are as they were built; see [`finish`].
    pub(crate) kernel: Kernel,
    /// For each buffer, whose memory it is.
    pub(crate) buffers: Vec<ValueId>,
}

pub(crate) use chunks::{Chunked, Part, chunked};
pub(crate) use finish::finish;

/// The kernel of a step, or `None` where the step is a matrix product.
pub(crate) fn build(graph: &Graph, places: &Places<'_>, groups: &Groups, step: usize) -> Option<Built> {
    let mut builder = Builder::new(graph, places);
    match &groups.steps[step] {
        Work::Loops { space, rows, members, .. } => builder.loops(groups, space, rows.unwrap_or(0), members),
        Work::Assembly(root) => builder.assembly(*root),
        Work::Product(..) | Work::Scan(_) => return None,
    }
    Some(builder.built())
}

/// A kernel that copies a buffer of the type of `value` to another.
pub(crate) fn build_copy(graph: &Graph, places: &Places<'_>, value: ValueId) -> Kernel {
    let mut builder = Builder::new(graph, places);
    builder.copy(value);
    builder.built().kernel
}

/// An operator and its operands.
type Operation = (ScalarOp, SmallVec<[Reg; 3]>);

/// A kernel under construction.
struct Builder<'a, 'g> {
    graph: &'g Graph,
    places: &'a Places<'g>,
    /// The bodies of the loops that are open, below the kernel's own. The loop of `blocks[d + 1]` has index `d`.
    blocks: Vec<Vec<Stmt>>,
    /// The extents of the loops that are open.
    extents: Vec<usize>,
    /// For each block, the registers in it that hold elements of values, by position in row-major order.
    elements: Vec<FxHashMap<(ValueId, Affine), Reg>>,
    constants: FxHashMap<(DType, u64), Reg>,
    /// For each block, the operations in it, by operator and operands.
    operations: Vec<FxHashMap<Operation, Reg>>,
    /// For each register, its type and the block that it is defined in.
    registers: Vec<(DType, usize)>,
    buffers: Vec<(ValueId, BufferParam)>,
    buffer_of: FxHashMap<ValueId, usize>,
    names: Vec<&'static str>,
}

impl<'a, 'g> Builder<'a, 'g> {
    fn new(graph: &'g Graph, places: &'a Places<'g>) -> Builder<'a, 'g> {
        Builder {
            graph,
            places,
            blocks: vec![Vec::new()],
            extents: Vec::new(),
            elements: vec![FxHashMap::default()],
            constants: FxHashMap::default(),
            operations: vec![FxHashMap::default()],
            registers: Vec::new(),
            buffers: Vec::new(),
            buffer_of: FxHashMap::default(),
            names: Vec::new(),
        }
    }

    fn built(mut self) -> Built {
        debug_assert_eq!(self.blocks.len(), 1, "all loops are closed");
        let body = self.blocks.pop().unwrap_or_default();
        let (values, buffers) = self.buffers.into_iter().unzip();
        Built { kernel: Kernel { name: self.names.join("_"), buffers, body }, buffers: values }
    }

    /// How many loops are open.
    fn depth(&self) -> usize {
        self.extents.len()
    }

    /// Opens a loop, whose index is the number of loops that were open.
    fn open(&mut self, extent: usize) {
        self.extents.push(extent);
        self.blocks.push(Vec::new());
        self.elements.push(FxHashMap::default());
        self.operations.push(FxHashMap::default());
    }

    /// Closes the innermost loop.
    fn close(&mut self) {
        let (Some(extent), Some(body)) = (self.extents.pop(), self.blocks.pop()) else { return };
        self.elements.pop();
        self.operations.pop();
        let var = LoopVar(self.depth() as u32);
        self.push(Stmt::Loop(Loop { var, extent, kind: LoopKind::Serial, body }));
    }

    /// Appends a statement to the innermost loop.
    fn push(&mut self, stmt: Stmt) {
        let depth = self.depth();
        self.blocks[depth].push(stmt);
    }

    /// Defines a register in the block of so many loops.
    fn define(&mut self, depth: usize, dtype: DType, expr: Expr) -> Reg {
        let reg = self.register(depth, dtype);
        self.blocks[depth].push(Stmt::Let { reg, dtype, expr });
        reg
    }

    fn register(&mut self, depth: usize, dtype: DType) -> Reg {
        self.registers.push((dtype, depth));
        Reg(self.registers.len() as u32 - 1)
    }

    fn dtype(&self, reg: Reg) -> DType {
        self.registers[reg.0 as usize].0
    }

    /// A constant, defined once at the kernel's beginning.
    fn constant(&mut self, dtype: DType, value: f64) -> Reg {
        if let Some(&reg) = self.constants.get(&(dtype, value.to_bits())) {
            return reg;
        }
        let reg = self.define(0, dtype, Expr::Const(value.into()));
        self.constants.insert((dtype, value.to_bits()), reg);
        reg
    }

    /// An operation, in the block of its innermost operand, once in this block.
    fn op(&mut self, op: ScalarOp, operands: &[Reg]) -> Reg {
        let depth = operands.iter().map(|reg| self.registers[reg.0 as usize].1).max().unwrap_or(0);
        let dtype = match op {
            ScalarOp::Eq | ScalarOp::Ne | ScalarOp::Lt | ScalarOp::Le | ScalarOp::Gt | ScalarOp::Ge => DType::Bool,
            ScalarOp::Cast(dtype) => dtype,
            ScalarOp::Select => self.dtype(operands[1]),
            _ => self.dtype(operands[0]),
        };
        let known = (op, SmallVec::from_slice(operands));
        if let Some(&reg) = self.operations[depth].get(&known) {
            return reg;
        }
        let reg = self.define(depth, dtype, Expr::Op(op, operands.into()));
        self.operations[depth].insert(known, reg);
        reg
    }

    /// The buffer that is the memory of a root or a leaf.
    fn buffer(&mut self, value: ValueId, access: Access) -> usize {
        let next = self.buffers.len();
        let at = *self.buffer_of.entry(value).or_insert(next);
        if at == next {
            self.add_buffer(value, access);
        }
        // What is written first is only ever read as it was written; what is read first may be written later.
        let param = &mut self.buffers[at].1;
        if param.access == Access::Read && access == Access::Write {
            param.access = Access::ReadWrite;
        }
        at
    }

    fn add_buffer(&mut self, value: ValueId, access: Access) -> usize {
        let ty = self.graph.ty(value);
        let elements = ty.shape.elements();
        self.buffers.push((value, BufferParam { name: String::new(), dtype: ty.dtype, elements, access }));
        self.buffers.len() - 1
    }

    fn store(&mut self, value: ValueId, address: Affine, reg: Reg) {
        let buffer = self.buffer(value, Access::Write);
        self.push(Stmt::Store { buffer, address, value: reg });
    }

    /// Names the kernel after what it computes.
    fn name(&mut self, root: ValueId) {
        const LONGEST: usize = 6;
        let moves_nothing = |op: &&Op| op.is(&STOP_GRADIENT);
        let name = self.graph.op(root).filter(|op| !moves_nothing(op)).map_or("copy", |op| op.def.name);
        if self.names.len() < LONGEST && self.names.last() != Some(&name) {
            self.names.push(name);
        }
    }
}
