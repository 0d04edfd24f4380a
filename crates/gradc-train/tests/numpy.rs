//! Arrays that NumPy wrote are what NumPy says they are.

use gradc_train::data::load;
use gradc_train::{Array, DataError, ElementType, InputSpec, LoadOptions};
use std::path::Path;

fn column(key: &str, dtype: ElementType) -> Result<Array, DataError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/numpy.npz");
    let loaded = load(&path, &[InputSpec::new(key, dtype, vec![3])], &LoadOptions::default())?;
    Ok(loaded.train.column(key).unwrap().clone())
}

#[test]
fn every_numeric_type_order_and_layout_is_read() {
    let expected = Array::new(vec![2, 3], vec![0.0_f32, 1.0, 2.0, 3.0, 100.0, 0.0]).unwrap();
    for code in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"] {
        for layout in ["little", "big", "fortran", "strided"] {
            let found = column(&format!("{code}_{layout}"), ElementType::F32).unwrap();
            assert_eq!(found, expected, "{code} {layout}");
        }
    }
}

#[test]
fn truth_values_are_read() {
    let expected = Array::new(vec![2, 3], vec![false, true, true, true, true, false]).unwrap();
    for layout in ["little", "big", "fortran", "strided"] {
        assert_eq!(column(&format!("b1_{layout}"), ElementType::Bool).unwrap(), expected, "{layout}");
    }
}

#[test]
fn what_is_not_numeric_is_refused_by_name() {
    for (key, reason) in [
        ("complex", "array `complex` has elements of NumPy type '<c8'; save it as float, integer or bool"),
        ("text", "array `text` has elements of NumPy type '<U1'; save it as float, integer or bool"),
        (
            "record",
            "array `record` has elements of NumPy type '[('x', '<f4'), ('y', '<i4')]'; save it as float, integer or bool",
        ),
        ("scalar", "`scalar` is one number, not an array of examples"),
    ] {
        let message = column(key, ElementType::F32).unwrap_err().to_string();
        assert!(message.ends_with(reason), "{message}");
    }
}
