//! Products with one row, where the elements of a lane are adjacent from depth to depth: sums along memory. Each element of the
//! matrix is used once, so nothing is packed.

use super::kernels::Element;
use super::product::Product;

/// Multiplies the lanes of a product with its first row. The elements of both are adjacent from depth to depth.
///
/// # Safety
/// The machine has the instructions of the set, and everything that the product refers to is valid.
pub(super) type Function<T> = unsafe fn(&Product<T>);

/// The function for an instruction set, with vectors of `W` elements.
macro_rules! function {
    ($set:ident, $fused:literal $(, $feature:literal)?) => {
        pub(super) const fn $set<T: Element, const W: usize>() -> Function<T> {
            $(#[target_feature(enable = $feature)])?
            unsafe fn depths<T: Element, const W: usize>(product: &Product<T>) {
                // SAFETY: as for this function.
                unsafe { adjacent_depths::<T, W, $fused>(product) };
            }
            depths::<T, W>
        }
    };
}

#[cfg(target_arch = "x86_64")]
function!(avx512f, true, "avx512f");
#[cfg(target_arch = "x86_64")]
function!(fma, true, "fma");
#[cfg(target_arch = "aarch64")]
function!(neon, true, "neon");
function!(scalar, false);

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
            product.store::<FUSED>(lane, sum);
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
