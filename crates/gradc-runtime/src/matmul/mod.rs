//! Matrix multiplication, with the micro-kernels of the `gemm` crates.
//!
//! The crates' own front door allocates memory for packed operands in every product; here that memory is the caller's,
//! who plans it with everything else. What is done with it, and in which order, is in `blocked.rs`.

mod axes;
mod blocked;
mod gathered;
mod kernels;
#[cfg(test)]
mod nested_tests;
mod pack;
mod packed;
mod part;
mod prefetch;
mod product;
mod row;
mod scattered;
#[cfg(test)]
mod tests;

use std::ops::Range;

use blocked::Blocking;
use gathered::{Gathered, OperandAxes};
use kernels::{Element, Kernels};
use packed::Packed;
use product::{Form, Product};
use scattered::Scattered;

pub use axes::{Axes, Axis};
pub use packed::{Operand, Packing, pack_operand_f32, pack_operand_f64};
pub use part::{LANES_STEP, MatmulCut, MatmulPart};

/// How a matrix lies in memory, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Strides {
    /// From row to row.
    pub row: Axes,
    /// From column to column.
    pub column: Axes,
    /// From one product of the batch to the next.
    pub batch: Axes,
}

impl Strides {
    /// Of a matrix that has but one axis of each kind.
    pub const fn plain(row: usize, column: usize, batch: usize) -> Strides {
        Strides { row: Axes::plain(row), column: Axes::plain(column), batch: Axes::plain(batch) }
    }

    /// Whether rows and columns have one axis each.
    fn is_plain(&self) -> bool {
        self.row.is_plain() && self.column.is_plain()
    }
}

/// `C = s · A · B` or `C += s · A · B`, `batch` times over.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Matmul {
    /// Number of products.
    pub batch: usize,
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A and rows of B; where it is 0, the product is zero.
    pub k: usize,
    /// The layout of A.
    pub a: Strides,
    /// The layout of B.
    pub b: Strides,
    /// The layout of C. Where its rows or columns are of several axes, its elements may overlap: it is only added to then.
    pub c: Strides,
    /// Whether C is added to.
    pub accumulate: bool,
    /// The factor s. A sum is multiplied before it is added to C, in blocks of depths where there are several.
    pub scale: f64,
    /// Whether the operand that [`Matmul::packing`] names has been packed. The layouts are those of the operands before, and there
    /// is such an operand.
    pub packed: bool,
}

impl Matmul {
    /// The bytes of scratch memory that a product of elements of `size` bytes (4 or 8) needs. It depends on nothing else,
    /// so memory can be planned before it is known which machine will run.
    pub fn scratch_bytes(&self, size: usize) -> usize {
        MatmulPart::whole(self).scratch_bytes(size)
    }
}

impl Matmul {
    /// Whether an operand is of several axes, so that it is gathered.
    fn is_gathered(&self) -> bool {
        !self.a.is_plain() || !self.b.is_plain()
    }

    /// The axes of the operands of a form.
    fn operand_axes(&self, form: &Form) -> OperandAxes<'_> {
        let Matmul { a, b, .. } = self;
        if form.lanes_of_a {
            OperandAxes { lanes: &a.row, lanes_depth: &a.column, rows: &b.column, rows_depth: &b.row }
        } else {
            OperandAxes { lanes: &b.column, lanes_depth: &b.row, rows: &a.row, rows_depth: &a.column }
        }
    }
}

/// The instruction set that products are computed with on this machine.
pub fn matmul_instructions() -> &'static str {
    Kernels::<f32>::select().name
}

/// Multiplies matrices of `f32`. Nothing is allocated.
///
/// # Safety
/// `matmul` is valid. `a`, `b` and `c` are aligned, and valid for every element that its extents and strides reach;
/// or, of an operand that has been packed, for the bytes of [`Matmul::packing`], which [`pack_operand_f32`] has written for a product
/// of these extents and layouts on this machine;
/// `c` is written and overlaps neither `a` nor `b`, nor do elements of `c` overlap each other, unless its rows or columns are of
/// several axes; then it accumulates. Unless it accumulates, `c` need not be initialised. `scratch` is aligned as the elements
/// are, better to a cache line, valid for writing [`Matmul::scratch_bytes`], and apart from the others; it need not be
/// initialised.
pub unsafe extern "C" fn gradc_runtime_matmul_f32(
    matmul: *const Matmul,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    scratch: *mut f32,
) {
    // SAFETY: the caller promises what `run` asks for; the kernels are selected for this machine.
    unsafe { run(Kernels::select(), &MatmulPart::whole(&*matmul), 1.0, a, b, c, scratch) }
}

/// Multiplies matrices of `f64`. Nothing is allocated.
///
/// # Safety
/// As [`gradc_runtime_matmul_f32`].
pub unsafe extern "C" fn gradc_runtime_matmul_f64(
    matmul: *const Matmul,
    a: *const f64,
    b: *const f64,
    c: *mut f64,
    scratch: *mut f64,
) {
    // SAFETY: the caller promises what `run` asks for; the kernels are selected for this machine.
    unsafe { run(Kernels::select(), &MatmulPart::whole(&*matmul), 1.0, a, b, c, scratch) }
}

/// Computes a part of a product of `f32`, times `factor`. Nothing is allocated.
///
/// # Safety
/// As [`gradc_runtime_matmul_f32`], for the whole product, of which this writes only its part of `c`: parts may be computed at
/// the same time. Each has `scratch` of its own, with [`MatmulPart::scratch_bytes`].
pub unsafe fn multiply_part_f32(
    part: &MatmulPart,
    factor: f32,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    scratch: *mut f32,
) {
    // SAFETY: the caller promises what `run` asks for; the kernels are selected for this machine.
    unsafe { run(Kernels::select(), part, factor, a, b, c, scratch) }
}

/// Computes a part of a product of `f64`, times `factor`. Nothing is allocated.
///
/// # Safety
/// As [`multiply_part_f32`].
pub unsafe fn multiply_part_f64(
    part: &MatmulPart,
    factor: f64,
    a: *const f64,
    b: *const f64,
    c: *mut f64,
    scratch: *mut f64,
) {
    // SAFETY: the caller promises what `run` asks for; the kernels are selected for this machine.
    unsafe { run(Kernels::select(), part, factor, a, b, c, scratch) }
}

/// So many lanes are wide: a few times what the widest tile of any instruction set has.
const WIDE: usize = 256;

/// The least elements of the matrix of a [`Path::WideRow`]. A smaller one is in a cache near by, where the order does not matter.
const WIDE_ELEMENTS: usize = 1 << 19;

/// How a product is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    /// C has no elements, or nothing is added to them.
    Nothing,
    /// A sum of no products.
    Zero,
    /// C is of several axes.
    Scattered,
    /// An operand is of several axes.
    Gathered,
    /// One row, and adjacent depths.
    AdjacentDepths,
    /// One row, and so many adjacent lanes that they are best read along memory, a few depths at a time, if they are not packed.
    WideRow,
    /// Everything else.
    Blocked,
}

impl Path {
    fn new(matmul: &Matmul, form: &Form) -> Path {
        if matmul.batch == 0 || form.lanes == 0 || form.rows == 0 || (form.depth == 0 && matmul.accumulate) {
            Path::Nothing
        } else if form.depth == 0 {
            Path::Zero
        } else if !matmul.c.is_plain() {
            Path::Scattered
        } else if matmul.is_gathered() {
            Path::Gathered
        } else if form.rows == 1 && form.l_depth == 1 && form.r_depth == 1 {
            Path::AdjacentDepths
        } else if form.rows == 1
            && form.l_lane == 1
            && form.lanes >= WIDE
            && form.lanes.saturating_mul(form.depth) >= WIDE_ELEMENTS
            && !matmul.accumulate
            && !matmul.packed
        {
            // Sums of a few depths that are added to a large number would be lost. Packed lanes are along memory in any order.
            Path::WideRow
        } else {
            Path::Blocked
        }
    }
}

/// # Safety
/// As [`multiply_part_f32`]; the machine has the kernels' instructions.
unsafe fn run<T: Element>(
    kernels: &Kernels<T>,
    part: &MatmulPart,
    factor: T,
    a: *const T,
    b: *const T,
    c: *mut T,
    scratch: *mut T,
) {
    let MatmulPart { ref matmul, form: whole, path, ref batch, ref lanes, ref rows } = *part;
    if path == Path::Nothing || lanes.is_empty() || rows.is_empty() {
        return;
    }
    let form = Form { lanes: lanes.len(), rows: rows.len(), ..whole };
    if path == Path::Zero {
        // SAFETY: as for this function. There are no operands, and their strides may be any.
        unsafe { batch.clone().for_each(|index| clear(&form, c.add(matmul.c.batch.at(index)), lanes, rows)) };
        return;
    }
    let blocking = Blocking::new(&form, path, size_of::<T>(), matmul.packed);
    let packed = matmul.packed.then(|| Packed::new(&whole, size_of::<T>(), lanes.start));
    let of_packed = Axes::plain(if matmul.packed { matmul.packed_batch(&whole, size_of::<T>()) } else { 0 });
    let (of_a, of_b) = match (matmul.packed, whole.lanes_of_a) {
        (false, _) => (&matmul.a.batch, &matmul.b.batch),
        (true, true) => (&of_packed, &matmul.b.batch),
        (true, false) => (&matmul.a.batch, &of_packed),
    };
    for index in batch.clone() {
        // SAFETY: the matrices of this product begin within what the caller promised, and so do those of the part, which
        // is what the paths ask for.
        unsafe {
            let (a, b) = (a.add(of_a.at(index)), b.add(of_b.at(index)));
            let (l, r) = if form.lanes_of_a { (a, b) } else { (b, a) };
            let c = c.add(matmul.c.batch.at(index));
            let (accumulate, scale) = (matmul.accumulate, T::of(matmul.scale).times(factor));
            let product = Product { form, l, r, c, accumulate, scale, packed };
            if path == Path::Gathered || path == Path::Scattered {
                run_nested(kernels, part, product, scratch);
                continue;
            }
            let product = Product {
                l: if matmul.packed { l } else { l.add(lanes.start * form.l_lane) },
                r: r.add(rows.start * form.r_row),
                c: c.add(lanes.start * form.c_lane + rows.start * form.c_row),
                ..product
            };
            match (path, &blocking) {
                (Path::AdjacentDepths, _) => (kernels.row)(&product),
                (_, Some(blocking)) => blocked::multiply(kernels, &product, blocking, scratch),
                (_, None) => {}
            }
        }
    }
}

/// Computes a part of one product, which has several axes somewhere; its operands and C are whole.
///
/// # Safety
/// As [`run`].
#[inline(never)]
unsafe fn run_nested<T: Element>(kernels: &Kernels<T>, part: &MatmulPart, product: Product<T>, scratch: *mut T) {
    let MatmulPart { matmul, path, lanes, rows, .. } = part;
    let (axes, first_lane, first_row) = (matmul.operand_axes(&product.form), lanes.start, rows.start);
    // SAFETY: as for this function.
    unsafe {
        if *path == Path::Scattered {
            let (c_rows, c_columns, is_gathered) = (&matmul.c.row, &matmul.c.column, matmul.is_gathered());
            let scattered = Scattered { product, axes, is_gathered, c_rows, c_columns, first_row };
            scattered::multiply(kernels, &scattered, scratch);
        } else {
            let Form { c_lane, c_row, .. } = product.form;
            let product = Product { c: product.c.add(first_lane * c_lane + first_row * c_row), ..product };
            gathered::multiply(kernels, &Gathered { product, axes, first_lane, first_row }, scratch);
        }
    }
}

/// # Safety
/// C is valid for writing these lanes and rows.
unsafe fn clear<T: Element>(form: &Form, c: *mut T, lanes: &Range<usize>, rows: &Range<usize>) {
    for row in rows.clone() {
        for lane in lanes.clone() {
            // SAFETY: the element is one of C's.
            unsafe { c.add(row * form.c_row + lane * form.c_lane).write(T::ZERO) };
        }
    }
}
