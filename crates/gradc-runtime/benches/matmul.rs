//! Products next to those of the `gemm` crate's front door, on the same matrices:
//! `cargo bench -p gradc-runtime --bench matmul`.
//!
//! Shapes (`64x64x64`, as m, k and n) may follow after `--`. Each line has the best time of many rounds that alternate
//! between both, and how many times faster ours is.
#![allow(unsafe_code, clippy::print_stdout, reason = "a measurement of C functions that is printed")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use gemm::{Parallelism, gemm};
use gradc_runtime::{Matmul, Strides, gradc_runtime_matmul_f32, gradc_runtime_matmul_f64, matmul_instructions};

/// m, k, n.
const SHAPES: &[[usize; 3]] = &[
    [1, 512, 512],
    [1, 1024, 1024],
    [512, 512, 1],
    [8, 64, 64],
    [32, 64, 10],
    [64, 64, 10],
    [128, 512, 10],
    [64, 64, 64],
    [64, 128, 128],
    [128, 784, 512],
    [128, 512, 256],
    [512, 128, 256],
    [256, 1024, 1024],
    [1024, 1024, 1024],
];

const LAYOUTS: [(&str, bool, bool); 4] =
    [("NN", false, false), ("NT", false, true), ("TN", true, false), ("TT", true, true)];

fn strides(rows: usize, columns: usize, transposed: bool) -> Strides {
    let (row, column) = if transposed { (1, rows) } else { (columns, 1) };
    Strides::plain(row, column, 0)
}

/// The best times of both.
fn compare(flops: usize, mut ours: impl FnMut(), mut theirs: impl FnMut()) -> [Duration; 2] {
    let rounds = (4_000_000_000 / flops).clamp(12, 4000);
    let mut best = [Duration::MAX; 2];
    for _ in 0..rounds {
        for (best, run) in best.iter_mut().zip([&mut ours as &mut dyn FnMut(), &mut theirs]) {
            let start = Instant::now();
            run();
            *best = start.elapsed().min(*best);
        }
    }
    best
}

/// Scratch memory for every product, aligned as a program's arena is.
#[repr(align(64))]
struct Scratch([u8; 1 << 20]);

macro_rules! measure {
    ($element:ident, $ours:ident, $wanted:ident, $ratios:ident) => {
        let mut scratch = Box::new(Scratch([0; 1 << 20]));
        for &[m, k, n] in SHAPES {
            let shape = format!("{m}x{k}x{n}");
            if !$wanted.is_empty() && !$wanted.contains(&shape) {
                continue;
            }
            for (name, transposed_a, transposed_b) in LAYOUTS {
                let numbers =
                    |count: usize| (0..count).map(|at| ((at * 37) % 101) as $element / 101.0).collect::<Vec<_>>();
                let (a, b, mut c, mut d) = (numbers(m * k), numbers(k * n), numbers(m * n), numbers(m * n));
                let (sa, sb, sc) = (strides(m, k, transposed_a), strides(k, n, transposed_b), strides(m, n, false));
                let matmul =
                    Matmul { batch: 1, m, n, k, a: sa, b: sb, c: sc, accumulate: false, scale: 1.0, packed: false };
                assert!(
                    matmul.scratch_bytes(size_of::<$element>()) <= size_of_val(&scratch.0),
                    "there is scratch memory"
                );
                let [ours, theirs] = compare(
                    2 * m * n * k,
                    // SAFETY: the matrices have the extents and strides that are given.
                    || unsafe {
                        $ours(
                            black_box(&matmul),
                            a.as_ptr(),
                            b.as_ptr(),
                            c.as_mut_ptr(),
                            scratch.0.as_mut_ptr().cast(),
                        );
                    },
                    // SAFETY: as above.
                    || unsafe {
                        let [a_strides, b_strides, c_strides] = [sa, sb, sc]
                            .map(|strides| (strides.column.inner.stride as isize, strides.row.inner.stride as isize));
                        gemm(
                            m,
                            n,
                            k,
                            d.as_mut_ptr(),
                            c_strides.0,
                            c_strides.1,
                            false,
                            a.as_ptr(),
                            a_strides.0,
                            a_strides.1,
                            b.as_ptr(),
                            b_strides.0,
                            b_strides.1,
                            0.0,
                            1.0,
                            false,
                            false,
                            false,
                            Parallelism::None,
                        );
                    },
                );
                let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
                let gflops = (2 * m * n * k) as f64 / ours.as_nanos() as f64;
                println!(
                    "{:4} {shape:>14} {name} {:>12.2} us {:>12.2} us {ratio:>6.2} times  {gflops:6.1} Gflop/s",
                    stringify!($element),
                    ours.as_secs_f64() * 1e6,
                    theirs.as_secs_f64() * 1e6,
                );
                $ratios.push(ratio);
            }
        }
    };
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    println!("with {}\n{:>22} {:>18} {:>15}", matmul_instructions(), "", "ours", "gemm");
    let mut ratios: Vec<f64> = Vec::new();
    measure!(f32, gradc_runtime_matmul_f32, wanted, ratios);
    measure!(f64, gradc_runtime_matmul_f64, wanted, ratios);
    let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
    println!("{mean:.2} times as fast in the geometric mean");
}
