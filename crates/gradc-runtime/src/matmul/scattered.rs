//! Products whose elements are added up where they overlap, as the gradient of windows is.
//!
//! A block of rows of the product is computed in scratch memory, then added, element by element, to where it belongs: so no more
//! than a block of it is ever there. An element is added to in the order of rows, then columns, whatever the blocks are.

use super::axes::Axes;
use super::blocked::{self, Blocking, ROWS_STEP};
use super::gathered::{self, Gathered, OperandAxes};
use super::kernels::{Element, Kernels};
use super::product::{Form, Product};

/// About the bytes of a block of the product.
const BLOCK_BYTES: usize = 128 << 10;

/// A product with rows of C that begin at places of their own.
pub(super) struct Scattered<'a, T> {
    /// The extents and operands. They are whole; C has no strides.
    pub(super) product: Product<T>,
    /// The axes of the operands.
    pub(super) axes: OperandAxes<'a>,
    /// Whether they are more than one each.
    pub(super) is_gathered: bool,
    /// The rows of C.
    pub(super) c_rows: &'a Axes,
    /// The columns of C.
    pub(super) c_columns: &'a Axes,
    /// The first row of the product.
    pub(super) first_row: usize,
}

/// How the product of a block is computed.
fn block(form: &Form, size: usize) -> Form {
    let most = (BLOCK_BYTES / size / form.lanes / ROWS_STEP * ROWS_STEP).max(ROWS_STEP);
    Form { rows: form.rows.min(most), c_lane: 1, c_row: form.lanes, ..*form }
}

/// The elements of scratch memory that are needed, for any instruction set: for the product of a block, then to compute it.
pub(super) fn scratch(form: &Form, is_gathered: bool, size: usize) -> usize {
    let block = block(form, size);
    let own = match is_gathered {
        true => gathered::scratch(&block, size),
        false => Blocking::of_tiles(&block, size).scratch(&block, size),
    };
    block.rows * block.lanes + own
}

/// Multiplies.
///
/// # Safety
/// The machine has the kernels' instructions. Everything that the product refers to is valid, and C apart from the others; no
/// extent is 0. `scratch` is valid for writing as many elements as [`scratch`] says, and apart from all of them.
pub(super) unsafe fn multiply<T: Element>(kernels: &Kernels<T>, scattered: &Scattered<'_, T>, scratch: *mut T) {
    let Scattered { ref product, axes, is_gathered, c_rows, c_columns, first_row } = *scattered;
    let whole = block(&product.form, size_of::<T>());
    // The last block has fewer rows, and is divided as the others are: alone it might pack more of them at a time.
    let blocking = Blocking::of_tiles(&whole, size_of::<T>());
    let mut row = c_rows.walk(first_row);
    for rows in blocked::blocks(product.rows, whole.rows) {
        let form = Form { rows: rows.len(), ..whole };
        let Product { l, r, scale, .. } = *product;
        // SAFETY: a block of the product, and its place in scratch memory, which room to compute it follows.
        unsafe {
            let own = scratch.add(whole.rows * whole.lanes);
            let (c, first_row) = (scratch, first_row + rows.start);
            if is_gathered {
                let product = Product { form, l, r, c, accumulate: false, scale, packed: None };
                gathered::multiply(kernels, &Gathered { product, axes, first_lane: 0, first_row }, own);
            } else {
                let r = r.add(first_row * form.r_row);
                let product = Product { form, l, r, c, accumulate: false, scale, packed: None };
                blocked::multiply(kernels, &product, &blocking, own);
            }
            for at in 0..rows.len() {
                (kernels.add)(scratch.add(at * whole.lanes), whole.lanes, c_columns, product.c.add(row.at));
                row.step();
            }
        }
    }
}

/// Adds so many adjacent elements to those along some axes.
///
/// # Safety
/// The machine has the instructions of the set; all elements are valid, and those that are added to are apart from the others.
pub(super) type Function<T> = unsafe fn(*const T, usize, &Axes, *mut T);

/// The function for an instruction set.
macro_rules! function {
    ($set:ident $(, $feature:literal)?) => {
        pub(super) const fn $set<T: Element>() -> Function<T> {
            $(#[target_feature(enable = $feature)])?
            unsafe fn add<T: Element>(from: *const T, count: usize, axes: &Axes, to: *mut T) {
                // SAFETY: as for this function.
                unsafe { add_along(from, count, axes, to) };
            }
            add::<T>
        }
    };
}

#[cfg(target_arch = "x86_64")]
function!(avx512f, "avx512f");
#[cfg(target_arch = "x86_64")]
function!(fma, "fma");
#[cfg(target_arch = "aarch64")]
function!(neon, "neon");
function!(scalar);

/// # Safety
/// As [`Function`].
#[inline(always)]
unsafe fn add_along<T: Element>(from: *const T, count: usize, axes: &Axes, to: *mut T) {
    let (mut walk, stride) = (axes.walk(0), axes.inner.stride);
    let mut done = 0;
    while done < count {
        let run = walk.rest().min(count - done);
        // SAFETY: as for this function.
        unsafe {
            let (from, to) = (from.add(done), to.add(walk.at));
            if stride == 1 {
                for at in 0..run {
                    to.add(at).write((*to.add(at)).plus(*from.add(at)));
                }
            } else {
                for at in 0..run {
                    to.add(at * stride).write((*to.add(at * stride)).plus(*from.add(at)));
                }
            }
        }
        done += run;
        walk.skip(run);
    }
}
