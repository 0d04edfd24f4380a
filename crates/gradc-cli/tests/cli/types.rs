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
