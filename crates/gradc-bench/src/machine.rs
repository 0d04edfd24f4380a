//! What the machine can do at most, measured.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gradc_runtime::{matmul_instructions, probe_fma_f32};

/// The limits of this machine, for a number of threads. What is not needed is not measured.
#[derive(Clone, Debug)]
pub struct Machine {
    time: Duration,
    threads: usize,
    peak: f64,
    /// Bytes a second, by the base-2 logarithm of the working set.
    bandwidths: BTreeMap<u32, f64>,
}

/// The least working set that bandwidth is measured with, as a power of 2: less is all in the first cache too.
const LEAST_SET: u32 = 14;

/// The greatest, likewise: no cache holds it.
const GREATEST_SET: u32 = 29;

/// The fewest rounds of a measurement, however long they take: the first ones may be slow.
const LEAST_ROUNDS: usize = 3;

/// What a round takes at the least: beside it, the time from the first thread's beginning to the last one's is little.
const ROUND: Duration = Duration::from_millis(2);

impl Machine {
    /// Measures the peak of fused multiply-adds on so many threads at the same time, for about this time; bandwidths take as
    /// long again when they are asked for.
    pub fn measure(time: Duration, threads: NonZeroUsize) -> Machine {
        const ROUNDS: u64 = 1_000;
        let threads = threads.get();
        let peak = best(time, threads, || (), |(), times| probe_fma_f32(times * ROUNDS) as f64);
        Machine { time, threads, peak, bandwidths: BTreeMap::new() }
    }

    /// How many threads were measured.
    pub fn threads(&self) -> usize {
        self.threads
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
    /// of the cache that holds them, or of memory. Measured by copying, of which each thread has its share.
    pub fn bandwidth(&mut self, working_set: usize) -> f64 {
        let size = working_set.max(1).next_power_of_two().trailing_zeros().clamp(LEAST_SET, GREATEST_SET);
        let (time, threads) = (self.time, self.threads);
        *self.bandwidths.entry(size).or_insert_with(|| copying((1 << (size - 1)) / threads, threads, time))
    }
}

/// Bytes read and written a second by copying between two buffers of each thread.
fn copying(bytes: usize, threads: usize, time: Duration) -> f64 {
    let bytes = bytes.max(1);
    // Zeros would be no memory before they are written, and getting it takes many times as long as copying.
    let buffers = || (vec![1u8; bytes], vec![2u8; bytes]);
    best(time, threads, buffers, |(source, target), times| {
        for _ in 0..times {
            target.copy_from_slice(black_box(source));
            black_box(&mut *target);
        }
        2.0 * bytes as f64 * times as f64
    })
}

/// The greatest rate that all threads together are seen to work at in this time: what others do on the machine only makes it
/// less. Each thread has something of its own to work on, and does what it is told so many times over.
///
/// These are threads of their own, each of which does its share: those of a [`gradc_runtime::Team`] do the work of one that is late,
/// so that on a machine that gives a process one core for a while the rate would be that of this core.
fn best<T: Send>(time: Duration, threads: usize, own: impl Fn() -> T, work: impl Fn(&mut T, u64) -> f64 + Sync) -> f64 {
    let mut shares: Vec<T> = (0..threads.max(1)).map(|_| own()).collect();
    let mut times = 1;
    loop {
        let start = Instant::now();
        work(&mut shares[0], times);
        if start.elapsed() >= ROUND {
            break;
        }
        times *= 2;
    }
    let together = Barrier::new(shares.len());
    let goes_on = AtomicBool::new(true);
    let begun = Instant::now();
    let measure = |mut own: T| {
        let mut rounds = Vec::new();
        while goes_on.load(Ordering::Relaxed) {
            together.wait();
            let start = Instant::now();
            let done = work(&mut own, times);
            rounds.push(Round { start, end: Instant::now(), done });
            // Whoever is the leader decides for all, while they wait for one another.
            if together.wait().is_leader() {
                goes_on.store(begun.elapsed() < time || rounds.len() < LEAST_ROUNDS, Ordering::Relaxed);
            }
            together.wait();
        }
        rounds
    };
    let rounds: Vec<Vec<Round>> = std::thread::scope(|scope| {
        let measure = &measure;
        let running: Vec<_> = shares.into_iter().map(|own| scope.spawn(move || measure(own))).collect();
        running.into_iter().map(|thread| thread.join().expect("copying and multiplying do not panic")).collect()
    });
    let count = rounds.iter().map(Vec::len).min().unwrap_or(0);
    let rate = |at: usize| {
        let round = || rounds.iter().map(|own| &own[at]);
        let start = round().map(|round| round.start).min()?;
        let end = round().map(|round| round.end).max()?;
        Some(round().map(|round| round.done).sum::<f64>() / (end - start).as_secs_f64().max(1e-9))
    };
    (0..count).filter_map(rate).fold(0.0, f64::max)
}

/// What a thread did in one round.
struct Round {
    start: Instant,
    end: Instant,
    done: f64,
}

#[cfg(test)]
mod tests {
    use super::Machine;
    use std::num::NonZeroUsize;
    use std::time::Duration;

    #[test]
    fn limits_are_positive_and_measured_once() {
        for threads in [1, 3] {
            let mut machine = Machine::measure(Duration::ZERO, NonZeroUsize::new(threads).expect("not zero"));
            assert_eq!(machine.threads(), threads);
            assert!(machine.peak() > 0.0);
            let first = machine.bandwidth(100);
            assert!(first > 0.0);
            // The same class of working sets.
            assert_eq!(machine.bandwidth(9_000), first);
        }
    }
}
