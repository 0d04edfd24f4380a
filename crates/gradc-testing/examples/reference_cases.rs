//! Prints the cases of every operator of the registry, one JSON object a line, for tests/reference/generate.py.

use std::io::Write;

use gradc_ir::op::ALL;
use gradc_ir::{Attr, Body, DType, OpDef, Tensor, ValueId};
use gradc_testing::{Sample, smooth_samples, special_samples};
use serde_json::{Map, Value, json};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for &def in ALL {
        for (group, samples) in [("smooth", smooth_samples(def)), ("special", special_samples(def))] {
            for sample in samples {
                writeln!(out, "{}", case(def, group, &sample))?;
            }
        }
    }
    Ok(())
}

fn case(def: &OpDef, group: &str, sample: &Sample) -> Value {
    let attrs: Map<String, Value> =
        sample.case.attrs.iter().map(|(name, value)| ((*name).to_owned(), attr(value))).collect();
    let smooth = group == "smooth";
    json!({
        "operator": def.name,
        "group": group,
        "label": sample.label(def),
        "attrs": attrs,
        "operands": sample.operands.iter().map(tensor).collect::<Vec<_>>(),
        "tangents": sample.tangents.iter().map(|t| t.as_ref().map(tensor)).collect::<Vec<_>>(),
        "cotangent": sample.cotangent.as_ref().filter(|_| smooth).map(tensor),
        "result": { "dtype": sample.result.dtype.name(), "shape": sample.result.shape.to_vec() },
    })
}

fn attr(value: &Attr) -> Value {
    match value {
        Attr::Bool(value) => json!(value),
        Attr::Int(value) => json!(value),
        Attr::Ints(values) => json!(values.to_vec()),
        Attr::Float(value) => number(value.get(), DType::F64),
        Attr::DType(value) => json!(value.name()),
        Attr::Body(value) => body(value),
    }
}

/// Values of the body's graph are numbers; the nodes come in the order of computation.
fn body(body: &Body) -> Value {
    let graph = body.graph();
    let numbers = |values: &[ValueId]| values.iter().map(|value| value.index()).collect::<Vec<_>>();
    let results: Vec<ValueId> = body.results().collect();
    let node = |value: ValueId| {
        let op = graph.op(value)?;
        let attrs: Map<String, Value> =
            op.attrs.iter().map(|(name, value)| ((*name).to_owned(), attr(value))).collect();
        let operands = numbers(graph.operands(value));
        Some(json!({ "value": value.index(), "operator": op.def.name, "attrs": attrs, "operands": operands }))
    };
    let nodes: Vec<Value> = graph.values().filter_map(node).collect();
    json!({ "inputs": numbers(body.inputs()), "nodes": nodes, "results": numbers(&results) })
}

fn tensor(tensor: &Tensor) -> Value {
    let ty = tensor.ty();
    let data: Vec<Value> = tensor.data().iter().map(|&value| number(value, ty.dtype)).collect();
    json!({ "dtype": ty.dtype.name(), "shape": ty.shape.to_vec(), "data": data })
}

/// A number; JSON has none for infinities and NaN, so these are the strings that Python's `float` reads.
fn number(value: f64, dtype: DType) -> Value {
    match (value.is_finite(), dtype) {
        (false, _) => json!(value.to_string()),
        (_, DType::F32 | DType::F64) => json!(value),
        _ => json!(value as i64),
    }
}
