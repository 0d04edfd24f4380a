//! `gradc bench`. Times differ from run to run, so nothing is said of them here.

use serde_json::Value;

use crate::{Folder, example};

fn number(object: &Value, key: &str) -> f64 {
    object[key].as_f64().unwrap_or_else(|| panic!("{key} is a number in {object}"))
}

#[test]
fn a_report_for_people() {
    let folder = Folder::new();
    let text = folder.succeed("bench small.net --time 0");
    for title in ["model ", "  step ", "  compile ", "  work ", "  memory ", "  roofline "] {
        assert!(text.lines().any(|line| line.starts_with(title)), "`{title}` begins a line of\n{text}");
    }
}

#[test]
fn a_report_for_machines() {
    let folder = Folder::new();
    let report = |arguments: &str| -> Value {
        let text = folder.succeed(&format!("bench small.net --time 0 --format=json {arguments}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let step = report("");
    for key in ["step_us", "min_us", "compile_ms", "gflops", "roofline", "arena_bytes", "threads"] {
        assert!(number(&step, key) > 0.0, "{key} in {step}");
    }
    // 64 images of 64 numbers and their labels, and the parameters, are not in the arena.
    let shared = f64::from(4 * (64 * 64 + 64 + 64 * 16 + 16 + 16 * 10 + 10));
    assert!(number(&step, "working_set_bytes") >= number(&step, "arena_bytes") + shared, "{step}");
    assert!(number(&step, "min_us") <= number(&step, "step_us"));
    assert!(step["model"].is_string());
    assert!(step.get("profile").is_none());
    let forward = report("--for forward");
    assert!(number(&forward, "flops") < number(&step, "flops"));
    assert_eq!(number(&forward, "flops"), number(&report("--for forward --seed 5"), "flops"));
    // What `gradc predict` computes: neither the loss nor the labels.
    let outputs = report("--for outputs");
    assert!(number(&outputs, "flops") < number(&forward, "flops"));
    assert!(number(&outputs, "working_set_bytes") < number(&forward, "working_set_bytes"));
}

#[test]
fn threads_are_used_where_there_is_work_for_them() {
    let folder = Folder::new();
    let report = |arguments: &str| -> Value {
        let text = folder.succeed(&format!("bench --time 0 --format=json {arguments}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    folder.write(
        "large.net",
        "model large {\n    input x: f32[256, 256]\n    output y = dense(relu(dense(x, 512)), 256)\n    loss mean(square(y))\n}\n",
    );
    assert_eq!(number(&report("large.net --threads 2"), "threads"), 2.0);
    assert_eq!(number(&report("large.net --threads 1"), "threads"), 1.0);
    assert_eq!(number(&report("small.net --threads 2"), "threads"), 1.0);
    let none = folder.run("bench small.net --threads 0");
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("a whole number from 1 to 1024"), "{}", none.stderr);
}

#[test]
fn a_profile_names_the_lines_of_the_source() {
    let folder = Folder::new();
    folder.write(
        "line.net",
        "dim batch = 4\nmodel line {\n    input x: f32[batch, 3]\n    let z = x * 2\n    output z\n    loss mean(square(dense(z, 5)))\n}\n",
    );
    let text = folder.succeed("bench line.net --time 0 --profile");
    assert!(text.contains("gemm 4 x 5 x 3"), "{text}");
    assert!(text.lines().any(|line| line.contains("z (line.net:4)")), "{text}");
    let json: Value = serde_json::from_str(&folder.succeed("bench line.net --time 0 --profile --format=json")).unwrap();
    let steps = json["profile"].as_array().expect("a list of steps");
    assert!(steps.iter().any(|step| step["flops"].as_f64() == Some(120.0)), "{json}");
    let lines = steps.iter().flat_map(|step| step["places"].as_array().expect("places").clone());
    assert!(lines.into_iter().any(|place| place["file"] == "line.net" && place["line"] == 6), "{json}");
}

#[test]
fn what_each_part_of_the_simplifier_is_worth() {
    let folder = Folder::new();
    folder.write(
        "gated.net",
        "model gated {\n    input x: f32[4, 3]\n    input label: i32[4]\n    let h = dense(x, 5)\n    \
         let gate = 1 / (1 + exp(-h))\n    loss cross_entropy(dense(layer_norm(gate * h), 3), label)\n}\n",
    );
    let report: Value =
        serde_json::from_str(&folder.succeed("bench gated.net --time 0 --ablate --format=json")).expect("JSON");
    let variants = report["ablation"].as_array().expect("a list");
    let of = |name: Option<&str>| {
        let is_this = |variant: &&Value| variant["without"].as_str() == name;
        variants.iter().find(is_this).unwrap_or_else(|| panic!("{name:?} in {report}"))
    };
    let whole = of(None);
    let more_than_whole = |variant: &Value| number(whole, "operations") < number(variant, "operations");
    assert!(more_than_whole(of(Some("simplification"))) && more_than_whole(of(Some("e-graph"))), "{report}");
    let rules = variants
        .iter()
        .filter(|variant| !matches!(variant["without"].as_str(), None | Some("simplification" | "e-graph")));
    assert!(rules.clone().count() > 5 && rules.clone().any(more_than_whole), "{report}");
    assert!(number(whole, "flops") < number(of(Some("simplification")), "flops"));
    for variant in variants {
        assert!(number(variant, "step_us") >= number(variant, "min_us") && number(variant, "arena_bytes") > 0.0);
    }

    let text = folder.succeed("bench gated.net --time 0 --ablate");
    let subjects = variants.iter().map(|variant| variant["without"].as_str().unwrap_or("-"));
    for subject in subjects {
        assert!(text.lines().any(|line| line.split_whitespace().next() == Some(subject)), "{subject} in {text}");
    }
    assert_eq!(folder.run("bench gated.net --ablate --profile").code, Some(2));
}

#[test]
fn the_suite_has_the_sizes_that_others_are_measured_with() {
    let folder = Folder::new();
    let parameters = |name: &str| {
        let file = example("suite").join(format!("{name}.net"));
        let text = folder.succeed(&format!("{} --format=json -O0", file.display()));
        let summary: Value = serde_json::from_str(&text).expect("JSON");
        number(&summary, "parameter_numbers") as usize
    };
    let dense = |sizes: &[usize]| sizes.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum::<usize>();
    let expected = [
        ("mlp_tiny", dense(&[16, 32, 32, 4])),
        ("mlp_small", dense(&[64, 64, 64, 10])),
        ("mlp_mnist", dense(&[784, 512, 256, 10])),
        ("mlp_wide", dense(&[1024; 5])),
        ("deep_sigmoid", dense(&[128; 21])),
        ("residual32", dense(&[128; 65])),
        ("ewise1m", 2 << 20),
        ("transformer2", 2 * (4 * 128 * 128 + 4 * 128 + dense(&[128, 512, 128]))),
        ("lstm32", (64 + 128 + 1) * 512 + dense(&[128, 10])),
        ("lenet", (25 + 1) * 8 + (8 * 25 + 1) * 16 + dense(&[256, 128, 10])),
    ];
    for (name, count) in expected {
        assert_eq!(parameters(name), count, "{name}");
    }
}

#[test]
fn what_cannot_be_measured_is_said() {
    let folder = Folder::new();
    folder.write("none.net", "model none {\n    input x: f32[2]\n    output x\n}\n");
    let run = folder.run("bench none.net --for training --time 0");
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("the model has no loss"), "{}", run.stderr);
    assert_eq!(folder.run("bench small.net --time -1").code, Some(2));
    assert_eq!(folder.run("bench missing.net").code, Some(1));
}
