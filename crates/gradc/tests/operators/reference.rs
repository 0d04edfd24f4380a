//! What JAX says in double precision, from tests/reference/operators.safetensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gradc::ir::op::ALL;
use gradc::ir::{DType, OpDef};
use gradc::{Level, Options};
use gradc_testing::{Sample, smooth_samples, special_samples};
use safetensors::{Dtype, SafeTensors};

use crate::subject::{Order, Results, Subject};

/// The file, read.
struct Reference {
    /// The labels of the cases by operator and group, `exp.smooth`.
    cases: BTreeMap<String, Vec<String>>,
    /// For `exp.smooth.jvp` the numbers of all cases, one after the other.
    numbers: BTreeMap<String, Vec<f64>>,
}

/// What the file has of one case: results and where they come from by name, `vjp` of all operands together.
type Numbers<'r> = BTreeMap<&'r str, &'r [f64]>;

const HOW: &str = "add its meaning to tests/reference/generate.py if it is new, and run that";

impl Reference {
    fn load() -> Reference {
        let bytes = std::fs::read(path()).expect("the reference data can be read");
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("it is a safetensors file");
        let cases = header.metadata().as_ref().and_then(|metadata| metadata.get("cases")).expect("it lists its cases");
        let file = SafeTensors::deserialize(&bytes).expect("it is a safetensors file");
        let numbers = file.tensors().into_iter().map(|(name, view)| {
            let data = view.data();
            let numbers = match view.dtype() {
                Dtype::F32 => data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).collect(),
                Dtype::F64 => data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
                other => panic!("{name} is {other:?}"),
            };
            (name, numbers)
        });
        let numbers = numbers.collect();
        Reference { cases: serde_json::from_str(cases).expect("the cases are lists by group"), numbers }
    }

    /// For each sample of an operator what the file has of it. The file must have been made for just these.
    fn of(&self, def: &OpDef, group: &str, samples: &[Sample]) -> Vec<Numbers<'_>> {
        let group = format!("{}.{group}", def.name);
        let Some(listed) = self.cases.get(&group) else { panic!("there is no reference for {group}: {HOW}") };
        let labels: Vec<String> = samples.iter().map(|sample| sample.label(def)).collect();
        assert_eq!(*listed, labels, "the reference for {group} is of other cases: {HOW}");
        let mut rest: BTreeMap<&str, &[f64]> = BTreeMap::new();
        for (name, numbers) in &self.numbers {
            if let Some(name) = name.strip_prefix(&group).and_then(|rest| rest.strip_prefix('.')) {
                rest.insert(name, numbers);
            }
        }
        let numbers = samples.iter().map(|sample| take(sample, group.ends_with("smooth"), &mut rest)).collect();
        assert!(rest.values().all(|left| left.is_empty()), "the reference for {group} has numbers left: {HOW}");
        numbers
    }
}

/// Takes a sample's numbers off the front of those of its group.
fn take<'r>(sample: &Sample, differentiated: bool, rest: &mut BTreeMap<&'r str, &'r [f64]>) -> Numbers<'r> {
    let count = |tensors: &mut dyn Iterator<Item = &gradc::ir::Tensor>| -> usize {
        tensors.map(|tensor| tensor.shape().elements()).sum()
    };
    let operands = count(&mut sample.operands.iter());
    let floats = count(&mut sample.tangents.iter().flatten());
    let result = sample.result.shape.elements();
    let mut sizes = vec![("operands", operands), ("result", result)];
    if differentiated && is_differentiable(sample) {
        sizes.extend([
            ("tangents", floats),
            ("cotangent", result),
            ("jvp", result),
            ("vjp", floats),
            ("second", floats),
        ]);
    }
    let mut numbers = Numbers::new();
    for (name, size) in sizes {
        // A source has no operands, and then the file no list of them.
        let list = rest.entry(name).or_insert(&[]);
        let (own, others) = list.split_at_checked(size).unwrap_or_else(|| panic!("there are too few {name}: {HOW}"));
        *list = others;
        numbers.insert(name, own);
    }
    numbers
}

fn is_differentiable(sample: &Sample) -> bool {
    sample.cotangent.is_some() && sample.tangents.iter().any(Option::is_some)
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/operators.safetensors")
}

/// How far a result may be from the reference, relative to the greatest magnitude among its elements (at least one for
/// special numbers, of which some results have none that is ordinary).
///
/// In double precision both sides round, at most a few times in a row: what is left is the length of sums and the error
/// of elementary functions, of which XLA's are accurate to some units in the last place, 1e-16 each. Second derivatives
/// are sums of several terms that cancel in part. In single precision, only gradc rounds.
fn tolerance(float: DType, name: &str) -> f64 {
    match (float, name.starts_with("second")) {
        (DType::F64, false) => 1e-12,
        (DType::F64, true) => 1e-11,
        (_, false) => 2e-6,
        (_, true) => 5e-6,
    }
}

/// The door of these tests: what a way to run a sample found is what the reference says.
#[track_caller]
fn check(what: &str, sample: &Sample, found: &Results, numbers: &Numbers<'_>, float: DType) {
    compare(what, "result", &found["result"], numbers["result"], float);
    if !numbers.contains_key("jvp") {
        return;
    }
    let absent = |expected: &[f64]| vec![0.0; expected.len()];
    let optional = |name: &str, expected: &[f64]| match found.get(name) {
        Some(numbers) => compare(what, name, numbers, expected, float),
        // No derivative: the reference must say that it is zero everywhere.
        None => compare(what, name, &absent(expected), expected, float),
    };
    optional("jvp", numbers["jvp"]);
    for (kind, names) in [("vjp", &["vjp"][..]), ("second", &["second", "second_by_reverse", "second_by_forward"])] {
        let mut rest = numbers[kind];
        for (i, tangent) in sample.tangents.iter().enumerate() {
            let Some(tangent) = tangent else { continue };
            let (own, others) = rest.split_at(tangent.shape().elements());
            names.iter().for_each(|name| optional(&format!("{name}_{i}"), own));
            rest = others;
        }
    }
}

#[track_caller]
fn compare(what: &str, name: &str, found: &[f64], expected: &[f64], float: DType) {
    assert_eq!(found.len(), expected.len(), "{what}: {name}");
    let expected: Vec<f64> = expected.iter().map(|&number| float.round(number)).collect();
    let finite = expected.iter().filter(|number| number.is_finite());
    let scale = finite.fold(0.0f64, |scale, number| scale.max(number.abs()));
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let same = found == expected || (found.is_nan() && expected.is_nan());
        let close = (found - expected).abs() <= tolerance(float, name) * scale;
        assert!(same || close, "{what}, {float}: {name}[{i}] is {found:e}, not {expected:e} (of up to {scale:e})");
    }
}

/// Runs `found` on every smooth sample with all its derivatives.
fn for_each_smooth_sample(way: &str, float: DType, found: impl Fn(&Subject) -> Results) {
    let reference = Reference::load();
    for &def in ALL {
        let samples = smooth_samples(def);
        for (sample, numbers) in samples.iter().zip(reference.of(def, "smooth", &samples)) {
            let found = found(&Subject::new(def, sample, Order::Second));
            check(&format!("{way} {}", sample.label(def)), sample, &found, &numbers, float);
        }
    }
}

fn compiled(level: Level, float: DType) -> impl Fn(&Subject) -> Results {
    move |subject| subject.compiled(&Options { level, float: Some(float), ..Options::default() })
}

#[test]
fn interpreted_in_double_precision() {
    for_each_smooth_sample("interpreted", DType::F64, |subject| subject.interpreted(DType::F64));
}

#[test]
fn interpreted_in_single_precision() {
    for_each_smooth_sample("interpreted", DType::F32, |subject| subject.interpreted(DType::F32));
}

#[test]
fn compiled_without_optimisation_in_double_precision() {
    for_each_smooth_sample("at -O0", DType::F64, compiled(Level::None, DType::F64));
}

#[test]
fn compiled_without_optimisation_in_single_precision() {
    for_each_smooth_sample("at -O0", DType::F32, compiled(Level::None, DType::F32));
}

#[test]
fn compiled_with_optimisation_in_double_precision() {
    for_each_smooth_sample("at -O2", DType::F64, compiled(Level::Full, DType::F64));
}

#[test]
fn compiled_with_optimisation_in_single_precision() {
    for_each_smooth_sample("at -O2", DType::F32, compiled(Level::Full, DType::F32));
}

/// Infinities, NaN and numbers at which functions overflow. The sign of zero is not compared: XLA does not promise it.
#[test]
fn special_numbers() {
    let reference = Reference::load();
    for &def in ALL {
        let samples = special_samples(def);
        for (sample, numbers) in samples.iter().zip(reference.of(def, "special", &samples)) {
            let subject = Subject::new(def, sample, Order::Zero);
            for float in [DType::F64, DType::F32] {
                check(&sample.label(def), sample, &subject.interpreted(float), &numbers, float);
            }
        }
    }
}

/// The file holds what it was made from, so that it can be read without this project.
#[test]
fn the_operands_of_the_file_are_those_of_the_samples() {
    let reference = Reference::load();
    let mut cases = 0;
    for &def in ALL {
        for (group, samples) in [("smooth", smooth_samples(def)), ("special", special_samples(def))] {
            for (sample, numbers) in samples.iter().zip(reference.of(def, group, &samples)) {
                let same = |name: &str, tensors: &mut dyn Iterator<Item = &gradc::ir::Tensor>| {
                    let bits = |number: &f64| if number.is_nan() { f64::NAN.to_bits() } else { number.to_bits() };
                    let own: Vec<u64> = tensors.flat_map(|tensor| tensor.data()).map(bits).collect();
                    let file: Vec<u64> = numbers[name].iter().map(bits).collect();
                    assert_eq!(own, file, "{name} of {}: {HOW}", sample.label(def));
                };
                same("operands", &mut sample.operands.iter());
                if numbers.contains_key("tangents") {
                    same("tangents", &mut sample.tangents.iter().flatten());
                    same("cotangent", &mut sample.cotangent.iter());
                }
                cases += 1;
            }
        }
    }
    assert!(cases >= 300, "there are {cases} cases");
    let groups: Vec<String> =
        ALL.iter().flat_map(|def| ["smooth", "special"].map(|group| format!("{}.{group}", def.name))).collect();
    let left_over: Vec<&String> = reference.cases.keys().filter(|group| !groups.contains(group)).collect();
    assert!(left_over.is_empty(), "no operator has these references: {left_over:?}");
}

/// An operator of the registry without reference data fails the tests above.
#[test]
#[should_panic(expected = "there is no reference for")]
fn an_operator_without_reference_is_found() {
    static NEW: OpDef = OpDef { name: "new", ..gradc::ir::op::exp::EXP };
    Reference::load().of(&NEW, "smooth", &smooth_samples(&NEW));
}
