//! What each operator gives for the operands that are easy to get wrong.

use gradc_interp::{EvalError, bind, evaluate, evaluate_all, evaluate_values};
use gradc_ir::op::{Algebra, OpDef, find};
use gradc_ir::{Attr, Attrs, DType, Graph, Init, Op, Role, Tensor, TensorType};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

fn tensor(dtype: DType, shape: &[usize], data: &[f64]) -> Tensor {
    Tensor::new(TensorType::new(dtype, shape), data.to_vec())
}

fn f64s(data: &[f64]) -> Tensor {
    tensor(DType::F64, &[data.len()], data)
}

fn i32s(data: &[f64]) -> Tensor {
    tensor(DType::I32, &[data.len()], data)
}

fn op(name: &str, attrs: impl IntoIterator<Item = (&'static str, Attr)>) -> Op {
    find(name).unwrap_or_else(|| panic!("there is no {name}")).with(Attrs::new(attrs))
}

/// Whether the operator gives these elements, to the sign of zero.
#[track_caller]
fn check(op: Op, operands: &[Tensor], expected: &[f64]) {
    let found = op.evaluate(&operands.iter().collect::<Vec<_>>()).unwrap();
    let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    let agrees = found.data().len() == expected.len() && found.data().iter().zip(expected).all(same);
    assert!(agrees, "{} gives {:?}, expected {expected:?}", op.def.name, found.data());
}

#[track_caller]
fn check_plain(name: &str, operands: &[Tensor], expected: &[f64]) {
    check(op(name, []), operands, expected);
}

/// How many floats lie between two of one sign.
fn ulps(a: f64, b: f64) -> u64 {
    if a == b || (a.is_nan() && b.is_nan()) { 0 } else { (a.to_bits() as i64).abs_diff(b.to_bits() as i64) }
}

/// Units in the last place by which a function may miss the nearest float.
fn allowed_ulps(name: &str) -> u64 {
    match name {
        "sqrt" => 0,
        "sigmoid" | "tanh" => 2,
        _ => 1,
    }
}

#[test]
fn elementary_functions_agree_with_a_high_precision_table() {
    let table = include_str!("data/functions.txt");
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut count = 0;
    for line in lines {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let numbers: Vec<f64> = words.map(|word| word.parse().unwrap()).collect();
        let (expected, arguments) = numbers.split_last().unwrap();
        let operands: Vec<Tensor> = arguments.iter().map(|&x| f64s(&[x])).collect();
        let found = op(name, []).evaluate(&operands.iter().collect::<Vec<_>>()).unwrap().data()[0];
        let signed = found.is_nan() || found.is_sign_negative() == expected.is_sign_negative();
        assert!(signed && ulps(found, *expected) <= allowed_ulps(name), "{line}, but it is {found:?}");
        count += 1;
    }
    assert!(count > 300, "the table has {count} lines");
}

#[test]
fn oddness_and_evenness_hold_to_the_bit() {
    let points: Vec<f64> = (-40..=40).map(|i| f64::from(i) * 0.37).chain([0.0, -0.0, INF, -INF, 1e-310]).collect();
    let opposite: Vec<f64> = points.iter().map(|x| -x).collect();
    let value = |def: &'static OpDef, x: &[f64]| def.op().evaluate(&[&f64s(x)]).unwrap().data().to_vec();
    for def in gradc_ir::op::ALL.iter().filter(|def| def.algebra.odd || def.algebra.even) {
        let (forward, backward) = (value(def, &points), value(def, &opposite));
        for (a, b) in forward.iter().zip(backward) {
            let expected = if def.algebra.odd { -a } else { *a };
            assert_eq!(b.to_bits(), expected.to_bits(), "{}", def.name);
        }
    }
}

/// Each fact of [`Algebra`] on floats of every kind, for the operators that claim it.
#[test]
fn algebraic_facts_hold() {
    let points = [0.0, -0.0, 1.0, -1.0, 0.1, -2.5, 3e-310, 1e300, INF, -INF, NAN];
    let truths = [0.0, 1.0];
    for def in gradc_ir::op::ALL.iter().filter(|def| def.algebra != Algebra::NONE) {
        let truth = def.op().infer(&vec![&TensorType::scalar(DType::Bool); if def.name == "not" { 1 } else { 2 }]);
        let takes_truths = truth.is_ok() && def.op().infer(&[&TensorType::scalar(DType::F64); 2]).is_err();
        let (dtype, points) = if takes_truths { (DType::Bool, &truths[..]) } else { (DType::F64, &points[..]) };
        let apply = |x: &[f64]| {
            let operands: Vec<Tensor> = x.iter().map(|&x| Tensor::scalar(dtype, x)).collect();
            def.op().evaluate(&operands.iter().collect::<Vec<_>>()).unwrap().data()[0]
        };
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        let unary = def.arity.admits(1);
        for &a in points {
            if let Some(identity) = def.algebra.right_identity {
                assert!(same(apply(&[a, identity]), a), "{}: identity of {a}", def.name);
            }
            if def.algebra.involution {
                assert!(same(apply(&[apply(&[a])]), a), "{}: twice {a}", def.name);
            }
            if def.algebra.idempotent {
                let (twice, once) = if unary { (apply(&[apply(&[a])]), apply(&[a])) } else { (apply(&[a, a]), a) };
                assert!(same(twice, once), "{}: {a} again", def.name);
            }
            if def.algebra.commutative {
                points.iter().for_each(|&b| assert!(same(apply(&[a, b]), apply(&[b, a])), "{}: {a}, {b}", def.name));
            }
        }
    }
}

#[test]
fn max_and_min_know_nan_and_signed_zeros() {
    let (a, b) = (f64s(&[NAN, 1.0, -0.0, 0.0, -0.0, INF]), f64s(&[1.0, NAN, 0.0, -0.0, -0.0, -INF]));
    check_plain("max", &[a.clone(), b.clone()], &[NAN, NAN, 0.0, 0.0, -0.0, INF]);
    check_plain("min", &[a, b], &[NAN, NAN, -0.0, -0.0, -0.0, -INF]);
}

#[test]
fn comparisons_with_nan_are_false_but_for_ne() {
    let (a, b) = (f64s(&[NAN, NAN, 1.0, -0.0, 2.0]), f64s(&[NAN, 1.0, NAN, 0.0, 1.0]));
    for (name, expected) in [
        ("eq", [0.0, 0.0, 0.0, 1.0, 0.0]),
        ("ne", [1.0, 1.0, 1.0, 0.0, 1.0]),
        ("lt", [0.0, 0.0, 0.0, 0.0, 0.0]),
        ("le", [0.0, 0.0, 0.0, 1.0, 0.0]),
        ("gt", [0.0, 0.0, 0.0, 0.0, 1.0]),
        ("ge", [0.0, 0.0, 0.0, 1.0, 1.0]),
    ] {
        check_plain(name, &[a.clone(), b.clone()], &expected);
    }
}

#[test]
fn logic() {
    let (a, b) = (tensor(DType::Bool, &[4], &[0.0, 0.0, 1.0, 1.0]), tensor(DType::Bool, &[4], &[0.0, 1.0, 0.0, 1.0]));
    check_plain("and", &[a.clone(), b.clone()], &[0.0, 0.0, 0.0, 1.0]);
    check_plain("or", &[a.clone(), b], &[0.0, 1.0, 1.0, 1.0]);
    check_plain("not", &[a], &[1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn signs_and_magnitudes() {
    let x = f64s(&[-3.0, -0.0, 0.0, 1e-310, INF, NAN]);
    check_plain("sign", std::slice::from_ref(&x), &[-1.0, -0.0, 0.0, 1.0, 1.0, NAN]);
    check_plain("abs", &[x], &[3.0, 0.0, 0.0, 1e-310, INF, NAN]);
}

#[test]
fn whole_numbers() {
    let halves = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4_503_599_627_370_495.5];
    check_plain("round", &[f64s(&halves)], &[-2.0, -2.0, -0.0, 0.0, 2.0, 2.0, 4.0, 4_503_599_627_370_496.0]);
    check_plain("floor", &[f64s(&halves)], &[-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4_503_599_627_370_495.0]);
    check_plain("ceil", &[f64s(&halves)], &[-2.0, -1.0, -0.0, 1.0, 2.0, 3.0, 4.0, 4_503_599_627_370_496.0]);
    let small = [1e-310, -1e-310, 0.5_f64.next_down(), 1.0_f64.next_down(), (-1.0_f64).next_up()];
    check_plain("round", &[f64s(&small)], &[0.0, -0.0, 0.0, 1.0, -1.0]);
    check_plain("floor", &[f64s(&small)], &[0.0, -1.0, 0.0, 0.0, -1.0]);
    check_plain("ceil", &[f64s(&small)], &[1.0, -0.0, 1.0, 1.0, -0.0]);
    let whole = [0.0, -0.0, -7.0, 9_007_199_254_740_993.0, 1e300, INF, -INF, NAN];
    for name in ["round", "floor", "ceil"] {
        check_plain(name, &[f64s(&whole)], &whole);
    }
}

#[test]
fn integers_wrap() {
    let (least, greatest) = (f64::from(i32::MIN), f64::from(i32::MAX));
    check_plain("add", &[i32s(&[greatest]), i32s(&[1.0])], &[least]);
    check_plain("sub", &[i32s(&[least]), i32s(&[1.0])], &[greatest]);
    check_plain("mul", &[i32s(&[greatest, 65537.0]), i32s(&[greatest, 65537.0])], &[1.0, 131073.0]);
    check_plain("neg", &[i32s(&[least])], &[least]);
    check_plain("abs", &[i32s(&[least, -5.0])], &[least, 5.0]);
    check_plain("sign", &[i32s(&[least, 0.0, 7.0])], &[-1.0, 0.0, 1.0]);
    check(op("sum", [("axes", [0].into())]), &[i32s(&[greatest, 1.0, 1.0])], &[least + 1.0]);
}

#[test]
fn casts() {
    let to = |dtype: DType| op("cast", [("dtype", Attr::from(dtype))]);
    let x = f64s(&[1.9, -1.9, NAN, 3e9, 0.0, -0.0]);
    check(to(DType::I32), std::slice::from_ref(&x), &[1.0, -1.0, 0.0, f64::from(i32::MAX), 0.0, 0.0]);
    check(to(DType::Bool), &[x], &[1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    check(to(DType::F32), &[f64s(&[0.1, 1e300, 1e-50])], &[f64::from(0.1f32), INF, 0.0]);
    check(to(DType::F32), &[i32s(&[16_777_217.0])], &[16_777_216.0]);
    check(to(DType::I32), &[tensor(DType::Bool, &[2], &[1.0, 0.0])], &[1.0, 0.0]);
}

#[test]
fn select_does_not_look_at_the_other_branch() {
    let condition = tensor(DType::Bool, &[2], &[1.0, 0.0]);
    check_plain("select", &[condition, f64s(&[1.0, NAN]), f64s(&[NAN, 2.0])], &[1.0, 2.0]);
}

#[test]
fn reductions_over_no_elements_and_with_nan() {
    let axes = |axes: &[usize]| [("axes", Attr::from(axes))];
    let empty = tensor(DType::F64, &[2, 0], &[]);
    check(op("sum", axes(&[1])), std::slice::from_ref(&empty), &[0.0, 0.0]);
    check(op("mean", axes(&[1])), std::slice::from_ref(&empty), &[NAN, NAN]);
    check(op("mean", axes(&[0])), std::slice::from_ref(&empty), &[]);
    check(op("amax", axes(&[1])), std::slice::from_ref(&empty), &[-INF, -INF]);
    check(op("amin", axes(&[1])), &[empty], &[INF, INF]);
    let empty = tensor(DType::I32, &[0], &[]);
    check(op("amax", axes(&[0])), std::slice::from_ref(&empty), &[f64::from(i32::MIN)]);
    check(op("amin", axes(&[0])), &[empty], &[f64::from(i32::MAX)]);
    let x = tensor(DType::F64, &[2, 3], &[1.0, NAN, 3.0, -0.0, 0.0, -0.0]);
    check(op("amax", axes(&[1])), std::slice::from_ref(&x), &[NAN, 0.0]);
    check(op("amin", axes(&[1])), std::slice::from_ref(&x), &[NAN, -0.0]);
    check(op("amax", axes(&[0])), std::slice::from_ref(&x), &[1.0, NAN, 3.0]);
    check(op("mean", axes(&[1])), &[x], &[NAN, 0.0]);
    // The sum is rounded before it is divided, as the sum of a kernel is.
    let third = f64::from(((1.0f64 + f64::from(f32::EPSILON) * 1.5) as f32) / 3.0);
    let x = tensor(DType::F32, &[3], &[1.0, f64::from(f32::EPSILON), f64::from(f32::EPSILON) / 2.0]);
    check(op("mean", axes(&[0])), &[x], &[third]);
}

#[test]
fn single_precision_rounds_once_an_operator() {
    let x = tensor(DType::F32, &[3], &[1e8, 1.0, -1e8]);
    check(op("sum", [("axes", [0].into())]), &[x], &[1.0]);
    let (a, b) = (tensor(DType::F32, &[1, 2], &[1e8, 1.0]), tensor(DType::F32, &[2, 1], &[1.0, 0.25]));
    let flags = [("transpose_a", Attr::from(false)), ("transpose_b", false.into())];
    check(op("matmul", flags), &[a, b], &[1e8]);
}

#[test]
fn matmul_transposes_and_empty_inner_extents() {
    let flags = |a: bool, b: bool| [("transpose_a", Attr::from(a)), ("transpose_b", b.into())];
    let a = tensor(DType::F64, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let b = tensor(DType::F64, &[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    check(op("matmul", flags(false, false)), &[a.clone(), b.clone()], &[4.0, 5.0, 10.0, 11.0]);
    let swap = tensor(DType::F64, &[2, 2], &[1.0, 0.0, 1.0, 1.0]);
    check(op("matmul", flags(true, false)), &[a.clone(), swap], &[5.0, 4.0, 7.0, 5.0, 9.0, 6.0]);
    check(op("matmul", flags(true, true)), &[a, b], &[1.0, 4.0, 5.0, 2.0, 5.0, 7.0, 3.0, 6.0, 9.0]);
    let (a, b) = (tensor(DType::F64, &[2, 0], &[]), tensor(DType::F64, &[0, 1], &[]));
    check(op("matmul", flags(false, false)), &[a, b], &[0.0, 0.0]);
}

#[test]
fn movement() {
    let list = |values: &[usize]| Attr::from(values);
    let x = tensor(DType::F64, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let slice = |start: &[usize], limit: &[usize], stride: &[usize]| {
        op("slice", [("start", list(start)), ("limit", list(limit)), ("stride", list(stride))])
    };
    check(slice(&[0, 0], &[2, 3], &[1, 2]), std::slice::from_ref(&x), &[1.0, 3.0, 4.0, 6.0]);
    check(slice(&[1, 1], &[2, 1], &[1, 1]), std::slice::from_ref(&x), &[]);
    let pad = |low: &[usize], high: &[usize], interior: &[usize], value: f64| {
        let lists = [("low", list(low)), ("high", list(high)), ("interior", list(interior))];
        op("pad", lists.into_iter().chain([("value", value.into())]))
    };
    check(pad(&[1], &[2], &[1], 9.0), &[f64s(&[1.0, 2.0])], &[9.0, 1.0, 9.0, 2.0, 9.0, 9.0]);
    check(pad(&[1], &[1], &[5], -0.0), &[f64s(&[])], &[-0.0, -0.0]);
    check(
        op("concat", [("axis", 1.into())]),
        &[x.clone(), tensor(DType::F64, &[2, 1], &[7.0, 8.0])],
        &[1.0, 2.0, 3.0, 7.0, 4.0, 5.0, 6.0, 8.0],
    );
    check(op("transpose", [("permutation", list(&[1, 0]))]), std::slice::from_ref(&x), &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    check(op("reshape", [("shape", list(&[3, 2]))]), &[x], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let repeated = op("broadcast", [("axes", list(&[0])), ("shape", list(&[2, 3]))]);
    check(repeated, &[f64s(&[1.0, 2.0])], &[1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
}

#[test]
fn indices_out_of_range() {
    let x = tensor(DType::F64, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let gather = |axis: usize| op("gather", [("axis", axis.into())]);
    check(gather(0), &[x.clone(), i32s(&[1.0, -1.0, 2.0, 0.0])], &[3.0, 4.0, NAN, NAN, NAN, NAN, 1.0, 2.0]);
    check(gather(1), &[x, tensor(DType::I32, &[], &[1.0])], &[2.0, 4.0]);
    check(gather(0), &[i32s(&[5.0, 6.0]), i32s(&[2.0, 1.0])], &[0.0, 6.0]);
    let scatter = op("scatter_add", [("axis", 0.into()), ("extent", 2.into())]);
    check(scatter, &[i32s(&[0.0, 2.0, 0.0, -1.0]), f64s(&[1.0, 10.0, 100.0, 1000.0])], &[101.0, 0.0]);
    let one_hot = op("one_hot", [("depth", 2.into()), ("dtype", DType::F32.into())]);
    check(one_hot, &[i32s(&[1.0, 2.0, -1.0])], &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn scatter_add_adds_in_the_order_of_the_updates() {
    let scatter = op("scatter_add", [("axis", 0.into()), ("extent", 1.into())]);
    check(scatter, &[i32s(&[0.0; 3]), f64s(&[1e16, 1.0, -1e16])], &[0.0]);
}

#[test]
fn sources() {
    let iota =
        |axis: usize| op("iota", [("axis", axis.into()), ("dtype", DType::I32.into()), ("shape", [2, 3].into())]);
    check(iota(0), &[], &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    check(iota(1), &[], &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
}

/// `y = 2x + w`, and a value that nothing needs.
fn line() -> Graph {
    let ty = TensorType::new(DType::F32, [2]);
    let mut graph = Graph::new("line");
    let x = graph.input("x", ty.clone());
    let w = graph.param("w", ty.clone(), Init::Constant(0.0.into()));
    graph.input("unused", ty);
    let double = graph.scale(x, 2.0);
    let y = graph.add(double, w);
    graph.add_output(Role::Output, "y", y);
    graph.add_output(Role::Output, "x", x);
    graph
}

#[test]
fn results_come_in_order_and_unused_leaves_need_no_tensor() {
    let graph = line();
    let x = tensor(DType::F32, &[2], &[1.0, 2.0]);
    let bindings = bind(&graph, [("w", tensor(DType::F32, &[2], &[10.0, 20.0])), ("x", x.clone())]).unwrap();
    let results = evaluate(&graph, &bindings).unwrap();
    assert_eq!(results[0].data(), [12.0, 24.0]);
    assert_eq!(results[1], x);
    let twice = graph.operands(graph.outputs()[0].value)[0];
    assert_eq!(evaluate_values(&graph, &bindings, &[twice, twice]).unwrap()[1].data(), [2.0, 4.0]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let graph = line();
    let (x, y) = (graph.find_value("x").unwrap(), graph.outputs()[0].value);
    let ty = graph.ty(x).clone();
    let right = || Tensor::new(ty.clone(), vec![1.0, 2.0]);
    let missing = EvalError::MissingBinding { name: "w".into(), expected: ty.clone() };
    assert_eq!(evaluate(&graph, &[(x, right())]), Err(missing));
    assert_eq!(bind(&graph, [("z", right())]), Err(EvalError::UnknownLeaf { name: "z".into() }));
    let wrong = EvalError::WrongType { name: "x".into(), expected: ty.clone(), found: ty.with_dtype(DType::F64) };
    assert_eq!(evaluate(&graph, &[(x, right().cast(DType::F64))]), Err(wrong));
    assert_eq!(evaluate(&graph, &[(y, right())]), Err(EvalError::NotALeaf { value: y }));
    let all = evaluate_all(&graph, &bind(&graph, [("w", right()), ("x", right())]).unwrap());
    assert_eq!(all, Err(EvalError::MissingBinding { name: "unused".into(), expected: ty }));
}
