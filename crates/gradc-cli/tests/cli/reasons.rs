//! `explain`, `verify`, `--blame`, and what is emitted of the simplifier's steps.

use crate::Folder;

const SIGMOID: &str = "
model chain {
    input x: f32[8, 4]
    param w: [4, 3] = glorot_uniform
    let s = sigmoid(x @ w)
    loss sum(s * s)
}
";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("chain.net", SIGMOID);
    folder
}

#[test]
fn an_emitted_gradient_comes_with_a_certificate() {
    let folder = folder();
    for mode in ["strict", "accurate", "fast"] {
        folder.succeed(&format!("chain.net --emit=proof=chain.proof --fp {mode}"));
        let said = folder.succeed("verify chain.proof");
        assert!(said.contains(&format!("chain.proof: stabilise, {mode}: ok")), "{said}");
        assert!(said.contains(&format!("chain.proof: simplify, {mode}: ok")), "{said}");
        // The loss and the gradient.
        assert!(said.contains("2 results"), "{said}");
    }
    folder.succeed("chain.net --emit=proof=chain.proof");
    let lines = folder.succeed("verify chain.proof --format json");
    let objects: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("each line is an object")).collect();
    assert_eq!(objects.len(), 2);
    assert_eq!((&objects[1]["pass"], &objects[1]["results"]), (&"simplify".into(), &2.into()), "{lines}");
    assert!(objects[1]["rules"]["sigmoid-complement"].as_u64() > Some(0), "{lines}");
}

#[test]
fn a_certificate_that_was_tampered_with_is_refused_at_the_line_that_is_wrong() {
    let folder = folder();
    let text = folder.succeed("chain.net --emit=proof");
    let wrong = text.replace("by sigmoid-complement", "by common-multiple");
    folder.write("wrong.proof", &wrong);
    let run = folder.run("verify wrong.proof");
    assert_eq!(run.code, Some(1), "{}", run.stdout);
    let number = wrong.lines().position(|line| line.contains("by common-multiple")).expect("the step is there") + 1;
    assert!(run.stderr.contains("error[E0603]"), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("wrong.proof:{number}:")), "line {number}: {}", run.stderr);

    folder.write("short.proof", &text[..text.len() / 2]);
    let run = folder.run("verify short.proof");
    assert_eq!(run.code, Some(1), "{}", run.stdout);
    assert!(run.stderr.contains("error[E0602]"), "{}", run.stderr);
    let run = folder.run("verify none.proof");
    assert_eq!(run.code, Some(1), "{}", run.stderr);
}

#[test]
fn a_value_is_derived_line_by_line() {
    let folder = folder();
    let gradient = folder.succeed("chain.net --emit-grad --blame");
    let blamed = gradient.lines().find(|line| line.contains("sigmoid-complement")).expect("the rule made a line");
    assert!(blamed.contains("  // "), "{blamed}");
    let untouched = gradient.lines().find(|line| line.contains("= x @ w")).expect("the product is there");
    assert!(!untouched.contains("//"), "{untouched}");
    // What is annotated is still a graph.
    folder.write("blamed.ir", &gradient);
    folder.succeed("blamed.ir");

    let said = folder.succeed("explain chain.net d_w");
    assert!(said.starts_with("d_w = ") && said.contains("no rule has changed it"), "{said}");
    // The name of the line that was blamed.
    let name = blamed.trim_start().trim_start_matches("* ").split(' ').next().expect("a line begins with a name");
    let said = folder.succeed(&format!("explain chain.net {name}"));
    assert!(said.contains("by sigmoid-complement (accurate): the difference loses the digits"), "{said}");
    let object: serde_json::Value =
        serde_json::from_str(&folder.succeed(&format!("explain chain.net {name} --format json"))).expect("an object");
    assert_eq!(object["lines"][0]["rule"], serde_json::Value::Null);

    let run = folder.run("explain chain.net nothing");
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("no value called `nothing`"), "{}", run.stderr);
}

#[test]
fn a_value_in_a_loop_is_said_to_be_there() {
    let folder = Folder::new();
    let model = "
model m {
    input x: f32[6, 3]
    param w: [3, 5] = glorot_uniform
    param u: [5, 5] = orthogonal
    let h = zeros([5])
    let hs = scan x_t in x {
        let xw = x_t @ w
        h = tanh(xw + h @ u)
        h
    }
    loss sum(square(hs))
}
";
    folder.write("recurrent.net", model);
    let gradient = folder.succeed("recurrent.net --emit-grad");
    let body = gradient.rsplit_once("= scan(").expect("the backward pass has a loop").1;
    let body = body.split_once("    }").expect("its block ends").0;
    let lines = body.lines().filter_map(|line| line.trim_start().split_once(" = "));
    let within: Vec<&str> = lines.map(|(name, _)| name).filter(|name| !name.contains(' ')).collect();
    assert!(!within.is_empty(), "{gradient}");
    for name in within.iter().filter(|name| !gradient.contains(&format!("\n    {name} ="))) {
        let run = folder.run(&format!("explain recurrent.net {name}"));
        assert_eq!(run.code, Some(1), "{}", run.stdout);
        assert!(run.stderr.contains(&format!("`{name}` is computed in each step of a `scan`")), "{}", run.stderr);
        // What it points at can be explained.
        let pointed = run.stderr.rsplit('`').nth(1).expect("a value is named");
        folder.succeed(&format!("explain recurrent.net {pointed}"));
    }
}

#[test]
fn what_is_differentiated_can_be_seen() {
    let folder = folder();
    folder.write("naive.net", "model naive { input x: f32[4]\n loss sum(log(1 + exp(x))) }");
    assert!(folder.succeed("naive.net --emit=graph").contains("log("));
    let stable = folder.succeed("naive.net --emit=stable");
    assert!(stable.contains("log1p") && !stable.contains("log("), "{stable}");
}
