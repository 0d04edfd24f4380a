//! What the machine can do at most, measured.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use gradc_runtime::{matmul_instructions, probe_fma_f32};

/// The limits of this machine, of one thread. What is not needed is not measured.
#[derive(Clone, Debug)]
pub struct Machine {
    time: Duration,
    peak: f64,
    /// Bytes a second, by the base-2 logarithm of the working set.
    bandwidths: BTreeMap<u32, f64>,
}

/// The least working set that bandwidth is measured with, as a power of 2: less is all in the first cache too.
const LEAST_SET: u32 = 14;

/// The greatest, likewise: no cache holds it.
const GREATEST_SET: u32 = 29;

impl Machine {
    /// Measures the peak of fused multiply-adds, for about this time; bandwidths take as long again when they are asked for.
    pub fn measure(time: Duration) -> Machine {
        const ROUNDS: u64 = 10_000;
        let peak = best(time, || probe_fma_f32(ROUNDS) as f64);
        Machine { time, peak, bandwidths: BTreeMap::new() }
    }

    /// Fused multiply-adds of `f32` in registers: floating-point operations a second.
    pub fn peak(&self) -> f64 {
        self.peak
    }

    /// The vector instructions that products of matrices use here.
    pub fn instructions(&self) -> &'static str {
        matmul_instructions()
    }

    /// Bytes that are read or written a second, where as many as `working_set` are read and written again and again: that
    /// of the cache that holds them, or of memory. Measured by copying.
    pub fn bandwidth(&mut self, working_set: usize) -> f64 {
        let size = working_set.max(1).next_power_of_two().trailing_zeros().clamp(LEAST_SET, GREATEST_SET);
        let time = self.time;
        *self.bandwidths.entry(size).or_insert_with(|| copying(1 << (size - 1), time))
    }
}

/// Bytes read and written a second by copying between two buffers.
fn copying(bytes: usize, time: Duration) -> f64 {
    let (source, mut target) = (vec![1u8; bytes], vec![0u8; bytes]);
    // As many copies as make the clock's resolution unimportant.
    let times = ((1 << 20) / bytes).max(1);
    best(time, || {
        for _ in 0..times {
            target.copy_from_slice(black_box(&source));
            black_box(&mut target);
        }
        (2 * bytes * times) as f64
    })
}

/// The greatest rate that is seen in this time: what others do on the machine only makes it less.
fn best(time: Duration, mut work: impl FnMut() -> f64) -> f64 {
    let begun = Instant::now();
    let mut best = 0f64;
    loop {
        let start = Instant::now();
        let done = work();
        best = best.max(done / start.elapsed().as_secs_f64().max(1e-9));
        if begun.elapsed() >= time {
            return best;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Machine;
    use std::time::Duration;

    #[test]
    fn limits_are_positive_and_measured_once() {
        let mut machine = Machine::measure(Duration::ZERO);
        assert!(machine.peak() > 0.0);
        let first = machine.bandwidth(100);
        assert!(first > 0.0);
        // The same class of working sets.
        assert_eq!(machine.bandwidth(9_000), first);
    }
}
