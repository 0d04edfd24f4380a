use gemm::{Parallelism, gemm};

use super::*;

/// A matrix in memory, padded so that a wrong stride is seen.
struct Matrix {
    strides: Strides,
    data: Vec<f64>,
}

/// Small whole numbers, of which no sum rounds, with `padding` between and behind the rows.
fn matrix(batch: usize, rows: usize, columns: usize, transposed: bool, seed: usize, padding: f64) -> Matrix {
    let (inner, outer) = if transposed { (rows, columns) } else { (columns, rows) };
    let pitch = inner + 3;
    let (row, column) = if transposed { (1, pitch) } else { (pitch, 1) };
    let per_batch = pitch * outer + 5;
    let number = |at: usize| ((at * 31 + seed * 17) % 23) as f64 - 11.0;
    let is_element = |at: usize| at % per_batch < pitch * outer && at % per_batch % pitch < inner;
    let data = (0..batch * per_batch).map(|at| if is_element(at) { number(at) } else { padding }).collect();
    Matrix { strides: Strides::plain(row, column, per_batch), data }
}

/// The operands and what C holds before. What is between their rows must not be used; C's must not be written.
fn matrices(batch: usize, [m, n, k]: [usize; 3], layout: usize) -> (Matmul, [Matrix; 3]) {
    let flag = |bit: usize| layout >> bit & 1 == 1;
    let a = matrix(batch, m, k, flag(0), 1, f64::NAN);
    let b = matrix(batch, k, n, flag(1), 2, f64::NAN);
    let c = matrix(batch, m, n, flag(2), 3, 77.0);
    let (sa, sb, sc) = (a.strides, b.strides, c.strides);
    let scale = if flag(4) { -0.5 } else { 1.0 };
    (Matmul { batch, m, n, k, a: sa, b: sb, c: sc, accumulate: flag(3), scale, packed: false }, [a, b, c])
}

/// The oracle: the front door of the `gemm` crate.
fn reference<T: Element>(matmul: &Matmul, a: &[T], b: &[T], c: &mut [T]) {
    let Matmul { batch, m, n, k, accumulate, .. } = *matmul;
    let strides = |strides: Strides| (strides.column.inner.stride as isize, strides.row.inner.stride as isize);
    let ((a_column, a_row), (b_column, b_row), (c_column, c_row)) =
        (strides(matmul.a), strides(matmul.b), strides(matmul.c));
    for index in 0..if m * n == 0 { 0 } else { batch } {
        let (a, b) = (a[matmul.a.batch.at(index)..].as_ptr(), b[matmul.b.batch.at(index)..].as_ptr());
        let c = c[matmul.c.batch.at(index)..].as_mut_ptr();
        let alpha = if accumulate { T::ONE } else { T::ZERO };
        let none = Parallelism::None;
        // SAFETY: the matrices are as large as their strides and extents say, and apart.
        unsafe {
            gemm(
                m,
                n,
                k,
                c,
                c_column,
                c_row,
                accumulate,
                a,
                a_column,
                a_row,
                b,
                b_column,
                b_row,
                alpha,
                T::of(matmul.scale),
                false,
                false,
                false,
                none,
            );
        }
    }
}

/// Multiplies with every instruction set that this machine has. Scratch memory is full of NaN, and no larger than it has
/// to be.
fn multiply<T: Element + From<f32> + PartialEq>(
    matmul: &Matmul,
    a: &[T],
    b: &[T],
    c: &[T],
) -> Vec<(&'static str, Vec<T>)> {
    let guard = T::from(99.0);
    let elements = matmul.scratch_bytes(size_of::<T>()) / size_of::<T>();
    let available = T::kernels().iter().filter(|kernels| (kernels.available)());
    let product = |kernels: &'static Kernels<T>| {
        let mut scratch = vec![T::from(f32::NAN); elements];
        scratch.push(guard);
        let mut found = c.to_vec();
        // SAFETY: the matrices are as large as their strides and extents say, and apart; this machine has the
        // instructions.
        unsafe {
            run(
                kernels,
                &MatmulPart::whole(matmul),
                T::ONE,
                a.as_ptr(),
                b.as_ptr(),
                found.as_mut_ptr(),
                scratch.as_mut_ptr(),
            )
        };
        assert!(scratch[elements] == guard, "{}: {matmul:?} needs more scratch memory", kernels.name);
        (kernels.name, found)
    };
    available.map(product).collect()
}

fn check(matmul: &Matmul, [a, b, c]: &[Matrix; 3]) {
    let mut expected = c.data.clone();
    reference(matmul, &a.data, &b.data, &mut expected);
    for (name, found) in multiply(matmul, &a.data, &b.data, &c.data) {
        assert!(found == expected, "{name}, f64: {matmul:?}");
    }
    let single = |matrix: &Matrix| matrix.data.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    for (name, found) in multiply(matmul, &single(a), &single(b), &single(c)) {
        assert!(found.into_iter().map(f64::from).eq(expected.iter().copied()), "{name}, f32: {matmul:?}");
    }
}

#[test]
fn products_of_all_small_shapes_and_layouts() {
    const EXTENTS: [usize; 7] = [0, 1, 2, 3, 5, 16, 33];
    for m in EXTENTS {
        for (n, k) in EXTENTS.into_iter().flat_map(|n| EXTENTS.into_iter().map(move |k| (n, k))) {
            for layout in 0..32 {
                let (matmul, matrices) = matrices(1, [m, n, k], layout);
                check(&matmul, &matrices);
            }
        }
    }
}

/// More than one block of depths, of rows and of lanes, with and without a rest.
#[test]
fn products_of_several_blocks() {
    let shapes = [
        [17, 63, 65],
        [63, 65, 129],
        [65, 129, 63],
        [129, 17, 300],
        [300, 129, 17],
        [1, 300, 129],
        [300, 1, 129],
        [1, 129, 1000],
        [1, 300, 1800],
        [300, 1, 1803],
        [5, 3, 2000],
        [64, 512, 1024],
        [65, 513, 1025],
        [400, 130, 390],
        [130, 700, 40],
    ];
    for shape in shapes {
        for layout in 0..32 {
            let (matmul, matrices) = matrices(1, shape, layout);
            check(&matmul, &matrices);
        }
    }
}

#[test]
fn batches_are_products_of_their_own() {
    for batch in [0, 1, 4] {
        for shape in [[5, 9, 7], [1, 9, 7], [5, 1, 7], [65, 70, 33], [4, 4, 0]] {
            for layout in 0..32 {
                let (mut matmul, matrices) = matrices(batch, shape, layout);
                check(&matmul, &matrices);
                // One matrix for all of the batch.
                matmul.b.batch = Axes::plain(0);
                check(&matmul, &matrices);
            }
        }
    }
}

/// A row or a column of a larger matrix, and elements that are the same in a whole row.
#[test]
fn any_strides() {
    let (rows, columns) = (37, 41);
    for (row, column) in [(3, 200), (200, 3), (0, 1), (1, 0), (0, 0), (5, 7)] {
        for (m, n) in [(rows, columns), (1, columns), (rows, 1)] {
            for swapped in [false, true] {
                let (mut matmul, matrices) = matrices(1, [m, n, 19], 0);
                let odd = matrix(1, 100, 100, false, 5, 3.0);
                let [mut a, mut b, c] = matrices;
                let (row, column) = (Axes::plain(row), Axes::plain(column));
                if swapped {
                    (b.data, matmul.b.row, matmul.b.column) = (odd.data, row, column);
                } else {
                    (a.data, matmul.a.row, matmul.a.column) = (odd.data, row, column);
                }
                check(&matmul, &[a, b, c]);
            }
        }
    }
}

#[test]
fn what_is_not_accumulated_to_is_not_read() {
    for shape in [[1, 1, 2], [1, 1, 0], [1, 40, 3], [40, 1, 3], [40, 50, 3], [40, 50, 0], [30, 30, 800]] {
        for layout in 0..8 {
            let (matmul, [a, b, mut c]) = matrices(1, shape, layout);
            let expected = multiply(&matmul, &a.data, &b.data, &c.data);
            c.data.iter_mut().filter(|element| **element != 77.0).for_each(|element| *element = f64::NAN);
            assert!(multiply(&matmul, &a.data, &b.data, &c.data) == expected, "{matmul:?}");
        }
    }
}

/// Sums are rounded, but not more than a sum of so many products has to be, and in the same way each time.
#[test]
fn sums_are_accurate_and_always_the_same() {
    for shape in [[33, 47, 1000], [1, 47, 1000], [1, 527, 1000], [33, 1, 1000], [8, 64, 64]] {
        for layout in 0..4 {
            let (matmul, operands) = matrices(1, shape, layout);
            let [a, b, c] = operands.map(|matrix| matrix.data.iter().map(|x| x / 7.0).collect::<Vec<f64>>());
            let mut expected = c.clone();
            reference(&matmul, &a, &b, &mut expected);
            let single = |data: &[f64]| data.iter().map(|&x| x as f32).collect::<Vec<f32>>();
            let [a, b, c] = [&a, &b, &c].map(|data| single(data));
            let found = multiply(&matmul, &a, &b, &c);
            assert!(multiply(&matmul, &a, &b, &c) == found, "{matmul:?}");
            for (name, found) in found {
                for (found, expected) in found.into_iter().zip(&expected) {
                    let error = (f64::from(found) - expected).abs();
                    // A sixth of what is known beforehand: half a unit in the last place of the largest sum that there
                    // may be, for each product.
                    let bound = 1e-8 * matmul.k as f64 * (matmul.k as f64 * 2.5);
                    assert!(error < bound, "{name}: {found}, not {expected}: {matmul:?}");
                }
            }
        }
    }
}

#[test]
fn scratch_memory_is_bounded_by_a_constant_and_by_the_operands() {
    for m in [0, 1, 5, 63, 1000, 100_000] {
        for (n, k) in [(1, 5), (5, 1), (5, 0), (64, 64), (300, 1000), (100_000, 100_000), (7, 100_000)] {
            for layout in 0..4 {
                let (a, b) = (layout & 1 == 1, layout & 2 == 2);
                let layout_of_b = b;
                let strides = |rows: usize, columns: usize, transposed: bool| {
                    let (row, column) = if transposed { (1, rows) } else { (columns, 1) };
                    Strides::plain(row, column, 0)
                };
                let (a, b, c) = (strides(m, k, a), strides(k, n, b), strides(m, n, false));
                let matmul = Matmul { batch: 3, m, n, k, a, b, c, accumulate: false, scale: 1.0, packed: false };
                for size in [4, 8] {
                    let bytes = matmul.scratch_bytes(size);
                    let operands = (m + 64 + n + 64) * k * size;
                    assert!(bytes <= operands.min(1 << 20), "{bytes} bytes for {matmul:?}");
                    assert!(bytes == 0 || (m > 0 && n > 0 && k > 0), "{bytes} bytes for {matmul:?}");
                    if m == 1 && n.is_multiple_of(64) && !layout_of_b {
                        assert_eq!(bytes, 0, "{matmul:?} is computed where it is");
                    }
                }
            }
        }
    }
}

/// Numbers whose sums round.
fn fractions(elements: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..elements).map(|_| next()).collect()
}

/// The parts of a product that take the least time.
pub(super) fn parts(matmul: &Matmul, size: usize, count: usize) -> Vec<MatmulPart> {
    let cuts = matmul.cuts(size, count, [false, false]);
    cuts.into_iter().min_by_key(|cut| cut.cost).expect("whole is one way").parts
}

/// In parts, of which each has no more scratch memory than it says, products have the same bits as whole, and nothing else of
/// C is written.
#[test]
fn parts_of_a_product_have_the_bits_of_the_whole() {
    let shapes = [
        (1, [1, 70, 33]),
        (1, [70, 1, 900]),
        (1, [1, 70, 900]),
        (1, [1, 600, 900]),
        (3, [290, 1, 1810]),
        (1, [13, 33, 400]),
        (1, [25, 8, 500]),
        (1, [97, 130, 1]),
        (1, [50, 300, 0]),
        (2, [30, 65, 50]),
        (5, [3, 40, 20]),
        (1, [2, 2, 2]),
        (1, [530, 70, 400]),
    ];
    for (batch, extents) in shapes {
        for layout in 0..32 {
            let (matmul, [a, b, c]) = matrices(batch, extents, layout);
            let (a, b) = (fractions(a.data.len(), 1), fractions(b.data.len(), 2));
            let c: Vec<f32> = c.data.iter().map(|&x| x as f32).collect();
            let whole = multiply(&matmul, &a, &b, &c);
            let cuts = |count: usize| matmul.cuts(size_of::<f32>(), count, [false, false]).into_iter();
            for (count, cut) in [2, 7].into_iter().flat_map(|count| cuts(count).map(move |cut| (count, cut))) {
                let parts = cut.parts;
                assert!((1..=count).contains(&parts.len()));
                for (kernels, (name, whole)) in
                    f32::kernels().iter().filter(|kernels| (kernels.available)()).zip(&whole)
                {
                    let mut found = c.clone();
                    for part in parts.iter().rev() {
                        let elements = part.scratch_bytes(size_of::<f32>()) / size_of::<f32>();
                        let mut scratch = vec![f32::NAN; elements];
                        scratch.push(99.0);
                        let (a, b, c) = (a.as_ptr(), b.as_ptr(), found.as_mut_ptr());
                        // SAFETY: as in `multiply`.
                        unsafe { run(kernels, part, 1.0, a, b, c, scratch.as_mut_ptr()) };
                        assert!(scratch[elements] == 99.0, "{name}: {part:?} needs more scratch memory");
                    }
                    let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
                    assert!(bits(&found) == bits(whole), "{name}: {matmul:?} in {count}");
                }
            }
        }
    }
}

#[test]
fn products_are_cut_where_it_is_worth_while() {
    let (matmul, _) = matrices(1, [64, 128, 128], 0);
    let halves = parts(&matmul, 4, 2);
    assert_eq!(halves.len(), 2);
    assert!(halves.iter().all(|part| part.cost(4) * 10 < MatmulPart::whole(&matmul).cost(4) * 6));
    let (matmul, _) = matrices(6, [3, 3, 3], 0);
    assert_eq!(
        parts(&matmul, 4, 4).iter().map(|part| part.batch.clone()).collect::<Vec<_>>(),
        [0..1, 1..3, 3..4, 4..6]
    );
    let (matmul, _) = matrices(1, [1, 3, 3], 0);
    assert_eq!(parts(&matmul, 4, 4).len(), 1);
}

/// What all parts need is the smaller one of the operands.
#[test]
fn products_are_cut_along_the_larger_operand() {
    let cut = |m, n| {
        let (matmul, _) = matrices(1, [m, n, 128], 0);
        parts(&matmul, 4, 2).iter().map(|part| (part.rows.len(), part.lanes.len())).collect::<Vec<_>>()
    };
    assert_eq!(cut(528, 128), [(264, 128); 2]);
    assert_eq!(cut(128, 528), [(128, 256), (128, 272)]);
}

/// An operand that has been packed, in parts, gives the bits that it gives where it is, to whole products and to parts of them.
#[test]
fn packed_operands_give_the_same_bits() {
    let shapes = [
        (1, [1, 70, 33]),
        (1, [1, 600, 900]),
        (1, [700, 1, 1100]),
        (1, [3, 17, 5]),
        (2, [5, 63, 65]),
        (3, [65, 63, 17]),
        (1, [530, 70, 400]),
        (1, [64, 200, 1025]),
        (4, [1, 1, 1]),
        (1, [0, 5, 3]),
        (0, [5, 3, 1]),
        (1, [5, 3, 0]),
    ];
    for ((batch, extents), one) in shapes.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
        for layout in 0..32 {
            let (mut matmul, matrices) = matrices(batch, extents, layout);
            if one {
                (matmul.a.batch, matmul.b.batch) = (Axes::plain(0), Axes::plain(0));
            }
            check_packed(&matmul, &matrices.each_ref().map(|matrix| fractions(matrix.data.len(), 1)));
            let double = |matrix: &Matrix| fractions(matrix.data.len(), 2).into_iter().map(f64::from).collect();
            check_packed::<f64>(&matmul, &matrices.each_ref().map(double));
        }
    }
}

fn check_packed<T: Element + From<f32> + PartialEq>(matmul: &Matmul, [a, b, c]: &[Vec<T>; 3]) {
    let size = size_of::<T>();
    let Some(Packing { operand, bytes }) = matmul.packing(size) else { return };
    let part = MatmulPart { path: Path::Blocked, ..MatmulPart::whole(matmul) };
    for kernels in T::kernels().iter().filter(|kernels| (kernels.available)()) {
        let (name, mut whole) = (kernels.name, c.clone());
        let mut scratch = vec![T::from(f32::NAN); part.scratch_bytes(size) / size];
        // SAFETY: as in `multiply`.
        unsafe { run(kernels, &part, T::ONE, a.as_ptr(), b.as_ptr(), whole.as_mut_ptr(), scratch.as_mut_ptr()) };
        let mut packed = vec![T::from(f32::NAN); bytes / size];
        packed.push(T::from(99.0));
        let from = if operand == Operand::A { a } else { b };
        for lanes in matmul.packing_parts(size, 3).into_iter().rev() {
            // SAFETY: the operand is as large as its strides and extents say, and `packed` as `packing` says.
            unsafe { packed::pack(kernels, matmul, lanes, from.as_ptr(), packed.as_mut_ptr()) };
        }
        assert!(packed[bytes / size] == T::from(99.0), "{name}: {matmul:?} needs more memory to be packed in");
        let matmul = Matmul { packed: true, ..*matmul };
        for cut in [1, 2, 7].into_iter().flat_map(|count| matmul.cuts(size, count, [false, false])) {
            let mut found = c.clone();
            let count = cut.parts.len();
            for part in cut.parts {
                let mut scratch = vec![T::from(f32::NAN); part.scratch_bytes(size) / size];
                scratch.push(T::from(99.0));
                let (a, b) = match operand {
                    Operand::A => (packed.as_ptr(), b.as_ptr()),
                    Operand::B => (a.as_ptr(), packed.as_ptr()),
                };
                // SAFETY: as in `multiply`.
                unsafe { run(kernels, &part, T::ONE, a, b, found.as_mut_ptr(), scratch.as_mut_ptr()) };
                assert!(scratch.last() == Some(&T::from(99.0)), "{name}: {part:?} needs more scratch memory");
            }
            assert!(found == whole, "{name}: {matmul:?} in {count}");
        }
    }
}
