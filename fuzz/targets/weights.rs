//! Any bytes are read as weights and as a checkpoint. What is read can be written, and reads back as the same bits.
#![no_main]

use gradc_train::Checkpoint;
use gradc_train::weights::{self, WeightsErrorKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("w.safetensors");
    std::fs::write(&path, bytes).expect("the directory is writable");
    if let Err(error) = Checkpoint::read(&path) {
        error.to_string();
    }
    match weights::read(&path) {
        Ok(content) => {
            let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
            match weights::write(&first, &content) {
                Ok(()) => {}
                // The format keeps one name for itself.
                Err(error) if matches!(error.kind, WeightsErrorKind::ReservedName) => return,
                Err(error) => panic!("what was read is not written: {error}"),
            }
            let again = weights::read(&first).expect("what was written is read");
            weights::write(&second, &again).expect("and written again");
            // Bytes, not values: NaN is not equal to itself.
            assert_eq!(
                std::fs::read(&first).ok(),
                std::fs::read(&second).ok(),
                "the same content gives the same bytes"
            );
        }
        Err(error) => {
            error.to_string();
        }
    }
});
