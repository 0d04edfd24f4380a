//! Whatever a file holds, the front end ends soon, with a message and in little memory.

use std::fmt::Write;

use crate::support::run_text;

/// The codes of all problems, each once.
fn codes(text: &str) -> Vec<&'static str> {
    let mut codes = run_text(text).codes();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The codes of the errors, each once.
fn errors(text: &str) -> Vec<&'static str> {
    codes(text).into_iter().filter(|code| code.starts_with('E')).collect()
}

#[test]
fn a_chain_of_a_hundred_thousand_statements() {
    let mut text = "model m {\n input x: f32[2]\n let h = x\n".to_owned();
    for _ in 0..100_000 {
        text.push_str(" h = relu(h)\n");
    }
    text.push_str(" output h\n}\n");
    let run = run_text(&text);
    assert!(run.diagnostics.is_empty(), "{}", run.rendered());
    assert_eq!(run.models[0].graph.len(), 1 + 4 * 100_000);
}

#[test]
fn a_hundred_thousand_variables() {
    let mut text = "model m {\n input x0: f32[2]\n".to_owned();
    for i in 0..100_000 {
        writeln!(text, " let x{} = -x{i}", i + 1).expect("a string can be written to");
    }
    text.push_str(" output x100000\n}\n");
    assert_eq!(codes(&text), [""; 0]);
}

#[test]
fn a_hundred_thousand_functions_that_call_the_next() {
    let mut text = String::new();
    for i in 0..100_000 {
        writeln!(text, "fn f{i}(x) {{ f{}(x) }}", i + 1).expect("a string can be written to");
    }
    text.push_str("fn f100000(x) { x }\nmodel m {\n input x: f32[2]\n output y = f0(x)\n}\n");
    assert_eq!(codes(&text), ["E0216"]);
}

#[test]
fn a_hundred_thousand_dims_in_either_order() {
    let mut forward = "dim d0 = 1\n".to_owned();
    let mut backward = String::new();
    for i in 1..20_000 {
        writeln!(forward, "dim d{i} = d{}", i - 1).expect("a string can be written to");
        writeln!(backward, "dim d{} = d{i}", i - 1).expect("a string can be written to");
    }
    let model = "model m {\n input x: f32[d0]\n input z: f32[d19999]\n output y = sum(x) + sum(z)\n}\n";
    forward.push_str(model);
    assert_eq!(codes(&forward), [""; 0]);
    backward.push_str("dim d19999 = 1\n");
    backward.push_str(model);
    assert_eq!(codes(&backward), ["E0216"]);
}

#[test]
fn a_circle_of_ten_thousand_functions() {
    let mut text = String::new();
    for i in 0..10_000 {
        writeln!(text, "fn f{i}(x) {{ f{}(x) }}", (i + 1) % 10_000).expect("a string can be written to");
    }
    assert_eq!(codes(&text), ["E0209"]);
}

#[test]
fn ten_thousand_unknown_names() {
    let mut text = "fn f(x) {\n".to_owned();
    for i in 0..10_000 {
        writeln!(text, " let _y{i} = unknown{i}(x)").expect("a string can be written to");
    }
    text.push_str(" x\n}\n");
    assert_eq!(codes(&text), ["E0201"]);
}

#[test]
fn expressions_as_deep_as_the_parser_lets_through_in_functions_as_deep_as_calls_go() {
    // Every function is as deep as a tree may be, and every one is active at once.
    let mut text = String::new();
    for i in 0..120 {
        writeln!(text, "fn f{i}(x) {{ {}f{}(x) }}", "-".repeat(100), i + 1).expect("a string can be written to");
    }
    text.push_str("fn f120(x) { x }\nmodel m {\n input x: f32[2]\n output y = f0(x)\n}\n");
    assert_eq!(codes(&text), [""; 0]);
}

#[test]
fn dims_that_grow_without_end() {
    let mut text = "dim d0 = 2\n".to_owned();
    for i in 1..80 {
        writeln!(text, "dim d{i} = d{} * d{}", i - 1, i - 1).expect("a string can be written to");
    }
    text.push_str("model m {\n input x: f32[d79]\n output x\n}\n");
    let found = codes(&text);
    assert!(found.iter().all(|code| ["E0319", "E0408", "W0705"].contains(code)), "{found:?}");
}

#[test]
fn a_shape_of_a_thousand_axes() {
    let text = format!("model m {{\n input x: f32[{}1]\n output x\n}}\n", "1, ".repeat(1000));
    assert_eq!(codes(&text), ["E0319"]);
}

#[test]
fn values_nested_without_end() {
    let model = "model m {\n input x: f32[2]\n let f = add\n let l = [1]\n let k = [1]\n";
    let functions = "fn add(a, b) { a + b }\nfn nest(f, x) { f(x, 1) }\n";
    let open_calls = format!("{functions}{model} for i in 0..1_000_000 {{ f = nest(f, _) }}\n output y = f(x)\n}}\n");
    assert_eq!(errors(&open_calls), ["E0217"]);
    let lists = format!("{functions}{model} for i in 0..1_000_000 {{ l = [l] }}\n output y = x * rank(l)\n}}\n");
    assert_eq!(errors(&lists), ["E0217"]);
}

#[test]
fn comparisons_that_double_with_each_level() {
    let text = "model m {\n input x: f32[2]\n let a = [1]\n let b = [1]\n for i in 0..60 { a = [a, a]; b = [b, b] }\n\
                output y = if a == b { x } else { -x }\n}\n";
    assert_eq!(errors(text), ["E0217"]);
}

#[test]
fn lists_that_fill_the_memory() {
    let text = "model m {\n input x: f32[2]\n let outer = [0]\n let inner = [0]\n\
                for i in 0..12 { inner = inner + inner }\n\
                for i in 0..1_000_000 {\n outer = outer[:1]\n for j in 0..4000 { outer = outer + [inner + []] }\n }\n\
                output y = x * outer[0]\n}\n";
    assert_eq!(errors(text), ["E0217"]);
}
