//! Learning-rate schedules: how the rate of the optimizer changes in the course of training.
//!
//! A schedule is a pure function of the step: it gives a factor for the optimizer's own rate. Steps `t` are counted
//! from 0, `E` is the number of steps of an epoch and `T` of the whole training. Warming up over `w` steps means a
//! factor of `(t + 1) / w` for `t < w`, so that no step is wasted on a rate of 0 and step `w` has the full rate; its use
//! is argued by Goyal et al., *Accurate, Large Minibatch SGD*, 2017, section 2.2, <https://arxiv.org/abs/1706.02677>.
//! Past the planned end a schedule stays where it ended.

/// How the learning rate changes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Schedule {
    /// `1`
    #[default]
    Constant,
    /// `factor ^ ⌊epoch / every⌋` with `epoch = ⌊t / E⌋`: a drop every so many epochs, as in He et al., *Deep Residual
    /// Learning*, 2015, section 3.4, <https://arxiv.org/abs/1512.03385>.
    Step {
        /// The epochs between two drops; 0 counts as 1.
        every: u64,
        /// What the rate is multiplied by.
        factor: f64,
    },
    /// `rate ^ ⌊t / E⌋`: the same drop after every epoch.
    Exponential {
        /// What the rate is multiplied by.
        rate: f64,
    },
    /// After warming up, `final + (1 − final) · (1 + cos(π p)) / 2` with `p = (t − w) / (T − w)`: half a cosine from 1
    /// to `final`, by Loshchilov and Hutter, *SGDR*, 2017, equation 5 without restarts,
    /// <https://arxiv.org/abs/1608.03983>.
    Cosine {
        /// The steps of warming up.
        warmup: u64,
        /// The factor at the end.
        final_factor: f64,
    },
    /// After warming up, `1 + (final − 1) · p` with `p = (t − w) / (T − w)`: a straight line from 1 to `final`, as in
    /// Devlin et al., *BERT*, 2018, appendix A.2, <https://arxiv.org/abs/1810.04805>. With a final factor of 1 this is
    /// warming up alone.
    Linear {
        /// The steps of warming up.
        warmup: u64,
        /// The factor at the end.
        final_factor: f64,
    },
}

/// How long training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// The steps of one epoch.
    pub steps_per_epoch: u64,
    /// The steps of all epochs.
    pub steps: u64,
}

impl Schedule {
    /// The factor for the optimizer's learning rate at a step, counted from 0.
    pub fn factor(&self, step: u64, horizon: Horizon) -> f64 {
        let epoch = step / horizon.steps_per_epoch.max(1);
        match *self {
            Schedule::Constant => 1.0,
            Schedule::Step { every, factor } => power(factor, epoch / every.max(1)),
            Schedule::Exponential { rate } => power(rate, epoch),
            Schedule::Cosine { warmup, final_factor } => warm(step, warmup).unwrap_or_else(|| {
                let angle = std::f64::consts::PI * progress(step, warmup, horizon);
                final_factor + (1.0 - final_factor) * (1.0 + libm::cos(angle)) / 2.0
            }),
            Schedule::Linear { warmup, final_factor } => {
                warm(step, warmup).unwrap_or_else(|| 1.0 + (final_factor - 1.0) * progress(step, warmup, horizon))
            }
        }
    }
}

/// The factor while warming up.
fn warm(step: u64, warmup: u64) -> Option<f64> {
    (step < warmup).then(|| (step + 1) as f64 / warmup as f64)
}

/// How much of the time after warming up has passed, from 0 to 1.
fn progress(step: u64, warmup: u64, horizon: Horizon) -> f64 {
    let length = horizon.steps.saturating_sub(warmup).max(1);
    ((step - warmup) as f64 / length as f64).min(1.0)
}

/// Through `libm`, as the cosine: the system's functions differ in their last bits from one machine to the next.
fn power(base: f64, exponent: u64) -> f64 {
    libm::pow(base, exponent as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HORIZON: Horizon = Horizon { steps_per_epoch: 10, steps: 100 };

    fn check(schedule: Schedule, expected: &[(u64, f64)]) {
        for &(step, factor) in expected {
            let found = schedule.factor(step, HORIZON);
            assert!((found - factor).abs() < 1e-12, "{schedule:?} at {step}: {found}, not {factor}");
        }
    }

    #[test]
    fn constant() {
        check(Schedule::Constant, &[(0, 1.0), (99, 1.0), (u64::MAX, 1.0)]);
    }

    #[test]
    fn step_and_exponential_drop_at_the_ends_of_epochs() {
        check(Schedule::Step { every: 3, factor: 0.1 }, &[(0, 1.0), (29, 1.0), (30, 0.1), (59, 0.1), (60, 0.01)]);
        check(Schedule::Exponential { rate: 0.5 }, &[(0, 1.0), (9, 1.0), (10, 0.5), (35, 0.125)]);
    }

    #[test]
    fn cosine_falls_along_half_a_wave() {
        check(
            Schedule::Cosine { warmup: 0, final_factor: 0.0 },
            &[(0, 1.0), (25, 0.5 + 0.5_f64.sqrt() / 2.0), (50, 0.5), (100, 0.0), (500, 0.0)],
        );
        check(
            Schedule::Cosine { warmup: 20, final_factor: 0.2 },
            &[(0, 0.05), (19, 1.0), (20, 1.0), (60, 0.6), (100, 0.2)],
        );
    }

    #[test]
    fn linear_falls_along_a_line() {
        check(
            Schedule::Linear { warmup: 20, final_factor: 0.0 },
            &[(0, 0.05), (9, 0.5), (19, 1.0), (20, 1.0), (60, 0.5), (99, 0.0125), (1000, 0.0)],
        );
        check(Schedule::Linear { warmup: 4, final_factor: 1.0 }, &[(0, 0.25), (3, 1.0), (4, 1.0), (99, 1.0)]);
    }

    #[test]
    fn no_setting_makes_a_factor_that_is_not_a_number() {
        let empty = Horizon { steps_per_epoch: 0, steps: 0 };
        for schedule in [
            Schedule::Step { every: 0, factor: 0.5 },
            Schedule::Exponential { rate: 0.0 },
            Schedule::Cosine { warmup: u64::MAX, final_factor: 0.0 },
            Schedule::Linear { warmup: 200, final_factor: 0.0 },
            Schedule::Cosine { warmup: 0, final_factor: 0.0 },
        ] {
            for step in [0, 1, 99, 100, 201, u64::MAX - 1] {
                for horizon in [HORIZON, empty] {
                    let factor = schedule.factor(step, horizon);
                    assert!((0.0..=1.0).contains(&factor), "{schedule:?} at {step}: {factor}");
                }
            }
        }
    }

    #[test]
    fn warming_up_and_falling_have_no_step_back() {
        for schedule in
            [Schedule::Cosine { warmup: 30, final_factor: 0.1 }, Schedule::Linear { warmup: 30, final_factor: 0.1 }]
        {
            let factors: Vec<f64> = (0..100).map(|step| schedule.factor(step, HORIZON)).collect();
            assert!(factors[..30].is_sorted());
            assert!(factors[30..].iter().rev().is_sorted());
        }
    }
}
