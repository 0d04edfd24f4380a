//! How a parameter gets its first value.

use std::fmt;

use crate::DType;
use crate::attr::{FloatBits, write_number};

/// A recipe for the first value of a parameter. Sampling is done by whoever holds a random number generator; the
/// graph only carries the recipe, so that an emitted graph can be initialised too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Init {
    /// Every element is this number.
    Constant(FloatBits),
    /// An integer that is drawn from the seed of the run.
    Seed,
    /// Independent and uniform on `[low, high)`.
    Uniform {
        /// Lower end, included.
        low: FloatBits,
        /// Upper end, excluded.
        high: FloatBits,
    },
    /// Independent and normal.
    Normal {
        /// Mean.
        mean: FloatBits,
        /// Standard deviation, not negative.
        std: FloatBits,
    },
    /// Normal, redrawn where it falls more than two standard deviations from the mean.
    TruncatedNormal {
        /// Mean of the distribution before truncation.
        mean: FloatBits,
        /// Standard deviation of the distribution before truncation.
        std: FloatBits,
    },
    /// A matrix with orthonormal rows or columns, whichever are fewer, times `gain`: the last axis against all others
    /// (Saxe, McClelland and Ganguli, 2014).
    Orthogonal {
        /// Factor on every element.
        gain: FloatBits,
    },
}

impl Init {
    /// The name in the language and the arguments in order.
    pub fn parts(&self) -> (&'static str, Vec<f64>) {
        match self {
            Init::Constant(value) => ("constant", vec![value.get()]),
            Init::Seed => ("seed", vec![]),
            Init::Uniform { low, high } => ("uniform", vec![low.get(), high.get()]),
            Init::Normal { mean, std } => ("normal", vec![mean.get(), std.get()]),
            Init::TruncatedNormal { mean, std } => ("truncated_normal", vec![mean.get(), std.get()]),
            Init::Orthogonal { gain } => ("orthogonal", vec![gain.get()]),
        }
    }

    /// The recipe that [`Init::parts`] takes apart, if the name and the number of arguments are those of one.
    pub fn from_parts(name: &str, arguments: &[f64]) -> Option<Init> {
        Some(match (name, arguments) {
            ("constant", &[value]) => Init::Constant(value.into()),
            ("seed", &[]) => Init::Seed,
            ("uniform", &[low, high]) => Init::Uniform { low: low.into(), high: high.into() },
            ("normal", &[mean, std]) => Init::Normal { mean: mean.into(), std: std.into() },
            ("truncated_normal", &[mean, std]) => Init::TruncatedNormal { mean: mean.into(), std: std.into() },
            ("orthogonal", &[gain]) => Init::Orthogonal { gain: gain.into() },
            _ => return None,
        })
    }
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, arguments) = self.parts();
        write!(f, "{name}(")?;
        for (i, argument) in arguments.into_iter().enumerate() {
            f.write_str(if i > 0 { ", " } else { "" })?;
            write_number(f, argument, DType::F64)?;
        }
        f.write_str(")")
    }
}
