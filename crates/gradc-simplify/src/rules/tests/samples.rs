//! Where rules are sampled.
//!
//! A sample is written `formula @ x: 3 4 in 0..1; A: 1; #c: 0.5`. The formula is for rules on a class of operators; others
//! have their own. With `result: ordinary`, no result near the ends of the element type's range is looked at. A value has a shape, and perhaps an element type (`bool`, `i32`) and a range, `shifted AXIS`,
//! `centred AXIS`, `one_hot`, `symmetric` or `vanishing`. An attribute variable has its attributes in order, `/` between them. What is not mentioned is a vector of
//! floats, and each of some numbers.

use gradc_ir::{Attr, AttrKind, AttrSpec, Attrs, DType, Shape, Tensor, TensorType, op};
use gradc_testing::Random;

use crate::canonical::Arena;
use crate::facts::{Facts, Range, mask};
use crate::pattern::{Bindings, Names, Pattern, parse};
use crate::rules::Lhs;
use crate::rules::compiled::Compiled;
use crate::terms::Terms;

/// Draws for each sample.
pub(super) const ROUNDS: u64 = 60;

/// Draws in arithmetic of many digits, which takes its time.
pub(super) fn exact_rounds(dtype: DType) -> u64 {
    if dtype == DType::F32 { 4 } else { 1 }
}

/// Elements of values whose shape a sample does not say.
const ELEMENTS: usize = 96;

/// Numbers for `#` variables that a sample does not give.
const NUMBERS: [f64; 4] = [2.0, -0.5, 0.1, -3.0];

/// What operands are drawn from.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Draw {
    /// All of the below.
    Anything,
    /// All but infinities and NaN.
    Finite,
    /// Numbers within a few units of zero.
    Ordinary,
}

/// One sample of a rule.
pub(super) struct Sample {
    /// For messages.
    pub(super) text: String,
    /// The formula that the rule is applied to.
    pub(super) left: Pattern,
    names: Names,
    /// Name and specification.
    entries: Vec<(String, String)>,
    /// Used for `#` variables that have no entry.
    number: f64,
    dtype: DType,
}

/// What a leaf is filled with.
struct Leaf {
    facts: Facts,
    /// Whether it holds one random 1 along the last axis.
    one_hot: bool,
}

/// The samples of a rule in a precision.
pub(super) fn of(compiled: &Compiled, dtype: DType) -> Vec<Sample> {
    let rule = compiled.rule;
    if let Lhs::Any(..) = rule.lhs {
        assert!(!rule.samples.is_empty(), "{} has no sample", rule.name);
    }
    let texts = if rule.samples.is_empty() { &[""][..] } else { rule.samples };
    let mut samples = Vec::new();
    for text in texts {
        let first = Sample::new(compiled, text, NUMBERS[0], dtype);
        let needs_numbers = first.names.values.iter().any(|name| name.starts_with('#') && first.entry(name).is_none());
        let others = if needs_numbers { &NUMBERS[1..] } else { &[] };
        samples.push(first);
        samples.extend(others.iter().map(|&number| Sample::new(compiled, text, number, dtype)));
    }
    samples
}

impl Sample {
    fn new(compiled: &Compiled, text: &str, number: f64, dtype: DType) -> Sample {
        let (formula, entries) = match text.split_once('@') {
            Some((formula, entries)) => (Some(formula), entries),
            None => (None, text),
        };
        let (left, names) = match (formula, compiled.lhs()) {
            (Some(formula), _) => {
                let mut names = Names::default();
                let pattern = parse(formula, &mut names).unwrap_or_else(|error| panic!("{formula}: {error}"));
                (pattern, names)
            }
            (None, Some((pattern, names))) => (pattern.clone(), names.clone()),
            (None, None) => panic!("{} needs a formula", compiled.rule.name),
        };
        let entries = entries.split(';').filter(|entry| !entry.trim().is_empty()).map(|entry| {
            let (name, specification) = entry.split_once(':').unwrap_or_else(|| panic!("`{entry}` in a sample"));
            (name.trim().to_owned(), specification.trim().to_owned())
        });
        Sample { text: format!("`{text}` ({number}, {dtype})"), left, names, entries: entries.collect(), number, dtype }
    }

    fn entry(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, specification)| &**specification)
    }

    /// Whether only results are looked at that are ordinary numbers.
    pub(super) fn is_about_ordinary_results(&self) -> bool {
        self.entry("result") == Some("ordinary")
    }

    /// The type of what has none of its own.
    pub(super) fn vector(&self) -> TensorType {
        TensorType::new(self.dtype, [ELEMENTS])
    }

    /// The variables' values in an arena: leaves and numbers.
    pub(super) fn bind(&self, arena: &mut Arena<'_>) -> Bindings {
        let mut bindings = Bindings::unbound(&self.names);
        let mut leaves = self.leaves().into_iter();
        for (variable, name) in self.names.values.iter().enumerate() {
            let id = if name.starts_with('#') {
                let number = self.entry(name).map_or(self.number, |text| text.parse().expect("a number"));
                arena.literal(number, &self.vector()).expect("a literal fits")
            } else {
                let leaf = leaves.next().expect("one leaf for each variable");
                arena.leaf(variable as u32, leaf.facts)
            };
            bindings.bind_value(variable, id);
        }
        for (variable, name) in self.names.attrs.iter().enumerate() {
            let specification = self.entry(name).unwrap_or_else(|| panic!("{}: {name} is missing", self.text));
            let specs = attribute_specs(&self.left, variable).expect("each variable is used");
            bindings.bind_attrs(variable, self.attributes(specs, specification));
        }
        bindings
    }

    fn attributes(&self, specs: &'static [AttrSpec], text: &str) -> Attrs {
        let value = |(spec, part): (&AttrSpec, &str)| {
            let numbers: Vec<usize> = part.split_whitespace().filter_map(|number| number.parse().ok()).collect();
            let value = match spec.kind {
                AttrKind::Bool => Attr::from(numbers[0] == 1),
                AttrKind::Int => Attr::from(numbers[0]),
                AttrKind::Ints => Attr::from(&numbers[..]),
                AttrKind::Float => Attr::from(part.trim().parse::<f64>().expect("a number")),
                AttrKind::DType => Attr::from(self.element_type(part.trim()).expect("an element type")),
                AttrKind::Body => unreachable!("no rule is about loops"),
            };
            (spec.name, value)
        };
        Attrs::new(specs.iter().zip(text.split('/')).map(value))
    }

    fn element_type(&self, word: &str) -> Option<DType> {
        if word == "float" { Some(self.dtype) } else { DType::from_name(word) }
    }

    fn leaves(&self) -> Vec<Leaf> {
        let variables = self.names.values.iter().enumerate().filter(|(_, name)| !name.starts_with('#'));
        variables.map(|(variable, name)| self.leaf(variable, self.entry(name).unwrap_or(""))).collect()
    }

    fn leaf(&self, variable: usize, specification: &str) -> Leaf {
        let words: Vec<&str> = specification.split_whitespace().collect();
        let after = |word: &str| words.iter().position(|known| *known == word).map(|position| words[position + 1]);
        let inferred = if is_truth(&self.left, variable) { DType::Bool } else { self.dtype };
        let dtype = words.iter().find_map(|word| self.element_type(word)).unwrap_or(inferred);
        let extents: Vec<usize> = words.iter().map_while(|word| word.parse().ok()).collect();
        let shape = if extents.is_empty() { Shape::from([ELEMENTS]) } else { Shape::from(&extents[..]) };
        let mut facts = Facts::of_type(TensorType { dtype, shape });
        if let Some((low, high)) = after("in").and_then(|range| range.split_once("..")) {
            facts.range = Range::between(low.parse().expect("a number"), high.parse().expect("a number"));
        }
        if let Some(axis) = after("shifted") {
            facts.shifted_along = mask(&[axis.parse().expect("an axis")]);
            facts.range = Range { low: f64::NEG_INFINITY, high: 0.0, nan: true };
        }
        if let Some(axis) = after("centred") {
            facts.sums_to_zero_along = mask(&[axis.parse().expect("an axis")]);
        }
        let one_hot = words.contains(&"one_hot");
        if one_hot {
            facts.sums_to_one = Some(facts.ty.shape.rank() - 1);
            facts.one_hot = true;
            facts.range = Range::between(0.0, 1.0);
        }
        facts.symmetric = words.contains(&"symmetric");
        if words.contains(&"vanishing") {
            facts.vanishing = true;
            facts.range = Range::between(0.0, 1.0);
        }
        Leaf { facts, one_hot }
    }

    /// Operands, one tensor for each variable of the left side; those of `#` variables are not looked at.
    pub(super) fn draw(&self, draw: Draw, round: u64) -> Vec<Tensor> {
        let mut random = Random::new(round * 3 + draw as u64);
        let mut leaves = self.leaves().into_iter();
        let tensor = |name: &String| {
            if name.starts_with('#') {
                return Tensor::scalar(DType::F64, 0.0);
            }
            leaves.next().expect("one leaf for each variable").draw(draw, &mut random)
        };
        self.names.values.iter().map(tensor).collect()
    }
}

impl Leaf {
    fn draw(&self, draw: Draw, random: &mut Random) -> Tensor {
        let ty = &self.facts.ty;
        if self.one_hot {
            let hot: Vec<usize> =
                (0..ty.shape.elements()).map(|_| random.below(ty.shape[ty.shape.rank() - 1])).collect();
            let extent = ty.shape[ty.shape.rank() - 1];
            let row = |index: &[usize]| ty.shape.ravel(index) / extent;
            return Tensor::from_fn(ty.clone(), |index| f64::from(u8::from(index[index.len() - 1] == hot[row(index)])));
        }
        let mut tensor = Tensor::from_fn(ty.clone(), |_| element(ty.dtype, self.facts.range, draw, random));
        if self.facts.shifted_along != 0 {
            tensor = shifted(&tensor, self.facts.shifted_along.trailing_zeros() as usize);
        }
        if self.facts.sums_to_zero_along != 0 {
            return centred(ty, random);
        }
        if self.facts.symmetric {
            let upper = tensor.clone();
            tensor = Tensor::from_fn(ty.clone(), |index| {
                let mut index = Shape::from(index).to_vec();
                index.sort_unstable();
                upper.at(&index)
            });
        }
        tensor
    }
}

/// Small whole numbers that add up to zero along the last axis, exactly.
fn centred(ty: &TensorType, random: &mut Random) -> Tensor {
    let extent = ty.shape[ty.shape.rank() - 1];
    let mut data: Vec<f64> = (0..ty.shape.elements()).map(|_| random.below(9) as f64 - 4.0).collect();
    for row in data.chunks_mut(extent) {
        let sum: f64 = row[1..].iter().sum();
        row[0] = -sum;
    }
    Tensor::new(ty.clone(), data)
}

/// A tensor minus its maximum along an axis.
fn shifted(tensor: &Tensor, axis: usize) -> Tensor {
    let shape = tensor.shape().clone();
    Tensor::from_fn(tensor.ty().clone(), |index| {
        let mut other = Shape::from(index).to_vec();
        let along = (0..shape[axis]).map(|i| {
            other[axis] = i;
            tensor.at(&other)
        });
        let greatest = along.fold(f64::NEG_INFINITY, f64::max);
        tensor.at(index) - greatest
    })
}

/// Where floating-point functions are at their limits.
const SPECIAL: [f64; 30] = [
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 1e-8, -1e-8, 1e-20, 1e-40, -1e-45, 5e-324, 17.4, -17.4, 40.0, -40.0, 88.8,
    -88.8, 104.0, -104.0, 710.0, -746.0, 1e4, -1e4, 1e19, -1e19, 1e38, -3e38, 1.175e-38,
];

/// The same, further out than `f32` goes.
const SPECIAL_F64: [f64; 8] = [1e100, -1e100, 1e300, -1e305, 1e-100, -1e-300, 5e-324, -2.3e-308];

const NOT_FINITE: [f64; 3] = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN];

fn element(dtype: DType, range: Range, draw: Draw, random: &mut Random) -> f64 {
    match dtype {
        DType::Bool => return f64::from(u8::from(random.chance(0.5))),
        DType::U8 => return random.below(7) as f64,
        DType::I32 | DType::I64 => return random.below(7) as f64 - 3.0,
        DType::F16 | DType::Bf16 | DType::F32 | DType::F64 => {}
    }
    let bounded = range.is_finite();
    let value = match random.below(10) {
        0..3 if draw == Draw::Anything && !bounded => *random.pick(&NOT_FINITE),
        0..5 if draw != Draw::Ordinary => special(dtype, draw, random),
        // Of any size.
        5 if draw != Draw::Ordinary => {
            let (least, most) = exponents(dtype);
            let exponent = least + random.below((most - least) as usize) as i32;
            (random.unit() * 4.0 - 2.0) * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2)
        }
        _ => random.unit() * 6.0 - 3.0,
    };
    let value = dtype.round(value);
    if bounded && !(range.low..=range.high).contains(&value) {
        // Both ends are drawn often.
        return dtype.round(range.low + (random.unit() * 1.2 - 0.1).clamp(0.0, 1.0) * (range.high - range.low));
    }
    value
}

/// Powers of two from the least number that is not zero to what is a factor of 2¹⁷ from the greatest.
fn exponents(dtype: DType) -> (i32, i32) {
    match dtype {
        DType::F64 => (-1074, 1006),
        DType::F16 => (-24, 6),
        _ => (-149, 110),
    }
}

fn special(dtype: DType, draw: Draw, random: &mut Random) -> f64 {
    let wide = dtype == DType::F64 && random.chance(0.3);
    let value = if wide { *random.pick(&SPECIAL_F64) } else { *random.pick(&SPECIAL) };
    // The class of accurate rules does not look at what is next to the largest number.
    let limit = (dtype.greatest_finite() * 1e-5).max(1e3);
    if draw == Draw::Finite { value.clamp(-limit, limit) } else { value }
}

/// The attributes that a variable stands for.
fn attribute_specs(pattern: &Pattern, variable: usize) -> Option<&'static [AttrSpec]> {
    match pattern {
        Pattern::Apply { def, attrs, .. } if *attrs == Some(variable) => Some(def.attrs),
        Pattern::Apply { operands, .. } => operands.iter().find_map(|operand| attribute_specs(operand, variable)),
        Pattern::Spread { axes, .. } if *axes == variable => Some(op::reduce_sum::REDUCE_SUM.attrs),
        Pattern::Spread { operand, .. } => attribute_specs(operand, variable),
        _ => None,
    }
}

/// Whether a variable stands where only truth values can.
fn is_truth(pattern: &Pattern, variable: usize) -> bool {
    let is_variable = |pattern: &Pattern| matches!(pattern, Pattern::Variable(own) if *own == variable);
    match pattern {
        Pattern::Apply { def, operands, .. } => {
            let truths = match def.name {
                "select" => 1,
                "not" | "and" | "or" => operands.len(),
                _ => 0,
            };
            operands[..truths].iter().any(is_variable) || operands.iter().any(|operand| is_truth(operand, variable))
        }
        Pattern::Spread { operand, .. } => is_truth(operand, variable),
        _ => false,
    }
}
