//! Any bytes are read, parsed, printed and formatted. Diagnostics point into the text, and a formatted text stays as it is.
#![no_main]

use gradc_diagnostics::{Color, SourceMap, render};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut sources = SourceMap::new();
    let Ok(file) = sources.add_bytes("m.net", bytes.to_vec()) else { return };
    let text = sources.text(file);
    let parsed = gradc_syntax::parse(file, text);
    gradc_syntax::print(&parsed.file);
    render(&parsed.diagnostics, &sources, Color::Never);
    for label in parsed.diagnostics.iter().flat_map(|diagnostic| diagnostic.labels()) {
        let range = label.span.start as usize..label.span.end as usize;
        assert!(text.get(range).is_some(), "{label:?} is not a range of the text");
    }
    let formatted = gradc_syntax::format(file, text);
    assert_eq!(formatted.is_ok(), parsed.diagnostics.is_empty(), "only a correct program is formatted");
    if let Ok(formatted) = formatted {
        let mut sources = SourceMap::new();
        let file = sources.add("formatted.net", formatted.as_str());
        let again = gradc_syntax::format(file, sources.text(file)).expect("a formatted program is correct");
        assert_eq!(again, formatted, "formatting twice changes nothing more");
    }
});
