//! The text form of graphs. [`print`](print()) and [`read`](read()) are inverse: what is read and printed again is the
//! same text, and an emitted graph can be given back to gradc as input.
//!
//! ```text
//! graph logistic {
//!     input x : f32[8, 3]
//!     param w : f32[3, 1] = normal(0, 0.5)
//!
//!     // forward (* = the gradient uses it)
//!     z = x @ w : f32[8, 1]
//!   * p = sigmoid(z) : f32[8, 1]
//!
//!     output p = p
//! }
//! ```
//!
//! A loop has a line for all its results and a block for its body. Each input of the body stands with what it is bound to:
//! what a carry begins with, the tensor whose slices it is, or the constant that it is.
//!
//! ```text
//!     last, all = scan(length=8, reverse=false) {
//!         carry s : f32[3] = 0
//!         slice x_t : f32[3] = x
//!
//!         s.t1 = s + x_t : f32[3]
//!
//!         next s = s.t1
//!         stack all = s.t1
//!     } : f32[3], f32[8, 3]
//! ```
//!
//! Values with one derivative rule of their own have a line and a block for the rule. Its inputs are what the rule gives a
//! cotangent, what it reads besides, the values themselves, and the cotangents of those.
//!
//! ```text
//!     y = custom scaled(y.t1) {
//!         wrt x : f32[3] = x
//!         const k : f32[3] = k
//!         result y : f32[3]
//!         cotangent g : f32[3]
//!
//!         x.t1 = g * k : f32[3]
//!
//!         gives x = x.t1
//!     } : f32[3]
//! ```
//!
//! One line is one operator. Elementwise operators write constants as literals; a literal has the type of its
//! neighbour. Values are named after the source, under the path of their layer; a value without a name is called
//! after the first that has one and is computed from it: the parts of `h` are `h.t1`, `h.t2`…

mod blocks;
mod custom;
mod loops;
mod names;
mod print;
mod read;
mod scan;

pub use names::{Names, wholes};
pub use print::{print, print_values, print_with_notes, printed_names};
pub use read::{ReadError, read};

use crate::op::scan::Scan;
use crate::{Class, DType, Notation, Op, TensorType, op};

/// The type that a literal stands for as operand `position` of `op`, when `known` are the types of the operands that
/// are not literals, by position. The printer writes a constant as a literal only where this gives its type back.
fn literal_type(op: &Op, position: usize, known: &[Option<&TensorType>], result: &TensorType) -> Option<TensorType> {
    if let Some(scan) = Scan::of(op) {
        return Some(scan.operand_type(position));
    }
    if op.def.class != Class::Elementwise || matches!(op.def.notation, Notation::Prefix(_)) {
        return None;
    }
    let condition = op.is(&op::select::SELECT).then_some(0);
    if condition == Some(position) {
        return Some(result.with_dtype(DType::Bool));
    }
    let mut alike = known.iter().enumerate().filter(|(other, _)| condition != Some(*other)).filter_map(|(_, ty)| *ty);
    Some(result.with_dtype(alike.next().map_or(result.dtype, |ty| ty.dtype)))
}
