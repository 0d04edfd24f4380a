//! Products with one row: a matrix times a vector. Each element of the matrix is used once, so nothing is packed.

use super::kernels::Element;
use super::product::Product;

/// Multiplies the lanes of a product with its first row.
///
/// # Safety
/// The machine has the instructions of the set, and everything that the product refers to is valid.
type Function<T> = unsafe fn(&Product<T>);

/// What multiplies with one row.
pub(super) struct Functions<T: 'static> {
    /// For lanes that are adjacent at each depth.
    pub(super) adjacent_lanes: Function<T>,
    /// For lanes and a row whose elements of consecutive depths are adjacent.
    pub(super) adjacent_depths: Function<T>,
}

/// The functions for an instruction set, with vectors of `W` elements.
macro_rules! functions {
    ($set:ident, $fused:literal $(, $feature:literal)?) => {
        pub(super) const fn $set<T: Element, const W: usize>() -> Functions<T> {
            $(#[target_feature(enable = $feature)])?
            unsafe fn lanes<T: Element, const W: usize>(product: &Product<T>) {
                // SAFETY: as for this function.
                unsafe { adjacent_lanes::<T, W, $fused>(product) };
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn depths<T: Element, const W: usize>(product: &Product<T>) {
                // SAFETY: as for this function.
                unsafe { adjacent_depths::<T, W, $fused>(product) };
            }
            Functions { adjacent_lanes: lanes::<T, W>, adjacent_depths: depths::<T, W> }
        }
    };
}

#[cfg(target_arch = "x86_64")]
functions!(avx512f, true, "avx512f");
#[cfg(target_arch = "x86_64")]
functions!(fma, true, "fma");
#[cfg(target_arch = "aarch64")]
functions!(neon, true, "neon");
functions!(scalar, false);

#[inline(always)]
unsafe fn load<T: Element, const W: usize>(from: *const T) -> [T; W] {
    // SAFETY: the caller promises that so many elements are valid; an array is aligned as its element is.
    unsafe { from.cast::<[T; W]>().read() }
}

#[inline(always)]
fn multiply_add<T: Element, const W: usize, const FUSED: bool>(sum: &mut [T; W], a: [T; W], b: [T; W]) {
    for lane in 0..W {
        sum[lane] = a[lane].multiply_add::<FUSED>(b[lane], sum[lane]);
    }
}

/// # Safety
/// As [`Function`]; lanes are adjacent, C's too.
#[inline(always)]
unsafe fn adjacent_lanes<T: Element, const W: usize, const FUSED: bool>(product: &Product<T>) {
    /// So many depths at once: the sums go through memory between them, in exchange for reading the matrix in order.
    const DEPTHS: usize = 8;
    let whole = product.depth / DEPTHS * DEPTHS;
    for depth in (0..whole).step_by(DEPTHS) {
        // SAFETY: as for this function.
        unsafe { add_depths::<T, W, DEPTHS, FUSED>(product, depth) };
    }
    for depth in whole..product.depth {
        // SAFETY: as above.
        unsafe { add_depths::<T, W, 1, FUSED>(product, depth) };
    }
}

/// Adds the products of `D` depths to C, or begins with those of the first ones.
///
/// # Safety
/// As [`Function`]; lanes are adjacent, C's too, and there are so many depths from `first` on.
#[inline(always)]
unsafe fn add_depths<T: Element, const W: usize, const D: usize, const FUSED: bool>(
    product: &Product<T>,
    first: usize,
) {
    let (lanes, add) = (product.lanes, product.accumulate || first > 0);
    // SAFETY: elements of the product, as the caller promises.
    unsafe {
        let matrix: [*const T; D] = std::array::from_fn(|depth| product.l.add((first + depth) * product.l_depth));
        let row: [T; D] = std::array::from_fn(|depth| *product.r.add((first + depth) * product.r_depth));
        let whole = lanes / W * W;
        for lane in (0..whole).step_by(W) {
            let c = product.c.add(lane);
            let mut sum: [T; W] = if add { load(c) } else { [T::ZERO; W] };
            for depth in 0..D {
                multiply_add::<T, W, FUSED>(&mut sum, load(matrix[depth].add(lane)), [row[depth]; W]);
            }
            c.cast::<[T; W]>().write(sum);
        }
        for lane in whole..lanes {
            let c = product.c.add(lane);
            let mut sum = if add { *c } else { T::ZERO };
            for depth in 0..D {
                sum = (*matrix[depth].add(lane)).multiply_add::<FUSED>(row[depth], sum);
            }
            c.write(sum);
        }
    }
}

/// So many vectors of sums in [`dot`], as each addition waits for the one before it.
const TOGETHER: usize = 4;

/// # Safety
/// As [`Function`]; depths are adjacent, of lanes and of the row.
#[inline(always)]
unsafe fn adjacent_depths<T: Element, const W: usize, const FUSED: bool>(product: &Product<T>) {
    for lane in 0..product.lanes {
        // SAFETY: as for this function.
        unsafe {
            let sum = dot::<T, W, FUSED>(product.l.add(lane * product.l_lane), product.r, product.depth);
            product.store(lane, sum);
        }
    }
}

/// The sum of products of adjacent elements.
///
/// # Safety
/// The machine has the instructions of the set, and so many elements are valid.
#[inline(always)]
unsafe fn dot<T: Element, const W: usize, const FUSED: bool>(a: *const T, b: *const T, count: usize) -> T {
    let whole = count / (TOGETHER * W) * (TOGETHER * W);
    let mut sums = [[T::ZERO; W]; TOGETHER];
    // SAFETY: as for this function.
    unsafe {
        for start in (0..whole).step_by(TOGETHER * W) {
            for (number, sum) in sums.iter_mut().enumerate() {
                let at = start + number * W;
                multiply_add::<T, W, FUSED>(sum, load(a.add(at)), load(b.add(at)));
            }
        }
        let rest = (whole..count).fold(T::ZERO, |rest, at| (*a.add(at)).multiply_add::<FUSED>(*b.add(at), rest));
        total(&sums).plus(rest)
    }
}

/// The sum of all elements: vectors first, then halves of what is left. The width is a power of two.
///
/// Inlined, it would have the compiler arrange the loop above for this sum, with shuffles in every round.
#[inline(never)]
fn total<T: Element, const W: usize>(sums: &[[T; W]; TOGETHER]) -> T {
    let [first, second, third, fourth] = sums;
    let mut sum: [T; W] = std::array::from_fn(|at| first[at].plus(third[at]).plus(second[at].plus(fourth[at])));
    let mut half = W / 2;
    while half > 0 {
        for lane in 0..half {
            sum[lane] = sum[lane].plus(sum[lane + half]);
        }
        half /= 2;
    }
    sum[0]
}
