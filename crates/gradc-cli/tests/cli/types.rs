//! Element types through the whole program: data in, results and weights out.

use gradc::{bf16, f16};
use gradc_train::{Array, ElementType, Elements};

use crate::{Folder, assert_close};

const MIXED: &str = "
    dim batch = 4
    model mixed {
        input x: bf16[batch, 3]
        input h: f16[batch, 3]
        input bytes: u8[batch, 3]
        input label: i64[batch]
        param w: bf16[3, 5] = he_normal
        param v: f16[3, 5] = he_normal
        let y = cast(x @ w, f32) + cast(h @ v, f32)
        output y
        output narrow = x * 2
        output halves = h * 2
        output counts = bytes + bytes
        output next = label + 1
        loss cross_entropy(y, label)
    }
    train {
        optimizer adam(lr = 0.05)
        epochs 3
    }
";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("mixed.net", MIXED);
    let array = |shape: &[usize], elements: Elements| Array::new(shape.to_vec(), elements).expect("the shape fits");
    let floats: Vec<f32> = (0..12).map(|i| i as f32 / 10.0 - 0.55).collect();
    let halves: Vec<f16> = floats.iter().map(|&x| f16::from_f32(x)).collect();
    folder.write_npz(
        "in.npz",
        &[
            ("x", array(&[4, 3], floats.into())),
            ("h", array(&[4, 3], halves.into())),
            ("bytes", array(&[4, 3], (0..12).map(|i| 20 * i as u8).collect::<Vec<u8>>().into())),
            ("label", array(&[4], vec![0_i64, 4, 2, 1].into())),
        ],
    );
    folder
}

#[test]
fn results_have_the_types_of_the_model() {
    let folder = folder();
    for way in ["", " --interp"] {
        folder.succeed(&format!("run mixed.net --data in.npz --out out.npz --grad{way}"));
        let results = folder.arrays("out.npz");
        let types: Vec<(&str, ElementType)> =
            results.iter().map(|(name, array)| (name.as_str(), array.dtype())).collect();
        // NumPy has no bf16.
        let expected = [
            ("accuracy", ElementType::F32),
            ("counts", ElementType::U8),
            ("grad.v", ElementType::F16),
            ("grad.w", ElementType::F32),
            ("halves", ElementType::F16),
            ("loss", ElementType::F32),
            ("narrow", ElementType::F32),
            ("next", ElementType::I64),
            ("y", ElementType::F32),
        ];
        assert_eq!(types, expected, "{way}");
        let narrow: Vec<f32> = (0..12).map(|i| bf16::from_f32(i as f32 / 10.0 - 0.55).to_f32() * 2.0).collect();
        assert_eq!(results["narrow"].as_f32(), Some(&narrow[..]));
        let counts: Vec<u8> = (0..12).map(|i| (20u8 * i).wrapping_mul(2)).collect();
        assert_eq!(results["counts"].elements(), &counts.into());
    }
}

#[test]
fn results_are_printed_to_the_last_digit_and_as_json_whatever_they_are() {
    let folder = Folder::new();
    folder.write(
        "whole.net",
        "model whole {\n    input k: i64[3]\n    input x: f32[3]\n    output n = k\n    output r = 1 / x\n    output b = cast(x, u8)\n}\n",
    );
    let array = |elements: Elements| Array::new(vec![3], elements).expect("the shape fits");
    let whole = array(vec![i64::MAX, 9_007_199_254_740_993, -1].into());
    folder.write_npz("in.npz", &[("k", whole), ("x", array(vec![0.0_f32, -0.0, 2.0].into()))]);
    let text = folder.succeed("run whole.net --data in.npz");
    assert!(text.contains("n : i64[3] = [9223372036854775807, 9007199254740993, -1]\n"), "{text}");
    let json = folder.succeed("run whole.net --data in.npz --format json");
    for data in
        [r#""data":[9223372036854775807,9007199254740993,-1]"#, r#""data":["inf","-inf",0.5]"#, r#""data":[0,0,2]"#]
    {
        assert!(json.contains(data), "{data} is in\n{json}");
    }
}

/// In double precision nothing is rounded to 16 bits, and so the gradients can be checked.
#[test]
fn a_model_in_mixed_precision_is_checked_in_double() {
    let folder = folder();
    assert!(folder.succeed("check mixed.net --data in.npz").contains("0 failed"));
    folder.succeed("run mixed.net --data in.npz --out mixed.npz --dtype f64");
    assert_eq!(folder.arrays("mixed.npz")["narrow"].dtype(), ElementType::F64);
}

#[test]
fn weights_of_16_bits_are_written_and_read() {
    let folder = folder();
    folder.succeed("train mixed.net --data in.npz --out w.safetensors");
    let weights = gradc_train::weights::read(&folder.path("w.safetensors")).expect("it was just written");
    assert_eq!(weights.arrays["w"].dtype(), ElementType::Bf16);
    assert_eq!(weights.arrays["v"].dtype(), ElementType::F16);
    folder.succeed("run mixed.net --data in.npz --weights w.safetensors --out machine.npz");
    folder.succeed("run mixed.net --data in.npz --weights w.safetensors --out interpreter.npz --interp");
    let (machine, interpreter) = (folder.arrays("machine.npz"), folder.arrays("interpreter.npz"));
    let only = |arrays: &std::collections::BTreeMap<String, Array>| {
        arrays.iter().filter(|(name, _)| *name == "y").map(|(name, array)| (name.clone(), array.clone())).collect()
    };
    assert_close(&only(&machine), &only(&interpreter), 2.0 * gradc::ir::DType::Bf16.epsilon());
}
