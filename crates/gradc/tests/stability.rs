//! Editing one layer changes the printed gradient of that layer only: whatever the simplifier decides, it decides about what lies
//! between two products of matrices, and not about the network around it.
//!
//! A network that takes longer as a whole when it is simplified is the exception. In accurate mode, none of these does.

use std::collections::BTreeMap;

use gradc::ir::text::print;
use gradc::pipeline::{Unobserved, lower};
use gradc::{Goal, Mode, Options, Program};

/// Layers: what the activation is of, and what comes of it. `^` is what goes in, `@` the activation's result.
const LAYERS: [[&str; 2]; 6] = [
    ["dense(^, 8)", "dense(@, 8)"],
    ["dense(^, 12)", "^ + dense(@, 8)"],
    ["dense(layer_norm(^), 12)", "^ + dense(@, 8)"],
    ["dense(rms_norm(^), 12)", "^ + dense(@ * sigmoid(dense(^, 12)), 8)"],
    ["dense(^, 8)", "^ + dense(softmax(@) * dense(^, 8), 8)"],
    ["dense(batch_norm(^), 8)", "^ + dense(attention(dense(^, 4), dense(^, 4), @), 8)"],
];

/// Activations of `@`, some of them by flawed formulas.
const ACTIVATIONS: [&str; 6] =
    ["sigmoid(@)", "tanh(@)", "gelu(@)", "log(1 + exp(@))", "2 * sigmoid(2 * @) - 1", "@ / sqrt(1 + @ * @)"];

/// One layer after the other, with an activation each.
fn tower([inner, outer]: [&str; 2], activations: &[&str]) -> String {
    let mut lines = String::new();
    let mut below = "x".to_owned();
    for (number, activation) in activations.iter().enumerate() {
        let [name, before, after] = ["", "_before", "_after"].map(|part| format!("h{number}{part}"));
        lines += &format!("    let {before} = {}\n", inner.replace('^', &below));
        lines += &format!("    let {after} = {}\n", activation.replace('@', &before));
        lines += &format!("    let {name} = {}\n", outer.replace('^', &below).replace('@', &after));
        below = name;
    }
    format!(
        "model tower {{\n    input x: f32[5, 8]\n    input y: f32[5, 8]\n{lines}    loss mean(square({below} - y))\n}}\n"
    )
}

/// For each layer, the lines of the printed gradient that compute its values and their derivatives.
fn gradient(text: &str, mode: Mode) -> BTreeMap<usize, Vec<String>> {
    let program = Program::from_source("tower.net", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let model = program.only_model().expect("there is one");
    let (goal, options) = (Goal::Gradient { wrt: Vec::new() }, Options { mode, ..Options::default() });
    let graph = lower(&model.graph_for(&goal, &options), &goal, &options, &mut Unobserved);
    let text = print(&graph.unwrap_or_else(|error| panic!("{error}\n{text}")));
    let mut lines: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        // A star is at what the gradient uses.
        let name = line.trim_start_matches("* ").trim_start_matches("d_").strip_prefix('h');
        let number: String = name.into_iter().flat_map(str::chars).take_while(char::is_ascii_digit).collect();
        if let Ok(layer) = number.parse() {
            lines.entry(layer).or_default().push(line.to_owned());
        }
    }
    lines
}

/// Edits each layer of a tower in each way.
fn edit_every_layer(layer: [&str; 2], mode: Mode) {
    let first: Vec<&str> = (0..5).map(|number| ACTIVATIONS[number % ACTIVATIONS.len()]).collect();
    let before = gradient(&tower(layer, &first), mode);
    for edited in 0..first.len() {
        for activation in ACTIVATIONS.into_iter().filter(|&activation| activation != first[edited]) {
            let mut activations = first.clone();
            activations[edited] = activation;
            let after = gradient(&tower(layer, &activations), mode);
            for number in (0..first.len()).filter(|&number| number != edited) {
                let [was, is] = [&before, &after].map(|lines| lines[&number].join("\n"));
                assert!(was.contains("d_h"), "{was}");
                assert!(was == is, "{mode}, {layer:?}, {edited} becomes {activation}, and {number}:\n{was}\nnow\n{is}");
            }
        }
    }
}

#[test]
fn an_edit_changes_one_layer() {
    for layer in LAYERS {
        edit_every_layer(layer, Mode::Accurate);
    }
}
