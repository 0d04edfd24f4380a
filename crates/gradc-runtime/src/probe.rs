//! The most arithmetic that this machine does: what measurements are compared with.

use std::hint::black_box;

/// Independent chains of multiply-adds: enough to hide the latency of two units of four or five cycles each.
const CHAINS: usize = 16;

/// Does nothing but fused multiply-adds of `f32` in registers, with the widest vectors that the machine has, `rounds` times
/// over a fixed number of them. Returns how many floating-point operations that were, two for each multiply-add.
pub fn probe_fma_f32(rounds: u64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the machine has the feature.
            return unsafe { x86::avx512(rounds) };
        }
        if is_x86_feature_detected!("fma") {
            // SAFETY: as above; there is no FMA without AVX.
            return unsafe { x86::fma(rounds) };
        }
    }
    portable(rounds)
}

/// What the compiler makes of it without being told of any feature.
fn portable(rounds: u64) -> u64 {
    const LANES: usize = 4 * CHAINS;
    let (factor, mut sums) = (black_box(0.999f32), [black_box(1f32); LANES]);
    for _ in 0..rounds {
        sums.iter_mut().for_each(|sum| *sum = *sum * factor + factor);
    }
    black_box(sums);
    rounds * 2 * LANES as u64
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m256, __m512, _mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps, _mm512_set1_ps};
    use std::hint::black_box;

    use super::CHAINS;

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(rounds: u64) -> u64 {
        let factor = _mm512_set1_ps(black_box(0.999));
        let mut sums: [__m512; CHAINS] = [_mm512_set1_ps(black_box(1.0)); CHAINS];
        for _ in 0..rounds {
            // No closure: one that is not inlined has no registers of 512 bits, and is a hundred times slower.
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, factor);
            }
        }
        black_box(sums);
        rounds * (2 * 16 * CHAINS) as u64
    }

    /// Twelve chains, since there are sixteen registers.
    #[target_feature(enable = "avx,fma")]
    pub(super) fn fma(rounds: u64) -> u64 {
        const FEWER: usize = CHAINS - 4;
        let factor = _mm256_set1_ps(black_box(0.999));
        let mut sums: [__m256; FEWER] = [_mm256_set1_ps(black_box(1.0)); FEWER];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, factor);
            }
        }
        black_box(sums);
        rounds * (2 * 8 * FEWER) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::{portable, probe_fma_f32};

    #[test]
    fn operations_are_counted_for_each_round() {
        for probe in [probe_fma_f32, portable] {
            assert_eq!(probe(0), 0);
            assert!(probe(1) >= 128);
            assert_eq!(probe(7), 7 * probe(1));
        }
    }
}
