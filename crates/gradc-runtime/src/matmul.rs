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

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENTS: [usize; 7] = [0, 1, 2, 3, 5, 16, 33];

    /// A matrix in memory, padded so that a wrong stride is seen.
    struct Matrix {
        strides: Strides,
        data: Vec<f64>,
    }

    fn matrix(batch: usize, rows: usize, columns: usize, transposed: bool, seed: usize) -> Matrix {
        let pitch = if transposed { rows } else { columns } + 3;
        let (row, column) = if transposed { (1, pitch) } else { (pitch, 1) };
        let per_batch = pitch * if transposed { columns } else { rows } + 5;
        let data = (0..batch * per_batch).map(|at| ((at * 31 + seed * 17) % 23) as f64 - 11.0).collect();
        Matrix { strides: Strides { row, column, batch: per_batch }, data }
    }

    fn at(strides: Strides, batch: usize, row: usize, column: usize) -> usize {
        batch * strides.batch + row * strides.row + column * strides.column
    }

    /// The definition. All numbers are small and whole, so that no order of summation rounds.
    fn reference(matmul: &Matmul, a: &[f64], b: &[f64], c: &mut [f64]) {
        for batch in 0..matmul.batch {
            for (row, column) in (0..matmul.m).flat_map(|row| (0..matmul.n).map(move |column| (row, column))) {
                let products =
                    (0..matmul.k).map(|k| a[at(matmul.a, batch, row, k)] * b[at(matmul.b, batch, k, column)]);
                let element = &mut c[at(matmul.c, batch, row, column)];
                *element = if matmul.accumulate { *element } else { 0.0 } + products.sum::<f64>();
            }
        }
    }

    fn check(matmul: &Matmul, a: &Matrix, b: &Matrix, c: &Matrix) {
        let mut expected = c.data.clone();
        reference(matmul, &a.data, &b.data, &mut expected);

        let mut found = c.data.clone();
        // SAFETY: the matrices are as large as their strides and extents say, and apart.
        unsafe { gradc_runtime_matmul_f64(matmul, a.data.as_ptr(), b.data.as_ptr(), found.as_mut_ptr()) };
        assert_eq!(found, expected, "{matmul:?}");

        let single = |matrix: &Matrix| matrix.data.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let (a, b, mut found) = (single(a), single(b), single(c));
        // SAFETY: as above.
        unsafe { gradc_runtime_matmul_f32(matmul, a.as_ptr(), b.as_ptr(), found.as_mut_ptr()) };
        assert_eq!(found.into_iter().map(f64::from).collect::<Vec<_>>(), expected, "{matmul:?}");
    }

    #[test]
    fn products_of_all_small_shapes_and_layouts() {
        for (m, n, k) in EXTENTS
            .into_iter()
            .flat_map(|m| EXTENTS.into_iter().flat_map(move |n| EXTENTS.into_iter().map(move |k| (m, n, k))))
        {
            for layout in 0..16 {
                let flag = |bit: usize| layout >> bit & 1 == 1;
                let a = matrix(1, m, k, flag(0), 1);
                let b = matrix(1, k, n, flag(1), 2);
                let c = matrix(1, m, n, flag(2), 3);
                let (sa, sb, sc) = (a.strides, b.strides, c.strides);
                let matmul = Matmul { batch: 1, m, n, k, a: sa, b: sb, c: sc, accumulate: flag(3) };
                check(&matmul, &a, &b, &c);
            }
        }
    }

    #[test]
    fn batches_are_products_of_their_own() {
        for batch in [0, 1, 4] {
            let (m, n, k) = (5, 9, 7);
            let (a, mut b, c) =
                (matrix(batch, m, k, false, 1), matrix(batch, k, n, true, 2), matrix(batch, m, n, false, 3));
            let (sa, sc) = (a.strides, c.strides);
            check(&Matmul { batch, m, n, k, a: sa, b: b.strides, c: sc, accumulate: true }, &a, &b, &c);
            // One matrix for all of the batch.
            b.strides.batch = 0;
            check(&Matmul { batch, m, n, k, a: sa, b: b.strides, c: sc, accumulate: false }, &a, &b, &c);
        }
    }

    #[test]
    fn what_is_not_accumulated_to_is_not_read() {
        let (a, b) = ([1.0f32, 2.0], [3.0f32, 4.0]);
        let strides = |row| Strides { row, column: 1, batch: 0 };
        for (k, expected) in [(2, 11.0), (0, 0.0)] {
            let matmul =
                Matmul { batch: 1, m: 1, n: 1, k, a: strides(2), b: strides(1), c: strides(1), accumulate: false };
            let mut c = [f32::NAN];
            // SAFETY: one row of two elements times one column of two is one element.
            unsafe { gradc_runtime_matmul_f32(&matmul, a.as_ptr(), b.as_ptr(), c.as_mut_ptr()) };
            assert_eq!(c, [expected]);
        }
    }
}
