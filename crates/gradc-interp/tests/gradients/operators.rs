//! The battery over the registry.

use gradc_ir::op::ALL;
use gradc_ir::{Case, Class, DType, Derivative, OpDef, TensorType};
use gradc_testing::SIZES;

use crate::check::{Checked, absent, applied, composed, reverse_mode, second_order, transpose};

/// Sizes around a vector register or cache line, for operators that are cheap to check.
const LARGE_SIZES: [usize; 2] = [63, 65];

fn sizes(def: &OpDef) -> Vec<usize> {
    let large = if def.class == Class::Elementwise { &LARGE_SIZES[..] } else { &[] };
    SIZES.iter().chain(large).copied().collect()
}

/// Runs `check` on every case of every operator that has derivative rules. It must have found a derivative that is not
/// zero, once an operator and size, or else it proved nothing.
fn for_each_rule(check: impl Fn(&'static OpDef, &Case, u64) -> Option<Checked>) {
    for &def in ALL.iter().filter(|def| !matches!(def.derivative, Derivative::None(_))) {
        for n in sizes(def) {
            let cases = (def.cases)(n, DType::F64);
            assert!(!cases.is_empty(), "{} has no cases", def.name);
            let mut largest = 0.0f64;
            for (i, case) in cases.iter().enumerate() {
                match check(def, case, (1000 * n + i) as u64) {
                    Some(Ok(derivative)) => largest = largest.max(derivative),
                    Some(Err(error)) => panic!("{} {:?} of {}: {error}", def.name, case.attrs, shown(&case.operands)),
                    None => {}
                }
            }
            assert!(n == 0 || largest > 1e-3, "{} at size {n}: all derivatives are zero", def.name);
        }
    }
}

fn shown(operands: &[TensorType]) -> String {
    operands.iter().map(|ty| ty.to_string()).collect::<Vec<_>>().join(", ")
}

#[test]
fn cotangents_agree_with_finite_differences() {
    for_each_rule(|def, case, seed| {
        let (mut subject, result) = applied(def, case, seed);
        if !subject.graph.dtype(result).is_float() {
            return None;
        }
        let weights = subject.weights(result);
        let loss = subject.inner_product(weights, result);
        Some(reverse_mode(&subject, loss))
    });
}

#[test]
fn tangents_are_the_transpose_of_cotangents() {
    for_each_rule(|def, case, seed| {
        let (subject, result) = applied(def, case, seed);
        subject.graph.dtype(result).is_float().then(|| transpose(&subject, result))
    });
}

#[test]
fn cotangents_are_right_in_the_middle_of_a_graph() {
    for_each_rule(|def, case, seed| {
        let (subject, loss) = composed(def, case, seed)?;
        Some(reverse_mode(&subject, loss))
    });
}

#[test]
fn gradients_can_be_differentiated_again() {
    for_each_rule(|def, case, seed| {
        let (subject, loss) = composed(def, case, seed)?;
        Some(second_order(&subject, loss))
    });
}

#[test]
fn what_has_no_derivative_has_none() {
    for &def in ALL {
        let cases = (def.cases)(3, DType::F64);
        assert!(!cases.is_empty(), "{} has no cases", def.name);
        for case in &cases {
            let (subject, result) = applied(def, case, 0);
            let differentiable = subject.graph.dtype(result).is_float() && !subject.wrt.is_empty();
            if matches!(def.derivative, Derivative::None(_)) || !differentiable {
                assert_eq!(absent(&subject, result), Ok(()), "{} of {}", def.name, shown(&case.operands));
            }
        }
    }
}

/// A case is what other tests build their graphs from: it must have the attributes and operands that the operator takes,
/// at every size and in both precisions.
#[test]
fn cases_are_well_typed() {
    for &def in ALL {
        for (n, float) in SIZES.iter().flat_map(|&n| [(n, DType::F32), (n, DType::F64)]) {
            for case in (def.cases)(n, float) {
                let op = def.with(case.attrs);
                let result = op.infer(&case.operands.iter().collect::<Vec<_>>());
                assert!(result.is_ok(), "{} {:?} of {}: {result:?}", def.name, op.attrs, shown(&case.operands));
            }
        }
        assert!(!def.doc.is_empty(), "{} has no manual", def.name);
        let lowered = def.lower.is_some();
        assert_eq!(lowered, def.class == Class::Elementwise, "{} is lowered or elementwise, not both", def.name);
    }
}

/// Odd shapes come from the size that cases are asked for: each size gives other types, and 0 gives an empty one.
#[test]
fn cases_follow_the_size() {
    for &def in ALL {
        let types = |n: usize| -> Vec<TensorType> {
            let of = |case: Case| {
                let result = def.with(case.attrs.clone()).infer(&case.operands.iter().collect::<Vec<_>>());
                case.operands.into_iter().chain(result.ok())
            };
            (def.cases)(n, DType::F64).into_iter().flat_map(of).collect()
        };
        assert!(types(0).iter().any(|ty| ty.shape.elements() == 0), "{} has no empty case", def.name);
        for (a, b) in SIZES.iter().flat_map(|&a| SIZES.map(|b| (a, b))).filter(|(a, b)| a < b) {
            assert_ne!(types(a), types(b), "{} at sizes {a} and {b}", def.name);
        }
    }
}

#[test]
fn the_registry_is_in_order_and_finds_by_name() {
    let mut names: Vec<&str> = ALL.iter().map(|def| def.name).collect();
    for name in &names {
        assert_eq!(gradc_ir::op::find(name).map(|def| def.name), Some(*name));
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len(), "two operators have one name");
}
