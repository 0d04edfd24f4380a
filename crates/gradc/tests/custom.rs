//! Derivative rules of a program's own, against programs that say the same without them.

use gradc::ir::{Graph, LeafKind, Role, text};
use gradc::pipeline::{Unobserved, lower};
use gradc::{Goal, Level, Mode, Model, Options, Program, State, Tensor, TensorView, index_bounds, interpret};

fn model(source: &str) -> Model {
    let program = Program::from_source("m.net", source).and_then(|program| program.only_model());
    program.unwrap_or_else(|error| panic!("{error}\n{source}"))
}

/// Numbers that follow no pattern, from −2 to 2.
fn irregular(count: usize, seed: f64) -> impl Iterator<Item = f64> {
    (0..count).map(move |i| 2.0 * ((i as f64 + 1.0) * 12.9898 + seed * 78.233).sin())
}

/// The results of a goal in machine code, in this order; the interpreter gives the same, also of texts read back.
fn run(model: &Model, goal: &Goal, options: &Options) -> Vec<(Role, String, Vec<f64>)> {
    let graph = lower(model.graph(), goal, options, &mut Unobserved).unwrap_or_else(|error| panic!("{error}"));
    assert!(!graph.has_rules(), "{}", text::print(&graph));
    let given = given(&graph);
    let views: Vec<(&str, TensorView<'_>)> = given.iter().map(|(name, own)| (name.as_str(), own.view())).collect();
    let mut state = State::initial(&graph, 1);
    let mut executable = model.compile(goal, options).unwrap_or_else(|error| panic!("{error}"));
    executable.run(&mut state, &views).unwrap_or_else(|error| panic!("{error}"));
    // The graph itself, its text read back, and the derivative of the forward graph's text read back.
    let read = |graph: &Graph| text::read(None, &text::print(graph)).unwrap_or_else(|error| panic!("{error:?}"));
    let forward = read(&model.graph().settled());
    let of_text = lower(&forward, goal, options, &mut Unobserved).unwrap_or_else(|error| panic!("{error}"));
    let mut results = Vec::new();
    for graph in [&of_text, &read(&graph), &graph] {
        let found = interpret(graph, &index_bounds(&forward), &state, &views).unwrap_or_else(|error| panic!("{error}"));
        results = found.into_iter().map(|(role, name, tensor)| (role, name, tensor.numbers())).collect();
        for (role, name, expected) in &results {
            let found = executable.result(*role, name).expect("it is a result").numbers();
            assert_close(&found, expected, name);
        }
    }
    results
}

/// The results of a goal in the interpreter.
fn run_unchecked(model: &Model, goal: &Goal) -> Vec<(Role, String, Vec<f64>)> {
    let options = Options::default();
    let graph = lower(model.graph(), goal, &options, &mut Unobserved).unwrap_or_else(|error| panic!("{error}"));
    let given = given(&graph);
    let views: Vec<(&str, TensorView<'_>)> = given.iter().map(|(name, own)| (name.as_str(), own.view())).collect();
    let found = interpret(&graph, &index_bounds(model.graph()), &State::initial(&graph, 1), &views);
    let found = found.unwrap_or_else(|error| panic!("{error}"));
    found.into_iter().map(|(role, name, tensor)| (role, name, tensor.numbers())).collect()
}

/// Numbers for the inputs of a graph.
fn given(graph: &Graph) -> Vec<(String, Tensor)> {
    graph
        .leaves(LeafKind::Input)
        .enumerate()
        .map(|(i, leaf)| {
            let ty = graph.ty(leaf);
            let numbers = irregular(ty.shape.elements(), i as f64);
            let name = graph.value_name(leaf).expect("a leaf has a name").to_string();
            (name, Tensor::from_numbers(ty, numbers).expect("as many numbers as elements"))
        })
        .collect()
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-12 * (1.0 + expected.abs()), "{what}: {found}, not {expected}");
    }
}

const GOALS: [fn() -> Goal; 3] = [
    || Goal::Gradient { wrt: vec!["x".into()] },
    || Goal::Jvp { of: Vec::new(), wrt: vec!["x".into()] },
    || Goal::Hvp { wrt: vec!["x".into()] },
];

/// A program with rules gives the numbers of one that says the same without: gradients, Jacobian- and Hessian-vector
/// products, optimised and not.
#[track_caller]
fn check(with_rules: &str, by_hand: &str) {
    check_goals(with_rules, by_hand, &GOALS);
}

#[track_caller]
fn check_goals(with_rules: &str, by_hand: &str, goals: &[fn() -> Goal]) {
    let (own, other) = (model(with_rules), model(by_hand));
    assert!(own.graph().has_rules());
    // What is printed is read back, and differentiated in the same way.
    let printed = text::print(own.graph());
    let read = text::read(None, &printed).unwrap_or_else(|error| panic!("{error:?}\n{printed}"));
    assert_eq!(text::print(&read), printed);
    for goal in goals {
        for (mode, level) in [(Mode::Strict, Level::None), (Mode::Accurate, Level::Full), (Mode::Fast, Level::Full)] {
            let options = Options { mode, level, ..Options::default() };
            let (found, expected) = (run(&own, &goal(), &options), run(&other, &goal(), &options));
            assert_eq!(found.len(), expected.len());
            for ((role, name, found), (_, _, expected)) in found.iter().zip(&expected) {
                assert_close(found, expected, &format!("{role:?} {name} in {mode:?}"));
            }
        }
    }
}

const STRAIGHT: &str = "fn rounded(x: [..]) -> [..] { round(x) } vjp(g) { g }\n";
const STRAIGHT_BY_HAND: &str = "fn rounded(x: [..]) -> [..] { stop_gradient(round(x) - x) + x }\n";

/// The same program under two definitions of its functions.
#[track_caller]
fn check_with(rules: &str, by_hand: &str, program: &str) {
    check(&format!("{rules}{program}"), &format!("{by_hand}{program}"));
}

#[test]
fn straight_through() {
    let program = "model m { input x: f64[3, 4]\n loss sum(square(rounded(3 * x)) * tanh(x)) }";
    check_with(STRAIGHT, STRAIGHT_BY_HAND, program);
}

#[test]
fn in_layers_and_unrolled_loops() {
    let program = "
        layer quantised(x: [.., d]) -> [.., d] {
            param w: f64[d, d] = normal(0, 1)
            rounded(4 * x @ w) / 4
        }
        model m {
            input x: f64[3, 4]
            let h = x
            for i in 0..3 { h = tanh(quantised(h)) }
            output h
            loss sum(square(h))
        }";
    check_with(STRAIGHT, STRAIGHT_BY_HAND, program);
}

#[test]
fn in_the_steps_of_a_loop() {
    let program = "model m {
        input x: f64[7, 4]
        param w: f64[4, 4] = normal(0, 1)
        let h = full([4], 0.5, f64)
        let all = scan x_t in x {
            h = tanh(rounded(3 * h @ w) / 3 + x_t)
            h * x_t
        }
        output all
        loss sum(square(all)) + sum(h)
    }";
    check_with(STRAIGHT, STRAIGHT_BY_HAND, program);
}

#[test]
fn a_rule_with_a_loop_of_its_own() {
    let body = "{ let s = full([4], 0.0, f64)\n scan x_t in x { s = s + x_t * k }\n s }";
    let rule = "vjp(g) { [scan x_t in x { g * k + 0 * x_t }, sum(x, axis = 0) * g] }";
    let program = "model m { input x: f64[5, 4]\n loss sum(exp(total(x, tanh(x[0])))) }";
    let function = |rule: &str| format!("fn total(x: [n, 4], k: [4]) -> [4] {body} {rule}\n{program}");
    check(&function(rule), &function(""));
}

#[test]
fn several_arguments_that_are_broadcast() {
    let body = "{ x * b + b }";
    let rule = "vjp(g) { [g * b, sum(g * (x + 1), axis = 0)] }";
    let program = "model m { input x: f64[3, 4]\n let b = tanh(sum(x, axis = 0))\n loss sum(exp(affine(sin(x), b))) }\n\
                   fn sin(x) { tanh(2 * x) }";
    let function = |rule: &str| format!("fn affine(x: [n, d], b: [d]) -> [n, d] {body} {rule}\n{program}");
    check(&function(rule), &function(""));
}

#[test]
fn one_argument_twice_and_one_that_receives_nothing() {
    let program = "model m { input x: f64[4]\n loss sum(tanh(f(x, x, exp(x), 3, tanh))) }";
    let rule = "fn f(a, b, c, k, activation) { activation(a * b * c * k) } \
                vjp(g, y) { let slope = g * k * (1 - y * y)\n [slope * b * c, slope * a * c, 0] }\n";
    let by_hand = "fn f(a, b, c, k, activation) { activation(a * b * stop_gradient(c) * k) }\n";
    // Of second order, the rule is differentiated by what it reads of `c` too.
    check_goals(&format!("{rule}{program}"), &format!("{by_hand}{program}"), &GOALS[..2]);
}

#[test]
fn the_result_in_a_rule_is_differentiated_by_the_rule_again() {
    let program = "model m { input x: f64[5]\n loss sum(square(squash(2 * x))) }";
    check_with("fn squash(x) { tanh(x) } vjp(g, y) { g * (1 - y * y) }\n", "fn squash(x) { tanh(x) }\n", program);
}

#[test]
fn functions_with_rules_within_each_other() {
    let inner = "fn inner(x) { exp(x) } vjp(g, y) { g * y }\n";
    let outer = "fn outer(x) { inner(tanh(x)) } vjp(g, y) { let t = tanh(x)\n g * inner(t) * (1 - t * t) }\n";
    let program = "model m { input x: f64[5]\n loss sum(square(outer(x * x))) }";
    let by_hand = "fn outer(x) { exp(tanh(x)) }\n";
    check_with(&format!("{inner}{outer}"), by_hand, program);
}

#[test]
fn several_results() {
    let body = "fn both(x) { [exp(x), tanh(x), 3] }";
    let rule = "vjp(g) { g[0] * exp(x) + g[1] * (1 - square(tanh(x))) }\n";
    let program = "model m { input x: f64[5]\n let y = both(x * x)\n output a = y[0]\n loss sum(y[0] * y[1] * y[2]) }";
    check_with(&format!("{body} {rule}"), &format!("{body}\n"), program);
}

/// The first operator of a function is another reshape of what made its argument, and is not merged with that.
#[test]
fn an_argument_that_was_reshaped() {
    let flat = "fn flat(a: [n, k]) -> [n * k] { reshape(a, [n * k]) } vjp(g) { reshape(g, a.shape) }\n";
    let flat_by_hand = "fn flat(a: [n, k]) -> [n * k] { reshape(a, [n * k]) }\n";
    check_with(flat, flat_by_hand, "model m { input x: f64[6]\n loss sum(square(flat(reshape(x, [2, 3])))) }");
    let product = "fn product(a: [n, k], b: [k, m]) -> [n, m] { a @ b } vjp(g) { [g @ b.T, a.T @ g] }\n";
    let product_by_hand = "fn product(a: [n, k], b: [k, m]) -> [n, m] { a @ b }\n";
    let program = "model m { input x: f64[3]\n let a = exp(reshape(concat([x, x]), [2, 3]))\n\
                   loss sum(square(product(a, unsqueeze(x, 1)))) }";
    check_with(product, product_by_hand, program);
    // Also by way of a function that is called, and held still.
    let rows = "fn spread(a) { broadcast(a, [2, 3]) * stop_gradient(a) }\n\
                fn rows(a: [n]) -> [2, n] { spread(a) } vjp(g) { sum(g * stop_gradient(a), 0) }\n";
    let rows_by_hand = "fn rows(a: [n]) -> [2, n] { broadcast(a, [2, n]) * stop_gradient(a) }\n";
    check_with(rows, rows_by_hand, "model m { input x: f64[3, 1]\n loss sum(square(rows(squeeze(x, 1)))) }");
}

#[test]
fn lists_within_lists() {
    let body = "fn all(x: [n]) { [[exp(x), tanh(x)], 3, [], x * x] }";
    let rule = "vjp(g, y) { g[0][0] * y[0][0] + g[0][1] * (1 - square(y[0][1])) + g[3] * x * (y[1] - 1) + g[1] * x }\n";
    let program = "model m { input x: f64[5]\n let y = all(x * x)\n loss sum(y[0][1] * y[3] * y[1]) + sum(y[0][0]) }";
    check(&format!("{body} {rule}{program}"), &format!("{body}\n{program}"));
}

#[test]
fn results_of_several_shapes_and_arguments() {
    let body = "fn parts(x: [n, d], b: [d]) { [sum(x * b, axis = 1), b * b, sum(x)] }";
    let rule = "vjp(g) { let g_0 = reshape(g[0], [n, 1])\n [g_0 * b + g[2], sum(g_0 * x, axis = 0) + 2 * g[1] * b] }\n";
    for used in ["sum(exp(y[0])) + sum(tanh(y[1])) * y[2]", "sum(exp(y[0]))", "sum(tanh(y[1]))", "y[2] * y[2]"] {
        let program =
            format!("model m {{ input x: f64[3, 4]\n let y = parts(x * x, tanh(x[0]))\n loss {used} + 0 * sum(x) }}");
        check(&format!("{body} {rule}{program}"), &format!("{body}\n{program}"));
    }
}

/// The rule multiplies the cotangent of the second result by infinity. A rule with loops, in which that is so too, and one
/// that is applied in a loop.
const POLE: &str = "fn pair(x: [..]) { [exp(x), tanh(x)] } vjp(g, y) { g[0] * y[0] + g[1] / (0 * x) }\n";
const POLE_IN_LOOP: &str = "fn pair(x: [..]) { [exp(x), tanh(x)] } vjp(g) {
    let before = full([], 0.0, f64)
    let all = scan x_t in x, a in g[0], b in g[1] {
        before = before + b / (0 * x_t)
        a * exp(x_t) + b / (0 * x_t) - before
    }
    all + before
}\n";
const POLE_BY_HAND: &str = "fn pair(x: [..]) { [exp(x), tanh(x)] }\n";

#[test]
fn a_result_that_nothing_uses_is_no_part_of_the_rule() {
    let program = "model m { input x: f64[5]\n let y = pair(x * x)\n output unused = y[1]\n loss sum(square(y[0])) }";
    check_goals(&format!("{POLE}{program}"), &format!("{POLE_BY_HAND}{program}"), &[GOALS[0], GOALS[2]]);
    check_goals(&format!("{POLE_IN_LOOP}{program}"), &format!("{POLE_BY_HAND}{program}"), &[GOALS[0], GOALS[2]]);
    // What is asked for is computed as the rule says.
    let used = model(&format!("{POLE}model m {{ input x: f64[5]\n loss sum(pair(x)[1]) }}"));
    let results = run_unchecked(&used, &GOALS[0]());
    assert!(
        results.iter().any(|(role, _, numbers)| *role == Role::Gradient && numbers.iter().all(|x| x.is_infinite()))
    );
}

#[test]
fn nor_in_the_steps_of_a_loop() {
    let program = "model m {
        input x: f64[6, 3]
        let h = full([3], 0.5, f64)
        let all = scan x_t in x {
            let y = pair(h * x_t)
            h = tanh(y[0])
            h * x_t
        }
        loss sum(square(all)) + sum(h)
    }";
    check(&format!("{POLE}{program}"), &format!("{POLE_BY_HAND}{program}"));
    check(&format!("{POLE_IN_LOOP}{program}"), &format!("{POLE_BY_HAND}{program}"));
}

/// What a rule draws is the same for all its cotangents: it is evaluated once.
#[test]
fn a_rule_that_draws_random_numbers() {
    let drawn = |loss: &str| {
        let rule = "fn twice(x: [n]) { [x, x] } vjp(g) { (g[0] - g[1]) * (1 + random([n], f64)) }\n";
        model(&format!("{rule}model m {{ input x: f64[5]\n let y = twice(x * x)\n loss {loss} }}"))
    };
    let options = Options { mode: Mode::Strict, level: Level::None, ..Options::default() };
    let gradient = |loss: &str, goal: fn() -> Goal, role: Role| {
        let (_, _, numbers) =
            run(&drawn(loss), &goal(), &options).into_iter().find(|(r, ..)| *r == role).expect("it is");
        numbers
    };
    for (goal, role) in [(GOALS[0], Role::Gradient), (GOALS[1], Role::Tangent)] {
        assert!(gradient("sum(y[0]) + sum(y[1])", goal, role).iter().all(|x| *x == 0.0), "{role:?}");
        assert!(gradient("sum(y[0]) - sum(y[1])", goal, role).iter().any(|x| *x != 0.0), "{role:?}");
    }
}

#[test]
fn gradient_reversal() {
    let program = "model m { input x: f64[4]\n loss sum(square(reversed(tanh(x)))) }";
    let rule = "fn reversed(x: [..], by = 1) -> [..] { x } vjp(g) { -by * g }\n";
    check_with(rule, "fn reversed(x: [..]) -> [..] { stop_gradient(2 * x) - x }\n", program);
}

/// There is no function that such a rule is the derivative of, so only reverse mode is compared.
#[test]
fn a_clipped_gradient() {
    let clipped = model(
        "fn clipped(x: [..], most) -> [..] { x } vjp(g) { max(min(g, most), -most) }
        model m { input x: f64[4]\n loss sum(square(clipped(x, 1))) }",
    );
    let results = run(&clipped, &GOALS[0](), &Options::default());
    let (.., gradient) = results.iter().find(|(role, ..)| *role == Role::Gradient).expect("there is a gradient");
    let expected: Vec<f64> = irregular(4, 0.0).map(|x| (2.0 * x).clamp(-1.0, 1.0)).collect();
    assert_close(gradient, &expected, "clipped");
}

#[test]
fn a_stable_formula() {
    let rule = "fn log1pexp(x: [..]) -> [..] { max(x, 0) + log1p(exp(-abs(x))) } vjp(g) { g * sigmoid(x) }\n";
    let by_hand = "fn log1pexp(x: [..]) -> [..] { softplus(x) }\n";
    check_with(rule, by_hand, "model m { input x: f64[6]\n loss sum(square(log1pexp(x))) + sum(log1pexp(500 * x)) }");
}

/// An argument of another shape receives something of its own shape.
#[test]
fn a_pole_in_a_branch_that_is_not_taken_and_an_argument_of_another_shape() {
    let root = "fn root(x: [n], y: [m]) { sqrt(x) } vjp(g, r) { [g / (2 * r), 0 * y] }\n";
    let program = "model m { input x: f64[6]\n let p = max(x, 0)\n let q = tanh(x[0:2])\n\
                   loss sum(select(p > 0, root(p, q), 0) * x) }";
    check_with(root, "fn root(x, y) { sqrt(x) }\n", program);
}

/// The rule is written into a branch that is not taken like anything else: it gives nothing back.
#[test]
fn a_pole_in_a_branch_that_is_not_taken() {
    let root = "fn root(x: [..]) -> [..] { sqrt(x) } vjp(g, y) { g / (2 * y) }\n";
    let program = "model m { input x: f64[6]\n let p = max(x, 0)\n loss sum(select(p > 0, root(p), 0) * x) }";
    check_with(root, "fn root(x: [..]) -> [..] { sqrt(x) }\n", program);
}
