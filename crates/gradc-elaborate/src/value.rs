//! What expressions evaluate to.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use gradc_diagnostics::Span;
use gradc_ir::{DType, Init, ScopeId, ValueId};
use rustc_hash::FxHashMap;

use crate::int::{Int, ShowShape};
use crate::intrinsic::Intrinsic;
use crate::program::ItemId;

/// What an expression evaluates to while a model is unrolled.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Something that has been reported: what uses it says nothing.
    Error,
    Tensor(Tensor),
    Int(Int),
    Float(f64),
    Bool(bool),
    String(Rc<str>),
    List(List),
    DType(DType),
    /// `all`: every axis.
    All,
    Callable(Callable),
    /// The recipe for a parameter's first value.
    Init(Init),
}

/// A value of the graph, with its shape in the user's own names.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) id: ValueId,
    pub(crate) dtype: DType,
    /// All at least 1.
    pub(crate) extents: Rc<[Int]>,
    /// Where it was declared or computed.
    pub(crate) origin: Span,
}

impl Tensor {
    pub(crate) fn rank(&self) -> usize {
        self.extents.len()
    }
}

impl fmt::Display for Tensor {
    /// `f32[batch, 64]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, ShowShape(&self.extents))
    }
}

/// A list, which knows how deeply lists and calls with open arguments are nested in it.
#[derive(Debug, Clone)]
pub(crate) struct List {
    entries: Rc<[Value]>,
    depth: u32,
}

impl List {
    /// Whether this is the same list, not only an equal one.
    pub(crate) fn is(&self, other: &List) -> bool {
        Rc::ptr_eq(&self.entries, &other.entries)
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> List {
        let entries: Rc<[Value]> = values.into_iter().collect();
        List { depth: 1 + deepest(&*entries), entries }
    }
}

impl Deref for List {
    type Target = [Value];
    fn deref(&self) -> &[Value] {
        &self.entries
    }
}

fn deepest<'v>(values: impl IntoIterator<Item = &'v Value>) -> u32 {
    values.into_iter().map(Value::depth).max().unwrap_or(0)
}

/// What can be called.
#[derive(Debug, Clone)]
pub(crate) enum Callable {
    Function(ItemId),
    Intrinsic(&'static Intrinsic),
    Partial(Rc<Partial>),
}

/// A call with some arguments left open: `dense(_, 128)`; or one of an initializer, which waits for its parameter.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) callee: Callable,
    /// For each formal parameter of the callee.
    pub(crate) slots: Vec<Slot>,
    /// For a layer: the instance, whose weights all uses share.
    pub(crate) instance: Option<Rc<Instance>>,
    depth: u32,
}

impl Partial {
    pub(crate) fn new(callee: Callable, slots: Vec<Slot>, instance: Option<Rc<Instance>>) -> Partial {
        let given = slots.iter().filter_map(|slot| match slot {
            Slot::Given(argument) => Some(&argument.value),
            Slot::Default | Slot::Open => None,
        });
        let depth = 1 + deepest(given).max(callee.depth());
        Partial { callee, slots, instance, depth }
    }
}

impl Callable {
    fn depth(&self) -> u32 {
        match self {
            Callable::Partial(partial) => partial.depth,
            Callable::Function(_) | Callable::Intrinsic(_) => 0,
        }
    }
}

/// What is known about one formal parameter of a call.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    /// Nothing was given: the default holds.
    Default,
    /// `_`
    Open,
    Given(Argument),
}

/// The value of an argument, with its place.
#[derive(Debug, Clone)]
pub(crate) struct Argument {
    pub(crate) value: Value,
    pub(crate) span: Span,
}

/// One use of a layer, which owns its parameters. All applications of a named instance share it.
#[derive(Debug)]
pub(crate) struct Instance {
    /// `residual.2.dense.0`; the model's is empty.
    pub(crate) path: String,
    /// The scope of the graph, made when it is first applied.
    pub(crate) scope: Cell<Option<ScopeId>>,
    /// The instances inside it, by the last part of their paths.
    pub(crate) children: RefCell<FxHashMap<String, Rc<Instance>>>,
    /// The parameters and the state that it owns, by the last part of their paths.
    pub(crate) leaves: RefCell<FxHashMap<String, Tensor>>,
}

impl Instance {
    pub(crate) fn new(path: String) -> Rc<Instance> {
        Rc::new(Instance { path, scope: Cell::new(None), children: RefCell::default(), leaves: RefCell::default() })
    }

    /// The path of something inside it.
    pub(crate) fn path_of(&self, part: &str) -> String {
        if self.path.is_empty() { part.to_owned() } else { format!("{}.{part}", self.path) }
    }
}

impl Value {
    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Value::Error)
    }

    /// How deeply lists and calls with open arguments are nested in it.
    pub(crate) fn depth(&self) -> u32 {
        match self {
            Value::List(list) => list.depth,
            Value::Callable(callable) => callable.depth(),
            _ => 0,
        }
    }

    /// What kind of value it is, for messages: `a string`.
    pub(crate) fn kind(&self) -> String {
        match self {
            Value::Error => "an error".to_owned(),
            Value::Tensor(tensor) => format!("a tensor `{tensor}`"),
            Value::Int(_) | Value::Float(_) => format!("the number {self}"),
            Value::Bool(value) => format!("the truth value {value}"),
            Value::String(_) => "a string".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::DType(dtype) => format!("the element type {dtype}"),
            Value::All => "`all`".to_owned(),
            Value::Callable(Callable::Partial(_)) => "a call with open arguments".to_owned(),
            Value::Callable(_) => "a function".to_owned(),
            Value::Init(_) => "an initial value".to_owned(),
        }
    }

    /// The number, if it is one.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Value::Int(int) => Some(int.value() as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    /// Numbers as they would be written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(int) if int.is_symbolic() => write!(f, "{int} = {}", int.value()),
            Value::Int(int) => write!(f, "{int}"),
            Value::Float(value) => gradc_ir::attr::write_number(f, *value, DType::F64),
            other => f.write_str(&other.kind()),
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(Int::literal(value))
    }
}
