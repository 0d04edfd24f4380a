//! In which operands an operator says that it is linear.

use gradc_ir::op::ALL;
use gradc_ir::{Attr, DType, Linear, Tensor};
use gradc_testing::{Random, SIZES, random_operands};

/// `f(a + 2 b) = f(a) + 2 f(b)`, in all operands that are claimed together and in each alone of those that are claimed so.
#[test]
fn operators_are_linear_in_the_operands_that_they_say() {
    let mut checked = 0;
    for &def in ALL.iter().filter(|def| def.algebra.linear != Linear::No) {
        for case in SIZES.iter().flat_map(|&n| (def.cases)(n, DType::F64)) {
            let op = def.with(case.attrs.clone());
            let is_float = |i: usize| case.operands[i].dtype.is_float();
            let result = op.infer(&case.operands.iter().collect::<Vec<_>>()).expect("a case fits");
            let adds = case.attrs.iter().any(|(_, attr)| matches!(attr, Attr::Float(number) if number.get() != 0.0));
            let all: Vec<usize> = (0..case.operands.len()).collect();
            let groups: Vec<Vec<usize>> = match def.algebra.linear {
                Linear::No => vec![],
                Linear::Together => vec![all],
                Linear::Each => all.into_iter().map(|i| vec![i]).collect(),
                Linear::In(list) => vec![list.to_vec()],
            };
            if adds || !result.dtype.is_float() || !groups.iter().flatten().all(|&i| is_float(i)) {
                continue;
            }
            for (number, group) in groups.iter().enumerate() {
                let mut random = Random::new(number as u64);
                let a = random_operands(&def.domain, &case.operands, &mut random);
                let b = random_operands(&def.domain, &case.operands, &mut random);
                let of = |value: &dyn Fn(usize) -> Tensor| {
                    let operands: Vec<Tensor> =
                        (0..a.len()).map(|i| if group.contains(&i) { value(i) } else { a[i].clone() }).collect();
                    op.evaluate(&operands.iter().collect::<Vec<_>>()).expect("a case fits").data().to_vec()
                };
                let sum = |i: usize| {
                    let numbers = a[i].data().iter().zip(b[i].data()).map(|(a, b)| a + 2.0 * b);
                    Tensor::new(a[i].ty().clone(), numbers.collect())
                };
                let (of_a, of_b, of_sum) = (of(&|i| a[i].clone()), of(&|i| b[i].clone()), of(&sum));
                for ((a, b), sum) in of_a.iter().zip(&of_b).zip(&of_sum) {
                    let expected = a + 2.0 * b;
                    let same = expected.is_nan() && sum.is_nan() || (sum - expected).abs() <= 1e-12 * (1.0 + sum.abs());
                    assert!(same, "{} is not linear in {group:?}: {sum}, not {expected}", def.name);
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 1000, "{checked}");
}
