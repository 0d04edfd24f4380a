//! A product as the kernels see it.
//!
//! Kernels compute with vectors along one extent of C, and with single numbers along the other one. The first is called
//! *lanes* here, the second *rows*: which is which is decided by how C lies in memory. The operand that has the lanes is
//! `l`, the other one `r`.

use super::Matmul;
use super::kernels::Element;
use super::packed::Packed;

/// Lanes of a vector, for any element type and instruction set: how well lanes fill vectors is an estimate.
const LANES: usize = 16;

/// From so many depths on, it does not matter how elements of C are written.
const LONG: usize = 128;

/// Which operand has the lanes, and how large everything is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Whether the lanes are those of A: then C's rows are lanes, its columns rows.
    pub(super) lanes_of_a: bool,
    /// Elements of C along the lanes.
    pub(super) lanes: usize,
    /// Elements of C along the rows.
    pub(super) rows: usize,
    /// Elements of A and B that are multiplied for one element of C.
    pub(super) depth: usize,
    /// From lane to lane.
    pub(super) l_lane: usize,
    /// From depth to depth of the lanes.
    pub(super) l_depth: usize,
    /// From row to row.
    pub(super) r_row: usize,
    /// From depth to depth of the rows.
    pub(super) r_depth: usize,
    /// C's, from lane to lane.
    pub(super) c_lane: usize,
    /// C's, from row to row.
    pub(super) c_row: usize,
}

impl Form {
    /// The form of the products of `matmul`: lanes are what is adjacent in C, unless its elements are sums so long that writing
    /// them does not matter, and fewer of them would be lanes of vectors that nothing is in; where there is one row or one
    /// column, lanes are the other extent. Of an operand of several axes, the rows are; the strides here are those of the
    /// innermost ones.
    pub(super) fn new(matmul: &Matmul) -> Form {
        let Matmul { m, n, k, ref a, ref b, ref c, .. } = *matmul;
        let adjacent_rows = c.column.inner.stride != 1 && c.row.inner.stride == 1;
        let (lanes, rows) = if adjacent_rows { (m, n) } else { (n, m) };
        let vectors = |lanes: usize, rows: usize| lanes.div_ceil(LANES).saturating_mul(rows);
        let turned = k >= LONG && 3 * vectors(lanes, rows) > 4 * vectors(rows, lanes);
        let lanes_of_a = match (a.is_plain(), b.is_plain()) {
            // Each row of a block is added to places of its own.
            _ if !c.is_plain() => false,
            (true, false) => true,
            (false, true) => false,
            _ if m == 1 || n == 1 => n == 1,
            _ => adjacent_rows != turned,
        };
        let [a_row, a_column, b_row, b_column] = [&a.row, &a.column, &b.row, &b.column].map(|axes| axes.inner.stride);
        let (c_rows, c_columns) = (c.row.inner.stride, c.column.inner.stride);
        if lanes_of_a {
            Form {
                lanes_of_a,
                lanes: m,
                rows: n,
                depth: k,
                l_lane: a_row,
                l_depth: a_column,
                r_row: b_column,
                r_depth: b_row,
                c_lane: c_rows,
                c_row: c_columns,
            }
        } else {
            Form {
                lanes_of_a,
                lanes: n,
                rows: m,
                depth: k,
                l_lane: b_column,
                l_depth: b_row,
                r_row: a_row,
                r_depth: a_column,
                c_lane: c_columns,
                c_row: c_rows,
            }
        }
    }
}

/// One product, of the form that it dereferences to.
pub(super) struct Product<T> {
    /// The form.
    pub(super) form: Form,
    /// The operand that has the lanes.
    pub(super) l: *const T,
    /// The operand that has the rows.
    pub(super) r: *const T,
    /// The product.
    pub(super) c: *mut T,
    /// Whether C is added to.
    pub(super) accumulate: bool,
    /// What the product is multiplied with.
    pub(super) scale: T,
    /// Where these lanes are among those that were packed before, if they were: then `l` is where all of them begin.
    pub(super) packed: Option<Packed>,
}

impl<T> std::ops::Deref for Product<T> {
    type Target = Form;

    fn deref(&self) -> &Form {
        &self.form
    }
}

impl<T: Element> Product<T> {
    /// Writes a sum to an element of C's first row, or adds it there, with its factor.
    ///
    /// # Safety
    /// C is valid, and has the lane.
    #[inline(always)]
    pub(super) unsafe fn store<const FUSED: bool>(&self, lane: usize, sum: T) {
        // SAFETY: as the caller promises; what is not accumulated to is not read.
        unsafe {
            let element = self.c.add(lane * self.c_lane);
            element.write(match self.accumulate {
                true => sum.multiply_add::<FUSED>(self.scale, *element),
                false => sum.times(self.scale),
            });
        }
    }
}
