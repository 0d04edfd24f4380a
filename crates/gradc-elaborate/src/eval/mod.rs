//! Evaluation: a model is unrolled into a graph, statement by statement.
//!
//! Whatever is known when compiling (numbers, dims, functions) is computed on the way; each operation on a tensor
//! becomes an operator of the graph. Nothing here can fail: what is wrong is reported, its value is
//! [`Value::Error`], and what uses that says nothing more.

mod arithmetic;
mod block;
mod broadcast;
mod call;
mod custom;
mod expr;
mod frame;
mod index;
mod init;
mod matmul;
mod model;
mod param;
mod random;
mod report;
mod scan;
mod types;
mod update;

use gradc_diagnostics::{Code, Diagnostic, Span, codes};
use gradc_ir::{DType, Graph, Op, Origin, ScopeId, TensorType, ValueId, op};
use gradc_syntax::ast::{Definition, Item};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::int::Int;
use crate::limits;
use crate::program::{ItemId, Program};
use crate::value::{Tensor, Value};

pub use call::RESERVED;
pub(crate) use call::layer_in_fn;
pub(crate) use expr::axes_text;
pub(crate) use frame::Frame;
pub(crate) use model::Results;
pub(crate) use report::{error_at, explain_dims, extent_text, shape_text};

/// What a model is unrolled for: the value of `training` in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Outputs, loss and metrics as they are reported: `training` is false, and no state changes.
    Inference,
    /// A training step or its gradient: `training` is true.
    Training,
}

impl Phase {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Inference => "inference",
            Phase::Training => "training",
        }
    }
}

/// Unrolls one model.
pub(crate) struct Evaluator<'a> {
    pub(crate) program: &'a Program,
    pub(crate) graph: Graph,
    /// Of the function that is being evaluated, and of those that have called it.
    frames: Vec<Frame<'a>>,
    /// Dims and consts that have been computed.
    globals: FxHashMap<ItemId, Global>,
    /// What `--dim` has set.
    overrides: FxHashMap<ItemId, i64>,
    diagnostics: Vec<Diagnostic>,
    /// What has been reported already: a place in a loop or a function is reported once.
    reported: FxHashSet<(Code, Option<Span>)>,
    budget: limits::Budget,
    /// What functions and the prelude call values, in the order in which they were named.
    inner_names: Vec<InnerName<'a>>,
    /// What the model declares.
    pub(crate) results: Results,
    sequence: random::Sequence,
    phase: Phase,
    /// Whether anything has depended on the phase.
    asked_phase: bool,
    /// The loops that the evaluation is in, outermost first.
    loops: Vec<random::LoopStep>,
    /// Leaves that stood in for carries and slices while bodies of loops were evaluated.
    stand_ins: Vec<ValueId>,
}

/// What a value is called within a function or the prelude.
struct InnerName<'a> {
    id: ValueId,
    name: &'a str,
    scope: ScopeId,
    /// Whether that is no layer.
    in_function: bool,
}

enum Global {
    InProgress,
    Done(Value),
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(program: &'a Program, overrides: FxHashMap<ItemId, i64>, phase: Phase) -> Evaluator<'a> {
        Evaluator {
            program,
            graph: Graph::new("model"),
            frames: Vec::new(),
            globals: FxHashMap::default(),
            overrides,
            diagnostics: Vec::new(),
            reported: FxHashSet::default(),
            budget: limits::Budget::default(),
            inner_names: Vec::new(),
            results: Results::default(),
            sequence: random::Sequence::default(),
            phase,
            asked_phase: false,
            loops: Vec::new(),
            stand_ins: Vec::new(),
        }
    }

    /// What the model is unrolled for. From here on it may be another graph in the other phase.
    pub(crate) fn phase(&mut self) -> Phase {
        self.asked_phase = true;
        self.phase
    }

    /// Whether the graph may be another one in the other phase.
    pub(crate) fn depends_on_phase(&self) -> bool {
        self.asked_phase
    }

    /// The graph, what the model declares in it, and what has been reported.
    pub(crate) fn into_parts(mut self) -> (Graph, Results, Vec<Diagnostic>) {
        if !self.stand_ins.is_empty() {
            let (graph, numbers) = self.graph.without(&self.stand_ins);
            self.graph = graph;
            self.results.renumber(&numbers);
        }
        (self.graph, self.results, self.diagnostics)
    }

    /// Whether evaluation may go on: false from the moment on at which the program has turned out to be too large.
    pub(crate) fn spend(&mut self, span: Span) -> bool {
        match self.budget.spend(self.graph.len()) {
            limits::Verdict::GoOn => true,
            limits::Verdict::Stopped => false,
            limits::Verdict::StopNow(message) => {
                let diagnostic = Diagnostic::error(codes::TOO_MUCH_WORK, message)
                    .primary(span, "elaboration stopped here")
                    .help("unroll fewer iterations: a `for` repeats its body once for each, in the graph too");
                self.report(diagnostic);
                false
            }
        }
    }

    /// From here on, operators come from this place. Inside of the prelude the place is that of the user's call.
    pub(crate) fn locate(&mut self, span: Span) {
        let frame = self.frames.last();
        let library = frame.is_some_and(|frame| frame.library);
        let scope = frame.map(|frame| frame.scope).unwrap_or_default();
        let span = if library { self.graph.origin().span } else { Some(span) };
        self.graph.set_origin(Origin { span, scope });
    }

    /// Applies an operator whose operands have been checked to fit.
    pub(crate) fn emit(&mut self, op: Op, operands: &[ValueId]) -> ValueId {
        self.graph.emit(op, operands)
    }

    /// A value of the graph as a value of the language.
    pub(crate) fn tensor(&self, id: ValueId, extents: impl Into<std::rc::Rc<[Int]>>, origin: Span) -> Tensor {
        let tensor = Tensor { id, dtype: self.graph.dtype(id), extents: extents.into(), origin };
        debug_assert_eq!(crate::int::shape_of(&tensor.extents), *self.graph.shape(id));
        tensor
    }

    /// The same elements in another shape. A reshape of a reshape is one, so that an axis that is kept by a reduction
    /// and then broadcast leaves no trace.
    pub(crate) fn reshape(&mut self, id: ValueId, shape: &[usize]) -> ValueId {
        let base = self.reshaped_from(id).unwrap_or(id);
        self.graph.reshape(base, shape)
    }

    /// What a value is a reshape of, if it is one that another may be merged with.
    pub(crate) fn reshaped_from(&self, id: ValueId) -> Option<ValueId> {
        let sealed = self.frames.last().map_or(0, |frame| frame.sealed);
        let is_reshape = self.graph.op(id).is_some_and(|op| op.is(&op::reshape::RESHAPE));
        (is_reshape && id.index() >= sealed).then(|| self.graph.operands(id)[0])
    }

    /// A number everywhere.
    pub(crate) fn full(&mut self, value: f64, dtype: DType, extents: &[Int]) -> ValueId {
        self.graph.full_unsettled(value, &TensorType::new(dtype, crate::int::shape_of(extents)))
    }

    /// The value of a dim or const.
    pub(crate) fn global(&mut self, id: ItemId, is_dim: bool) -> Value {
        match self.globals.get(&id) {
            Some(Global::Done(value)) => return value.clone(),
            // The resolver has reported the circle.
            Some(Global::InProgress) => return Value::Error,
            None => {}
        }
        if self.frames.len() >= limits::DEEPEST_CALL {
            return self.definitions_too_deep(id);
        }
        self.globals.insert(id, Global::InProgress);
        let definition = self.program.definition(id);
        let value = match self.overrides.get(&id) {
            Some(&value) => Value::Int(Int::given(value, &definition.name.text, definition.name.span)),
            None => self.compute_global(id, definition, is_dim),
        };
        self.globals.insert(id, Global::Done(value.clone()));
        value
    }

    /// Computes all dims and consts. Each may use any other, but a long chain in order is not deep.
    pub(crate) fn all_globals(&mut self) {
        let items: Vec<(ItemId, bool)> = self
            .program
            .items()
            .filter_map(|(id, item)| match item {
                Item::Dim(_) => Some((id, true)),
                Item::Const(_) => Some((id, false)),
                _ => None,
            })
            .collect();
        // What is imported comes after what imports it.
        let mut units: Vec<&[(ItemId, bool)]> = items.chunk_by(|(a, _), (b, _)| a.unit == b.unit).collect();
        units.reverse();
        for (id, is_dim) in units.into_iter().flatten() {
            // Only one that has a name of its own: a second one of that name has been reported.
            self.global(*id, *is_dim);
        }
    }

    fn definitions_too_deep(&mut self, id: ItemId) -> Value {
        self.budget.stop();
        let name = self.program.name(id);
        let message = format!("definitions are nested more than {} deep", limits::DEEPEST_CALL);
        let diagnostic = error_at(codes::CALLS_TOO_DEEP, message, name.span, "to compute this");
        self.report(diagnostic.help("define what others use before them"))
    }

    fn compute_global(&mut self, id: ItemId, definition: &'a Definition, is_dim: bool) -> Value {
        self.frames.push(Frame::new(id.unit, definition.span, self.program.in_library(id)));
        let value = self.expr(&definition.value);
        let span = definition.value.span;
        let value = match value {
            Value::Error => Value::Error,
            value if is_dim => match self.extent(&value, span) {
                Some(extent) => Value::Int(Int::named(extent.value(), &definition.name.text, definition.name.span)),
                None => Value::Error,
            },
            Value::Tensor(_) => self.report(
                Diagnostic::error(codes::NOT_CONSTANT, "a const is a value that is known when compiling")
                    .primary(span, "this is a tensor")
                    .help("compute it in the model, with `let`"),
            ),
            value => value,
        };
        self.frames.pop();
        value
    }
}
