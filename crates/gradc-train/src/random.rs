//! Reproducible random orders and numbers.
//!
//! What is drawn depends on a seed, a purpose and an index, and on nothing else: not on what was drawn before, so a
//! resumed run sees what an uninterrupted one would, and not on the version of a library's sampling code, since that
//! is written here. ChaCha8 is specified bit by bit.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What something is drawn for. Different purposes never share random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Which examples are held out.
    Split = 1,
    /// The order of the examples in an epoch.
    Epoch = 2,
    /// The next character of a text.
    Generate = 3,
}

/// Puts the rows into a random order.
pub(crate) fn shuffle(rows: &mut [u32], seed: u64, purpose: Purpose, index: u64) {
    let mut generator = generator(seed, purpose, index);
    // Fisher and Yates, in Durstenfeld's form: Knuth, The Art of Computer Programming 2, algorithm 3.4.2P.
    for last in (1..rows.len()).rev() {
        rows.swap(last, below(&mut generator, last as u32 + 1) as usize);
    }
}

/// A number that is uniform on [0, 1), in steps of 2⁻⁵³.
pub(crate) fn uniform(seed: u64, purpose: Purpose, index: u64) -> f64 {
    (generator(seed, purpose, index).next_u64() >> 11) as f64 * 2.0_f64.powi(-53)
}

fn generator(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&index.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// A number from 0 up to, but not, `bound`, each equally likely: D. Lemire, Fast Random Integer Generation in an
/// Interval, 2019, <https://arxiv.org/abs/1805.10941>.
fn below(generator: &mut ChaCha8Rng, bound: u32) -> u32 {
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let product = u64::from(generator.next_u32()) * u64::from(bound);
        if product as u32 >= threshold {
            return (product >> 32) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shuffled(count: u32, seed: u64, purpose: Purpose, index: u64) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..count).collect();
        shuffle(&mut rows, seed, purpose, index);
        rows
    }

    #[test]
    fn an_order_is_a_permutation_fixed_for_ever() {
        assert_eq!(shuffled(8, 0, Purpose::Epoch, 0), EXPECTED);
        let mut rows = shuffled(1000, 7, Purpose::Split, 0);
        assert_ne!(rows, (0..1000).collect::<Vec<_>>());
        rows.sort_unstable();
        assert_eq!(rows, (0..1000).collect::<Vec<_>>());
        assert_eq!(shuffled(0, 0, Purpose::Epoch, 0), [0; 0]);
        assert_eq!(shuffled(1, 0, Purpose::Epoch, 0), [0]);
    }

    /// Computed by an independent implementation of ChaCha8. Seeds are part of published results: this may change only together with the major version.
    const EXPECTED: [u32; 8] = [0, 4, 6, 3, 2, 7, 5, 1];

    #[test]
    fn seed_purpose_and_index_each_change_the_order() {
        let base = shuffled(100, 1, Purpose::Epoch, 1);
        assert_ne!(base, shuffled(100, 2, Purpose::Epoch, 1));
        assert_ne!(base, shuffled(100, 1, Purpose::Split, 1));
        assert_ne!(base, shuffled(100, 1, Purpose::Epoch, 2));
        assert_eq!(base, shuffled(100, 1, Purpose::Epoch, 1));
    }

    #[test]
    fn numbers_are_uniform_and_of_their_index() {
        let numbers: Vec<f64> = (0..4000).map(|index| uniform(9, Purpose::Generate, index)).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        let below = |bound: f64| numbers.iter().filter(|&&number| number < bound).count() as f64 / 4000.0;
        assert!([0.1, 0.25, 0.5, 0.9].iter().all(|&bound| (below(bound) - bound).abs() < 0.03));
        assert_eq!(uniform(9, Purpose::Generate, 17), numbers[17]);
        assert_ne!(uniform(8, Purpose::Generate, 17), numbers[17]);
    }

    #[test]
    fn every_order_is_about_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..6000 {
            *counts.entry(shuffled(3, seed, Purpose::Epoch, 0)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (880..1120).contains(count)), "{counts:?}");
    }
}
