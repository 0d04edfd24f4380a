//! Wrong rules, which the checks must catch.

use gradc_ir::op::{Algebra, Evaluate};
use gradc_ir::{Arity, Attrs, Case, Class, DType, Derivative, Domain, Jvp, Notation, OpDef, TensorType, Vjp};

use crate::check::{applied, composed, reverse_mode, second_order, transpose};

/// The square function with the derivative rules of choice.
const fn square(vjp: fn(&mut Vjp<'_>), jvp: fn(&mut Jvp<'_>)) -> OpDef {
    OpDef {
        name: "square",
        class: Class::Elementwise,
        arity: Arity::Exactly(1),
        attrs: &[],
        notation: Notation::Call,
        infer: |_, operands| Ok(operands[0].clone()),
        evaluate: Evaluate::Scalar { real: |x| x[0] * x[0], int: None },
        derivative: Derivative::Rules { vjp, jvp },
        lower: None,
        algebra: Algebra::NONE,
        domain: Domain::SMOOTH,
        cases: |n, float| vec![Case { attrs: Attrs::NONE, operands: vec![TensorType::new(float, [n])] }],
        doc: "",
    }
}

fn right_vjp(cx: &mut Vjp<'_>) {
    let (x, g) = (cx.operand(0), cx.cotangent());
    cx.contribute(0, |graph| {
        let double = graph.scale(x, 2.0);
        graph.mul(g, double)
    });
}

fn right_jvp(cx: &mut Jvp<'_>) {
    let x = cx.operand(0);
    cx.contribute(0, |graph, t| {
        let double = graph.scale(x, 2.0);
        graph.mul(t, double)
    });
}

static RIGHT: OpDef = square(right_vjp, right_jvp);

static DROPS_ITS_COTANGENT: OpDef = square(
    |cx| {
        let x = cx.operand(0);
        cx.contribute(0, |graph| graph.scale(x, 2.0));
    },
    right_jvp,
);

static FORGETS_A_FACTOR: OpDef = square(
    |cx| {
        let (x, g) = (cx.operand(0), cx.cotangent());
        cx.contribute(0, |graph| graph.mul(g, x));
    },
    right_jvp,
);

static CONTRIBUTES_NOTHING: OpDef = square(|_| {}, right_jvp);

static WRONG_TANGENT: OpDef = square(right_vjp, |cx| {
    let x = cx.operand(0);
    cx.contribute(0, |graph, t| graph.mul(t, x));
});

/// Right at first order; its derivative passes nothing on.
static CANNOT_BE_DIFFERENTIATED_AGAIN: OpDef = square(
    |cx| {
        let (x, g) = (cx.operand(0), cx.cotangent());
        cx.contribute(0, |graph| {
            let fixed = graph.stop_gradient(x);
            let double = graph.scale(fixed, 2.0);
            graph.mul(g, double)
        });
    },
    right_jvp,
);

/// Which of the four checks of the battery an operator passes: alone, transposed, in the middle of a graph, twice.
fn passes(def: &'static OpDef) -> [bool; 4] {
    let case = &(def.cases)(5, DType::F64)[0];
    let (mut subject, result) = applied(def, case, 1);
    let transposed = transpose(&subject, result).is_ok();
    let weights = subject.weights(result);
    let loss = subject.inner_product(weights, result);
    let alone = reverse_mode(&subject, loss).is_ok();
    let (subject, loss) = composed(def, case, 1).expect("squares are floats");
    [alone, transposed, reverse_mode(&subject, loss).is_ok(), second_order(&subject, loss).is_ok()]
}

/// The fourth check holds a gradient against its own differences, wrong or not: it is there for the last of these.
#[test]
fn the_checks_catch_wrong_rules() {
    assert_eq!(passes(&RIGHT), [true, true, true, true]);
    assert_eq!(passes(&DROPS_ITS_COTANGENT)[..3], [false, false, false]);
    assert_eq!(passes(&FORGETS_A_FACTOR)[..3], [false, false, false]);
    assert_eq!(passes(&CONTRIBUTES_NOTHING)[..3], [false, false, false]);
    assert_eq!(passes(&WRONG_TANGENT), [true, false, true, true]);
    assert_eq!(passes(&CANNOT_BE_DIFFERENTIATED_AGAIN), [true, true, true, false]);
}
