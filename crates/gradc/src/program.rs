//! Programs and their models.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use gradc_diagnostics::{Diagnostic, FileId, SourceMap, Span, codes};
use gradc_elaborate::{Analysis, DimInfo, Dims, Elaborated, Files, InputDecl, NoFiles, Phase, TrainConfig, analyse};
use gradc_ir::{Graph, LeafKind, Role, TensorType, ValueId, text};

use crate::error::{Error, Problems};
use crate::pipeline::{Goal, Options};

/// A program: a source file (`.net`) with all that it imports, or a graph that gradc emitted (`.ir`).
#[derive(Clone, Debug)]
pub struct Program {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sources: SourceMap,
    root: FileId,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Source(Box<Analysis>),
    Graph(Graph),
}

/// A model for concrete values of its dims.
#[derive(Clone, Debug)]
pub struct Model {
    program: Program,
    name: String,
    dims: Dims,
    elaborated: Arc<Elaborated>,
    warnings: Arc<[Diagnostic]>,
}

/// The largest file that is read, in bytes. Source files are smaller (the parser says so); emitted graphs are not.
const MAX_FILE_BYTES: u64 = 256 << 20;

impl Program {
    /// Reads a program and what it imports, and checks its names. A file that begins with `graph` is one that gradc
    /// emitted.
    ///
    /// # Errors
    /// Where the file cannot be read or has mistakes.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Program, Error> {
        let path = path.as_ref();
        let bytes = read_file(path).map_err(|error| Error::File { path: path.to_owned(), error })?;
        let root = normalised(path);
        Program::load(&root.to_string_lossy(), bytes, &OnDisk { root: &root })
    }

    /// A program from its text; it cannot import. `name` is what diagnostics call it.
    ///
    /// # Errors
    /// Where it has mistakes.
    pub fn from_source(name: &str, text: &str) -> Result<Program, Error> {
        Program::load(name, text.as_bytes().to_vec(), &NoFiles)
    }

    fn load(name: &str, bytes: Vec<u8>, files: &dyn Files) -> Result<Program, Error> {
        let mut sources = SourceMap::new();
        if is_graph(&bytes) {
            let root = sources.add(name, String::from_utf8_lossy(&bytes));
            return match text::read(Some(root), sources.text(root)) {
                Ok(graph) => Ok(Program { inner: Arc::new(Inner { sources, root, content: Content::Graph(graph) }) }),
                Err(error) => {
                    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
                    let span = Span::new(root, offset(error.at.start), offset(error.at.end));
                    let diagnostic =
                        Diagnostic::error(codes::MALFORMED_GRAPH, "this is not a graph that gradc can read")
                            .primary(span, error.message);
                    Err(Problems { diagnostics: vec![diagnostic], sources }.into())
                }
            };
        }
        let root = match sources.add_bytes(name, bytes) {
            Ok(root) => root,
            Err(diagnostic) => {
                return Err(Problems { diagnostics: vec![*diagnostic], sources }.into());
            }
        };
        let analysis = analyse(&mut sources, root, files);
        if analysis.has_errors() {
            return Err(Problems { diagnostics: analysis.check(&Dims::new()), sources }.into());
        }
        Ok(Program { inner: Arc::new(Inner { sources, root, content: Content::Source(Box::new(analysis)) }) })
    }

    /// The files that diagnostics point into.
    pub fn sources(&self) -> &SourceMap {
        &self.inner.sources
    }

    /// What is worth a look in the files, whatever the dims.
    pub fn warnings(&self) -> &[Diagnostic] {
        match &self.inner.content {
            Content::Source(analysis) => analysis.diagnostics(),
            Content::Graph(_) => &[],
        }
    }

    /// Whether this is a graph that gradc emitted.
    pub fn is_graph(&self) -> bool {
        matches!(self.inner.content, Content::Graph(_))
    }

    /// The names of the models, those of the root file first.
    pub fn models(&self) -> Vec<&str> {
        match &self.inner.content {
            Content::Source(analysis) => analysis.models(),
            Content::Graph(graph) => vec![graph.name()],
        }
    }

    /// The syntax tree of the root file, as text; `None` for a graph.
    pub fn syntax_tree(&self) -> Option<String> {
        match self.inner.content {
            Content::Source(_) => {
                let parsed = gradc_syntax::parse(self.inner.root, self.inner.sources.text(self.inner.root));
                Some(gradc_syntax::print(&parsed.file))
            }
            Content::Graph(_) => None,
        }
    }

    /// The model of this name, with the program's own values of the dims.
    ///
    /// # Errors
    /// Where there is none, or it has mistakes.
    pub fn model(&self, name: &str) -> Result<Model, Error> {
        self.model_with(name, Dims::new())
    }

    /// The only model of the program.
    ///
    /// # Errors
    /// Where there are none or several, or it has mistakes.
    pub fn only_model(&self) -> Result<Model, Error> {
        let name = self.only_model_name()?.to_owned();
        self.model(&name)
    }

    /// The name of the only model.
    ///
    /// # Errors
    /// Where there are none or several.
    pub fn only_model_name(&self) -> Result<&str, Error> {
        match self.models()[..] {
            [] => {
                let end = u32::try_from(self.sources().text(self.inner.root).trim_end().len()).unwrap_or(u32::MAX);
                let diagnostic = Diagnostic::error(codes::WHICH_MODEL, "the file declares no model")
                    .primary(Span::new(self.inner.root, end, end), "nothing follows")
                    .help("add `model name { … }`");
                Err(self.problems(diagnostic))
            }
            [only] => Ok(only),
            ref several => {
                let names = several.join(", ");
                let message = format!("the file declares several models ({names}): choose one with `--model`");
                let places = several.iter().filter_map(|name| self.model_name_span(name));
                let diagnostic = Diagnostic::error(codes::WHICH_MODEL, message);
                Err(self.problems(places.fold(diagnostic, |diagnostic, place| diagnostic.primary(place, "this one?"))))
            }
        }
    }

    fn problems(&self, diagnostic: Diagnostic) -> Error {
        Problems { diagnostics: vec![diagnostic], sources: self.inner.sources.clone() }.into()
    }

    /// The place of a model's name in its declaration. A graph has none.
    pub(crate) fn model_name_span(&self, name: &str) -> Option<Span> {
        match &self.inner.content {
            Content::Source(analysis) => analysis.model_span(name),
            Content::Graph(_) => None,
        }
    }

    /// The model of this name, with these values of the dims.
    ///
    /// # Errors
    /// Where there is none, it has mistakes, or a dim is unknown.
    pub fn model_with(&self, name: &str, dims: Dims) -> Result<Model, Error> {
        let (elaborated, diagnostics) = match &self.inner.content {
            Content::Graph(_) if dims != Dims::new() => return Err(Error::NoDims),
            Content::Graph(graph) => (Some(elaborated_graph(graph)), Vec::new()),
            Content::Source(analysis) => analysis.elaborate(name, &dims),
        };
        match elaborated {
            Some(elaborated) => Ok(Model {
                program: self.clone(),
                name: name.to_owned(),
                dims,
                warnings: diagnostics.iter().cloned().chain(self.unreached(&elaborated, &diagnostics)).collect(),
                elaborated: Arc::new(elaborated),
            }),
            None => {
                let sources = self.inner.sources.clone();
                Err(Problems { diagnostics, sources }.into())
            }
        }
    }

    /// The inputs that a model declares, before dims have values.
    pub fn inputs(&self, model: &str) -> Vec<InputDecl> {
        match &self.inner.content {
            Content::Source(analysis) => analysis.inputs(model),
            Content::Graph(_) => Vec::new(),
        }
    }

    /// The names of the inputs of a model.
    pub fn input_names(&self, model: &str) -> BTreeSet<String> {
        match &self.inner.content {
            Content::Source(_) => self.inputs(model).into_iter().map(|input| input.name).collect(),
            Content::Graph(graph) => leaves(graph, LeafKind::Input).map(|(name, _)| name.to_owned()).collect(),
        }
    }

    /// The values that dims must have for inputs of these shapes: those of `given`, and those of dims that are axes of
    /// inputs by themselves. Shapes of other names, and of other ranks than declared, say nothing.
    pub fn dims_for<'a>(
        &self,
        model: &str,
        given: &Dims,
        shapes: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    ) -> Dims {
        let mut dims = given.clone();
        let inputs = self.inputs(model);
        for (name, shape) in shapes {
            let Some(input) = inputs.iter().find(|input| input.name == name) else { continue };
            if input.axes.len() != shape.len() {
                continue;
            }
            for (axis, &extent) in input.axes.iter().zip(shape) {
                if let (Some(dim), Ok(extent)) = (&axis.dim, i64::try_from(extent))
                    && dims.get(dim).is_none()
                {
                    dims.set(dim.clone(), extent);
                }
            }
        }
        dims
    }
}

impl Program {
    /// Parameters that the loss does not depend on, so that their gradient is absent. One that no result depends on has
    /// been reported as unused.
    fn unreached(&self, elaborated: &Elaborated, known: &[Diagnostic]) -> Vec<Diagnostic> {
        let graph = elaborated.graph_for(Phase::Training);
        let Some(loss) = graph.loss() else { return Vec::new() };
        // The graphs of both phases have the same parameters in the same order.
        let params: Vec<ValueId> = graph.leaves(LeafKind::Param).collect();
        let gradients = gradc_autodiff::reached(graph, loss, &params);
        let said = |span| known.iter().chain(self.warnings()).any(|diagnostic| diagnostic.span() == Some(span));
        let unreached =
            elaborated.params.iter().zip(gradients).filter(|(param, reached)| !reached && !said(param.span));
        unreached
            .map(|(param, _)| {
                let message = format!("the loss does not depend on the parameter `{}`", param.name);
                // For a layer of the prelude, the user's call of it.
                let place = elaborated.graph.node(param.value).origin.span.unwrap_or(param.span);
                Diagnostic::warning(codes::UNREACHED_PARAMETER, message)
                    .primary(place, "it has no gradient and is not trained")
                    .help("use what is computed from it, or remove it")
            })
            .collect()
    }
}

impl Model {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The program it is of.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// This model with another value of one dim.
    ///
    /// # Errors
    /// Where there is no such dim, or the shapes do not fit for this value.
    pub fn bind(&self, dim: &str, value: usize) -> Result<Model, Error> {
        let mut dims = self.dims.clone();
        dims.set(dim, i64::try_from(value).unwrap_or(i64::MAX));
        self.program.model_with(&self.name, dims)
    }

    /// The forward graph, and what is known of it in the user's own names.
    pub fn elaborated(&self) -> &Elaborated {
        &self.elaborated
    }

    /// The forward graph, as it is for inference. Its inputs, parameters and states are those of every other.
    pub fn graph(&self) -> &Graph {
        &self.elaborated.graph
    }

    /// The forward graph that a goal is compiled from. State is updated by a training step and by nothing else.
    pub fn graph_for(&self, goal: &Goal, options: &Options) -> Cow<'_, Graph> {
        let graph = self.elaborated.graph_for(options.phase.unwrap_or(goal.phase()));
        let updated = graph.outputs_of(Role::Update).next().is_some();
        if !updated || self.program.is_graph() || matches!(goal, Goal::Training(_)) {
            return Cow::Borrowed(graph);
        }
        let mut graph = graph.clone();
        graph.retain_outputs(|output| output.role != Role::Update);
        Cow::Owned(graph)
    }

    /// What the `train` block for this model says.
    pub fn train_config(&self) -> Option<&TrainConfig> {
        self.elaborated.train.as_ref()
    }

    /// The dim that leads the inputs.
    pub fn batch_dim(&self) -> Option<&DimInfo> {
        self.elaborated.batch_dim()
    }

    /// The inputs by name.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &TensorType)> {
        leaves(self.graph(), LeafKind::Input)
    }

    /// The states by name: what is kept between runs and not trained.
    pub fn states(&self) -> impl Iterator<Item = (&str, &TensorType)> {
        leaves(self.graph(), LeafKind::State)
    }

    /// The parameters by name.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &TensorType)> {
        leaves(self.graph(), LeafKind::Param)
    }

    /// What is worth a look in this model: what elaboration says, and parameters that the loss does not depend on.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

fn leaves(graph: &Graph, kind: LeafKind) -> impl Iterator<Item = (&str, &TensorType)> {
    graph.leaves(kind).filter_map(|leaf| Some((&**graph.value_name(leaf)?, graph.ty(leaf))))
}

fn elaborated_graph(graph: &Graph) -> Elaborated {
    Elaborated {
        graph: graph.clone(),
        training: None,
        train: None,
        dims: Vec::new(),
        inputs: Vec::new(),
        params: Vec::new(),
        states: Vec::new(),
        results: Vec::new(),
    }
}

/// Whether a file is a graph: its first word, after comments, is `graph`.
fn is_graph(bytes: &[u8]) -> bool {
    let lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let mut said = lines.filter(|line| !line.is_empty() && !line.starts_with(b"//"));
    said.next().is_some_and(|line| line.strip_prefix(b"graph").is_some_and(|rest| rest.starts_with(b" ")))
}

/// Imports from files beside the one that imports.
struct OnDisk<'a> {
    root: &'a Path,
}

impl Files for OnDisk<'_> {
    fn read(&self, from: Option<&str>, path: &str) -> Result<(String, Vec<u8>), String> {
        let folder = from.map_or(self.root, Path::new).parent().unwrap_or(Path::new(""));
        let path = normalised(&folder.join(path));
        let bytes = read_file(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "no such file".to_owned(),
            _ => error.to_string(),
        })?;
        Ok((path.to_string_lossy().into_owned(), bytes))
    }
}

/// The bytes of a file that is not too large.
pub(crate) fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(std::io::Error::new(std::io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if metadata.len() > MAX_FILE_BYTES {
        let message =
            format!("it has {} MiB, and the most that is read is {}", metadata.len() >> 20, MAX_FILE_BYTES >> 20);
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message));
    }
    // A pipe or a device says nothing of its length, so the limit is held while reading too.
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(std::fs::File::open(path)?, MAX_FILE_BYTES), &mut bytes)?;
    Ok(bytes)
}

/// `path` without `.` and without `..` where that undoes a folder: the same for every way to write it.
fn normalised(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(result.components().next_back(), Some(Component::Normal(_))) => {
                result.pop();
            }
            other => result.push(other),
        }
    }
    if result.as_os_str().is_empty() {
        // No path at all names nothing; this one names the folder that was meant.
        result.push(Component::CurDir);
    }
    result
}
