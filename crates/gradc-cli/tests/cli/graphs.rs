//! `run`, `init`, `--emit`, and graphs as input.

use gradc_train::{Array, Elements};

use crate::{Folder, assert_close, numbers};

const STAGES: &str = "ast graph stable grad-raw grad proof jvp hvp kernels plan clif asm dot";

#[test]
fn interpreter_compiled_code_and_double_precision_agree() {
    let folder = Folder::new();
    folder.examples("few.npz", 5);
    folder.succeed("init small.net --out w.safetensors --seed 4");
    let run = |arguments: &str| {
        let fixed = "run small.net --data few.npz --weights w.safetensors --grad --wrt pixels --out out.npz";
        folder.succeed(&format!("{fixed} {arguments}"));
        folder.arrays("out.npz")
    };
    let expected = run("--interp --dtype f64 -O0");
    for name in ["logits", "p", "loss", "grad.dense.0.w", "grad.dense.1.b", "grad.pixels"] {
        assert!(expected.contains_key(name), "{name} is among {:?}", expected.keys());
    }
    assert_close(&run(""), &expected, 1e-4);
    assert_close(&run("--interp"), &expected, 1e-4);
    assert_close(&run("--fp fast"), &expected, 1e-4);
    assert_close(&run("--dtype f64"), &expected, 1e-10);
    assert_close(&run("--dtype f64 --fp strict -O0"), &expected, 1e-10);
}

#[test]
fn an_emitted_gradient_is_a_program() {
    let folder = Folder::new();
    folder.examples("few.npz", 64);
    folder.succeed("init small.net --out w.safetensors");
    folder.succeed("small.net --emit=grad=g.ir");
    assert!(folder.succeed("g.ir").contains("model small.gradient"));
    let summary: serde_json::Value = serde_json::from_str(&folder.succeed("g.ir --format json")).expect("an object");
    let flops = |of: &str| summary[of].as_u64().expect("a number");
    assert!(0 < flops("forward_flops") && flops("forward_flops") < flops("compiled_flops"), "{summary}");
    folder.succeed("g.ir --emit=grad=again.ir");
    assert_eq!(folder.read("again.ir"), folder.read("g.ir"));
    folder.succeed("run small.net --data few.npz --weights w.safetensors --grad --out model.npz");
    folder.succeed("run g.ir --data few.npz --weights w.safetensors --out graph.npz");
    assert_close(&folder.arrays("graph.npz"), &folder.arrays("model.npz"), 1e-6);
    folder.succeed("run g.ir --data few.npz --weights w.safetensors --interp --out interpreted.npz");
    assert_close(&folder.arrays("interpreted.npz"), &folder.arrays("model.npz"), 1e-4);
}

/// Like gradients they are those of a training step, unless asked otherwise.
#[test]
fn products_are_of_the_phase_that_gradients_are_of() {
    let folder = Folder::new();
    folder.write(
        "dropping.net",
        "model dropping {\n    input x: f32[3]\n    output y = dropout(x * x, 0.5)\n    loss sum(dropout(x * x, 0.5))\n}\n",
    );
    for stage in ["grad", "jvp", "hvp"] {
        let draws = |phase: &str| {
            let text = folder.succeed(&format!("dropping.net --emit={stage} --wrt x {phase}"));
            text.contains("random.seed")
        };
        assert!(draws("") && draws("--phase training") && !draws("--phase inference"), "{stage}");
    }
}

#[test]
fn emitted_products_are_programs() {
    let folder = Folder::new();
    folder.write(
        "curve.net",
        "model curve {\n    input x: f32[3]\n    output y = x * x * x\n    loss sum(x * x * x)\n}\n",
    );
    let vector = |numbers: &[f32]| Array::new(vec![3], Elements::F32(numbers.to_vec())).expect("three numbers");
    folder.write_npz("at.npz", &[("x", vector(&[1.0, 2.0, -1.0])), ("t_x", vector(&[1.0, 10.0, 100.0]))]);
    let tangents = folder.succeed("curve.net --emit=jvp --wrt x");
    assert!(tangents.contains("input t_x : f32[3]") && tangents.contains("tangent y = "), "{tangents}");
    folder.write("curve.jvp.ir", &tangents);
    folder.succeed("run curve.jvp.ir --data at.npz --out jvp.npz");
    let found = folder.arrays("jvp.npz");
    assert_eq!(numbers(&found["tangent.y"]), [3.0, 120.0, 300.0]);
    assert_eq!(numbers(&found["tangent.loss"]), [423.0]);
    folder.succeed("curve.net --emit=hvp=curve.hvp.ir --wrt x");
    folder.succeed("run curve.hvp.ir --data at.npz --out hvp.npz --interp");
    let found = folder.arrays("hvp.npz");
    assert_eq!(numbers(&found["grad.x"]), [3.0, 12.0, 3.0]);
    assert_eq!(numbers(&found["hvp.x"]), [6.0, 120.0, -600.0]);
}

#[test]
fn a_run_tells_of_no_state_whatever_computes_it() {
    let folder = Folder::new();
    folder.write(
        "count.ir",
        "graph count {\n    state n : i32[] = constant(2)\n    next = n + 1 : i32[]\n    output next = next\n    \
         update n = next\n}\n",
    );
    for arguments in ["", "--interp"] {
        folder.succeed(&format!("run count.ir --out out.npz {arguments}"));
        let found = folder.arrays("out.npz");
        assert_eq!(found.keys().collect::<Vec<_>>(), ["next"], "{arguments}");
        assert_eq!(numbers(&found["next"]), [3.0], "{arguments}");
    }
}

#[test]
fn every_stage_emits_the_same_bytes_twice() {
    let folder = Folder::new();
    for stage in STAGES.split(' ') {
        let first = folder.succeed(&format!("small.net --emit={stage}"));
        assert!(first.lines().count() > 3, "{stage}: {first}");
        assert_eq!(folder.succeed(&format!("small.net --emit={stage}")), first, "{stage}");
        folder.succeed(&format!("small.net --emit={stage}=file.txt"));
        assert_eq!(folder.read("file.txt"), first.as_bytes(), "{stage} to a file");
    }
    assert_eq!(folder.succeed("small.net --emit-grad"), folder.succeed("small.net --emit=grad"));
}

#[test]
fn several_stages_are_told_apart() {
    let folder = Folder::new();
    let both = folder.succeed("small.net --emit=graph,plan");
    let graph = both.find("// ---- graph ----").expect("the graph has a title");
    let plan = both.find("// ---- plan ----").expect("the plan has a title");
    assert!(graph < plan, "{both}");
}

#[test]
fn initial_weights_follow_the_seed() {
    let folder = Folder::new();
    for (file, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        folder.succeed(&format!("init small.net --out {file} --seed {seed}"));
    }
    assert_eq!(folder.read("a"), folder.read("b"));
    assert_ne!(folder.read("a"), folder.read("c"));
}

#[test]
fn a_file_is_imported_from_beside_the_one_that_imports() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("models/parts")).expect("the folder can be written to");
    folder.write("models/parts/unit.net", "layer unit(x: [.., d]) -> [.., d] { tanh(dense(x, d)) }");
    folder.write(
        "models/m.net",
        "import \"parts/unit.net\"\nmodel m {\n    input x: f32[2, 3]\n    output y = unit(x)\n}",
    );
    assert!(folder.succeed("models/m.net").contains("unit.0.dense.0.w"));
    assert!(folder.succeed("./models/../models/m.net").contains("unit.0.dense.0.w"));
}

#[test]
fn a_folder_is_told_as_one_where_it_is_imported() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("parts")).expect("the folder can be written to");
    for import in ["parts", ".", "parts/.."] {
        folder.write("m.net", format!("import \"{import}\"\nmodel m {{\n    input x: f32[2]\n    output x\n}}"));
        let run = folder.run("m.net");
        assert!(run.stderr.contains(&format!("cannot import `{import}`: it is a directory")), "{}", run.stderr);
        assert!(run.stderr.contains("--> m.net:1:8"), "{}", run.stderr);
    }
}

#[test]
fn forward_mode_warns_of_a_rule_that_is_not_linear() {
    let folder = Folder::new();
    let model = |rule: &str, loss: &str| {
        format!(
            "fn f(x: [..]) -> [..] {{ x }} vjp(g) {{ {rule} }}\nmodel m {{\n param w: [4] = ones\n loss {loss}\n}}\n"
        )
    };
    let warned = |rule: &str, loss: &str, stage: &str| {
        folder.write("m.net", model(rule, loss));
        let run = folder.run(&format!("m.net --emit={stage}"));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stderr.contains("warning[W0709]") && run.stderr.contains("m.net:4:")
    };
    let in_loop = "sum(scan x in w { sum(f(x * w)) })";
    assert!(warned("2 * sign(g)", "sum(square(f(w)))", "jvp"));
    assert!(warned("2 * sign(g)", "sum(square(f(w)))", "hvp"));
    assert!(warned("2 * sign(g)", in_loop, "jvp"));
    assert!(!warned("2 * g", "sum(square(f(w)))", "jvp"));
    assert!(!warned("2 * sign(g)", "sum(square(f(w)))", "grad"));
    // The gradient is 2 whatever w is, and nothing in it goes by the rule again.
    assert!(!warned("2 * sign(g)", "sum(f(w))", "hvp"));
    // There is no way from the parameter to the rule.
    assert!(!warned("2 * sign(g)", "sum(square(w)) + sum(square(f(ones([4]))))", "jvp"));
}

#[test]
fn a_product_by_no_parameters_is_an_error() {
    let folder = Folder::new();
    folder.write("m.net", "model m {\n input x: f32[4]\n loss sum(square(x))\n}\n");
    for stage in ["jvp", "hvp"] {
        let run = folder.run(&format!("m.net --emit={stage}"));
        assert!(
            run.code == Some(1) && run.stderr.contains("error[E0904]: the model has no parameters"),
            "{}",
            run.stderr
        );
        let printed = folder.succeed(&format!("m.net --emit={stage} --wrt x"));
        assert!(printed.contains("tangent loss") || printed.contains("hvp x"), "{printed}");
    }
}

#[test]
fn a_rule_that_was_read_back_gives_the_same_names() {
    let folder = Folder::new();
    let rule = "fn f(x: [..]) -> [..] { 4 * x } vjp(g) { 8 * (x * g) }";
    folder.write("m.net", format!("{rule}\nmodel m {{\n input x: f32[3]\n loss sum(square(f(x)))\n}}\n"));
    folder.succeed("m.net --emit=graph=m.ir");
    for file in ["m.net", "m.ir"] {
        let gradient = folder.succeed(&format!("{file} --emit=grad-raw --wrt x"));
        assert!(gradient.contains("    d_x = 8 * ") && gradient.ends_with("grad x = d_x\n}\n"), "{gradient}");
    }
}
