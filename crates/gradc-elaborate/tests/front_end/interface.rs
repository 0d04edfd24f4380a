//! What a caller learns about a program and a model besides the graph.

use gradc_elaborate::{Dims, Optimizer, Schedule};
use gradc_ir::{DType, Role};

use crate::support::run_text;

const DIGITS: &str = include_str!("../../../../tests/elaborate/digits.net");

#[test]
fn models_and_dims_are_listed() {
    let run = run_text("dim a = 2\nmodel n { output y = zeros([a]) }\nmodel m { output y = ones([a]) }\n");
    assert_eq!(run.analysis.models(), ["n", "m"]);
    assert_eq!(run.analysis.dims(), ["a"]);
    assert!(run.analysis.check(&Dims::new()).is_empty());
}

#[test]
fn inputs_say_which_dims_data_can_bind() {
    let run = run_text(
        "dim batch = 4\ndim d = 3\nmodel m {\n  input x: f32[batch, 2 * d, 7]\n  input n: i32[batch]\n  output y = x + sum(n) * 0\n}\n",
    );
    let inputs = run.analysis.inputs("m");
    let axes = |position: usize| -> Vec<(&str, Option<&str>, usize)> {
        let axes = inputs[position].axes.iter();
        axes.map(|axis| (axis.text.as_str(), axis.dim.as_deref(), axis.value)).collect()
    };
    assert_eq!((inputs.len(), inputs[0].name.as_str(), inputs[0].dtype), (2, "x", DType::F32));
    assert_eq!(axes(0), [("batch", Some("batch"), 4), ("2 * d", None, 6), ("7", None, 7)]);
    assert_eq!((inputs[1].name.as_str(), inputs[1].dtype), ("n", DType::I32));
    assert_eq!(axes(1), [("batch", Some("batch"), 4)]);
    assert!(run.analysis.inputs("no_such_model").is_empty());
}

#[test]
fn leaves_and_results_are_described_in_the_users_names() {
    let run = run_text(DIGITS);
    let model = &run.models[0];
    assert_eq!(model.batch_dim().map(|dim| (dim.name.as_str(), dim.value)), Some(("batch", 64)));
    let inputs: Vec<&str> = model.inputs.iter().map(|input| input.symbolic.as_str()).collect();
    assert_eq!(inputs, ["f32[batch, 64]", "i32[batch]"]);
    assert_eq!(model.params.len(), 20);
    assert_eq!(model.params[0].name, "dense.0.w");
    assert_eq!(model.params[19].name, "dense.1.b");
    let results: Vec<(&str, Role, &str)> =
        model.results.iter().map(|result| (result.name.as_str(), result.role, result.symbolic.as_str())).collect();
    assert_eq!(
        results,
        [
            ("logits", Role::Output, "f32[batch, 10]"),
            ("loss", Role::Loss, "f32[]"),
            ("accuracy", Role::Metric, "f32[]"),
        ]
    );
}

#[test]
fn a_dim_is_the_batch_only_if_it_leads_every_input() {
    let batch = |inputs: &str| {
        let run = run_text(&format!("dim a = 2\ndim b = 3\nmodel m {{\n{inputs}\n output y = sum(x) + sum(z)\n}}\n"));
        assert_eq!(run.codes().iter().filter(|code| code.starts_with('E')).count(), 0, "{}", run.rendered());
        run.models[0].batch_dim().map(|dim| dim.name.clone())
    };
    assert_eq!(batch("input x: f32[a, b]\ninput z: f32[a]"), Some("a".to_owned()));
    assert_eq!(batch("input x: f32[a, b]\ninput z: f32[]"), Some("a".to_owned()));
    assert_eq!(batch("input x: f32[a, b]\ninput z: f32[b]"), None);
    assert_eq!(batch("input x: f32[2 * a, b]\ninput z: f32[2 * a]"), None);
}

#[test]
fn dims_given_from_outside_reach_what_depends_on_them() {
    let run = run_text(
        "// --dim width=5\ndim width = 2\ndim both = 2 * width\nmodel m {\n input x: f32[both]\n output x\n}\n",
    );
    let dims: Vec<(&str, usize, bool)> =
        run.models[0].dims.iter().map(|dim| (dim.name.as_str(), dim.value, dim.overridden)).collect();
    assert_eq!(dims, [("width", 5, true), ("both", 10, false)]);
}

#[test]
fn train_blocks_are_data() {
    let run = run_text(DIGITS);
    let train = run.models[0].train.as_ref().expect("there is a block");
    assert_eq!(train.data.as_ref().map(|data| data.value.path.as_str()), Some("data/digits.npz"));
    assert_eq!(train.split.as_ref().map(|split| split.value), Some(0.2));
    assert_eq!((train.seed, train.epochs, train.shuffle), (0, 20, true));
    assert_eq!(train.optimizer, Optimizer::Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 });
    assert_eq!(train.schedule, Schedule::Constant);
    assert_eq!((train.clip_norm, train.clip_value), (Some(1.0), None));
}

#[test]
fn settings_may_use_dims_and_consts() {
    let text = "dim batch = 8\nconst lr = 0.1 / batch\nmodel m {\n input x: f32[batch]\n input y: f32[batch]\n input z: f32[batch]\n\
                loss mse(x * y, z)\n}\n\
                train m {\n data \"d.csv\" { x = \"first column\", y = 7, z = second }\n optimizer sgd(lr, momentum = 0.9, nesterov = true)\n\
                schedule step(every = batch)\n shuffle false\n stride batch / 2\n}\n";
    let run = run_text(text);
    assert!(run.diagnostics.is_empty(), "{}", run.rendered());
    let train = run.models[0].train.as_ref().expect("there is a block");
    let fields: Vec<(&str, &str)> = train
        .data
        .iter()
        .flat_map(|data| &data.value.fields)
        .map(|field| (field.input.as_str(), field.key.as_str()))
        .collect();
    assert_eq!(fields, [("x", "first column"), ("y", "7"), ("z", "second")]);
    assert_eq!(train.optimizer, Optimizer::Sgd { lr: 0.0125, momentum: 0.9, nesterov: true, weight_decay: 0.0 });
    assert_eq!(train.schedule, Schedule::Step { every: 8, factor: 0.1 });
    assert_eq!((train.shuffle, train.stride), (false, Some(4)));
}

#[test]
fn each_model_has_the_block_that_names_it() {
    let text = "model a {\n input x: f32[2]\n loss mean(x)\n}\nmodel b {\n input x: f32[2]\n loss mean(x)\n}\n\
                train b { epochs 3 }\n";
    let run = run_text(text);
    assert!(run.diagnostics.is_empty(), "{}", run.rendered());
    let epochs: Vec<Option<u64>> =
        run.models.iter().map(|model| model.train.as_ref().map(|train| train.epochs)).collect();
    assert_eq!(epochs, [None, Some(3)]);
}

#[test]
fn origins_lead_to_the_users_source() {
    let run = run_text(DIGITS);
    let graph = &run.models[0].graph;
    for value in graph.values() {
        let span = graph.node(value).origin.span.expect("every value comes from somewhere");
        assert_eq!(run.sources.name(span.file), "main.net");
        assert!(!span.is_empty());
    }
    let paths: std::collections::BTreeSet<&str> =
        graph.values().map(|value| &**graph.scope_path(graph.node(value).origin.scope)).collect();
    assert!(paths.contains("") && paths.contains("residual.3.dense.1"), "{paths:?}");
}
