//! Matrix multiplication through the `gemm` crate.

use gemm::{Parallelism, gemm};

/// How a matrix lies in memory, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Strides {
    /// From row to row.
    pub row: usize,
    /// From column to column.
    pub column: usize,
    /// From one product of the batch to the next.
    pub batch: usize,
}

/// `C = A · B` or `C += A · B`, `batch` times over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The layout of C.
    pub c: Strides,
    /// Whether C is added to.
    pub accumulate: bool,
}

/// Multiplies matrices of `f32`.
///
/// # Safety
/// `matmul` is valid. `a`, `b` and `c` are aligned, and valid for every element that its extents and strides reach;
/// `c` is written and overlaps neither `a` nor `b`, nor do elements of `c` overlap each other. Unless it
/// accumulates, `c` need not be initialised.
pub unsafe extern "C" fn gradc_runtime_matmul_f32(matmul: *const Matmul, a: *const f32, b: *const f32, c: *mut f32) {
    // SAFETY: the caller promises what `run` asks for.
    unsafe { run(&*matmul, a, b, c) }
}

/// Multiplies matrices of `f64`.
///
/// # Safety
/// As [`gradc_runtime_matmul_f32`].
pub unsafe extern "C" fn gradc_runtime_matmul_f64(matmul: *const Matmul, a: *const f64, b: *const f64, c: *mut f64) {
    // SAFETY: the caller promises what `run` asks for.
    unsafe { run(&*matmul, a, b, c) }
}

/// The element types that there are kernels for.
trait Element: Copy + 'static {
    const ZERO: Self;
    const ONE: Self;
}

impl Element for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
}

impl Element for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
}

/// # Safety
/// `a`, `b` and `c` are valid for every element that the extents and strides reach, `c` for writing and apart from
/// the others.
unsafe fn run<T: Element>(matmul: &Matmul, a: *const T, b: *const T, c: *mut T) {
    let Matmul { batch, m, n, k, accumulate, .. } = *matmul;
    if m == 0 || n == 0 || (k == 0 && accumulate) {
        return;
    }
    for index in 0..batch {
        // SAFETY: the matrices of this product begin within what the caller promised.
        let (a, b, c) =
            unsafe { (a.add(index * matmul.a.batch), b.add(index * matmul.b.batch), c.add(index * matmul.c.batch)) };
        if k == 0 {
            // SAFETY: as for this function.
            unsafe { clear(matmul, c) };
            continue;
        }
        let alpha = if accumulate { T::ONE } else { T::ZERO };
        let (sa, sb, sc) = (matmul.a, matmul.b, matmul.c);
        // SAFETY: as for this function; a stride fits in `isize` because the memory that it spans exists.
        unsafe {
            gemm(
                m,
                n,
                k,
                c,
                sc.column as isize,
                sc.row as isize,
                accumulate,
                a,
                sa.column as isize,
                sa.row as isize,
                b,
                sb.column as isize,
                sb.row as isize,
                alpha,
                T::ONE,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}

/// # Safety
/// `c` is valid for writing every element that the extents and strides reach.
unsafe fn clear<T: Element>(matmul: &Matmul, c: *mut T) {
    for row in 0..matmul.m {
        for column in 0..matmul.n {
            // SAFETY: the element is one of C's.
            unsafe { c.add(row * matmul.c.row + column * matmul.c.column).write(T::ZERO) };
        }
    }
}
