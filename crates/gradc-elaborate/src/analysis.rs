//! The entry points.

use gradc_diagnostics::{Diagnostic, FileId, SourceMap, Span, codes, did_you_mean};
use gradc_ir::{Graph, NodeKind, TensorType};
use gradc_syntax::ast::{Model, Train};
use rustc_hash::FxHashMap;

use crate::elaborated::{DimInfo, Elaborated, InputAxis, InputDecl, LeafInfo, ResultInfo};
use crate::eval::{Evaluator, Phase, Results, error_at};
use crate::files::{self, Files, ROOT_UNIT};
use crate::int::shape_of;
use crate::program::{ItemId, Program};
use crate::signature::listed;
use crate::stack::on_large_stack;
use crate::value::Tensor;
use crate::{TrainConfig, resolve, train};

/// Values for dims, in place of those that the program gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dims(Vec<(String, i64)>);

impl Dims {
    /// Every dim as the program defines it.
    pub fn new() -> Dims {
        Dims::default()
    }

    /// Gives a dim a value. The last one given for a name holds.
    pub fn set(&mut self, name: impl Into<String>, value: i64) {
        let name = name.into();
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value));
    }

    /// The value that a dim was given.
    pub fn get(&self, name: &str) -> Option<i64> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

impl<S: Into<String>> FromIterator<(S, i64)> for Dims {
    fn from_iter<I: IntoIterator<Item = (S, i64)>>(values: I) -> Dims {
        let mut dims = Dims::new();
        values.into_iter().for_each(|(name, value)| dims.set(name, value));
        dims
    }
}

/// A program whose names have been resolved.
#[derive(Debug)]
pub struct Analysis {
    program: Program,
    diagnostics: Vec<Diagnostic>,
    root: FileId,
}

/// Loads a file with what it imports, and checks all names and calls. `root` must be in `sources` under the name that
/// [`Files::read`] would give it, so that an import that leads back to it is recognised. The prelude and the imported
/// files are added to `sources`.
pub fn analyse(sources: &mut SourceMap, root: FileId, files: &dyn Files) -> Analysis {
    let mut diagnostics = Vec::new();
    let units = files::load(sources, root, files, &mut diagnostics);
    let program = Program::new(units, &mut diagnostics);
    resolve::resolve(&program, &mut diagnostics);
    diagnostics.sort_by_key(place);
    Analysis { program, diagnostics, root }
}

impl Analysis {
    /// What is wrong with the files, whatever the dims: errors and warnings, in the order of their places.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether [`Analysis::diagnostics`] has an error: then no model elaborates.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// The names of the models: those of the root file in source order, then those that it imports.
    pub fn models(&self) -> Vec<&str> {
        self.program.models().into_iter().map(|(_, model)| model.name.text.as_str()).collect()
    }

    /// The place of a model's name in its declaration, if there is such a model.
    pub fn model_span(&self, name: &str) -> Option<Span> {
        self.program.model(name).map(|(_, model)| model.name.span)
    }

    /// The names of the dims that the root file sees.
    pub fn dims(&self) -> Vec<&str> {
        self.program.dims().into_iter().map(|(_, dim)| dim.name.text.as_str()).collect()
    }

    /// The inputs that a model declares, with the program's own values of the dims. Empty if there is no such model;
    /// an input whose type is wrong is left out.
    pub fn inputs(&self, model: &str) -> Vec<InputDecl> {
        let Some((id, model)) = self.program.model(model) else { return Vec::new() };
        let evaluated = on_large_stack(|| {
            let mut evaluator = Evaluator::new(&self.program, FxHashMap::default(), Phase::Inference);
            evaluator
                .inputs_of(id, model)
                .into_iter()
                .map(|(tensor, span)| input_decl(&evaluator.graph, &tensor, span))
                .collect()
        });
        evaluated.unwrap_or_default()
    }

    /// Unrolls a model. Besides the result, which is there if neither the files nor the model have errors, this returns
    /// what is wrong with the model that [`Analysis::diagnostics`] does not say.
    pub fn elaborate(&self, model: &str, dims: &Dims) -> (Option<Elaborated>, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let overrides = self.overrides(dims, &mut diagnostics);
        let Some((id, model)) = self.program.model(model) else {
            diagnostics.push(self.no_such_model(model));
            return (None, diagnostics);
        };
        if !diagnostics.is_empty() {
            return (None, diagnostics);
        }
        let train = train::block_for(&self.program, model, &mut diagnostics);
        let (elaborated, found) = match on_large_stack(|| self.unroll(id, model, train, overrides, dims)) {
            Some(done) => done,
            None => (None, vec![self.no_stack(model.name.span)]),
        };
        let new = found.into_iter().filter(|diagnostic| !self.says(diagnostic));
        diagnostics.extend(new);
        diagnostics.sort_by_key(place);
        let good = !self.has_errors() && !diagnostics.iter().any(Diagnostic::is_error);
        (elaborated.filter(|_| good), diagnostics)
    }

    /// Everything that is wrong with the files and with all models: errors and warnings, each once.
    pub fn check(&self, dims: &Dims) -> Vec<Diagnostic> {
        let mut diagnostics = self.diagnostics.clone();
        // A circle of calls would be unrolled until it is too deep, which says nothing new.
        if diagnostics.iter().any(|diagnostic| diagnostic.code() == codes::RECURSION) {
            return diagnostics;
        }
        for model in self.models() {
            for diagnostic in self.elaborate(model, dims).1 {
                let same = |known: &Diagnostic| known.code() == diagnostic.code() && known.span() == diagnostic.span();
                if !diagnostics.iter().any(same) {
                    diagnostics.push(diagnostic);
                }
            }
        }
        diagnostics.sort_by_key(place);
        diagnostics
    }

    fn says(&self, diagnostic: &Diagnostic) -> bool {
        self.diagnostics.iter().any(|known| known.code() == diagnostic.code() && known.span() == diagnostic.span())
    }

    /// Unrolls for inference, and if that may be another graph for training too.
    fn unroll(
        &self,
        id: ItemId,
        model: &Model,
        train: Option<&Train>,
        overrides: FxHashMap<ItemId, i64>,
        given: &Dims,
    ) -> (Option<Elaborated>, Vec<Diagnostic>) {
        let mut evaluator = Evaluator::new(&self.program, overrides.clone(), Phase::Inference);
        evaluator.model(id, model);
        let dims = self.dim_table(&mut evaluator, given);
        let train = train.and_then(|block| train::config(&mut evaluator, block));
        let depends_on_phase = evaluator.depends_on_phase();
        let (graph, results, mut diagnostics) = evaluator.into_parts();
        let mut elaborated = elaborated(graph, results, dims, train);
        if depends_on_phase {
            let mut evaluator = Evaluator::new(&self.program, overrides, Phase::Training);
            evaluator.model(id, model);
            let (graph, results, found) = evaluator.into_parts();
            diagnostics.extend(found);
            if !diagnostics.iter().any(Diagnostic::is_error) {
                diagnostics.extend(phases_differ(&elaborated, &graph, &results));
            }
            elaborated.training = Some(graph);
        }
        let mut said: Vec<(gradc_diagnostics::Code, Option<Span>)> = Vec::new();
        diagnostics.retain(|diagnostic| {
            let place = (diagnostic.code(), diagnostic.span());
            let new = !said.contains(&place);
            said.push(place);
            new
        });
        (Some(elaborated), diagnostics)
    }

    fn overrides(&self, dims: &Dims, diagnostics: &mut Vec<Diagnostic>) -> FxHashMap<ItemId, i64> {
        let known = self.program.dims();
        let mut overrides = FxHashMap::default();
        for (name, value) in &dims.0 {
            let Some((id, definition)) = known.iter().find(|(_, definition)| definition.name.text == *name) else {
                diagnostics.push(self.no_such_dim(name));
                continue;
            };
            if *value < 1 || *value > gradc_ir::Shape::MAX_ELEMENTS as i64 {
                let message = format!("the dim `{name}` cannot be {value}");
                diagnostics.push(
                    Diagnostic::error(codes::BAD_OVERRIDE, message)
                        .primary(definition.name.span, "declared here")
                        .help("a dim is at least 1 and at most 2^40"),
                );
                continue;
            }
            overrides.insert(*id, *value);
        }
        overrides
    }

    fn no_such_dim(&self, name: &str) -> Diagnostic {
        let names = self.dims();
        let start = Span::new(self.root, 0, 0);
        let diagnostic = Diagnostic::error(codes::UNKNOWN_DIM, format!("there is no dim `{name}`"))
            .primary(start, "in this file and what it imports");
        match did_you_mean(name, names.iter().copied()) {
            Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
            None if names.is_empty() => {
                diagnostic.help(format!("declare it: `dim {name} = 64`, and use it in a shape"))
            }
            None => diagnostic.help(format!("the dims are {}", listed(names))),
        }
    }

    fn no_such_model(&self, name: &str) -> Diagnostic {
        let names = self.models();
        let start = Span::new(self.root, 0, 0);
        let diagnostic = Diagnostic::error(codes::NO_SUCH_MODEL, format!("there is no model `{name}`"))
            .primary(start, "in this file and what it imports");
        match did_you_mean(name, names.iter().copied()) {
            Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
            None if names.is_empty() => diagnostic.help("declare one: `model name { … }`"),
            None => diagnostic.help(format!("the models are {}", listed(names))),
        }
    }

    fn no_stack(&self, span: Span) -> Diagnostic {
        Diagnostic::error(codes::TOO_MUCH_WORK, "there is not enough memory to elaborate this model").primary(span, "")
    }

    fn dim_table(&self, evaluator: &mut Evaluator<'_>, given: &Dims) -> Vec<DimInfo> {
        let leading = leading_dim(&evaluator.results.inputs);
        let dims = self.program.dims().into_iter().filter_map(|(id, definition)| {
            let name = definition.name.text.clone();
            let crate::value::Value::Int(value) = evaluator.global(id, true) else { return None };
            let is_batch = leading.as_deref() == Some(&name);
            let overridden = given.get(&name).is_some();
            Some(DimInfo { name, value: value.extent(), span: definition.name.span, overridden, is_batch })
        });
        dims.collect()
    }
}

/// Where diagnostics are in order: those of the root file first.
fn place(diagnostic: &Diagnostic) -> Option<(FileId, u32)> {
    diagnostic.span().map(|span| (span.file, span.start))
}

/// The name of the dim that is the first axis of every input that has axes.
fn leading_dim(inputs: &[(Tensor, Span)]) -> Option<String> {
    let mut leading = inputs.iter().filter_map(|(tensor, _)| tensor.extents.first()).map(|extent| extent.as_name());
    let first = leading.next()??;
    leading.all(|name| name == Some(first)).then(|| first.to_owned())
}

/// What is wrong where the training step has not the parameters and states of the other graph.
fn phases_differ(elaborated: &Elaborated, training: &Graph, results: &Results) -> Option<Diagnostic> {
    // With the recipe, and the place in the user's files.
    let kept = |graph: &Graph, lists: [Vec<LeafInfo>; 2]| -> Vec<(LeafInfo, NodeKind)> {
        let of_node = |leaf: LeafInfo| {
            let node = graph.node(leaf.value);
            (LeafInfo { span: node.origin.span.unwrap_or(leaf.span), ..leaf }, node.kind.clone())
        };
        lists.into_iter().flatten().map(of_node).collect()
    };
    let inference = kept(&elaborated.graph, [elaborated.params.clone(), elaborated.states.clone()]);
    let training = kept(training, [leaf_infos(training, &results.params), leaf_infos(training, &results.states)]);
    let same = |(a, a_kind): &(LeafInfo, NodeKind), (b, b_kind): &(LeafInfo, NodeKind)| {
        (&a.name, a.span, &a.ty, a_kind) == (&b.name, b.span, &b.ty, b_kind)
    };
    let at = training.iter().zip(&inference).take_while(|(a, b)| same(a, b)).count();
    let ((leaf, _), phase) = match (training.get(at), inference.get(at)) {
        (Some(leaf), _) => (leaf, "training"),
        (None, Some(leaf)) => (leaf, "inference"),
        (None, None) => return None,
    };
    let message = format!("training and inference need different parameters: `{}` is only in {phase}", leaf.name);
    Some(
        error_at(codes::PHASES_DIFFER, message, leaf.span, format!("in {phase} this is `{}`", leaf.symbolic))
            .note("a layer that only one of the two uses also shifts the paths of those after it")
            .help("use the same layers in the same order in both, and choose between their values"),
    )
}

fn leaf_infos(graph: &Graph, leaves: &[(Tensor, Span)]) -> Vec<LeafInfo> {
    let info = |(tensor, span): &(Tensor, Span)| LeafInfo {
        name: graph.value_name(tensor.id).map(|name| name.to_string()).unwrap_or_default(),
        value: tensor.id,
        ty: TensorType::new(tensor.dtype, shape_of(&tensor.extents)),
        symbolic: tensor.to_string(),
        span: *span,
    };
    leaves.iter().map(info).collect()
}

fn elaborated(graph: Graph, results: Results, dims: Vec<DimInfo>, train: Option<TrainConfig>) -> Elaborated {
    let [inputs, params, states] =
        [&results.inputs, &results.params, &results.states].map(|leaves| leaf_infos(&graph, leaves));
    let results = graph.outputs().iter().zip(&results.outputs).map(|(output, (role, tensor, span))| ResultInfo {
        name: output.name.to_string(),
        role: *role,
        value: tensor.id,
        symbolic: tensor.to_string(),
        span: *span,
    });
    let results = results.collect();
    Elaborated { graph, training: None, train, dims, inputs, params, states, results }
}

fn input_decl(graph: &Graph, tensor: &Tensor, span: Span) -> InputDecl {
    let axes = tensor.extents.iter().map(|extent| InputAxis {
        text: extent.to_string(),
        dim: extent.as_name().map(str::to_owned),
        value: extent.extent(),
    });
    let name = graph.value_name(tensor.id).map(|name| name.to_string()).unwrap_or_default();
    InputDecl { name, dtype: tensor.dtype, axes: axes.collect(), span }
}

/// The root file's unit is where models and dims are looked up.
const _: () = assert!(ROOT_UNIT == 1);
