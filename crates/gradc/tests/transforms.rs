//! Products of Jacobians and Hessians with vectors, whole Jacobians, and derivatives of derivatives: compiled and
//! interpreted, at every level.

use gradc::autodiff;
use gradc::ir::{DType, Graph, LeafKind, Role, Tensor as Reference, TensorType, text};
use gradc::pipeline::{Unobserved, lower};
use gradc::{
    About, Coded, Goal, JacobianBy, Level, Mode, Model, Options, Problems, Program, State, Tensor, TensorView,
    index_bounds, interpret,
};

const NET: &str = "
model net {
    input x: f64[3, 4]
    input label: i32[3]
    let h = tanh(dense(x, 5))
    let logits = dense(h, 2)
    output logits
    loss cross_entropy(logits, label)
}
";

fn net() -> Model {
    Program::from_source("net.net", NET).and_then(|program| program.only_model()).expect("it is right")
}

fn ty(shape: &[usize]) -> TensorType {
    TensorType::new(DType::F64, shape)
}

/// Numbers that follow no pattern.
fn irregular(shape: &[usize], seed: f64) -> Tensor {
    let ty = ty(shape);
    let number = |i: usize| ((i as f64 + 1.0) * 12.9898 + seed * 78.233).sin();
    Tensor::from_numbers(&ty, (0..ty.shape.elements()).map(number)).expect("as many numbers as elements")
}

fn inputs() -> Vec<(String, Tensor)> {
    let label = Tensor::from_numbers(&TensorType::new(DType::I32, [3]), [0.0, 1.0, 1.0]).expect("three labels");
    vec![("x".to_owned(), irregular(&[3, 4], 0.5)), ("label".to_owned(), label)]
}

/// What a goal gives in machine code; the interpreter gives the same, and so does the text of the graph read back.
fn run(model: &Model, goal: &Goal, options: &Options, more: &[(&str, Tensor)]) -> Vec<(Role, String, Vec<f64>)> {
    let graph = lower(model.graph(), goal, options, &mut Unobserved).unwrap_or_else(|error| panic!("{error}"));
    let given = inputs();
    let known = |name: &str| graph.find_leaf(LeafKind::Input, name).is_some();
    let mut views: Vec<(&str, TensorView<'_>)> = given.iter().map(|(name, own)| (name.as_str(), own.view())).collect();
    views.extend(more.iter().map(|(name, own)| (*name, own.view())));
    views.retain(|(name, _)| known(name));
    let mut state = State::initial(&graph, 1);
    let mut executable = model.compile(goal, options).unwrap_or_else(|error| panic!("{error}"));
    executable.run(&mut state, &views).unwrap_or_else(|error| panic!("{error}"));
    let read = text::read(None, &text::print(&graph)).unwrap_or_else(|error| panic!("{error:?}"));
    let mut results = Vec::new();
    for graph in [&graph, &read] {
        results = interpret(graph, &index_bounds(model.graph()), &state, &views)
            .unwrap_or_else(|error| panic!("{error}"))
            .into_iter()
            .map(|(role, name, tensor)| (role, name, tensor.numbers()))
            .collect();
        for (role, name, expected) in &results {
            let found = executable.result(*role, name).expect("it is a result").numbers();
            assert_close(&found, expected, 1e-12, name);
        }
    }
    results
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance * (1.0 + expected.abs()), "{what}: {found}, not {expected}");
    }
}

fn of(results: &[(Role, String, Vec<f64>)], role: Role, name: &str) -> Vec<f64> {
    let (.., numbers) = results.iter().find(|(own, n, _)| (*own, n.as_str()) == (role, name)).expect("it is a result");
    numbers.clone()
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn everywhere() -> impl Iterator<Item = Options> {
    let levels = [Level::None, Level::Local, Level::Full];
    let modes = [Mode::Strict, Mode::Accurate, Mode::Fast];
    levels.into_iter().flat_map(move |level| modes.map(|mode| Options { level, mode, ..Options::default() }))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn tangents_are_products_with_the_gradient() {
    let model = net();
    for options in everywhere() {
        let gradient = run(&model, &Goal::Gradient { wrt: names(&["x"]) }, &options, &[]);
        let along = [("t_x", irregular(&[3, 4], 2.0)), ("t_dense.0.b", irregular(&[5], 3.0))];
        let goal = Goal::Jvp { of: Vec::new(), wrt: names(&["x", "dense.0.b"]) };
        let tangents = run(&model, &goal, &options, &along);
        let expected = inner(&of(&gradient, Role::Gradient, "x"), &along[0].1.numbers())
            + inner(&of(&gradient, Role::Gradient, "dense.0.b"), &along[1].1.numbers());
        assert_close(&of(&tangents, Role::Tangent, "loss"), &[expected], 1e-12, "the loss");
        assert_eq!(of(&tangents, Role::Tangent, "logits").len(), 6);
    }
}

#[test]
fn cotangents_are_the_transpose_of_tangents_for_outputs_and_values() {
    let model = net();
    for (result, shape) in [("logits", vec![3, 2]), ("h", vec![3, 5]), ("loss", vec![])] {
        for options in everywhere() {
            let goal = Goal::Jvp { of: names(&[result]), wrt: names(&["x"]) };
            let along = irregular(&[3, 4], 2.0);
            let tangent = of(&run(&model, &goal, &options, &[("t_x", along.clone())]), Role::Tangent, result);
            let goal = Goal::Vjp { of: names(&[result]), wrt: names(&["x"]) };
            let weights = irregular(&shape, 4.0);
            let seed = if result == "loss" { seed_name(&model, &goal) } else { format!("d_{result}") };
            let cotangent = of(&run(&model, &goal, &options, &[(&seed, weights.clone())]), Role::Gradient, "x");
            let (onward, backward) = (inner(&tangent, &weights.numbers()), inner(&cotangent, &along.numbers()));
            assert_close(&[onward], &[backward], 1e-12, result);
        }
    }
}

/// The name of the input that a goal adds.
fn seed_name(model: &Model, goal: &Goal) -> String {
    let graph = lower(model.graph(), goal, &Options::default(), &mut Unobserved).expect("the goal fits");
    let added = graph.leaves(LeafKind::Input).filter_map(|leaf| graph.value_name(leaf)).find(|n| n.starts_with("d_"));
    added.expect("there is a cotangent").to_string()
}

#[test]
fn jacobians_by_rows_and_by_columns_are_the_same() {
    let model = net();
    let given = inputs();
    let views: Vec<(&str, TensorView<'_>)> = given.iter().map(|(name, own)| (name.as_str(), own.view())).collect();
    for (result, wrt, shape) in
        [("logits", "dense.1.b", vec![3, 2, 2]), ("logits", "h", vec![3, 2, 3, 5]), ("loss", "x", vec![3, 4])]
    {
        let by = |by| {
            let mut state = State::initial(model.graph(), 1);
            model.jacobian(result, wrt, by, &Options::default(), &mut state, &views).expect("it fits")
        };
        let (rows, columns) = (by(JacobianBy::Rows), by(JacobianBy::Columns));
        assert_eq!(*rows.ty().shape, *shape);
        assert_close(&rows.numbers(), &columns.numbers(), 1e-12, result);
    }
    let mut state = State::initial(model.graph(), 1);
    let bias = model.jacobian("logits", "dense.1.b", JacobianBy::Rows, &Options::default(), &mut state, &views);
    assert_eq!(bias.expect("it fits").numbers(), [1.0, 0.0, 0.0, 1.0].repeat(3));
}

#[test]
fn a_jacobian_of_what_does_not_depend_is_zero() {
    let model = Program::from_source(
        "m.net",
        "model m { input x: f64[2]\n input y: f64[2]\n output z = x * x\n output w = y }",
    );
    let model = model.and_then(|program| program.only_model()).expect("it is right");
    let (x, y) = (irregular(&[2], 1.0), irregular(&[2], 2.0));
    for by in [JacobianBy::Rows, JacobianBy::Columns] {
        let mut state = State::initial(model.graph(), 0);
        let jacobian =
            model.jacobian("z", "y", by, &Options::default(), &mut state, &[("x", x.view()), ("y", y.view())]);
        assert_eq!(jacobian.expect("it fits").numbers(), [0.0; 4]);
    }
}

#[test]
fn hessian_vector_products_are_differences_of_the_gradient() {
    let model = net();
    for options in everywhere() {
        let along = irregular(&[3, 4], 2.0);
        let goal = Goal::Hvp { wrt: names(&["x", "dense.1.w"]) };
        let still = Tensor::zeros(&ty(&[5, 2]));
        let found = run(&model, &goal, &options, &[("t_x", along.clone()), ("t_dense.1.w", still)]);
        let at = |step: f64| {
            let x: Vec<f64> = inputs()[0].1.numbers().iter().zip(along.numbers()).map(|(x, v)| x + step * v).collect();
            let moved = Tensor::from_numbers(&ty(&[3, 4]), x).expect("as many as before");
            let goal = Goal::Gradient { wrt: names(&["x"]) };
            let graph = lower(model.graph(), &goal, &Options::default(), &mut Unobserved).expect("there is a loss");
            let label = &inputs()[1].1;
            let views = [("x", moved.view()), ("label", label.view())];
            let results =
                interpret(&graph, &index_bounds(model.graph()), &State::initial(&graph, 1), &views).expect("it fits");
            let named = |wanted: &str| {
                let found = results.iter().find(|(role, name, _)| *role == Role::Gradient && name == wanted);
                found.expect("it has a gradient").2.numbers()
            };
            [named("x"), named("dense.1.w")]
        };
        let (below, above) = (at(-1e-4), at(1e-4));
        for (i, name) in ["x", "dense.1.w"].into_iter().enumerate() {
            let expected: Vec<f64> = above[i].iter().zip(&below[i]).map(|(a, b)| (a - b) / 2e-4).collect();
            assert_close(&of(&found, Role::HessianVector, name), &expected, 1e-7, name);
            assert_close(&of(&found, Role::Gradient, name), &at(0.0)[i], 1e-12, name);
        }
    }
}

/// `sin` by its differential equation would do; here `exp(2x)`, whose nth derivative is `2ⁿ · exp(2x)`.
#[test]
fn gradients_can_be_differentiated_to_any_order() {
    let mut graph = Graph::new("tower");
    let x = graph.input("x", ty(&[]));
    let double = graph.scale(x, 2.0);
    let mut y = graph.exp(double);
    for order in 1..=6 {
        let derivative = autodiff::gradient(&graph, y, &[x]);
        graph = derivative.graph;
        y = derivative.cotangents[0].expect("it depends on x");
        graph.retain_outputs(|_| false);
        graph.add_output(Role::Output, "y", y);
        for options in everywhere() {
            let simplified = lower(&graph, &Goal::Outputs, &options, &mut Unobserved).expect("there is an output");
            let point = vec![(
                simplified.find_leaf(LeafKind::Input, "x").expect("it has x"),
                Reference::scalar(DType::F64, 0.3),
            )];
            let found = gradc::interp::evaluate(&simplified, &point).expect("x is bound");
            assert_close(found[0].data(), &[f64::powi(2.0, order) * 0.6f64.exp()], 1e-12, "the derivative");
        }
    }
}

#[test]
fn what_there_is_not_is_an_error() {
    let model = net();
    let error = |goal: Goal| model.compile(&goal, &Options::default()).err().expect("it does not fit").to_string();
    let unknown = error(Goal::Vjp { of: names(&["logit"]), wrt: Vec::new() });
    assert_eq!(unknown, "the model has no input and no value called `logit`; did you mean `logits`?");
    let whole = error(Goal::Jvp { of: Vec::new(), wrt: names(&["label"]) });
    assert_eq!(whole, "`label` is i32: only floats have derivatives");
}

/// Errors that are met away from the source have codes, and the model knows the place of what they are about.
#[test]
fn errors_have_codes_and_places() {
    let model = net();
    let no_loss = model.compile(&Goal::Jvp { of: Vec::new(), wrt: names(&["label"]) }, &Options::default()).err();
    let error = no_loss.expect("whole numbers have no derivative");
    let Problems { diagnostics, sources } = Problems::of(&error, Some(&model));
    let span = diagnostics[0].span().expect("it is about an input");
    assert_eq!(
        (diagnostics[0].code().id(), diagnostics[0].message()),
        ("E0903", "`label` is i32: only floats have derivatives")
    );
    assert_eq!(&sources.text(span.file)[span.start as usize..span.end as usize], "label: i32[3]");

    let mut step = model.compile_inference(&Options::default()).expect("it compiles");
    let label = irregular(&[3], 0.0);
    let error = step.run(&[("lable", label.view())]).expect_err("there is no such input");
    assert_eq!((error.code().id(), error.about()), ("E0911", Some(About::Model)));
    let error = step.run(&[]).expect_err("x is not given");
    assert_eq!((error.code().id(), error.about()), ("E0910", Some(About::Input("x"))));
}

#[test]
fn what_a_goal_needs_is_known_before_anything_is_made_for_it() {
    let sources = [
        NET,
        "model m { input x: f64[2]\n output y = x }",
        "model m { input x: f64[2]\n param w: f64[2] = ones\n output y = x * w\n loss sum(x) }",
    ];
    for source in sources {
        let model =
            Program::from_source("m.net", source).and_then(|program| program.only_model()).expect("it is right");
        let goals = [
            Goal::Gradient { wrt: Vec::new() },
            Goal::Gradient { wrt: names(&["x"]) },
            Goal::Gradient { wrt: names(&["y"]) },
            Goal::Hvp { wrt: names(&["x"]) },
            Goal::Jvp { of: names(&["z"]), wrt: Vec::new() },
            Goal::Training(gradc::UpdateRule::default()),
            Goal::Forward,
        ];
        for goal in goals {
            let graph = model.graph_for(&goal, &Options::default());
            let made = lower(&graph, &goal, &Options::default(), &mut Unobserved).map(drop);
            assert_eq!(gradc::pipeline::ensure_goal(&graph, &goal), made, "{source}: {goal:?}");
        }
    }
}
