//! The typed graph.

use std::sync::Arc;

use gradc_diagnostics::Span;
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use smallvec::SmallVec;

use crate::op::{Op, TypeError};
use crate::{Attr, Attrs, Body, DType, Init, Shape, TensorType};

/// A value of a graph. Values are numbered in the order in which they were made; operands come before their users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(u32);

impl ValueId {
    /// The position in the graph's order.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The value at a position in the graph's order.
    pub fn from_index(index: usize) -> ValueId {
        ValueId(u32::try_from(index).expect("a graph has fewer than 2^32 values"))
    }
}

/// What kind of leaf a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeafKind {
    /// Given anew for every run.
    Input,
    /// Trained: kept between runs, initialised by a recipe, saved in weight files.
    Param,
    /// Kept between runs but not trained: an optimiser's moments, running statistics.
    State,
}

/// What a value is: a leaf, or an operator applied to operands.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// A value that comes from outside.
    Leaf {
        /// Which kind.
        kind: LeafKind,
        /// How a parameter or a piece of state gets its first value.
        init: Option<Init>,
    },
    /// An application.
    Op(Op),
}

impl NodeKind {
    fn op(&self) -> Option<&Op> {
        match self {
            NodeKind::Op(op) => Some(op),
            NodeKind::Leaf { .. } => None,
        }
    }
}

/// A scope of a graph: the path of the layer instance that a value was made in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeId(u32);

/// Where a value comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The place in the source.
    pub span: Option<Span>,
    /// The layer instance.
    pub scope: ScopeId,
}

/// One value.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// The operands in order.
    pub operands: SmallVec<[ValueId; 3]>,
    /// Its type.
    pub ty: TensorType,
    /// The user's name for it, or the name of the leaf. Only leaves' names are unique.
    pub name: Option<Arc<str>>,
    /// Where it comes from.
    pub origin: Origin,
}

/// What a result of a graph is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// What the model computes.
    Output,
    /// What training makes small: a float scalar.
    Loss,
    /// A number to report.
    Metric,
    /// The derivative of the loss by the value that the output is named after.
    Gradient,
    /// The directional derivative of the result that the output is named after, along tangents that are inputs.
    Tangent,
    /// The directional derivative of the gradient by the value that the output is named after: a row of the Hessian times
    /// tangents that are inputs.
    HessianVector,
    /// The next value of the parameter or state that the output is named after.
    Update,
}

impl Role {
    /// Every role, in the order in which the text form lists results.
    pub const ALL: [Role; 7] =
        [Role::Output, Role::Loss, Role::Metric, Role::Gradient, Role::Tangent, Role::HessianVector, Role::Update];

    /// The keyword in the text form.
    pub fn keyword(self) -> &'static str {
        match self {
            Role::Output => "output",
            Role::Loss => "loss",
            Role::Metric => "metric",
            Role::Gradient => "grad",
            Role::Tangent => "tangent",
            Role::HessianVector => "hvp",
            Role::Update => "update",
        }
    }
}

/// A result of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name, unique among those of its role.
    pub name: Arc<str>,
    /// The value.
    pub value: ValueId,
    /// What it is for.
    pub role: Role,
}

/// A typed, acyclic graph of tensor operations; see the crate's page for what it means.
#[derive(Clone, Debug)]
pub struct Graph {
    name: Arc<str>,
    /// Edges go from an operand to its user and hold the operand's position.
    dag: DiGraph<Node, u32>,
    outputs: Vec<Output>,
    /// Paths by [`ScopeId`]; the first is the root's, empty.
    scopes: Vec<Arc<str>>,
    origin: Origin,
}

impl Default for Graph {
    fn default() -> Graph {
        Graph::new("")
    }
}

impl Graph {
    /// A graph without values.
    pub fn new(name: impl Into<Arc<str>>) -> Graph {
        Graph {
            name: name.into(),
            dag: DiGraph::new(),
            outputs: Vec::new(),
            scopes: vec!["".into()],
            origin: Origin::default(),
        }
    }

    /// A graph without values that has the name and the scopes of this one, so that origins carry over.
    pub fn emptied(&self) -> Graph {
        Graph { scopes: self.scopes.clone(), ..Graph::new(self.name.clone()) }
    }

    /// Makes room for so many more values.
    pub fn reserve(&mut self, values: usize) {
        self.dag.reserve_nodes(values);
        // Most operators have one or two operands.
        self.dag.reserve_edges(2 * values);
    }

    /// The graph's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Renames the graph.
    pub fn set_name(&mut self, name: impl Into<Arc<str>>) {
        self.name = name.into();
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.dag.node_count()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All values, operands before users.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = ValueId> + ExactSizeIterator + use<> {
        (0..self.len()).map(ValueId::from_index)
    }

    /// What a value is.
    pub fn node(&self, value: ValueId) -> &Node {
        &self.dag[NodeIndex::new(value.index())]
    }

    pub(crate) fn node_mut(&mut self, value: ValueId) -> &mut Node {
        &mut self.dag[NodeIndex::new(value.index())]
    }

    /// The type of a value.
    pub fn ty(&self, value: ValueId) -> &TensorType {
        &self.node(value).ty
    }

    /// The shape of a value.
    pub fn shape(&self, value: ValueId) -> &Shape {
        &self.node(value).ty.shape
    }

    /// The element type of a value.
    pub fn dtype(&self, value: ValueId) -> DType {
        self.node(value).ty.dtype
    }

    /// The operands of a value; a leaf has none.
    pub fn operands(&self, value: ValueId) -> &[ValueId] {
        &self.node(value).operands
    }

    /// The operator of a value that is not a leaf.
    pub fn op(&self, value: ValueId) -> Option<&Op> {
        self.node(value).kind.op()
    }

    /// The kind of a value that is a leaf.
    pub fn leaf(&self, value: ValueId) -> Option<LeafKind> {
        match self.node(value).kind {
            NodeKind::Leaf { kind, .. } => Some(kind),
            NodeKind::Op(_) => None,
        }
    }

    /// All leaves of one kind, in order.
    pub fn leaves(&self, kind: LeafKind) -> impl Iterator<Item = ValueId> + '_ {
        self.values().filter(move |&value| self.leaf(value) == Some(kind))
    }

    /// The leaf of this kind and name.
    pub fn find_leaf(&self, kind: LeafKind, name: &str) -> Option<ValueId> {
        self.leaves(kind).find(|&value| self.node(value).name.as_deref() == Some(name))
    }

    /// The name of a value; a leaf always has one.
    pub fn value_name(&self, value: ValueId) -> Option<&Arc<str>> {
        self.node(value).name.as_ref()
    }

    /// The last value with this name, or with this name under the path of its layer.
    pub fn find_value(&self, name: &str) -> Option<ValueId> {
        self.values().rev().find(|&value| {
            let node = self.node(value);
            let path = self.scope_path(node.origin.scope);
            let under_path = || name.strip_prefix(&**path).and_then(|rest| rest.strip_prefix('.'));
            node.name.as_deref().is_some_and(|own| own == name || Some(own) == under_path())
        })
    }

    /// Names a value that is not a leaf.
    pub fn set_value_name(&mut self, value: ValueId, name: impl Into<Arc<str>>) {
        if self.leaf(value).is_none() {
            self.node_mut(value).name = Some(name.into());
        }
    }

    /// Takes the name of a value that is not a leaf.
    pub fn forget_value_name(&mut self, value: ValueId) {
        if self.leaf(value).is_none() {
            self.node_mut(value).name = None;
        }
    }

    /// Moves a value that is not a leaf to another scope, such as that of its name.
    pub fn set_value_scope(&mut self, value: ValueId, scope: ScopeId) {
        if self.leaf(value).is_none() {
            self.node_mut(value).origin.scope = scope;
        }
    }

    /// The users of a value with the position at which each has it, in the order in which they were made.
    pub fn users(&self, value: ValueId) -> impl Iterator<Item = (ValueId, usize)> + '_ {
        let edges = self.dag.edges_directed(NodeIndex::new(value.index()), Direction::Outgoing);
        let mut users: SmallVec<[(ValueId, usize); 4]> =
            edges.map(|edge| (ValueId::from_index(edge.target().index()), *edge.weight() as usize)).collect();
        users.sort_unstable();
        users.into_iter()
    }

    /// The results.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The results of one role.
    pub fn outputs_of(&self, role: Role) -> impl Iterator<Item = &Output> {
        self.outputs.iter().filter(move |output| output.role == role)
    }

    /// The loss, if the graph has one.
    pub fn loss(&self) -> Option<ValueId> {
        self.outputs_of(Role::Loss).next().map(|output| output.value)
    }

    /// Adds a result.
    pub fn add_output(&mut self, role: Role, name: impl Into<Arc<str>>, value: ValueId) {
        self.outputs.push(Output { name: name.into(), value, role });
    }

    /// Keeps only the results that `keep` holds for. Values stay; see [`Graph::pruned`].
    pub fn retain_outputs(&mut self, keep: impl FnMut(&Output) -> bool) {
        self.outputs.retain(keep);
    }

    /// The origin that new values are given.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Sets the origin that new values are given.
    pub fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    /// A scope for a path of layer instances, such as `residual.2.dense.0`.
    pub fn add_scope(&mut self, path: impl Into<Arc<str>>) -> ScopeId {
        self.scopes.push(path.into());
        ScopeId(u32::try_from(self.scopes.len() - 1).expect("a graph has fewer than 2^32 scopes"))
    }

    /// The path of a scope; the root's is empty.
    pub fn scope_path(&self, scope: ScopeId) -> &Arc<str> {
        &self.scopes[scope.0 as usize]
    }

    /// A value that is given anew for every run.
    pub fn input(&mut self, name: impl Into<Arc<str>>, ty: TensorType) -> ValueId {
        self.add_leaf(LeafKind::Input, name, ty, None)
    }

    /// A parameter.
    pub fn param(&mut self, name: impl Into<Arc<str>>, ty: TensorType, init: Init) -> ValueId {
        self.add_leaf(LeafKind::Param, name, ty, Some(init))
    }

    /// A piece of state.
    pub fn state(&mut self, name: impl Into<Arc<str>>, ty: TensorType, init: Init) -> ValueId {
        self.add_leaf(LeafKind::State, name, ty, Some(init))
    }

    /// A leaf of any kind.
    pub fn add_leaf(
        &mut self,
        kind: LeafKind,
        name: impl Into<Arc<str>>,
        ty: TensorType,
        init: Option<Init>,
    ) -> ValueId {
        let kind = NodeKind::Leaf { kind, init };
        self.push(Node { kind, operands: SmallVec::new(), ty, name: Some(name.into()), origin: self.origin })
    }

    /// An operator applied to operands, or why they do not fit.
    pub fn apply(&mut self, op: Op, operands: &[ValueId]) -> Result<ValueId, TypeError> {
        let ty = {
            let types: SmallVec<[&TensorType; 4]> = operands.iter().map(|&operand| self.ty(operand)).collect();
            op.infer(&types)?
        };
        let operands = SmallVec::from_slice(operands);
        Ok(self.push(Node { kind: NodeKind::Op(op), operands, ty, name: None, origin: self.origin }))
    }

    /// An operator applied to operands that are known to fit.
    ///
    /// # Panics
    /// Where they do not: that is a bug of the caller.
    pub fn emit(&mut self, op: Op, operands: &[ValueId]) -> ValueId {
        let name = op.def.name;
        self.apply(op, operands).unwrap_or_else(|error| panic!("gradc has a bug: {name}: {error}"))
    }

    /// An operator applied to operands that are known to give a value of this type, which is not inferred again.
    pub fn emit_typed(&mut self, op: Op, operands: &[ValueId], ty: TensorType) -> ValueId {
        debug_assert_eq!(op.infer(&operands.iter().map(|&v| self.ty(v)).collect::<Vec<_>>()), Ok(ty.clone()));
        let operands = SmallVec::from_slice(operands);
        self.push(Node { kind: NodeKind::Op(op), operands, ty, name: None, origin: self.origin })
    }

    /// Copies one value of `from` onto other operands, with its name and origin. `from` must share this graph's scopes
    /// (see [`Graph::emptied`]).
    pub fn copy_node(&mut self, from: &Graph, value: ValueId, operands: &[ValueId]) -> ValueId {
        let node = from.node(value);
        self.push(Node { operands: SmallVec::from_slice(operands), ..node.clone() })
    }

    fn push(&mut self, node: Node) -> ValueId {
        let operands: SmallVec<[ValueId; 3]> = SmallVec::from_slice(&node.operands);
        let index = self.dag.add_node(node);
        for (position, operand) in operands.into_iter().enumerate() {
            debug_assert!(operand.index() < index.index(), "operands come before their users");
            self.dag.add_edge(NodeIndex::new(operand.index()), index, position as u32);
        }
        ValueId::from_index(index.index())
    }

    /// For each value, whether a result depends on it.
    pub fn live(&self) -> Vec<bool> {
        self.ancestors(self.outputs.iter().map(|output| output.value))
    }

    /// For each value, whether it is one of `values` or one of these depends on it.
    pub fn ancestors(&self, values: impl IntoIterator<Item = ValueId>) -> Vec<bool> {
        let mut reached = vec![false; self.len()];
        values.into_iter().for_each(|value| reached[value.index()] = true);
        for value in self.values().rev().filter(|value| self.leaf(*value).is_none()) {
            if reached[value.index()] {
                self.operands(value).iter().for_each(|operand| reached[operand.index()] = true);
            }
        }
        reached
    }

    /// For each value, whether it is one of `values` or depends on one of these.
    pub fn descendants(&self, values: impl IntoIterator<Item = ValueId>) -> Vec<bool> {
        let mut reached = vec![false; self.len()];
        values.into_iter().for_each(|value| reached[value.index()] = true);
        for value in self.values() {
            let index = value.index();
            reached[index] = reached[index] || self.operands(value).iter().any(|operand| reached[operand.index()]);
        }
        reached
    }

    /// This graph without the values that no result depends on. Leaves stay: they are its interface.
    pub fn pruned(&self) -> Graph {
        let live = self.live();
        self.rebuilt(|value| live[value.index()] || self.leaf(value).is_some(), |node| node.clone())
    }

    /// This graph without some leaves and everything that depends on them, results too; and for each value its new number.
    pub fn without(&self, leaves: &[ValueId]) -> (Graph, Vec<Option<ValueId>>) {
        let gone = self.descendants(leaves.iter().copied());
        let mut rest = self.clone();
        rest.outputs.retain(|output| !gone[output.value.index()]);
        let graph = rest.rebuilt(|value| !gone[value.index()], |node| node.clone());
        let mut kept = graph.values();
        let numbers = gone.iter().map(|&gone| if gone { None } else { kept.next() }).collect();
        (graph, numbers)
    }

    /// This graph in another float precision: every float becomes a `float`, constants with all digits they have.
    pub fn in_precision(&self, float: DType) -> Graph {
        self.in_types(|dtype| if dtype.is_float() { float } else { dtype })
    }

    /// This graph with each constant rounded to its element type. A graph fresh from elaboration has constants with more
    /// digits, for [`Graph::in_precision`]; passes work on settled graphs.
    pub fn settled(&self) -> Graph {
        self.in_types(|dtype| dtype)
    }

    fn in_types(&self, convert: impl Fn(DType) -> DType + Copy) -> Graph {
        self.rebuilt(
            |_| true,
            |node| {
                let mut node = node.clone();
                let dtype = convert(node.ty.dtype);
                if let NodeKind::Op(op) = &mut node.kind {
                    // Packed results have one type, whatever their elements'.
                    let packed = op.is(&crate::op::scan::SCAN) || op.is(&crate::op::custom::CUSTOM);
                    let attrs = op.attrs.iter().map(|(name, value)| match value {
                        Attr::DType(dtype) => (*name, Attr::DType(convert(*dtype))),
                        Attr::Float(number) if number.get().is_nan() => (*name, Attr::from(f64::NAN)),
                        Attr::Float(number) => (*name, Attr::from(dtype.round(number.get()))),
                        Attr::Body(body) => (*name, Attr::Body(body_in_types(body, convert))),
                        other => (*name, other.clone()),
                    });
                    op.attrs = Attrs::new(attrs.collect::<Vec<_>>());
                    if packed {
                        return node;
                    }
                }
                node.ty.dtype = dtype;
                node
            },
        )
    }

    /// A copy of the values that `keep` holds for, each changed by `change`, with the results.
    fn rebuilt(&self, keep: impl Fn(ValueId) -> bool, change: impl Fn(&Node) -> Node) -> Graph {
        let mut graph = self.emptied();
        graph.reserve(self.len());
        let mut renumbered: Vec<Option<ValueId>> = vec![None; self.len()];
        let map = |renumbered: &[Option<ValueId>], value: ValueId| {
            renumbered[value.index()].expect("what is kept depends only on what is kept")
        };
        for value in self.values().filter(|&value| keep(value)) {
            let mut node = change(self.node(value));
            node.operands.iter_mut().for_each(|operand| *operand = map(&renumbered, *operand));
            renumbered[value.index()] = Some(graph.push(node));
        }
        for output in &self.outputs {
            graph.add_output(output.role, output.name.clone(), map(&renumbered, output.value));
        }
        graph
    }
}

/// A body in other types.
fn body_in_types(body: &Body, convert: impl Fn(DType) -> DType + Copy) -> Body {
    // The type rules of operators make no difference between floats.
    Body::new(&body.graph().in_types(convert)).unwrap_or_else(|error| panic!("gradc has a bug: {error}"))
}
