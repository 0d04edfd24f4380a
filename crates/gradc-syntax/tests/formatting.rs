//! The formatter: one program with everything in it, and what holds for every program.

use gradc_diagnostics::SourceMap;

/// The text in the standard layout; it is correct.
fn formatted(text: &str) -> String {
    let mut sources = SourceMap::new();
    let file = sources.add("m.net", text);
    let result = gradc_syntax::format(file, sources.text(file));
    result.unwrap_or_else(|errors| panic!("{text:?}: {errors:?}"))
}

fn tree(text: &str) -> String {
    let mut sources = SourceMap::new();
    let file = sources.add("m.net", text);
    gradc_syntax::print(&gradc_syntax::parse(file, sources.text(file)).file)
}

/// Checks the layout of a text, and that it is a fixed point with the same tree.
fn check(text: &str, expected: &str) {
    let once = formatted(text);
    assert_eq!(once, expected, "\n{once}");
    assert_eq!(formatted(&once), once);
    assert_eq!(tree(&once), tree(text));
}

#[test]
fn spaces() {
    check("dim   n=4*k", "dim n = 4 * k\n");
    check("const a=-1-- 2**- 3", "const a = -1 - -2 ** -3\n");
    check("const a = ! b==c&&d||e", "const a = !b == c && d || e\n");
    check("const a=[ 1,2 , [3] ]", "const a = [1, 2, [3]]\n");
    check("const a = f ( x , _ , y=- 1 )", "const a = f(x, _, y = -1)\n");
    check("const a=x [1 : 3,: ,: :2 , .. ] . T", "const a = x[1:3, :, ::2, ..].T\n");
    check(
        "@metric( m )\nfn f(x:[ .. ,d],y = 2)->f32 [..]{x@y}",
        "@metric(m)\nfn f(x: [.., d], y = 2) -> f32[..] { x @ y }\n",
    );
    check("fn f ( ) { }", "fn f() {}\n");
    check("fn f(x){scan x_t in(x) ,_ in x,axis=1{x_t}}", "fn f(x) { scan x_t in (x), _ in x, axis = 1 { x_t } }\n");
    check("model m{for i in 0 .. n-1{h=h}}", "model m { for i in 0..n - 1 { h = h } }\n");
    check("model m{loss -x;loss (x)}", "model m { loss -x; loss (x) }\n");
    check("fn f(a){if a{1}else if b{2}else{3}}", "fn f(a) { if a { 1 } else if b { 2 } else { 3 } }\n");
    check("train{seed - 1;data \"x\"{a=b}}", "train { seed -1; data \"x\" { a = b } }\n");
}

#[test]
fn lines_and_indentation() {
    check(
        "fn f(x){\nlet y=x\n+1\n@ x\nlet z=\nx\n-z\n}",
        "fn f(x) {\n    let y = x\n        + 1\n        @ x\n    let z =\n        x\n    -z\n}\n",
    );
    check("const a=f(g(\nx,\n-1\n),[\n1\n- 2\n])", "const a = f(g(\n    x,\n    -1\n), [\n    1\n    - 2\n])\n");
    check("\n\n\nconst a=1\n\n\n\nconst b=2\n\n", "const a = 1\n\nconst b = 2\n");
    check("fn f(x) {\n\n  x\n\n}", "fn f(x) {\n    x\n}\n");
    check(
        "fn f(x) {\nif x {\nx\n}\nelse {\nx\n}\n}",
        "fn f(x) {\n    if x {\n        x\n    }\n    else {\n        x\n    }\n}\n",
    );
    check("const a = 1\r\nconst b = 2\r\n", "const a = 1\nconst b = 2\n");
    check("", "");
    check("\n\n", "");
}

#[test]
fn comments() {
    check("// one\n   // two\n", "// one\n// two\n");
    check(
        "dim n=1 // one\nconst long=2  // two\n\nconst c=3 // three",
        "dim n = 1       // one\nconst long = 2  // two\n\nconst c = 3  // three\n",
    );
    check(
        "fn f(x) { // why\n// inside\nlet y = x   // here\n\n// after\ny\n// end\n}",
        "fn f(x) {  // why\n    // inside\n    let y = x  // here\n\n    // after\n    y\n    // end\n}\n",
    );
    check("const a = [ // list\n1, // one\n// none\n]", "const a = [  // list\n    1,       // one\n    // none\n]\n");
    check("const a = \"// no comment\"//yes", "const a = \"// no comment\"  //yes\n");
}

#[test]
fn a_broken_program_is_left_alone() {
    let mut sources = SourceMap::new();
    let file = sources.add("m.net", "const a = (");
    let errors = gradc_syntax::format(file, sources.text(file)).expect_err("is broken");
    assert!(!errors.is_empty());
}

#[test]
fn every_program_of_the_tree_tests_is_a_fixed_point_after_one_pass() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trees");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).expect("the cases are there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "net") {
            let text = std::fs::read_to_string(&path).expect("readable");
            let once = formatted(&text);
            assert_eq!(formatted(&once), once, "{}", path.display());
            assert_eq!(tree(&once), tree(&text), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 5);
}
