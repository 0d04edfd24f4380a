//! `pow(a, b)`

use super::elementwise::{binary_cases, lower_to, real};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// Powers.
pub static POW: OpDef = OpDef {
    name: "pow",
    class: Class::Elementwise,
    arity: Arity::Exactly(2),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| libm::pow(x[0], x[1])),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (base, exponent, power, g) = (cx.operand(0), cx.operand(1), cx.result(), cx.cotangent());
            cx.contribute(0, |graph| through_base(graph, base, exponent, g));
            cx.contribute(1, |graph| through_exponent(graph, base, exponent, power, g));
        },
        jvp: |cx| {
            let (base, exponent, power) = (cx.operand(0), cx.operand(1), cx.result());
            cx.contribute(0, |graph, t| through_base(graph, base, exponent, t));
            cx.contribute(1, |graph, t| through_exponent(graph, base, exponent, power, t));
        },
    },
    lower: lower_to!(Pow),
    algebra: Algebra { right_identity: Some(1.0), ..Algebra::NONE },
    domain: Domain { smooth: &[(0.5, 3.0), (-2.0, 2.0)], kinks: &[0.0], unbounded: true, ..Domain::SMOOTH },
    cases: binary_cases,
    doc: "`a` to the power of `b`, element by element, as the `pow` of IEEE 754 and C: 1 where `b` is zero, whatever `a` \
          is; for negative `a`, a real number where `b` is a whole number and NaN elsewhere. The derivative by `a` is \
          `b * pow(a, b - 1)`, and 0 where `b` is zero. The derivative by `b` is `pow(a, b) * log(a)`, and 0 where `a` is \
          zero and `b` positive; for negative `a` it does not exist and is NaN.",
};

/// `g · b · aᵇ⁻¹`, and 0 where `b = 0`.
fn through_base(graph: &mut Graph, base: ValueId, exponent: ValueId, g: ValueId) -> ValueId {
    if graph.as_full(exponent).is_some_and(|exponent| exponent != 0.0) {
        let one = graph.full_like(exponent, 1.0);
        let less = graph.sub(exponent, one);
        return power_rule(graph, base, exponent, less, g);
    }
    let (zero, one) = (graph.full_like(exponent, 0.0), graph.full_like(exponent, 1.0));
    let flat = graph.eq(exponent, zero);
    let less = graph.sub(exponent, one);
    // Where the select below drops this branch, its own derivative must be finite too: 0⁻¹ would not be.
    let less = graph.select(flat, one, less);
    let slope = power_rule(graph, base, exponent, less, g);
    graph.select(flat, zero, slope)
}

fn power_rule(graph: &mut Graph, base: ValueId, exponent: ValueId, less: ValueId, g: ValueId) -> ValueId {
    let power = graph.pow(base, less);
    let slope = graph.mul(exponent, power);
    graph.mul(g, slope)
}

/// `g · aᵇ · log a`, and 0 where `a = 0` and `b > 0`: there `aᵇ` is 0 for all exponents nearby.
fn through_exponent(graph: &mut Graph, base: ValueId, exponent: ValueId, power: ValueId, g: ValueId) -> ValueId {
    let (zero, one) = (graph.full_like(base, 0.0), graph.full_like(base, 1.0));
    let at_zero = graph.eq(base, zero);
    let positive = graph.gt(exponent, zero);
    let flat = graph.and(at_zero, positive);
    // As above: log 0 is not differentiable, and the select below only drops its value.
    let argument = graph.select(flat, one, base);
    let logarithm = graph.log(argument);
    let slope = graph.mul(power, logarithm);
    let slope = graph.mul(g, slope);
    graph.select(flat, zero, slope)
}

impl Graph {
    /// `pow(a, b)`
    pub fn pow(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(POW.op(), &[a, b])
    }
}
