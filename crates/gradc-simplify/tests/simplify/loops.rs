//! What is done to loops.

use gradc_interp::evaluate;
use gradc_ir::op::scan::Scan;
use gradc_ir::{DType, Graph};
use gradc_simplify::{Level, Mode, Options, simplify};
use gradc_testing::random_bindings;

use crate::common::{model, raw_gradient};

/// The loops of a graph that its results depend on.
fn loops(graph: &Graph) -> Vec<Scan> {
    let live = graph.live();
    graph.values().filter(|value| live[value.index()]).filter_map(|value| graph.as_scan(value)).collect()
}

/// How often an operator occurs in the graph itself, outside of all bodies.
fn count(graph: &Graph, name: &str) -> usize {
    let live = graph.live();
    let is = |value: &gradc_ir::ValueId| graph.op(*value).is_some_and(|op| op.def.name == name);
    graph.values().filter(|value| live[value.index()]).filter(is).count()
}

/// For each loop how many carries, sequences and constants it has, how many results, and how many products its body.
fn shape(graph: &Graph) -> Vec<[usize; 5]> {
    let of = |scan: &Scan| {
        let constants = scan.body.inputs().len() - scan.first_constant();
        [scan.carries, scan.sequences, constants, scan.results(), count(scan.body.graph(), "matmul")]
    };
    loops(graph).iter().map(of).collect()
}

/// Simplifies a graph in every mode and at every level; all results stay what they were.
fn check(text: &str, derive: bool, looks: impl Fn(Mode, Level, &Graph)) {
    let source = model("m", text).in_precision(DType::F64);
    for mode in Mode::ALL {
        let graph = if derive { raw_gradient(&source, mode) } else { source.settled() };
        let bindings = random_bindings(&graph, 7);
        let expected = evaluate(&graph, &bindings).expect("the model evaluates");
        for level in [Level::Local, Level::Full] {
            let found = simplify(&graph, &Options { mode, level, ..Options::default() }).graph;
            let results = evaluate(&found, &bindings).expect("what is simplified evaluates");
            for ((found, expected), output) in results.iter().zip(&expected).zip(graph.outputs()) {
                let scale = expected.data().iter().fold(1.0f64, |scale, x| scale.max(x.abs()));
                let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 * scale;
                assert!(found.data().iter().zip(expected.data()).all(close), "{mode}, {level:?}: {}", output.name);
            }
            looks(mode, level, &found);
        }
    }
}

const RECURRENT: &str = "
model m {
    input x: f32[4, 6, 3]
    param w: [3, 5] = glorot_uniform
    param u: [5, 5] = orthogonal
    param b: [5] = zeros
    let h = zeros([4, 5])
    let hs = scan x_t in x, axis = 1 {
        h = tanh(x_t @ w + h @ u + b)
        h
    }
    loss sum(square(hs))
}
";

#[test]
fn products_of_slices_and_sums_over_steps_are_taken_at_once() {
    check(RECURRENT, true, |mode, _, graph| {
        let shapes = shape(graph);
        assert_eq!(shapes.len(), 2, "{mode}");
        // Forward: one product in a step, h @ u. Backward: the same; its carries are the cotangent of h, and in strict mode,
        // which does not change the order of sums, those of u and b.
        assert_eq!((shapes[0][0], shapes[0][4]), (1, 1), "{mode}");
        let (carries, products) = if mode == Mode::Strict { (3, 2) } else { (1, 1) };
        assert_eq!((shapes[1][0], shapes[1][4]), (carries, products), "{mode}");
        // Outside: x @ w, and the cotangents of x, w and, but for strict mode, of u.
        assert_eq!(count(graph, "matmul"), if mode == Mode::Strict { 3 } else { 4 }, "{mode}");
    });
}

#[test]
fn dead_results_carries_and_operands_go() {
    let text = "
model m {
    input x: f32[6, 3]
    input y: f32[6, 3]
    let a = zeros([3])
    let b = zeros([3])
    let c = full([3], 2)
    let parts = scan x_t in x, y_t in y, again in x {
        a = a + x_t * c * again
        b = b * y_t + a
        [b, exp(y_t), x_t]
    }
    output a
    output same = parts[2]
}
";
    check(text, false, |_, _, graph| {
        // a is carried, x its only sequence; the stack of slices of x is x.
        assert_eq!(shape(graph), [[1, 1, 0, 1, 0]]);
    });
}

#[test]
fn what_is_the_same_in_every_step_is_computed_once() {
    let text = "
model m {
    input x: f32[6, 3]
    input k: f32[3]
    let h = zeros([3])
    scan x_t in x {
        let inner = zeros([3])
        scan _ in x { inner = inner + tanh(k) * h }
        h = inner + x_t
    }
    output h
}
";
    check(text, false, |_, _, graph| {
        assert_eq!(count(graph, "tanh"), 1);
        let outer = &loops(graph)[0];
        assert_eq!(count(outer.body.graph(), "tanh"), 0);
        // The inner loop's body has the product alone outside: it does not change within it.
        assert_eq!(count(outer.body.graph(), "mul"), 1);
        assert_eq!(count(loops(outer.body.graph())[0].body.graph(), "mul"), 0);
    });
}

#[test]
fn a_loop_without_carries_and_results_of_its_own_is_gone() {
    let text = "
model m {
    input x: f32[6, 4, 3]
    param w: [3, 5] = glorot_uniform
    output y = scan x_t in x { x_t @ w }
}
";
    check(text, false, |_, _, graph| {
        assert_eq!(shape(graph), Vec::<[usize; 5]>::new());
        assert_eq!(count(graph, "matmul"), 1);
    });
}
