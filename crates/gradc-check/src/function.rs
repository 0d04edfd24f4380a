//! The function whose derivative the gradient is, as finite differences see it.

use gradc::Error;

use crate::difference::{Comparison, Slope, compare_beyond};
use crate::evaluate::{Bindings, Compiled};
use crate::finding::Finding;
use crate::options::Options;
use crate::report::Verdict;
use crate::rounding;
use crate::singular::{self, Move};
use crate::subject::Subject;

/// A line through the point: one leaf moves.
pub(crate) struct Line<'a> {
    /// The name of the leaf.
    pub(crate) leaf: &'a str,
    /// What it holds at the point.
    pub(crate) at: &'a [f64],
    /// How it moves.
    pub(crate) direction: &'a [f64],
}

/// The loss as a function of the leaves, around a point.
pub(crate) struct Function<'p> {
    declared: Subject,
    given: &'p Bindings,
    /// It with what every `stop_gradient` gives held still.
    held: Subject,
    /// What that is evaluated at.
    pub(crate) point: Bindings,
    whole: Compiled,
    /// The piece of it that the point is on, compiled once it is needed.
    piece: Option<Compiled>,
    /// How much of the loss is rounding, found out once it is needed.
    rounding: Option<f64>,
}

impl<'p> Function<'p> {
    /// The loss of a subject around the point that is given.
    pub(crate) fn new(declared: Subject, given: &'p Bindings) -> Result<Function<'p>, Error> {
        let (held, point) = declared.held_still(given);
        let whole = Compiled::plainly(held.graph.clone(), &held, &point)?;
        Ok(Function { declared, given, held, point, whole, piece: None, rounding: None })
    }

    /// Where the function is not smooth, if a target moves by about `step` along a direction.
    pub(crate) fn kink(&self, target: usize, direction: &[f64], step: f64, agrees: bool) -> Option<Finding> {
        // Of steps that are multiples of the distance of jumps, all rise alike.
        [1.0, 0.618, 0.271, 0.137, 0.0719, 0.0373].into_iter().find_map(|factor| {
            let moved = Move { target, direction, step: factor * step };
            singular::kink(&self.held, &self.point, &moved, agrees)
        })
    }

    /// Holds a derivative against differences of the function; where these fail, against those of the piece that the point
    /// is on. If they agree with that, the steps have crossed kinks.
    pub(crate) fn compare(&mut self, line: &Line<'_>, slope: Slope, options: &Options) -> Result<Comparison, Error> {
        let mut comparison = compare_along(&mut self.whole, line, slope, options, 0.0)?;
        if comparison.verdict != Verdict::Fail {
            return Ok(comparison);
        }
        let of_loss = || rounding::noise(&self.held.graph, &self.point, &[self.held.loss])[0];
        let rounding = *self.rounding.get_or_insert_with(of_loss);
        if rounding > 0.0 {
            comparison = compare_along(&mut self.whole, line, slope, options, rounding)?;
            if comparison.verdict != Verdict::Fail {
                return Ok(comparison);
            }
        }
        let piece = match &mut self.piece {
            Some(piece) => piece,
            none => {
                let (held, point) = self.declared.on_a_piece().held_still(self.given);
                none.insert(Compiled::plainly(held.graph.clone(), &held, &point)?)
            }
        };
        let on_piece = compare_along(piece, line, slope, options, rounding)?;
        let verdict = if on_piece.verdict == Verdict::Ok { Verdict::Kink } else { Verdict::Fail };
        Ok(Comparison { verdict, ..comparison })
    }
}

/// Holds the slope of a loss, so much of which is rounding, along a line against differences.
fn compare_along(
    loss: &mut Compiled,
    line: &Line<'_>,
    slope: Slope,
    options: &Options,
    rounding: f64,
) -> Result<Comparison, Error> {
    let mut along = |t: f64| {
        loss.set(line.leaf, line.at.iter().zip(line.direction).map(|(x, v)| x + t * v));
        loss.loss()
    };
    let comparison = compare_beyond(&mut along, slope, options.step, options.tolerance, rounding);
    loss.set(line.leaf, line.at.iter().copied());
    comparison
}
