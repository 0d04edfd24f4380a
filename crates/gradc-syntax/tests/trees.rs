//! What tree comes out of what text: every program in tests/trees is one case without errors, and
//! the snapshot of its tree lies beside it.

use gradc_diagnostics::{Color, SourceMap, render};

/// The printed tree of a text that has no errors.
fn tree(name: &str, text: &str) -> String {
    let mut sources = SourceMap::new();
    let file = sources.add(name, text);
    let parsed = gradc_syntax::parse(file, sources.text(file));
    let shown = render(&parsed.diagnostics, &sources, Color::Never);
    assert!(shown.is_empty(), "{shown}");
    gradc_syntax::print(&parsed.file)
}

#[test]
fn trees() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("trees");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        insta::glob!("trees", "*.net", |path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let text = std::fs::read_to_string(path).expect("the case can be read");
            insta::assert_snapshot!("tree", tree(&name, &text));
        });
    });
}

#[test]
fn layout_does_not_change_the_tree() {
    let unix = "// c\nfn f(x) {\n    let y = x\n        + 1\n    y\n}\n";
    let expected = tree("unix", unix);
    for other in [
        unix.replace('\n', "\r\n"),
        format!("\u{feff}{unix}"),
        unix.replace("    ", "\t"),
        unix.replace("// c\n", "\n\n"),
        "fn f(x) { let y = x + 1; y }".to_owned(),
        "fn f(x){let y=x+1;y;;}".to_owned(),
    ] {
        assert_eq!(tree("other", &other), expected, "{other:?}");
    }
}

#[test]
fn every_node_knows_its_place() {
    let mut sources = SourceMap::new();
    let file = sources.add("m.net", "const a = (1 + x) * f(y)[0]");
    let parsed = gradc_syntax::parse(file, sources.text(file));
    let [gradc_syntax::ast::Item::Const(definition)] = parsed.file.items.as_slice() else {
        panic!("{:?}", parsed.file);
    };
    let gradc_syntax::ast::ExprKind::Binary { op_span, left, right, .. } = &definition.value.kind else {
        panic!("{:?}", definition.value);
    };
    assert_eq!(sources.slice(definition.span), "const a = (1 + x) * f(y)[0]");
    assert_eq!(sources.slice(definition.name.span), "a");
    assert_eq!(sources.slice(definition.value.span), "(1 + x) * f(y)[0]");
    assert_eq!(sources.slice(*op_span), "*");
    assert_eq!(sources.slice(left.span), "(1 + x)");
    assert_eq!(sources.slice(right.span), "f(y)[0]");
}
