//! docs/rewrite-rules.md is the table of rules.

use std::path::Path;

use gradc_simplify::rules::manual;

/// Written anew where `INSTA_UPDATE=always`, as snapshots are.
#[test]
fn the_page_of_rules_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rewrite-rules.md");
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        std::fs::write(&path, manual()).expect("docs can be written");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == manual(), "docs/rewrite-rules.md is not what the tables say: run with INSTA_UPDATE=always");
}
