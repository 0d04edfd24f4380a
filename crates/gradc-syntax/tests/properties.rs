//! What holds for every text, and for every correct program.

use gradc_diagnostics::{Color, SourceMap, render};
use proptest::prelude::*;

/// Parses, and checks what holds for whatever comes out.
fn check_any(text: &str) {
    let mut sources = SourceMap::new();
    let file = sources.add("m.net", text);
    let text = sources.text(file);
    let parsed = gradc_syntax::parse(file, text);
    let mut last = None;
    for diagnostic in &parsed.diagnostics {
        assert!(diagnostic.is_error());
        let span = diagnostic.span().expect("is located");
        assert!(Some(span) >= last, "not in source order");
        last = Some(span);
        for label in diagnostic.labels() {
            let range = label.span.start as usize..label.span.end as usize;
            assert!(text.get(range).is_some(), "{label:?} is not a range of {text:?}");
        }
    }
    // A tree prints, also one with errors in it, and a text without errors formats.
    gradc_syntax::print(&parsed.file);
    render(&parsed.diagnostics, &sources, Color::Never);
    assert_eq!(gradc_syntax::format(file, text).is_ok(), parsed.diagnostics.is_empty());
}

/// The printed tree of a correct program.
fn tree(text: &str) -> String {
    let mut sources = SourceMap::new();
    let file = sources.add("m.net", text);
    let parsed = gradc_syntax::parse(file, sources.text(file));
    assert!(parsed.diagnostics.is_empty(), "{}", render(&parsed.diagnostics, &sources, Color::Never));
    gradc_syntax::print(&parsed.file)
}

fn formatted(text: &str) -> String {
    let mut sources = SourceMap::new();
    let file = sources.add("m.net", text);
    gradc_syntax::format(file, sources.text(file)).expect("a correct program")
}

const PIECES: [&str; 72] = [
    "import",
    "const",
    "dim",
    "fn",
    "layer",
    "initializer",
    "model",
    "train",
    "param",
    "let",
    "for",
    "in",
    "input",
    "output",
    "loss",
    "metric",
    "if",
    "else",
    "true",
    "false",
    "_",
    "x",
    "y",
    "and",
    "return",
    "0",
    "1.5",
    "1e",
    "2x",
    "\"s\"",
    "\"open",
    "'s'",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ":",
    ".",
    "..",
    "->",
    "=",
    "||",
    "&&",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    "+",
    "-",
    "*",
    "/",
    "%",
    "@",
    "**",
    "!",
    "&",
    "^",
    "+=",
    "$",
    "é",
    "\0",
    "// c",
    "# c",
    "/*",
    "\n",
    "\r\n",
    "x = 1\n",
];

/// Pieces of the language in any order.
fn soup() -> impl Strategy<Value = String> {
    let piece = (proptest::sample::select(&PIECES[..]), proptest::sample::select(&["", " ", "\n"][..]));
    proptest::collection::vec(piece, 0..60)
        .prop_map(|pieces| pieces.into_iter().flat_map(|(piece, space)| [piece, space]).collect())
}

fn name() -> impl Strategy<Value = String> {
    proptest::sample::select(&["x", "y", "w", "dim", "units", "logits", "relu", "dense"][..]).prop_map(str::to_owned)
}

/// A correct expression. Line breaks are only where they mean nothing.
fn expr() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        name(),
        (0..1000u32).prop_map(|n| n.to_string()),
        proptest::sample::select(&["0.5", "1e-3", "true", "\"a // b\"", "[]"][..]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        let operator =
            proptest::sample::select(&["+", "-", "*", "/", "%", "@", "**", "&&", "||", "+\n", "*\n//c\n"][..]);
        let compare = proptest::sample::select(&["==", "<", ">=", "!="][..]);
        let break_ = proptest::sample::select(&["", " ", "\n", "  // note\n"][..]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("{a}{op} {b}")),
            (inner.clone(), compare, inner.clone()).prop_map(|(a, op, b)| format!("(({a}){op}({b}))")),
            inner.clone().prop_map(|a| format!("-({a})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (break_.clone(), inner.clone()).prop_map(|(s, a)| format!("({s}{a}{s})")),
            (break_.clone(), inner.clone(), inner.clone()).prop_map(|(s, a, b)| format!("f({a},{s}_,k={b}{s})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}:,..,::2,{b}]")),
            (break_, inner.clone(), inner.clone()).prop_map(|(s, a, b)| format!("[{a},{s}{b},{s}]")),
            inner.clone().prop_map(|a| format!("({a}).T.shape")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("if({a}){{{b}}}else{{\nlet y={c}\n\ny}}")),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (name(), expr()).prop_map(|(n, e)| format!("let {n}={e}")),
        (name(), expr()).prop_map(|(n, e)| format!("{n} = {e}")),
        (name(), expr()).prop_map(|(n, e)| format!("param {n}:f32[..,{n},2*{n}]={e}")),
        name().prop_map(|n| format!("input {n} : i32[ 4 ]")),
        (name(), expr()).prop_map(|(n, e)| format!("output {n}={e}")),
        expr().prop_map(|e| format!("loss {e}")),
        name().prop_map(|n| format!("output {n} // why")),
        Just("// alone".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let body = proptest::collection::vec(inner, 0..3).prop_map(|lines| lines.join("\n"));
        prop_oneof![
            (expr(), body.clone()).prop_map(|(e, b)| format!("for i in 0..{e}{{\n{b}\n}}")),
            (expr(), body).prop_map(|(e, b)| format!("if({e}){{\n\n{b}\n}}\nelse{{}}")),
        ]
    })
}

fn program() -> impl Strategy<Value = String> {
    let body = proptest::collection::vec(statement(), 0..6).prop_map(|lines| lines.join("\n")).boxed();
    let item = prop_oneof![
        (name(), expr()).prop_map(|(n, e)| format!("dim {n}={e}")),
        (name(), expr()).prop_map(|(n, e)| format!("const {n}={e} // c")),
        (name(), body.clone(), expr())
            .prop_map(|(n, b, e)| format!("@metric({n})\nfn {n}(x:[..,n],k={e})->[n]{{\n{b}\n{e}\n}}")),
        (name(), body).prop_map(|(n, b)| format!("\n\nmodel {n}{{\n{b}\n}}")),
        (name(), expr()).prop_map(|(n, e)| format!("train {n}{{\nepochs {e}\ndata \"d\"{{a=b,c={e}}}\n}}")),
    ];
    proptest::collection::vec(item, 0..4).prop_map(|items| items.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gives_a_tree(text in "\\PC*") {
        check_any(&text);
    }

    #[test]
    fn any_bytes_give_a_tree_or_a_located_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut sources = SourceMap::new();
        match sources.add_bytes("m.net", bytes) {
            Ok(file) => check_any(sources.text(file)),
            Err(error) => prop_assert!(error.span().is_some()),
        }
    }

    #[test]
    fn any_order_of_tokens_gives_a_tree(text in soup()) {
        check_any(&text);
    }

    #[test]
    fn a_correct_program_with_a_piece_lost_or_doubled_gives_a_tree(
        text in program(), from in 0.0..1.0f64, length in 0usize..40, double in any::<bool>(),
    ) {
        let start = text.floor_char_boundary((text.len() as f64 * from) as usize);
        let end = text.floor_char_boundary((start + length).min(text.len()));
        let broken = if double {
            [&text[..end], &text[start..]].concat()
        } else {
            [&text[..start], &text[end..]].concat()
        };
        check_any(&broken);
    }

    #[test]
    fn formatting_keeps_the_tree_and_is_done_in_one_pass(text in program()) {
        let once = formatted(&text);
        prop_assert_eq!(tree(&once), tree(&text));
        prop_assert_eq!(formatted(&once), once.clone());
        let comments = |text: &str| text.matches("//").count();
        prop_assert_eq!(comments(&once), comments(&text));
    }
}
