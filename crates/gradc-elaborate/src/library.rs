//! The prelude, of which no more is parsed than what a program uses.
//!
//! That takes a fraction of the time that all of it would. The names of its items are found without parsing: each item begins
//! with its keyword, or an attribute, at the start of a line, where nothing else of the prelude has a letter or an `@`. Tests hold
//! that what is found is what the parser finds, and that there is nothing wrong with any of it.

use std::ops::Range;
use std::sync::OnceLock;

use gradc_diagnostics::{FileId, Span};
use gradc_syntax::ast::Item;
use rustc_hash::FxHashMap;

use crate::files::PRELUDE;

/// The items of the prelude by name.
#[derive(Debug)]
pub(crate) struct Library {
    file: FileId,
    entries: Vec<Entry>,
    by_name: FxHashMap<&'static str, usize>,
}

#[derive(Debug)]
struct Entry {
    /// Where its text is, and perhaps comments that follow.
    part: Range<usize>,
    item: OnceLock<Item>,
}

impl Library {
    /// The prelude, which is this file.
    pub(crate) fn new(file: FileId) -> Library {
        let found = outline(PRELUDE);
        let ends = found.iter().skip(1).map(|(start, _)| *start).chain([PRELUDE.len()]);
        let entry = |((start, _), end): (&(usize, &str), usize)| Entry { part: *start..end, item: OnceLock::new() };
        let entries = found.iter().zip(ends).map(entry).collect();
        let by_name = found.iter().enumerate().map(|(index, (_, name))| (*name, index)).collect();
        Library { file, entries, by_name }
    }

    /// The position of the item of this name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The names of all items, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_name.keys().copied()
    }

    /// The item at a position that [`Library::find`] gives.
    pub(crate) fn item(&self, index: usize) -> &Item {
        let Entry { part, item } = &self.entries[index];
        item.get_or_init(|| {
            let parsed = gradc_syntax::parse_part(self.file, PRELUDE, part.clone());
            let broken = Item::Error { name: None, span: Span::new(self.file, part.start as u32, part.end as u32) };
            parsed.file.items.into_iter().next().unwrap_or(broken)
        })
    }
}

/// Where each item begins, and its name.
fn outline(text: &str) -> Vec<(usize, &str)> {
    let mut items = Vec::new();
    let mut attribute = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with('@') {
            attribute = attribute.or(Some(start));
        } else if line.starts_with(|c: char| c.is_ascii_lowercase()) {
            let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            items.push((attribute.take().unwrap_or(start), words.nth(1).unwrap_or("")));
        }
        start += line.len();
    }
    items
}

#[cfg(test)]
mod tests {
    use gradc_diagnostics::{Diagnostic, SourceMap};

    use super::*;
    use crate::{NoFiles, PRELUDE_NAME, analyse};

    #[test]
    fn each_item_is_what_the_parser_finds_in_the_whole() {
        let mut sources = SourceMap::new();
        // Places are in no other file, and not where they would be in the first.
        let [_, file] = ["other.net", PRELUDE_NAME].map(|name| sources.add(name, PRELUDE));
        let whole = gradc_syntax::parse(file, PRELUDE);
        assert_eq!(whole.diagnostics, []);
        let library = Library::new(file);
        assert_eq!(library.entries.len(), whole.file.items.len());
        for (index, item) in whole.file.items.iter().enumerate() {
            let name = match item {
                Item::Const(definition) => &definition.name.text,
                Item::Function(function) => &function.name.text,
                other => panic!("the prelude has no such item: {other:?}"),
            };
            assert_eq!(library.find(name), Some(index), "{name}");
            assert_eq!(library.item(index), item, "{name}");
        }
        assert_eq!(library.names().count(), whole.file.items.len());
        assert_eq!(library.find("no_such_function"), None);
    }

    #[test]
    fn nothing_is_wrong_with_what_no_program_has_looked_at() {
        let mut sources = SourceMap::new();
        let root = sources.add("copy.net", PRELUDE);
        let analysis = analyse(&mut sources, root, &NoFiles);
        let errors: Vec<&Diagnostic> =
            analysis.diagnostics().iter().filter(|diagnostic| diagnostic.is_error()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}
