//! Operands that are packed once, for products that are computed many times.
//!
//! What is packed is the operand that has the lanes: all its panels, as the loops of `blocked.rs` would pack them one block after
//! another. They lie in the order in which one block of rows reads them, so that memory is read along. Kernels, blocks and sums are
//! those of [`Path::Blocked`], whether it packs by itself or not: the bits are the same. A [`Path::WideRow`] is no more where memory
//! is read along anyway, and is rounded as all others are then.

use std::ops::Range;

use super::blocked::{Blocking, TILE_BYTES, VECTOR_BYTES, blocks};
use super::kernels::{Element, Kernels};
use super::pack::Piece;
use super::part::cut;
use super::product::Form;
use super::{Axes, Matmul, MatmulPart, Path, Strides};

/// Which operand of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// The left one.
    A,
    /// The right one.
    B,
}

/// How an operand can be packed before it is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// The operand.
    pub operand: Operand,
    /// The bytes that it takes, for any instruction set.
    pub bytes: usize,
}

/// Lanes that have been packed, of which a product has some.
#[derive(Clone, Copy)]
pub(super) struct Packed {
    /// The first lane of the product, which begins a panel.
    first: usize,
    /// All lanes there, with those that fill the last vector.
    lanes: usize,
}

impl Packed {
    /// The packed lanes of a whole product, of elements of `size` bytes, for those from `first` on. How many they are depends on
    /// no instruction set.
    pub(super) fn new(whole: &Form, size: usize, first: usize) -> Packed {
        Packed { first, lanes: whole.lanes.next_multiple_of(VECTOR_BYTES / size) }
    }

    /// Where the panel of a block of depths is that begins with this lane of the product. The panels before it are full.
    pub(super) fn panel(&self, depths: &Range<usize>, lane: usize) -> usize {
        depths.start * self.lanes + (self.first + lane) * depths.len()
    }

    /// The elements of all panels, for so many depths.
    fn elements(&self, depth: usize) -> usize {
        self.lanes.saturating_mul(depth)
    }
}

impl Matmul {
    /// How an operand of elements of `size` bytes (4 or 8) can be packed before, if that is of use. It is not asked for where one
    /// has been packed.
    pub fn packing(&self, size: usize) -> Option<Packing> {
        let MatmulPart { form, path, .. } = MatmulPart::whole(self);
        if !matches!(path, Path::Blocked | Path::WideRow) {
            return None;
        }
        let operand = if form.lanes_of_a { Operand::A } else { Operand::B };
        let batch = &self.lanes(&form).batch;
        let matrices = if is_one(batch) { 1 } else { self.batch };
        // Where some of a batch have the same matrix, it would be there several times.
        if matrices > 1 && batch.all().any(|axis| axis.stride == 0 && axis.extent > 1) {
            return None;
        }
        let elements = Packed::new(&form, size, 0).elements(form.depth).checked_mul(matrices)?;
        let bytes = elements.checked_mul(size).filter(|&bytes| bytes <= GREATEST)?;
        Some(Packing { operand, bytes })
    }

    /// The lanes that are to be packed, in so many parts at the most, which may be packed at the same time.
    pub fn packing_parts(&self, size: usize, count: usize) -> Vec<Range<usize>> {
        cut(&(0..Form::new(self).lanes), TILE_BYTES / size, count).collect()
    }

    /// The layout of the operand that has the lanes.
    fn lanes(&self, form: &Form) -> &Strides {
        if form.lanes_of_a { &self.a } else { &self.b }
    }

    /// How far from each other the packed matrices of two products of the batch are: nowhere, where all have the same one.
    pub(super) fn packed_batch(&self, form: &Form, size: usize) -> usize {
        match is_one(&self.lanes(form).batch) {
            true => 0,
            false => Packed::new(form, size, 0).elements(form.depth),
        }
    }
}

/// No packed operand is larger than this, in bytes: nobody has as much memory.
const GREATEST: usize = isize::MAX as usize / 4;

/// Whether all of a batch have one matrix.
fn is_one(batch: &Axes) -> bool {
    batch.all().all(|axis| axis.stride == 0 || axis.extent <= 1)
}

/// Packs some lanes, of elements of `f32`, of the operand that [`Matmul::packing`] names; nothing, where it names none. Nothing is
/// allocated.
///
/// # Safety
/// `matmul` is valid. The operand `from` is aligned, and valid for every element that its extents and strides reach; `to` is aligned,
/// valid for writing as many bytes as [`Matmul::packing`] says, and apart from it. It need not be initialised. `lanes` are
/// one of [`Matmul::packing_parts`]; the others may be packed at the same time.
pub unsafe fn pack_operand_f32(matmul: &Matmul, lanes: Range<usize>, from: *const f32, to: *mut f32) {
    // SAFETY: the caller promises what `pack` asks for; the kernels are selected for this machine.
    unsafe { pack(Kernels::select(), matmul, lanes, from, to) }
}

/// Packs some lanes, of elements of `f64`.
///
/// # Safety
/// As [`pack_operand_f32`].
pub unsafe fn pack_operand_f64(matmul: &Matmul, lanes: Range<usize>, from: *const f64, to: *mut f64) {
    // SAFETY: the caller promises what `pack` asks for; the kernels are selected for this machine.
    unsafe { pack(Kernels::select(), matmul, lanes, from, to) }
}

/// # Safety
/// As [`pack_operand_f32`]; the machine has the kernels' instructions.
pub(super) unsafe fn pack<T: Element>(
    kernels: &Kernels<T>,
    matmul: &Matmul,
    lanes: Range<usize>,
    from: *const T,
    to: *mut T,
) {
    let MatmulPart { form, path, .. } = MatmulPart::whole(&Matmul { packed: true, ..*matmul });
    let Some(blocking) = Blocking::new(&form, path, size_of::<T>(), true) else { return };
    let packed = Packed::new(&form, size_of::<T>(), 0);
    let (batch, stride) = (matmul.lanes(&form).batch, matmul.packed_batch(&form, size_of::<T>()));
    for index in 0..if stride == 0 { 1 } else { matmul.batch } {
        for depths in blocks(form.depth, blocking.depths) {
            for panel in blocks(lanes.len(), kernels.lanes) {
                let panel = lanes.start + panel.start..lanes.start + panel.end;
                // SAFETY: a piece of the operand, and its own place in what is written.
                unsafe {
                    let from = from.add(batch.at(index));
                    let piece = Piece {
                        from: from.add(panel.start * form.l_lane + depths.start * form.l_depth),
                        across: panel.len(),
                        stride_across: form.l_lane,
                        depth: depths.len(),
                        stride_depth: form.l_depth,
                    };
                    let to = to.add(index * stride + packed.panel(&depths, panel.start));
                    (kernels.pack)(&piece, to, kernels.padded(panel.len()));
                }
            }
        }
    }
}
