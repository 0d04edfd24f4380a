//! What users see for broken files: every program in tests/diagnostics/syntax is one case, and its
//! snapshot lies beside it.

use gradc_diagnostics::{Color, SourceMap, render};

/// What is shown for a file of these bytes.
fn diagnose(name: &str, bytes: Vec<u8>) -> String {
    let mut sources = SourceMap::new();
    let diagnostics = match sources.add_bytes(name, bytes) {
        Ok(file) => gradc_syntax::parse(file, sources.text(file)).diagnostics,
        Err(unreadable) => vec![*unreadable],
    };
    render(&diagnostics, &sources, Color::Never)
}

#[test]
fn syntax() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../tests/diagnostics/syntax");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        insta::glob!("../../../tests/diagnostics/syntax", "*.net", |path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let shown = diagnose(&name, std::fs::read(path).expect("the case can be read"));
            assert!(!shown.is_empty(), "{name} has no error");
            insta::assert_snapshot!("syntax", shown);
        });
    });
}
