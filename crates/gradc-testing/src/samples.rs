//! Every operator of the registry applied to numbers: what the reference data in tests/reference is made for, and what
//! other tests of all operators go through.

use gradc_ir::{Attrs, Case, Class, DType, Graph, OpDef, Tensor, TensorType, ValueId};

use crate::{Random, random_operands, random_tensor};

/// The sizes that an operator's cases are taken at: around those at which blocked and vectorised code changes its path, and
/// none at all.
pub const SIZES: [usize; 5] = [0, 1, 3, 5, 17];

/// Numbers at which functions overflow, saturate, lose their sign or stop to be numbers. `f32` holds each exactly.
const SPECIAL_FLOATS: [f64; 14] = [
    0.5,
    -0.0,
    0.0,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1.0,
    -1.0,
    -2.5,
    3.0,
    60.0,
    -60.0,
    // 2⁻¹⁰⁰ and 2¹⁰⁰, whose squares overflow in single precision but not in double.
    7.888_609_052_210_118e-31,
    1.267_650_600_228_229_4e30,
];

const SPECIAL_INTEGERS: [f64; 7] = [0.0, 1.0, -1.0, 7.0, -13.0, i32::MAX as f64, i32::MIN as f64];

/// What overflows is beyond what the reference evaluation holds exactly; these and the sums of two are not.
const SPECIAL_LONG_INTEGERS: [f64; 7] = [0.0, 1.0, -1.0, 7.0, -13.0, (1u64 << 40) as f64, -((1u64 << 51) as f64)];

const SPECIAL_BYTES: [f64; 6] = [0.0, 1.0, 2.0, 16.0, 127.0, 255.0];

/// An operator's case with numbers for its operands. Every number is one that `f32` holds exactly, so that both precisions
/// compute with the same ones.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The attributes, and the types of the operands in double precision.
    pub case: Case,
    /// The type of the result; of several results, see [`Case::apply`].
    pub result: TensorType,
    /// The operands.
    pub operands: Vec<Tensor>,
    /// For each operand, the direction that it moves along; `None` for those that are not floats.
    pub tangents: Vec<Option<Tensor>>,
    /// What the result is weighted with, if it is made of floats.
    pub cotangent: Option<Tensor>,
}

impl Sample {
    fn new(def: &'static OpDef, case: Case, operands: Vec<Tensor>, random: &mut Random) -> Sample {
        let mut graph = Graph::new(def.name);
        let types = (0..).zip(&case.operands);
        let leaves: Vec<ValueId> = types.map(|(i, ty)| graph.input(format!("x{i}"), ty.clone())).collect();
        let value = case.apply(&mut graph, def, &leaves);
        let result = graph.ty(value).clone();
        let mut direction = |ty: &TensorType| {
            let drawn = random_tensor(ty, (-1.5, 1.5), random);
            ty.dtype.is_float().then(|| in_single_precision(&drawn))
        };
        let tangents = case.operands.iter().map(&mut direction).collect();
        let cotangent = direction(&result);
        Sample { case, result, operands, tangents, cotangent }
    }

    /// How the text form would write it, with types in place of operands: `sum(f64[2, 3], axes=[1]) -> f64[2]`.
    pub fn label(&self, def: &OpDef) -> String {
        let types = self.case.operands.iter().map(|ty| ty.to_string());
        let attrs = self.case.attrs.iter().map(|(name, value)| format!("{name}={value}"));
        format!("{}({}) -> {}", def.name, types.chain(attrs).collect::<Vec<_>>().join(", "), self.result)
    }
}

/// The cases of an operator at all [`SIZES`], on random numbers from where it is smooth and well conditioned.
pub fn smooth_samples(def: &'static OpDef) -> Vec<Sample> {
    let at_size = |size: usize| {
        (def.cases)(size, DType::F64).into_iter().enumerate().map(move |(i, case)| {
            let mut random = Random::new((1000 * size + i) as u64);
            let operands = random_operands(&def.domain, &case.operands, &mut random);
            let operands = operands.iter().map(in_single_precision).collect();
            Sample::new(def, case, operands, &mut random)
        })
    };
    SIZES.into_iter().flat_map(at_size).collect()
}

/// An operator on infinities, NaN, zeros of both signs and numbers at which functions overflow or saturate: every
/// combination of these for an elementwise operator, else its cases with such numbers among ordinary ones.
pub fn special_samples(def: &'static OpDef) -> Vec<Sample> {
    if def.class == Class::Elementwise { combinations(def) } else { interspersed(def) }
}

fn combinations(def: &'static OpDef) -> Vec<Sample> {
    let mut seen: Vec<(Attrs, Vec<DType>)> = Vec::new();
    let mut samples = Vec::new();
    for case in (def.cases)(1, DType::F64) {
        let kind = (case.attrs.clone(), case.operands.iter().map(|ty| ty.dtype).collect());
        if seen.contains(&kind) {
            continue;
        }
        let counts: Vec<usize> = kind.1.iter().map(|dtype| special_values(*dtype).len()).collect();
        let elements = counts.iter().product();
        let types: Vec<TensorType> = kind.1.iter().map(|&dtype| TensorType::new(dtype, [elements])).collect();
        let mut period = 1;
        let operands = types.iter().zip(&counts).map(|(ty, count)| {
            let values = special_values(ty.dtype);
            let each = period;
            period *= count;
            Tensor::from_fn(ty.clone(), |index| values[index[0] / each % count])
        });
        let operands = operands.collect();
        let case = Case { operands: types, ..case };
        samples.push(Sample::new(def, case, operands, &mut Random::new(0)));
        seen.push(kind);
    }
    samples
}

fn special_values(dtype: DType) -> &'static [f64] {
    match dtype {
        DType::Bool => &[0.0, 1.0],
        DType::U8 => &SPECIAL_BYTES,
        DType::I32 => &SPECIAL_INTEGERS,
        DType::I64 => &SPECIAL_LONG_INTEGERS,
        DType::F16 | DType::Bf16 | DType::F32 | DType::F64 => &SPECIAL_FLOATS,
    }
}

fn interspersed(def: &'static OpDef) -> Vec<Sample> {
    // One element in three, so that sums and extremes are not all NaN; each operand goes through all special numbers.
    let mut elements: Vec<usize> = Vec::new();
    let mut replaced = |i: usize, tensor: &Tensor| {
        elements.resize(elements.len().max(i + 1), 0);
        let mut replace = |x: f64| {
            elements[i] += 1;
            if elements[i].is_multiple_of(3) { SPECIAL_FLOATS[elements[i] / 3 % SPECIAL_FLOATS.len()] } else { x }
        };
        match tensor.ty().dtype.is_float() {
            true => Tensor::new(tensor.ty().clone(), tensor.data().iter().map(|&x| replace(x)).collect()),
            false => tensor.clone(),
        }
    };
    let mut samples = Vec::new();
    for size in [3, 5, 9] {
        for (i, case) in (def.cases)(size, DType::F64).into_iter().enumerate() {
            let mut random = Random::new((1000 * size + i) as u64);
            let operands = random_operands(&def.domain, &case.operands, &mut random);
            let special = |(i, tensor)| in_single_precision(&replaced(i, tensor));
            let operands = operands.iter().enumerate().map(special).collect();
            samples.push(Sample::new(def, case, operands, &mut random));
        }
    }
    samples
}

/// The same tensor, each float of it rounded to one that `f32` holds.
fn in_single_precision(tensor: &Tensor) -> Tensor {
    match tensor.ty().dtype {
        DType::F64 => tensor.cast(DType::F32).cast(DType::F64),
        _ => tensor.clone(),
    }
}
