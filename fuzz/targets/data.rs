//! Any bytes are loaded as a data set, under each of the names that say how a file is stored, for three kinds of inputs.
#![no_main]

use std::path::Path;

use gradc_train::ElementType;
use gradc_train::data::{self, InputSpec, LoadOptions};
use libfuzzer_sys::fuzz_target;

/// Of the last, the bytes say what it is.
const NAMES: [&str; 5] = ["data.csv", "data.npz", "x-idx3-ubyte", "data.txt", "data"];

fuzz_target!(|bytes: &[u8]| {
    let images = [
        InputSpec::new("pixels", ElementType::F32, vec![64]),
        InputSpec::new("label", ElementType::I32, vec![]).below(10),
    ];
    let matrices = [InputSpec::new("x", ElementType::F64, vec![2, 2])];
    let windows = [
        InputSpec::new("tokens", ElementType::I32, vec![4]).below(65),
        InputSpec::new("next", ElementType::I32, vec![4]).below(65),
    ];
    let folder = tempfile::tempdir().expect("a temporary directory");
    for name in NAMES {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("the directory is writable");
        check(&path, &images);
        check(&path, &matrices);
        check(&path, &windows);
    }
});

fn check(path: &Path, inputs: &[InputSpec]) {
    match data::load(path, inputs, &LoadOptions::default()) {
        Ok(loaded) => {
            assert!(loaded.train.examples() > 0, "a data set has an example");
            if loaded.train.vocabulary().is_some() {
                return; // A text has no columns.
            }
            for input in inputs {
                let column = loaded.train.column(&input.name).expect("each input has a column");
                assert_eq!(column.dtype(), input.dtype);
                assert_eq!(column.shape().split_first(), Some((&loaded.train.examples(), &input.example_shape[..])));
            }
        }
        Err(error) => {
            error.to_string();
        }
    }
}
