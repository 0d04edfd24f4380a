//! Operators on whatever a file may say: attributes and operands at random. They are refused, or everything works.

use gradc_ir::op::ALL;
use gradc_ir::verify::verify;
use gradc_ir::{Arity, Attr, AttrKind, Attrs, Body, Case, Class, DType, Graph, OpDef, Shape, TensorType, ValueId};
use gradc_testing::{Random, random_bindings};

const NUMBERS: [usize; 8] = [0, 1, 2, 3, 7, 1 << 31, 1 << 40, usize::MAX];

/// Mostly small, sometimes absurd.
fn number(random: &mut Random) -> usize {
    if random.chance(0.9) { random.below(4) } else { *random.pick(&NUMBERS) }
}

fn attr(kind: AttrKind, rank: usize, random: &mut Random) -> Attr {
    match kind {
        AttrKind::Bool => Attr::Bool(random.chance(0.5)),
        AttrKind::Int => Attr::Int(number(random)),
        AttrKind::Ints => {
            let length = if random.chance(0.7) { rank } else { random.below(5) };
            let numbers: Vec<usize> = (0..length).map(|_| number(random)).collect();
            Attr::from(&*numbers)
        }
        AttrKind::Float => Attr::from(*random.pick(&[0.0, -0.0, 1.5, f64::NAN, f64::INFINITY, 1e300])),
        AttrKind::DType => Attr::DType(*random.pick(&DType::ALL)),
        // A body that fits nothing; see `loops`.
        AttrKind::Body => Attr::Body(Body::new(&Graph::new("empty")).expect("an empty graph is a function")),
    }
}

/// An operator with some attributes, and operands for it: of one shape half of the time.
fn application(def: &'static OpDef, random: &mut Random) -> (Attrs, Vec<TensorType>) {
    if def.class == Class::Scan {
        return loops(def, random);
    }
    let count = match def.arity {
        Arity::Exactly(count) => count,
        Arity::AtLeast(least) => least + random.below(3),
    };
    let rank = random.below(4);
    let shape: Shape = (0..rank).map(|_| random.below(4)).collect();
    let dtype = *random.pick(&DType::ALL);
    let operands = (0..count).map(|_| {
        let other: Shape = (0..random.below(4)).map(|_| random.below(4)).collect();
        let shape = if random.chance(0.7) { shape.clone() } else { other };
        TensorType { dtype: if random.chance(0.7) { dtype } else { *random.pick(&DType::ALL) }, shape }
    });
    let operands = operands.collect();
    (Attrs::new(def.attrs.iter().map(|spec| (spec.name, attr(spec.kind, rank, random))).collect::<Vec<_>>()), operands)
}

/// A loop as one of its cases has it, but for an attribute or an operand.
fn loops(def: &'static OpDef, random: &mut Random) -> (Attrs, Vec<TensorType>) {
    let cases = (def.cases)(random.below(4), DType::F64);
    let case = random.pick(&cases).clone();
    let (spoiled, mut operands) = (random.below(8), case.operands);
    let attrs = case.attrs.iter().zip(def.attrs).enumerate().map(|(i, ((name, value), spec))| {
        (*name, if i == spoiled { attr(spec.kind, 2, random) } else { value.clone() })
    });
    let attrs = Attrs::new(attrs.collect::<Vec<_>>());
    if spoiled == 5 {
        operands.truncate(random.below(operands.len()));
    }
    (attrs, operands)
}

#[test]
fn what_a_type_rule_accepts_can_be_evaluated_and_differentiated() {
    let mut random = Random::new(1);
    for &def in ALL {
        let mut accepted = 0;
        for seed in 0..4000 {
            let (attrs, operands) = application(def, &mut random);
            let mut graph = Graph::new("hostile");
            let leaves: Vec<ValueId> =
                operands.iter().enumerate().map(|(i, ty)| graph.input(format!("x{i}"), ty.clone())).collect();
            let case = Case { attrs, operands };
            if def.with(case.attrs.clone()).infer(&case.operands.iter().collect::<Vec<_>>()).is_err() {
                continue;
            }
            let result = case.apply(&mut graph, def, &leaves);
            accepted += 1;
            if graph.shape(result).elements() > 10_000 {
                continue;
            }
            let bindings = random_bindings(&graph, seed);
            let tensors = gradc_interp::evaluate_values(&graph, &bindings, &[result]);
            assert!(tensors.is_ok(), "{}: {tensors:?}", def.name);
            if graph.dtype(result).is_float() {
                let axes: Vec<usize> = (0..graph.shape(result).rank()).collect();
                let loss = graph.reduce_sum(result, &axes);
                let gradient = gradc_autodiff::gradient(&graph, loss, &leaves);
                assert_eq!(verify(&gradient.graph), Ok(()), "{}", def.name);
                let wanted: Vec<ValueId> = gradient.cotangents.into_iter().flatten().collect();
                let tensors = gradc_interp::evaluate_values(&gradient.graph, &bindings, &wanted);
                assert!(tensors.is_ok(), "{}: {tensors:?}", def.name);
            }
        }
        assert!(accepted > 5, "{} accepted only {accepted} of the applications", def.name);
    }
}
