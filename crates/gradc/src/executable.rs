//! Compiled models: machine code, the memory it works in, and how tensors get in and out.

use std::collections::BTreeMap;

use gradc_codegen::{Arena, Binding, Program as Machine, RunError};
use gradc_ir::{DType, Graph, LeafKind, Role, TensorType};
use gradc_schedule::Plan;
use gradc_schedule::plan::SlotKind;
use half::{bf16, f16};

use crate::bounds::{check_indices, index_bounds};
use crate::error::{Error, InputError};
use crate::memory;
use crate::optimizer::{LEARNING_RATE, STEP};
use crate::pipeline::{self, Goal, Observer, Options, Unobserved};
use crate::program::Model;
use crate::state::{Revision, State};
use crate::{Tensor, TensorView};

/// A model compiled for one goal and one value of its dims. It holds no parameters: a [`State`] is given to each run.
pub struct Executable {
    graph: Graph,
    plan: Plan,
    machine: Machine,
    arena: Arena,
    slots: Vec<Slot>,
    /// Room for the bindings of a run, so that a run allocates nothing. Empty between runs.
    spare: Vec<Binding<'static>>,
    /// Room for the state of a run, likewise.
    spare_values: Vec<Option<&'static mut Tensor>>,
    /// What the prologue of the plan was last run for: each leaf that it reads, as the position of its slot and as it was.
    prepared: Vec<(usize, Option<Revision>)>,
}

/// A slot of the program's interface, and the memory that is bound to it where that is the executable's own.
struct Slot {
    name: String,
    ty: TensorType,
    source: Source,
    staged: Staged,
}

/// Where the elements of a slot are.
enum Source {
    /// An input. Where it is not needed, its memory is never read. The scalars of a training step are set, not given:
    /// see [`Executable::run_training`].
    Input { needed: bool, bound: Option<usize>, set: bool },
    /// A parameter or a piece of state, at this position of the state.
    State { position: Option<usize> },
    /// A result.
    Result(Role),
}

/// Elements as the machine has them: truth values are bytes.
enum Staged {
    Bool(Vec<u8>),
    U8(Vec<u8>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Model {
    /// Compiles this model.
    ///
    /// # Errors
    /// Where the goal does not fit the model, or there is not enough memory.
    pub fn compile(&self, goal: &Goal, options: &Options) -> Result<Executable, Error> {
        self.compile_observed(goal, options, &mut Unobserved)
    }

    /// Compiles this model and tells `observer` what each stage makes.
    ///
    /// # Errors
    /// Where the goal does not fit the model, or there is not enough memory.
    pub fn compile_observed(
        &self,
        goal: &Goal,
        options: &Options,
        observer: &mut dyn Observer,
    ) -> Result<Executable, Error> {
        let forward = self.graph_for(goal, options);
        let graph = pipeline::lower(&forward, goal, options, observer)?;
        Executable::compile(graph, &index_bounds(&forward), options, observer)
    }
}

impl Executable {
    /// Compiles a graph that has been lowered ([`pipeline::lower`]). `bounds` says which inputs are indices
    /// ([`index_bounds`]).
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn compile(
        graph: Graph,
        bounds: &BTreeMap<String, usize>,
        options: &Options,
        observer: &mut dyn Observer,
    ) -> Result<Executable, Error> {
        let (plan, machine) = pipeline::compile(&graph, options, observer)?;
        let arena = machine.new_arena().map_err(|_| Error::OutOfMemory { bytes: machine.arena_bytes() })?;
        let staged = machine
            .interface()
            .iter()
            .filter(|slot| matches!(slot.kind, SlotKind::Leaf(LeafKind::Input) | SlotKind::Result(_)));
        memory::ensure(staged.map(|slot| slot.ty.bytes()).fold(0, usize::saturating_add))?;
        let slots = slots(&graph, &machine, bounds);
        let prepared = plan.prologue.reads.iter().map(|slot| (slot.0 as usize, None)).collect();
        Ok(Executable {
            spare: Vec::with_capacity(slots.len()),
            spare_values: Vec::new(),
            graph,
            plan,
            machine,
            arena,
            slots,
            prepared,
        })
    }

    /// The graph that was compiled.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Its kernels and memory.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its machine code.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The first values of parameters and optimiser state, drawn with `seed`.
    pub fn initial_state(&self, seed: u64) -> State {
        State::initial(&self.graph, seed)
    }

    /// The inputs that a run needs.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &TensorType)> {
        let given = |slot: &&Slot| matches!(slot.source, Source::Input { needed: true, set: false, .. });
        self.slots.iter().filter(given).map(|slot| (slot.name.as_str(), &slot.ty))
    }

    /// The number below which all elements of an input must be, where it is used as an index ([`index_bounds`]).
    pub fn bound(&self, input: &str) -> Option<usize> {
        self.slots.iter().find(|slot| slot.name == input).and_then(|slot| match slot.source {
            Source::Input { bound, .. } => bound,
            _ => None,
        })
    }

    /// Runs once: reads the inputs, changes `state` where the graph has updates, and keeps the results for
    /// [`Executable::result`]. Allocates nothing if each input is contiguous and row-major. What depends on nothing but parameters
    /// that are as they were in the last run is not computed again.
    ///
    /// # Errors
    /// Where inputs or state do not fit. Nothing was run then.
    pub fn run(&mut self, state: &mut State, inputs: &[(&str, TensorView<'_>)]) -> Result<(), Error> {
        self.run_with(state, inputs, |machine, arena, bindings, is_prepared| match is_prepared {
            true => machine.run_again(arena, bindings),
            false => machine.run(arena, bindings),
        })
    }

    /// Runs once, and says of each step of the plan when it has been done: by its position in the plan's list of steps
    /// ([`Executable::plan`]). This is how steps are timed. Other than in [`Executable::run`], all threads wait for one another
    /// after each step; the results have the same bits.
    ///
    /// # Errors
    /// As [`Executable::run`].
    pub fn run_observed(
        &mut self,
        state: &mut State,
        inputs: &[(&str, TensorView<'_>)],
        done: &mut impl FnMut(usize),
    ) -> Result<(), Error> {
        self.run_with(state, inputs, |machine, arena, bindings, _| machine.run_observed(arena, bindings, done))
    }

    /// Runs once, in one of the ways in which a program runs, which is told whether the prologue of the plan has been run for the
    /// same leaves.
    fn run_with(
        &mut self,
        state: &mut State,
        inputs: &[(&str, TensorView<'_>)],
        run: impl FnOnce(&Machine, &mut Arena, &mut [Binding<'_>], bool) -> Result<(), RunError>,
    ) -> Result<(), Error> {
        self.check_inputs(inputs)?;
        self.locate_state(state)?;
        let is_prepared = self.is_prepared(state);
        if !is_prepared {
            self.prepared.iter_mut().for_each(|(_, known)| *known = None);
        }
        for (number, slot) in self.slots.iter().enumerate() {
            if let (Source::State { position: Some(position) }, true) = (&slot.source, self.machine.writes(number)) {
                state.renew(*position);
            }
        }
        let mut values: Vec<Option<&mut Tensor>> = std::mem::take(&mut self.spare_values);
        values.extend(state.values_mut().map(Some));
        let mut bindings: Vec<Binding<'_>> = std::mem::take(&mut self.spare);
        for (number, slot) in self.slots.iter_mut().enumerate() {
            let written = self.machine.writes(number);
            bindings.push(match &slot.source {
                Source::Input { needed: true, .. } => match find(inputs, &slot.name) {
                    Some(view) => slot.staged.bind_input(view),
                    None => slot.staged.bind(),
                },
                Source::State { position: Some(position) } => match values[*position].take() {
                    Some(tensor) => bind_state(tensor, written, &mut slot.staged),
                    None => slot.staged.bind(),
                },
                _ => slot.staged.bind(),
            });
        }
        let outcome = run(&self.machine, &mut self.arena, &mut bindings, is_prepared);
        bindings.clear();
        values.clear();
        // Nothing is in them: this only gives the empty vectors, with their memory, another lifetime.
        self.spare = bindings.into_iter().map(|_| Binding::Read(&[])).collect();
        self.spare_values = values.into_iter().map(|_| None).collect();
        for (number, slot) in self.slots.iter().enumerate() {
            if let (Source::State { position: Some(position) }, true) = (&slot.source, self.machine.writes(number)) {
                slot.staged.give_back(state.at_mut(*position));
            }
        }
        if !is_prepared && outcome.is_ok() {
            for at in 0..self.prepared.len() {
                self.prepared[at].1 = self.revision(state, self.prepared[at].0);
            }
        }
        outcome.map_err(|error| match error {
            RunError::OutOfMemory { bytes } => Error::OutOfMemory { bytes },
            other => unreachable!("inputs and state have been checked: {other}"),
        })
    }

    /// Runs a training step: `step` counts from 1.
    ///
    /// # Errors
    /// As [`Executable::run`].
    pub fn run_training(
        &mut self,
        state: &mut State,
        inputs: &[(&str, TensorView<'_>)],
        learning_rate: f64,
        step: u64,
    ) -> Result<(), Error> {
        self.set_training(learning_rate, step);
        self.run(state, inputs)
    }

    /// Sets the scalars of the next training steps: [`Executable::run`] and [`Executable::run_observed`] then run one.
    pub fn set_training(&mut self, learning_rate: f64, step: u64) {
        for (name, value) in [(LEARNING_RATE, learning_rate), (STEP, step as f64)] {
            if let Some(slot) = self.slots.iter_mut().find(|slot| slot.name == name) {
                slot.staged.set_first(value);
            }
        }
    }

    /// A result of the last run; zeros before the first.
    pub fn result(&self, role: Role, name: &str) -> Option<Tensor> {
        self.find_result(role, name).map(|slot| slot.staged.tensor(&slot.ty))
    }

    /// A result of the last run that is a single number.
    pub fn number(&self, role: Role, name: &str) -> Option<f64> {
        self.find_result(role, name).and_then(|slot| slot.staged.first())
    }

    /// The loss of the last run.
    pub fn loss(&self) -> Option<f64> {
        let slot = self.slots.iter().find(|slot| matches!(slot.source, Source::Result(Role::Loss)))?;
        slot.staged.first()
    }

    /// The names of the results of one role, in order.
    pub fn results(&self, role: Role) -> impl Iterator<Item = &str> {
        self.graph.outputs().iter().filter(move |output| output.role == role).map(|output| &*output.name)
    }

    fn find_result(&self, role: Role, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.name == name && matches!(slot.source, Source::Result(own) if own == role))
    }

    fn check_inputs(&self, inputs: &[(&str, TensorView<'_>)]) -> Result<(), Error> {
        for (name, view) in inputs {
            let Some(slot) =
                self.slots.iter().find(|slot| slot.name == *name && matches!(slot.source, Source::Input { .. }))
            else {
                return Err(self.unknown_input(name).into());
            };
            let (expected, found) = (&slot.ty, view.ty());
            if *expected != found {
                let (name, expected) = (slot.name.clone(), expected.clone());
                return Err(InputError::WrongType { name, expected, found }.into());
            }
            if let Source::Input { bound, .. } = slot.source {
                check_indices(name, bound, view)?;
            }
        }
        for slot in &self.slots {
            let given = matches!(slot.source, Source::Input { needed: true, set: false, .. });
            if given && find(inputs, &slot.name).is_none() {
                return Err(InputError::Missing { name: slot.name.clone(), expected: slot.ty.clone() }.into());
            }
        }
        Ok(())
    }

    fn unknown_input(&self, name: &str) -> InputError {
        let is_input = |slot: &&Slot| matches!(slot.source, Source::Input { .. });
        let known = self.slots.iter().filter(is_input).map(|slot| slot.name.as_str());
        let suggestion = gradc_diagnostics::did_you_mean(name, known).map(str::to_owned);
        InputError::Unknown { name: name.to_owned(), suggestion }
    }

    /// What the leaf of a slot is in `state`.
    fn revision(&self, state: &State, slot: usize) -> Option<Revision> {
        match self.slots[slot].source {
            Source::State { position: Some(position) } => state.revision(position),
            _ => None,
        }
    }

    /// Whether the leaves that the prologue of the plan reads are what they were when it was run last.
    fn is_prepared(&self, state: &State) -> bool {
        self.prepared.iter().all(|&(slot, known)| known.is_some() && known == self.revision(state, slot))
    }

    /// Finds each parameter in `state`, first where it was in the last run.
    fn locate_state(&mut self, state: &State) -> Result<(), Error> {
        for slot in &mut self.slots {
            let Source::State { position } = &mut slot.source else { continue };
            let known = position.and_then(|position| state.at(position)).filter(|(name, _)| *name == slot.name);
            let value = match known {
                Some((_, value)) => value,
                None => {
                    *position = state.position(&slot.name);
                    match position.and_then(|position| state.at(position)) {
                        Some((_, value)) => value,
                        None => {
                            let (name, expected) = (slot.name.clone(), slot.ty.clone());
                            return Err(InputError::Missing { name, expected }.into());
                        }
                    }
                }
            };
            let found = value.ty();
            if found != slot.ty {
                let (name, expected) = (slot.name.clone(), slot.ty.clone());
                return Err(InputError::WrongType { name, expected, found }.into());
            }
        }
        Ok(())
    }
}

fn find<'i, 'a>(inputs: &'i [(&str, TensorView<'a>)], name: &str) -> Option<&'i TensorView<'a>> {
    inputs.iter().find(|(own, _)| *own == name).map(|(_, view)| view)
}

fn slots(graph: &Graph, machine: &Machine, bounds: &BTreeMap<String, usize>) -> Vec<Slot> {
    let live = graph.live();
    let mut inputs: BTreeMap<&str, bool> = BTreeMap::new();
    for leaf in graph.leaves(LeafKind::Input) {
        if let Some(name) = graph.value_name(leaf) {
            inputs.insert(name, live[leaf.index()]);
        }
    }
    let slot = |slot: &gradc_schedule::plan::Slot| {
        let name = slot.name.as_str();
        let source = match slot.kind {
            SlotKind::Leaf(LeafKind::Input) => {
                let needed = inputs.get(name).copied().unwrap_or(false);
                Source::Input { needed, bound: bounds.get(name).copied(), set: [LEARNING_RATE, STEP].contains(&name) }
            }
            SlotKind::Leaf(_) => Source::State { position: None },
            SlotKind::Result(role) => Source::Result(role),
        };
        let staged = match source {
            Source::State { .. } if slot.ty.dtype != DType::Bool => Staged::empty(slot.ty.dtype),
            _ => Staged::zeros(&slot.ty),
        };
        Slot { name: slot.name.clone(), ty: slot.ty.clone(), source, staged }
    };
    machine.interface().iter().map(slot).collect()
}

/// The memory of a parameter. Updates are written in place, but for truth values, which the machine has as bytes: see
/// [`Staged::give_back`].
fn bind_state<'a>(tensor: &'a mut Tensor, written: bool, staged: &'a mut Staged) -> Binding<'a> {
    macro_rules! bind {
        ($array:expr) => {
            match (written, $array.as_slice_mut()) {
                (true, Some(elements)) => Binding::write(elements),
                (false, Some(elements)) => Binding::read(elements),
                (_, None) => unreachable!("a tensor is row-major"),
            }
        };
    }
    match tensor {
        Tensor::F32(array) => bind!(array),
        Tensor::F64(array) => bind!(array),
        Tensor::I32(array) => bind!(array),
        Tensor::U8(array) => bind!(array),
        Tensor::I64(array) => bind!(array),
        Tensor::F16(array) => bind!(array),
        Tensor::Bf16(array) => bind!(array),
        Tensor::Bool(array) => {
            staged.set_truth_values(array.iter());
            staged.bind()
        }
    }
}

impl Staged {
    fn empty(dtype: DType) -> Staged {
        match dtype {
            DType::Bool => Staged::Bool(Vec::new()),
            DType::I32 => Staged::I32(Vec::new()),
            DType::U8 => Staged::U8(Vec::new()),
            DType::I64 => Staged::I64(Vec::new()),
            DType::F16 => Staged::F16(Vec::new()),
            DType::Bf16 => Staged::Bf16(Vec::new()),
            DType::F32 => Staged::F32(Vec::new()),
            DType::F64 => Staged::F64(Vec::new()),
        }
    }

    fn zeros(ty: &TensorType) -> Staged {
        let count = ty.shape.elements();
        match ty.dtype {
            DType::Bool => Staged::Bool(vec![0; count]),
            DType::U8 => Staged::U8(vec![0; count]),
            DType::I32 => Staged::I32(vec![0; count]),
            DType::I64 => Staged::I64(vec![0; count]),
            DType::F16 => Staged::F16(vec![f16::ZERO; count]),
            DType::Bf16 => Staged::Bf16(vec![bf16::ZERO; count]),
            DType::F32 => Staged::F32(vec![0.0; count]),
            DType::F64 => Staged::F64(vec![0.0; count]),
        }
    }

    fn bind(&mut self) -> Binding<'_> {
        match self {
            Staged::Bool(elements) => Binding::write(elements),
            Staged::I32(elements) => Binding::write(elements),
            Staged::U8(elements) => Binding::write(elements),
            Staged::I64(elements) => Binding::write(elements),
            Staged::F16(elements) => Binding::write(elements),
            Staged::Bf16(elements) => Binding::write(elements),
            Staged::F32(elements) => Binding::write(elements),
            Staged::F64(elements) => Binding::write(elements),
        }
    }

    /// The memory of `view` itself where the machine can read it, else a copy.
    fn bind_input<'a>(&'a mut self, view: &'a TensorView<'_>) -> Binding<'a> {
        macro_rules! bind {
            ($staged:expr, $array:expr) => {
                match $array.as_slice() {
                    Some(elements) => Binding::read(elements),
                    None => {
                        $staged.iter_mut().zip($array.iter()).for_each(|(slot, &element)| *slot = element);
                        Binding::read($staged)
                    }
                }
            };
        }
        match (self, view) {
            (Staged::I32(staged), TensorView::I32(array)) => bind!(staged, array),
            (Staged::U8(staged), TensorView::U8(array)) => bind!(staged, array),
            (Staged::I64(staged), TensorView::I64(array)) => bind!(staged, array),
            (Staged::F16(staged), TensorView::F16(array)) => bind!(staged, array),
            (Staged::Bf16(staged), TensorView::Bf16(array)) => bind!(staged, array),
            (Staged::F32(staged), TensorView::F32(array)) => bind!(staged, array),
            (Staged::F64(staged), TensorView::F64(array)) => bind!(staged, array),
            (staged @ Staged::Bool(_), TensorView::Bool(array)) => {
                staged.set_truth_values(array.iter());
                staged.bind()
            }
            _ => unreachable!("the type of the input has been checked"),
        }
    }

    /// Takes over truth values as bytes.
    fn set_truth_values<'a>(&mut self, values: impl Iterator<Item = &'a bool>) {
        if let Staged::Bool(elements) = self {
            elements.iter_mut().zip(values).for_each(|(slot, &value)| *slot = u8::from(value));
        }
    }

    /// Writes truth values that the machine has changed to the tensor that they were taken from. Other tensors have been
    /// changed in place.
    fn give_back(&self, tensor: &mut Tensor) {
        if let (Staged::Bool(elements), Tensor::Bool(array)) = (self, tensor) {
            array.iter_mut().zip(elements).for_each(|(value, &element)| *value = element != 0);
        }
    }

    fn tensor(&self, ty: &TensorType) -> Tensor {
        let shape = ndarray::IxDyn(&ty.shape);
        let tensor = match self {
            Staged::Bool(elements) => {
                let elements = elements.iter().map(|&element| element != 0).collect();
                ndarray::ArrayD::from_shape_vec(shape, elements).map(Tensor::Bool)
            }
            Staged::I32(elements) => ndarray::ArrayD::from_shape_vec(shape, elements.clone()).map(Tensor::I32),
            Staged::U8(elements) => ndarray::ArrayD::from_shape_vec(shape, elements.clone()).map(Tensor::U8),
            Staged::I64(elements) => ndarray::ArrayD::from_shape_vec(shape, elements.clone()).map(Tensor::I64),
            Staged::F16(elements) => ndarray::ArrayD::from_shape_vec(shape, elements.clone()).map(Tensor::F16),
            Staged::Bf16(elements) => ndarray::ArrayD::from_shape_vec(shape, elements.clone()).map(Tensor::Bf16),
            Staged::F32(elements) => ndarray::ArrayD::from_shape_vec(shape, elements.clone()).map(Tensor::F32),
            Staged::F64(elements) => ndarray::ArrayD::from_shape_vec(shape, elements.clone()).map(Tensor::F64),
        };
        tensor.unwrap_or_else(|_| unreachable!("a result has as many elements as its type"))
    }

    /// Sets the element of a float scalar.
    fn set_first(&mut self, value: f64) {
        match self {
            Staged::F32(elements) => elements.iter_mut().take(1).for_each(|element| *element = value as f32),
            Staged::F64(elements) => elements.iter_mut().take(1).for_each(|element| *element = value),
            _ => unreachable!("the scalars of a training step are f32 or f64"),
        }
    }

    fn first(&self) -> Option<f64> {
        match self {
            Staged::Bool(elements) | Staged::U8(elements) => elements.first().map(|&element| f64::from(element)),
            Staged::I32(elements) => elements.first().map(|&element| f64::from(element)),
            Staged::I64(elements) => elements.first().map(|&element| element as f64),
            Staged::F16(elements) => elements.first().map(|element| element.to_f64()),
            Staged::Bf16(elements) => elements.first().map(|element| element.to_f64()),
            Staged::F32(elements) => elements.first().map(|&element| f64::from(element)),
            Staged::F64(elements) => elements.first().copied(),
        }
    }
}
