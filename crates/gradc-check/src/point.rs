//! Where a model is checked: data that is given, and random numbers for the rest.

use std::collections::BTreeMap;

use gradc::ir::{DType, Graph, LeafKind, Tensor as Reference, TensorType, fnv1a};
use gradc::{Error, GoalError, InputError, State, Tensor, diagnostics};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};

use crate::evaluate::Bindings;
use crate::subject::Subject;

/// What a model is checked at. What is not given is random.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// Inputs by name, of their shapes; floats of either width.
    pub inputs: BTreeMap<String, Tensor>,
    /// Parameters by name.
    pub parameters: BTreeMap<String, Tensor>,
}

/// How random numbers are drawn. The first at which the loss is finite is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Draw {
    /// Inputs from the standard normal distribution; parameters as they are initialised, with noise, so that no zero or
    /// one hides a factor.
    Normal,
    /// Inputs between 0.1 and 0.9, for models of probabilities and of positive numbers.
    Unit,
    /// Also parameters without noise.
    Initial,
}

impl Draw {
    pub(crate) const ALL: [Draw; 3] = [Draw::Normal, Draw::Unit, Draw::Initial];
}

/// The noise on parameters' initial values.
const JITTER: f64 = 0.1;

/// Below which number random integers are that no operator bounds: sizes and counts, of which small ones are sure to be valid.
const UNBOUNDED: usize = 4;

/// Random numbers that depend on the seed and on what they are for alone.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(seed: u64, purpose: &str) -> Random {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(fnv1a(purpose));
        Random(rng)
    }

    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        Uniform::new(low, high).map_or(low, |uniform| uniform.sample(&mut self.0))
    }

    fn below(&mut self, bound: usize) -> f64 {
        self.between(0.0, bound.max(1) as f64).floor()
    }

    /// A direction: elements between −1 and 1.
    pub(crate) fn direction(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.between(-1.0, 1.0)).collect()
    }

    /// A tensor of ones with random signs.
    pub(crate) fn signs(&mut self, ty: &TensorType) -> Reference {
        Reference::from_fn(ty.clone(), |_| if self.below(2) == 0.0 { -1.0 } else { 1.0 })
    }

    /// A tensor of a direction's elements.
    pub(crate) fn tensor(&mut self, ty: &TensorType) -> Reference {
        Reference::new(ty.clone(), self.direction(ty.shape.elements()))
    }
}

/// A tensor for each leaf of the subject.
pub(crate) fn bindings(
    model: &Graph,
    subject: &Subject,
    given: &Point,
    seed: u64,
    draw: Draw,
) -> Result<Bindings, Error> {
    let initial = State::initial(&model.in_precision(DType::F64), seed);
    let mut bindings = subject.added.clone();
    for name in &subject.weights {
        let Some(leaf) = subject.graph.find_leaf(LeafKind::Input, name) else { continue };
        bindings.push((name.clone(), Random::new(seed, name).tensor(subject.graph.ty(leaf))));
    }
    for original in model.values().filter(|&value| model.leaf(value).is_some()) {
        let Some(name) = model.value_name(original) else { continue };
        let Some(leaf) = subject.graph.find_leaf(LeafKind::Input, name) else { continue };
        let (kind, ty) = (model.leaf(original), subject.graph.ty(leaf));
        let chosen = match kind {
            Some(LeafKind::Input) => given.inputs.get(&**name),
            _ => given.parameters.get(&**name),
        };
        let mut random = Random::new(seed, name);
        let numbers = match chosen {
            Some(tensor) => fitting(name, tensor, ty)?,
            None if kind == Some(LeafKind::Input) => draw_input(ty, subject.bounds.get(&**name), draw, &mut random),
            None => {
                let mut numbers = initial.get(name).map(Tensor::numbers).unwrap_or_default();
                if kind == Some(LeafKind::Param) && draw != Draw::Initial {
                    numbers.iter_mut().for_each(|number| *number += JITTER * random.normal());
                }
                numbers
            }
        };
        bindings.push((name.to_string(), Reference::new(ty.clone(), numbers)));
    }
    Ok(bindings)
}

/// The numbers of a tensor that is given, which must have the shape of its leaf and be floats where that is.
fn fitting(name: &str, tensor: &Tensor, ty: &TensorType) -> Result<Vec<f64>, InputError> {
    let found = tensor.ty();
    let fits = found.shape == ty.shape && (found.dtype == ty.dtype || found.dtype.is_float() && ty.dtype.is_float());
    match fits {
        true => Ok(tensor.numbers()),
        false => Err(InputError::WrongType { name: name.to_owned(), expected: ty.clone(), found }),
    }
}

fn draw_input(ty: &TensorType, bound: Option<&usize>, draw: Draw, random: &mut Random) -> Vec<f64> {
    let one = |random: &mut Random| match (ty.dtype.is_float(), ty.dtype) {
        (true, _) if draw == Draw::Normal => random.normal(),
        (true, _) => random.between(0.1, 0.9),
        (false, DType::Bool) => random.below(2),
        (false, _) => random.below(bound.copied().unwrap_or(UNBOUNDED)),
    };
    (0..ty.shape.elements()).map(|_| one(random)).collect()
}

/// That everything that is given is the name of something.
pub(crate) fn check_names(model: &Graph, given: &Point) -> Result<(), Error> {
    let named = |kinds: &'static [LeafKind]| {
        let of_kind = model.values().filter(|&value| model.leaf(value).is_some_and(|kind| kinds.contains(&kind)));
        of_kind.filter_map(|leaf| model.value_name(leaf)).map(|name| &**name).collect::<Vec<&str>>()
    };
    let unknown = |known: &[&str], name: &str| {
        let suggestion = diagnostics::did_you_mean(name, known.iter().copied()).map(str::to_owned);
        (!known.contains(&name)).then_some(suggestion)
    };
    let inputs = named(&[LeafKind::Input]);
    for name in given.inputs.keys() {
        if let Some(suggestion) = unknown(&inputs, name) {
            return Err(InputError::Unknown { name: name.clone(), suggestion }.into());
        }
    }
    let parameters = named(&[LeafKind::Param, LeafKind::State]);
    for name in given.parameters.keys() {
        if let Some(suggestion) = unknown(&parameters, name) {
            return Err(GoalError::UnknownValue { name: name.clone(), suggestion }.into());
        }
    }
    Ok(())
}
