//! What a value costs to compute, roughly in sixteenths of a simple vector operation on one element.
//!
//! The weights follow what fused kernels do: an elementwise operation costs its arithmetic and a share of the traffic, a
//! broadcast or reshape is an index computation, a product of matrices costs its multiplications. They need not be right,
//! only rank alternatives as a machine would.

use gradc_ir::op::{self, OpDef};
use gradc_ir::{Class, Op, TensorType};

/// What every value costs beside its elements, so that of two equal alternatives the one with fewer values is chosen.
const PER_VALUE: u64 = 8;

/// Cost of one element in sixteenths.
const PER_ELEMENT: [(&OpDef, u64); 23] = [
    (&op::div::DIV, 64),
    (&op::sqrt::SQRT, 64),
    (&op::rsqrt::RSQRT, 64),
    (&op::exp::EXP, 256),
    (&op::log::LOG, 256),
    (&op::expm1::EXPM1, 320),
    (&op::log1p::LOG1P, 320),
    (&op::sigmoid::SIGMOID, 320),
    (&op::tanh::TANH, 384),
    (&op::erf::ERF, 384),
    (&op::erfc::ERFC, 512),
    (&op::pow::POW, 640),
    (&op::random::RANDOM, 1600),
    (&op::neg::NEG, 16),
    (&op::cast::CAST, 16),
    (&op::stop_gradient::STOP_GRADIENT, 0),
    (&op::broadcast::BROADCAST, 1),
    (&op::reshape::RESHAPE, 0),
    (&op::full::FULL, 0),
    (&op::iota::IOTA, 8),
    (&op::one_hot::ONE_HOT, 16),
    (&op::transpose::TRANSPOSE, 64),
    (&op::window::WINDOW, 1),
];

/// Cost of an element of other operators, by class.
fn per_element(op: &Op) -> u64 {
    let own = PER_ELEMENT.iter().find(|(def, _)| op.is(def));
    own.map_or_else(
        || match op.def.class {
            Class::Source | Class::Elementwise | Class::Movement => 32,
            Class::Reduce | Class::Accumulate => 32,
            Class::Contract => 16,
            Class::Indexed => 64,
            Class::Scan | Class::Custom => 1,
        },
        |(_, weight)| *weight,
    )
}

/// The cost of one application.
pub(crate) fn cost(op: &Op, operands: &[&TensorType], result: &TensorType) -> u64 {
    if op.is(&op::full::FULL) {
        // A hair for the sign, so that of two equal alternatives the one that reads better is chosen: `c * (p - y)`,
        // not `-c * (y - p)`.
        return u64::from(op.attrs.float("value") < 0.0);
    }
    let elements = |ty: &TensorType| ty.shape.elements() as u64;
    let work = match op.def.class {
        Class::Reduce | Class::Accumulate => elements(operands[0]),
        Class::Contract => {
            let (_, _, inner) = op::matmul::sizes(&op.attrs, operands[0], operands[1]);
            elements(result).saturating_mul(inner as u64)
        }
        Class::Indexed => operands.iter().map(|ty| elements(ty)).max().unwrap_or(0).max(elements(result)),
        Class::Source | Class::Elementwise | Class::Movement => elements(result),
        // No rule makes a loop or a note for differentiation, or does without one.
        Class::Scan | Class::Custom => 0,
    };
    // A hair for each transposed operand, so that of two equal products the one that reads better is chosen.
    let transposed = match op.def.class {
        Class::Contract => ["transpose_a", "transpose_b"].map(|flag| u64::from(op.attrs.bool(flag))).iter().sum(),
        _ => 0,
    };
    work.saturating_mul(per_element(op)).saturating_add(PER_VALUE + transposed)
}
