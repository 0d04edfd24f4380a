//! Texts that no person would write: whatever is in a file, a tree and located errors come out,
//! on the small stack of a test thread.

use gradc_diagnostics::{Color, MAX_SOURCE_BYTES, SourceMap, render};

/// Parses, prints, renders and drops, and checks that the errors are the given codes.
fn check(text: &str, codes: &[&str]) {
    let mut sources = SourceMap::new();
    let file = sources.add("hostile.net", text);
    let parsed = gradc_syntax::parse(file, sources.text(file));
    let found: Vec<&str> = parsed.diagnostics.iter().map(|diagnostic| diagnostic.code().id()).collect();
    let shown = render(&parsed.diagnostics, &sources, Color::Never);
    assert_eq!(found, codes, "{shown}");
    assert!(shown.len() < 60_000, "the errors of one file are {} bytes long", shown.len());
    gradc_syntax::print(&parsed.file);
    drop(parsed.file.clone());
}

fn nested(open: &str, middle: &str, close: &str, depth: usize) -> String {
    [open.repeat(depth), middle.to_owned(), close.repeat(depth)].concat()
}

const DEEP: usize = 100_000;

#[test]
fn brackets_nested_deeply() {
    for (open, close) in [("(", ")"), ("[", "]"), ("f(", ")"), ("x[", "]"), ("f(a = ", ")"), ("-", ""), ("!", "")] {
        let value = nested(open, "1", close, DEEP);
        check(&format!("const a = {value}\nconst b = )\n"), &["E0118", "E0101"]);
        check(&format!("const a = {}", open.repeat(DEEP)), &["E0118"]);
        check(&format!("model m {{\n let a = {value}\n let b = )\n}}\n"), &["E0118", "E0101"]);
    }
}

#[test]
fn closers_without_openers() {
    for close in [")", "]", "}"] {
        let text = close.repeat(DEEP);
        let mut sources = SourceMap::new();
        let file = sources.add("hostile.net", text.as_str());
        let parsed = gradc_syntax::parse(file, &text);
        assert_eq!(parsed.diagnostics.len(), 100);
        let more = parsed.diagnostics.last().map(|last| last.notes().join(""));
        assert_eq!(more.as_deref(), Some("99900 more errors in this file are not shown"));
    }
    // A search for partners that are not there must not be quadratic.
    check(&format!("const a = {}{}", "(".repeat(DEEP), "]".repeat(DEEP)), &["E0118"]);
    // Neither must the question whether a bracket is closed later.
    check(&format!("fn f() {{ {} }}", "(a\nb = 1\n".repeat(50)), &["E0108"; 50]);
    let many = format!("fn f() {{ {} }}", "(a\nb = 1\n".repeat(DEEP));
    let mut sources = SourceMap::new();
    let file = sources.add("hostile.net", many.as_str());
    assert!(!gradc_syntax::parse(file, &many).diagnostics.is_empty());
}

#[test]
fn operators_nested_deeply() {
    check(&format!("const a = {}1\nconst b = )", "2 ** ".repeat(DEEP)), &["E0118", "E0101"]);
    check(&format!("const a = {}1\nconst b = )", "2 ** -".repeat(DEEP)), &["E0118", "E0101"]);
}

#[test]
fn long_chains() {
    for link in [" + 1", " @ x", "(x)", "[0]", ".T", " || x", " * x"] {
        check(&format!("const a = x{}\nconst b = )\n", link.repeat(DEEP)), &["E0118", "E0101"]);
    }
    check(&format!("fn f(x) {{ a{} }}", "+a".repeat(1_000_000)), &["E0118"]);
    // At the limit there is no error.
    check(&format!("const a = x{}", " + 1".repeat(250)), &[]);
    check(&format!("const a = {}", nested("(", "1", ")", 190)), &[]);
}

#[test]
fn chains_within_chains_do_not_multiply() {
    // Each chain is short enough, but the whole tree would be deep on its left side.
    let mut value = "x".to_owned();
    for _ in 0..100 {
        value = format!("({value}{})", " + 1".repeat(100));
    }
    check(&format!("const a = {value}\nconst b = )"), &["E0118", "E0101"]);
}

#[test]
fn long_lists_are_fine() {
    check(&format!("const a = [{}]", "1, ".repeat(DEEP)), &[]);
    check(&format!("fn f(x) {{ f({}) }}", "x, ".repeat(DEEP)), &[]);
    check(&format!("fn f(x) {{ if a {{ x }}{} }}", " else if a { x }".repeat(DEEP)), &[]);
    check(&format!("model m {{ {} }}", "h = h;".repeat(DEEP)), &[]);
    check(&"const a = 1\n".repeat(DEEP), &[]);
    check(&";".repeat(DEEP), &[]);
}

#[test]
fn blocks_nested_deeply() {
    for open in ["for i in 0..2 {", "if a {", "if a { b } else {", "let y = if a {"] {
        for separator in [" ", "\n"] {
            let open = format!("{open}{separator}");
            check(&format!("model m {{\n{}\n}}", nested(&open, "", "}", DEEP)), &["E0118"]);
        }
    }
    // Never closed: the errors are the depth and one missing brace.
    check(&format!("model m {{\n{}", "for i in 0..2 {".repeat(DEEP)), &["E0118", "E0108"]);
    check(&"{".repeat(DEEP), &["E0101"]);
    check(&format!("fn f() {{ {}", "{".repeat(DEEP)), &["E0101", "E0108"]);
    check(&format!("fn f(x = if a {{ {}", "if a {".repeat(DEEP)), &["E0118", "E0108"]);
}

#[test]
fn items_nested_deeply() {
    let text = "model m { fn f(x) ".repeat(DEEP);
    let mut sources = SourceMap::new();
    let file = sources.add("hostile.net", text);
    let parsed = gradc_syntax::parse(file, sources.text(file));
    assert!(parsed.diagnostics.iter().any(|diagnostic| diagnostic.code().id() == "E0115"));
}

#[test]
fn literals_of_any_length() {
    let long = "9".repeat(1_000_000);
    check(&format!("const a = {long}"), &["E0106"]);
    check(&format!("const a = 0.{long}"), &[]);
    check(&format!("const a = 1e{long}"), &["E0106"]);
    check(&format!("const a = {long}abc"), &["E0105"]);
    check(&format!("const a = x{long}"), &[]);
    check(&format!("const a = \"{long}\""), &[]);
    check(&format!("const a = \"{long}"), &["E0103"]);
    check(&format!("const a = \"{}\n", "\\\"".repeat(1_000_000)), &["E0103"]);
    check(&format!("// {long}"), &[]);
    check(&format!("/* {long}"), &["E0119"]);
}

#[test]
fn bytes_that_are_no_text() {
    check(&"\0".repeat(DEEP), &["E0102"]);
    check("\u{1b}[31m\u{7}", &["E0102", "E0105", "E0102"]);
    check(&"§ ".repeat(90), &["E0102"; 90]);
    let mut sources = SourceMap::new();
    for bytes in [vec![0xff; 1000], b"const a = \"\xc3".to_vec(), [b"const a = 1\n".as_slice(), &[0x80; 5]].concat()] {
        let unreadable = sources.add_bytes("binary.net", bytes).expect_err("is not UTF-8");
        assert_eq!(unreadable.code().id(), "E0121");
        let shown = render(&[*unreadable], &sources, Color::Never);
        assert!(shown.contains("binary.net:"), "{shown}");
    }
}

#[test]
fn files_of_any_size() {
    let mut sources = SourceMap::new();
    let large = vec![b'x'; MAX_SOURCE_BYTES + 1];
    let refused = sources.add_bytes("large.net", large.clone()).expect_err("is too large");
    assert_eq!(refused.code().id(), "E0120");
    assert!(render(&[*refused], &sources, Color::Never).contains("large.net:1:1"));
    let text = String::from_utf8(large).expect("is ASCII");
    check(&text, &["E0120"]);
    check(&text[1..], &["E0101"]);
}

#[test]
fn one_error_a_statement_in_a_file_of_garbage() {
    let line = "let = ( + [ ) x y } { ; for model @ 1..2 \" \\ $ §\n";
    let text = line.repeat(5_000);
    let mut sources = SourceMap::new();
    let file = sources.add("hostile.net", text);
    let parsed = gradc_syntax::parse(file, sources.text(file));
    assert_eq!(parsed.diagnostics.len(), 100);
}
