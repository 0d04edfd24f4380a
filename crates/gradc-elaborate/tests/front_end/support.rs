//! Running a program through the front end, for tests.

use std::path::{Path, PathBuf};

use gradc_diagnostics::{Color, Diagnostic, SourceMap, render};
use gradc_elaborate::{Analysis, Dims, Elaborated, Files, analyse};

/// A program with what it elaborates to.
pub(crate) struct Run {
    pub(crate) sources: SourceMap,
    pub(crate) analysis: Analysis,
    /// What is wrong: of the files, then of each model.
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) models: Vec<Elaborated>,
}

impl Run {
    pub(crate) fn rendered(&self) -> String {
        render(&self.diagnostics, &self.sources, Color::Never)
    }

    /// The codes of all diagnostics, in order.
    pub(crate) fn codes(&self) -> Vec<&'static str> {
        self.diagnostics.iter().map(|diagnostic| diagnostic.code().id()).collect()
    }
}

/// Files beside the root file, on the disk. A file that is called like the root is the root.
struct Beside {
    root: String,
    text: String,
    directory: PathBuf,
}

impl Files for Beside {
    fn read(&self, from: Option<&str>, path: &str) -> Result<(String, Vec<u8>), String> {
        let folder = from.and_then(|from| Path::new(from).parent()).unwrap_or(Path::new(""));
        let mut parts: Vec<String> = Vec::new();
        for part in folder.join(path).components() {
            match part.as_os_str().to_string_lossy().as_ref() {
                ".." => {
                    parts.pop();
                }
                part => parts.push(part.to_owned()),
            }
        }
        let name = parts.join("/");
        if name == self.root {
            return Ok((name, self.text.clone().into_bytes()));
        }
        match std::fs::read(self.directory.join(&name)) {
            Ok(bytes) => Ok((name, bytes)),
            Err(_) => Err("no such file".to_owned()),
        }
    }
}

/// Analyses a program and elaborates its models. Lines at its start such as `// --dim batch=8` give dims values, and
/// `// --model name` chooses one model.
pub(crate) fn run(name: &str, text: &str, directory: &Path) -> Run {
    let (dims, model) = directives(text);
    let mut sources = SourceMap::new();
    let root = sources.add(name, text);
    let files = Beside { root: name.to_owned(), text: text.to_owned(), directory: directory.to_owned() };
    let analysis = analyse(&mut sources, root, &files);
    let mut diagnostics = analysis.diagnostics().to_vec();
    let mut models = Vec::new();
    let chosen: Vec<&str> = model.as_deref().map_or_else(|| analysis.models(), |model| vec![model]);
    for model in chosen {
        let (elaborated, found) = analysis.elaborate(model, &dims);
        let failed = analysis.has_errors() || found.iter().any(Diagnostic::is_error);
        assert_eq!(elaborated.is_none(), failed, "{name}: a result is there exactly if there is no error");
        if let Some(elaborated) = &elaborated {
            for graph in std::iter::once(&elaborated.graph).chain(&elaborated.training) {
                gradc_ir::verify::verify(graph).expect("what elaborates is well-formed");
            }
        }
        for diagnostic in found {
            let same = |known: &Diagnostic| known.code() == diagnostic.code() && known.span() == diagnostic.span();
            if !diagnostics.iter().any(same) {
                diagnostics.push(diagnostic);
            }
        }
        models.extend(elaborated);
    }
    Run { sources, analysis, diagnostics, models }
}

/// A program of a single file.
pub(crate) fn run_text(text: &str) -> Run {
    run("main.net", text, Path::new("/nowhere"))
}

fn directives(text: &str) -> (Dims, Option<String>) {
    let mut dims = Dims::new();
    let mut model = None;
    for line in text.lines().map_while(|line| line.strip_prefix("// --")) {
        match line.split_once(' ') {
            Some(("dim", setting)) => {
                if let Some((name, value)) = setting.split_once('=') {
                    dims.set(name.trim(), value.trim().parse().expect("a dim is a number"));
                }
            }
            Some(("model", name)) => model = Some(name.trim().to_owned()),
            _ => panic!("unknown directive: {line}"),
        }
    }
    (dims, model)
}

/// The programs in a markdown text: the contents of its `net` fences.
pub(crate) fn programs(markdown: &str) -> Vec<String> {
    let mut programs = Vec::new();
    let mut current: Option<String> = None;
    for line in markdown.lines() {
        match &mut current {
            None if line.trim() == "```net" => current = Some(String::new()),
            None => {}
            Some(_) if line.trim() == "```" => programs.extend(current.take()),
            Some(text) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    programs
}
