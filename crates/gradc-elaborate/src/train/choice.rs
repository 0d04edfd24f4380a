//! The optimizers and schedules with their parameters, as a table.

use super::{Optimizer, Schedule};

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admits {
    /// More than 0.
    Positive,
    /// At least 0.
    NotNegative,
    /// At least 0 and less than 1.
    Fraction,
    /// A whole number of at least 0.
    Count,
    /// A whole number of at least 1.
    CountFromOne,
    /// `true` or `false`, as 1 or 0.
    Flag,
}

impl Admits {
    pub(super) fn holds(self, value: f64) -> bool {
        let whole = value.fract() == 0.0 && value <= MOST;
        match self {
            Admits::Positive => value > 0.0,
            Admits::NotNegative => value >= 0.0,
            Admits::Fraction => (0.0..1.0).contains(&value),
            Admits::Count => whole && value >= 0.0,
            Admits::CountFromOne => whole && value >= 1.0,
            Admits::Flag => value == 0.0 || value == 1.0,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Admits::Positive => "a number above 0",
            Admits::NotNegative => "a number of at least 0",
            Admits::Fraction => "a number of at least 0 and below 1",
            Admits::Count => "a whole number of at least 0",
            Admits::CountFromOne => "a whole number of at least 1",
            Admits::Flag => "`true` or `false`",
        }
    }
}

/// The largest count: every one up to it is a float.
const MOST: f64 = 9_007_199_254_740_992.0;

/// A parameter: its name, its default, and what it may be.
pub(super) type Parameter = (&'static str, Option<f64>, Admits);

/// An optimizer or a schedule.
pub(super) struct Choice<T> {
    pub(super) name: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// Makes it of a value for each parameter.
    pub(super) build: fn(&[f64]) -> T,
}

const LR: Parameter = ("lr", Some(1e-3), Admits::Positive);
const BETA1: Parameter = ("beta1", Some(0.9), Admits::Fraction);
const BETA2: Parameter = ("beta2", Some(0.999), Admits::Fraction);
const EPS: Parameter = ("eps", Some(1e-8), Admits::Positive);
const MOMENTUM: Parameter = ("momentum", Some(0.0), Admits::Fraction);
const WARMUP: Parameter = ("warmup", Some(0.0), Admits::Count);
const FINAL: Parameter = ("final", Some(0.0), Admits::NotNegative);

pub(super) static OPTIMIZERS: &[Choice<Optimizer>] = &[
    Choice {
        name: "sgd",
        parameters: &[
            ("lr", None, Admits::Positive),
            MOMENTUM,
            ("nesterov", Some(0.0), Admits::Flag),
            ("weight_decay", Some(0.0), Admits::NotNegative),
        ],
        build: |p| Optimizer::Sgd { lr: p[0], momentum: p[1], nesterov: p[2] != 0.0, weight_decay: p[3] },
    },
    Choice {
        name: "adam",
        parameters: &[LR, BETA1, BETA2, EPS],
        build: |p| Optimizer::Adam { lr: p[0], beta1: p[1], beta2: p[2], eps: p[3] },
    },
    Choice {
        name: "adamw",
        parameters: &[LR, BETA1, BETA2, EPS, ("weight_decay", Some(0.01), Admits::NotNegative)],
        build: |p| Optimizer::AdamW { lr: p[0], beta1: p[1], beta2: p[2], eps: p[3], weight_decay: p[4] },
    },
    Choice {
        name: "rmsprop",
        parameters: &[LR, ("decay", Some(0.9), Admits::Fraction), EPS, MOMENTUM],
        build: |p| Optimizer::RmsProp { lr: p[0], decay: p[1], eps: p[2], momentum: p[3] },
    },
];

pub(super) static SCHEDULES: &[Choice<Schedule>] = &[
    Choice { name: "constant", parameters: &[], build: |_| Schedule::Constant },
    Choice {
        name: "step",
        parameters: &[("every", None, Admits::CountFromOne), ("factor", Some(0.1), Admits::Positive)],
        build: |p| Schedule::Step { every: p[0] as u64, factor: p[1] },
    },
    Choice {
        name: "exponential",
        parameters: &[("rate", None, Admits::Positive)],
        build: |p| Schedule::Exponential { rate: p[0] },
    },
    Choice {
        name: "cosine",
        parameters: &[WARMUP, FINAL],
        build: |p| Schedule::Cosine { warmup: p[0] as u64, last: p[1] },
    },
    Choice {
        name: "linear",
        parameters: &[WARMUP, FINAL],
        build: |p| Schedule::Linear { warmup: p[0] as u64, last: p[1] },
    },
];
