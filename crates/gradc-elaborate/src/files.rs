//! Source files: the root, what it imports, and the prelude.

use std::borrow::Cow;
use std::path::Path;

use gradc_diagnostics::{Diagnostic, FileId, SourceMap, Span, codes};
use gradc_syntax::ast::{File, Item};
use rustc_hash::FxHashMap;

/// The prelude, in the language itself.
pub const PRELUDE: &str = include_str!("prelude.net");

/// The name under which the prelude's places are shown.
pub const PRELUDE_NAME: &str = "prelude.net";

/// Imports may be chained this deep.
const DEEPEST_IMPORT: usize = 64;

/// Reads the files that a program imports: elaboration does no input or output of its own.
pub trait Files {
    /// The file at `path`, relative to the file whose canonical name is `from` (`None`: the root file).
    ///
    /// The canonical name is the same for every way to write a path to one file; it is also the name that
    /// diagnostics show.
    ///
    /// # Errors
    /// Why it cannot be read, in a few words: `no such file`.
    fn read(&self, from: Option<&str>, path: &str) -> Result<(String, Vec<u8>), String>;
}

/// For programs of a single file: every import fails.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: Option<&str>, _: &str) -> Result<(String, Vec<u8>), String> {
        Err("there are no other files here".to_owned())
    }
}

/// A parsed file.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) id: FileId,
    pub(crate) file: File,
    /// The source, which helps quote.
    pub(crate) text: Cow<'static, str>,
    /// Whether an import failed, so that names may be missing.
    pub(crate) incomplete: bool,
    /// Positions in the list of units, with the import that names each.
    pub(crate) imports: Vec<(usize, Span)>,
    /// Whether this is the prelude: what goes wrong inside it is shown at the call.
    pub(crate) library: bool,
}

/// The position of the prelude in the list of units.
pub(crate) const PRELUDE_UNIT: usize = 0;

/// The position of the root file in the list of units.
pub(crate) const ROOT_UNIT: usize = 1;

/// Parses the root file and all that it imports. The result holds the prelude first and the root second; the items of the
/// prelude are in its [`Library`](crate::library::Library).
pub(crate) fn load(
    sources: &mut SourceMap,
    root: FileId,
    files: &dyn Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Unit> {
    let prelude = prelude(sources.add(PRELUDE_NAME, PRELUDE));
    let mut loader = Loader { sources, files, diagnostics, units: vec![prelude], by_name: FxHashMap::default() };
    let unit = loader.parse(root);
    loader.imports(unit, None, &mut Vec::new());
    loader.units
}

fn prelude(id: FileId) -> Unit {
    let file = File { items: Vec::new(), span: Span::new(id, 0, PRELUDE.len() as u32) };
    Unit { id, file, text: Cow::Borrowed(PRELUDE), imports: Vec::new(), incomplete: false, library: true }
}

struct Loader<'a> {
    sources: &'a mut SourceMap,
    files: &'a dyn Files,
    diagnostics: &'a mut Vec<Diagnostic>,
    units: Vec<Unit>,
    /// Units by canonical name. The root's is not known before something imports it.
    by_name: FxHashMap<String, usize>,
}

/// An import that is being followed: the name of the file that it leads to.
struct Step {
    name: String,
    unit: usize,
}

impl Loader<'_> {
    fn parse(&mut self, id: FileId) -> usize {
        let text = self.sources.text(id).to_owned();
        let parsed = gradc_syntax::parse(id, &text);
        self.diagnostics.extend(parsed.diagnostics);
        let (imports, text) = (Vec::new(), Cow::Owned(text));
        self.units.push(Unit { id, file: parsed.file, text, imports, incomplete: false, library: false });
        self.units.len() - 1
    }

    /// Follows the imports of a unit, depth first in source order. `path` leads from the root to this unit.
    fn imports(&mut self, unit: usize, name: Option<&str>, path: &mut Vec<Step>) {
        let imports: Vec<(String, Span)> = self.units[unit]
            .file
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Import(import) => Some((import.path.value.clone(), import.path.span)),
                _ => None,
            })
            .collect();
        for (written, span) in imports {
            match self.import(name, &written, span, path) {
                Some(target) => self.units[unit].imports.push((target, span)),
                None => self.units[unit].incomplete = true,
            }
        }
    }

    fn import(&mut self, from: Option<&str>, written: &str, span: Span, path: &mut Vec<Step>) -> Option<usize> {
        let (name, bytes) = match self.files.read(from, written) {
            Ok(found) => found,
            Err(reason) => {
                self.diagnostics.push(not_found(written, span, &reason));
                return None;
            }
        };
        if let Some(&known) = self.by_name.get(&name) {
            return self.known(&name, known, span, path);
        }
        if self.is_root(&name) {
            self.by_name.insert(name.clone(), ROOT_UNIT);
            return self.known(&name, ROOT_UNIT, span, path);
        }
        if path.len() >= DEEPEST_IMPORT {
            let message = format!("imports are nested more than {DEEPEST_IMPORT} deep");
            self.diagnostics.push(Diagnostic::error(codes::IMPORT_CYCLE, message).primary(span, ""));
            return None;
        }
        let id = match self.sources.add_bytes(name.clone(), bytes) {
            Ok(id) => id,
            Err(diagnostic) => {
                self.diagnostics.push(diagnostic.secondary(span, "imported here"));
                return None;
            }
        };
        let unit = self.parse(id);
        self.by_name.insert(name.clone(), unit);
        path.push(Step { name: name.clone(), unit });
        self.imports(unit, Some(&name), path);
        path.pop();
        Some(unit)
    }

    /// Whether a canonical name is that of the root file: the caller has added it to the sources under that name.
    fn is_root(&self, name: &str) -> bool {
        self.sources.name(self.units[ROOT_UNIT].id) == name
    }

    /// A file that has been read before: fine, unless it is still being read.
    fn known(&mut self, name: &str, unit: usize, span: Span, path: &[Step]) -> Option<usize> {
        let position = path.iter().position(|step| step.unit == unit);
        if unit != ROOT_UNIT && position.is_none() {
            return Some(unit);
        }
        let steps = path[position.unwrap_or(0)..].iter().map(|step| shown(&step.name));
        let first = shown(name);
        let route: Vec<String> = steps.filter(|step| *step != first).collect();
        let route = [vec![first.clone()], route, vec![first]].concat();
        self.diagnostics.push(
            Diagnostic::error(codes::IMPORT_CYCLE, "files import each other in a circle")
                .primary(span, "this leads back to where it began")
                .note(route.join(" → "))
                .help("move what both files need into a third, and import that from both"),
        );
        None
    }
}

fn shown(name: &str) -> String {
    let path = Path::new(name);
    path.file_name().map_or_else(|| name.to_owned(), |last| last.to_string_lossy().into_owned())
}

fn not_found(written: &str, span: Span, reason: &str) -> Diagnostic {
    Diagnostic::error(codes::IMPORT_NOT_FOUND, format!("cannot import `{}`: {reason}", written.escape_debug()))
        .primary(span, "imported here")
        .help("the path is relative to the file that it is written in")
}
