//! `gradc check`.

use std::path::{Path, PathBuf};

use crate::{Folder, example};

/// A parameter that is at a kink for certain, whatever the seed.
const KINK: &str = "model kink {
    param w: [4] = ones
    loss sum(relu(w - stop_gradient(w))) + sum(w * w)
}
";

/// The gradient of a length is not finite at zero.
const POLE: &str = "model pole {
    param w: [4] = ones
    loss sqrt(sum(square(w - stop_gradient(w))))
}
";

#[test]
fn every_example_passes() {
    let folder = Folder::new();
    let mut files = models_below(&example(""));
    files.sort_unstable();
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let small = small_dims(&file);
        let text = folder.succeed(&format!("check {} {small} --directions 2", file.display()));
        let summary = text.lines().last().expect("it says something");
        assert!(summary.starts_with("check result: ok. "), "{}: {summary}", file.display());
    }
}

fn models_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the examples are there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let below = |path: PathBuf| match path.is_dir() {
        true => models_below(&path),
        false if path.extension().is_some_and(|extension| extension == "net") => vec![path],
        false => Vec::new(),
    };
    paths.flat_map(below).collect()
}

/// What makes an example small enough to be checked in a moment: a few examples, short sequences, narrow layers.
fn small_dims(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("an example can be read");
    let dims = [("batch", 4), ("time", 8), ("length", 6), ("n", 100)];
    let suite = if file.parent().is_some_and(|folder| folder.ends_with("suite")) { Some(("width", 16)) } else { None };
    let declared = dims.into_iter().chain(suite).filter(|(dim, _)| text.contains(&format!("dim {dim} =")));
    declared.map(|(dim, extent)| format!("--dim {dim}={extent} ")).collect()
}

#[test]
fn a_check_at_data_and_weights_with_second_order() {
    let folder = Folder::new();
    folder.examples("few.npz", 3);
    folder.succeed("init small.net --out w.safetensors");
    let text =
        folder.succeed("check small.net --data few.npz --weights w.safetensors --wrt pixels,logits --second-order");
    for name in ["dense.0.w", "dense.1.b", "pixels", "logits", "Hessian-vector products are symmetric"] {
        assert!(text.contains(name), "{name} is in\n{text}");
    }
    assert!(text.contains("f32[3, 64]"), "dims are taken from the data:\n{text}");
    assert_eq!(
        text,
        folder.succeed("check small.net --data few.npz --weights w.safetensors --wrt pixels,logits --second-order")
    );
}

#[test]
fn kinks_are_pointed_at_and_failures_have_a_place_and_exit_code_one() {
    let folder = Folder::new();
    folder.write("kink.net", KINK);
    folder.write("pole.net", POLE);
    let kink = folder.run("check kink.net");
    assert_eq!(kink.code, Some(0));
    assert!(kink.stderr.contains("warning[W0707]") && kink.stderr.contains("kink.net:3:14"), "{}", kink.stderr);
    assert!(kink.stdout.contains("\nkink  w "), "{}", kink.stdout);
    let pole = folder.run("check pole.net");
    assert_eq!(pole.code, Some(1));
    assert!(pole.stderr.contains("error[E0802]") && pole.stderr.contains("pole.net:3:10"), "{}", pole.stderr);
    assert!(pole.stdout.contains("check result: FAILED."), "{}", pole.stdout);
    let both = folder.run("check pole.net kink.net");
    assert_eq!(both.code, Some(1));
    assert!(both.stdout.contains("model pole") && both.stdout.contains("model kink"), "{}", both.stdout);
}

/// A rule that is not the derivative of what it belongs to, as the page on checks has it.
const ROUNDED: &str = "fn rounded(x: [..]) -> [..] { round(x) } vjp(g) { g }
model m {
    param w: [4] = he_normal
    loss sum(square(rounded(3 * w)))
}
";

#[test]
fn a_rule_of_the_programs_own_is_a_warning_or_as_asked_for_an_error() {
    let folder = Folder::new();
    folder.write("rounded.net", ROUNDED);
    let warned = folder.run("check rounded.net");
    assert_eq!(warned.code, Some(0), "{}", warned.stdout);
    assert!(
        warned.stderr.contains("warning[W0708]") && warned.stderr.contains("rounded.net:4:21"),
        "{}",
        warned.stderr
    );
    let strict = folder.run("check rounded.net --check-custom");
    assert_eq!(strict.code, Some(1), "{}", strict.stdout);
    assert!(
        strict.stderr.contains("error[E0805]") && strict.stdout.contains("check result: FAILED."),
        "{}",
        strict.stderr
    );
    // The forward graph shows the rule; the gradient, in which it is written out, is a program that runs.
    let graph = folder.succeed("rounded.net --emit=graph");
    assert!(graph.contains("custom rounded(") && graph.contains("gives x = g"), "{graph}");
    let gradient = folder.succeed("rounded.net --emit=grad=rounded.grad.ir");
    assert!(gradient.is_empty() && !folder.succeed("rounded.grad.ir --emit=graph").contains("custom"));
}

/// Drops what no inference drops.
const DROPPING: &str = "dim batch = 4
model dropping {
    input x: f32[batch, 3]
    loss sum(square(dropout(dense(x, 2), 0.5)))
}
";

#[test]
fn the_phase_that_is_checked_is_chosen_and_told() {
    let folder = Folder::new();
    folder.write("dropping.net", DROPPING);
    let start = |arguments: &str| {
        let text = folder.succeed(&format!("check dropping.net{arguments}"));
        text.split_once(" with seed").expect("a head").0.to_owned()
    };
    assert_eq!(start(""), "model dropping in training");
    assert_eq!(start(" --phase training"), "model dropping in training");
    assert_eq!(start(" --phase inference"), "model dropping in inference");
    for (file, phase) in [("dropping.net", serde_json::json!("training")), ("small.net", serde_json::Value::Null)] {
        let text = folder.succeed(&format!("check {file} --format json"));
        let outcome: serde_json::Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        assert_eq!(outcome["phase"], phase, "{file}");
    }
}

#[test]
fn json_has_an_object_for_each_gradient_and_identity() {
    let folder = Folder::new();
    folder.write("kink.net", KINK);
    folder.write("pole.net", POLE);
    let lines = |run: &str| -> Vec<serde_json::Value> {
        let text = folder.run(run).stdout;
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
    };
    let kink = lines("check kink.net --format json");
    let events: Vec<&str> = kink.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(events, ["gradient", "identity", "identity", "identity", "check"]);
    assert_eq!(kink[0]["by"], "w");
    assert_eq!(kink[0]["verdict"], "kink");
    assert_eq!(kink[4]["passed"], true);
    assert_eq!(kink[5]["code"], "W0707");
    assert_eq!(kink[5]["location"]["line"], 3);
    let pole = lines("check pole.net --format json");
    assert!(pole.iter().any(|line| line["event"] == "check" && line["passed"] == false));
    assert!(pole.iter().any(|line| line["code"] == "E0802"));
}

#[test]
fn what_does_not_fit_is_an_error() {
    let folder = Folder::new();
    folder.write("empty.net", "");
    for (arguments, message) in [
        ("check small.net --wrt pixel", "did you mean `pixels`?"),
        ("check small.net --wrt label", "only floats have derivatives"),
        ("check small.net --data none.npz", "none.npz"),
        ("check empty.net", "no model"),
    ] {
        let run = folder.run(arguments);
        assert_eq!(run.code, Some(1), "{arguments}");
        assert!(run.stderr.contains(message), "{arguments}: {}", run.stderr);
    }
    assert_eq!(folder.run("check").code, Some(2));
    assert_eq!(folder.run("check small.net --tolerance 0").code, Some(2));
}
