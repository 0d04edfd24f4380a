//! Loading from every format: what is bound to which input, and what is said where it does not fit.

mod text;

use super::*;
use ElementType::{Bool, F32, F64, I32, I64};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::io::Write;
use tempfile::{TempDir, tempdir};

fn f32s(shape: &[usize], values: &[f32]) -> Array {
    Array::new(shape.to_vec(), values.to_vec()).unwrap()
}

fn mapping(pairs: &[(&str, &str)]) -> Mapping {
    pairs.iter().map(|&(input, key)| (input.to_owned(), key.to_owned())).collect()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A directory in which files are written and loaded.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        Files(tempdir().unwrap())
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Files {
        std::fs::write(self.0.path().join(name), bytes).unwrap();
        self
    }

    fn npz(self, name: &str, arrays: &[(&str, &Array)]) -> Files {
        write_npz(&self.0.path().join(name), arrays).unwrap();
        self
    }

    fn load(&self, name: &str, inputs: &[InputSpec], keys: &[(&str, &str)]) -> Result<Loaded, DataError> {
        self.load_with(name, inputs, &mapping(keys).into())
    }

    fn load_with(&self, name: &str, inputs: &[InputSpec], options: &LoadOptions) -> Result<Loaded, DataError> {
        load(&self.0.path().join(name), inputs, options)
    }

    /// The error's message, without the path of the directory.
    fn error(&self, name: &str, inputs: &[InputSpec], keys: &[(&str, &str)]) -> String {
        let message = self.load(name, inputs, keys).unwrap_err().to_string();
        message.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn npy(array: &Array) -> Vec<u8> {
    let mut bytes = Vec::new();
    npy::write(&mut bytes, array).unwrap();
    bytes
}

fn idx_images(count: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 1, 0, 0, 0, 2];
    bytes.extend((0..count).flat_map(|i| [i, 255]));
    bytes
}

fn idx_labels(labels: &[u8]) -> Vec<u8> {
    [&[0, 0, 8, 1, 0, 0, 0, labels.len() as u8], labels].concat()
}

fn images_and_labels() -> [InputSpec; 2] {
    [InputSpec::new("pixels", F32, vec![2]), InputSpec::new("label", I32, vec![]).below(10)]
}

#[test]
fn npz_binds_by_name_converts_and_reshapes() {
    let x = Array::new(vec![2, 2, 2], (0..8).map(f64::from).collect::<Vec<f64>>()).unwrap();
    let y = Array::new(vec![2, 1], vec![3_i64, 4]).unwrap();
    let unused = Array::from_vec(vec![0.0_f32; 5]);
    let files = Files::new().npz("d.npz", &[("images", &x), ("label", &y), ("unused", &unused)]);
    let inputs = [InputSpec::new("pixels", F32, vec![4]), InputSpec::new("label", I32, vec![])];
    let loaded = files.load("d.npz", &inputs, &[("pixels", "images")]).unwrap();
    assert_eq!(loaded.test, None);
    assert_eq!(loaded.train.examples(), 2);
    assert_eq!(loaded.train.column("pixels"), Some(&f32s(&[2, 4], &[0., 1., 2., 3., 4., 5., 6., 7.])));
    assert_eq!(loaded.train.column("label"), Some(&Array::from_vec(vec![3, 4])));
    assert_eq!(loaded.train.column("unused"), None);
}

#[test]
fn the_digits_of_the_examples_load() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/digits.npz");
    let inputs = [InputSpec::new("pixels", F32, vec![8, 8]), InputSpec::new("label", I32, vec![]).below(10)];
    let digits = load(&path, &inputs, &LoadOptions::default()).unwrap().train;
    assert_eq!(digits.examples(), 1797);
    assert_eq!(digits.column("pixels").unwrap().shape(), [1797, 8, 8]);
    let pixels = digits.column("pixels").unwrap().as_f32().unwrap();
    assert!(pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
    assert_eq!(&digits.column("label").unwrap().as_i32().unwrap()[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn what_does_not_fit_is_said() {
    let x = f32s(&[2, 3], &[0., 1., 2., 3., 4., 5.5]);
    let y = Array::from_vec(vec![3, 12, -1]);
    let files = Files::new().npz("d.npz", &[("x", &x), ("y", &y), ("scalar", &f32s(&[], &[1.0]))]);
    let one = |name: &str, dtype, shape: &[usize]| [InputSpec::new(name, dtype, shape.to_vec())];
    let error = |inputs: &[InputSpec], keys: &[(&str, &str)]| files.error("d.npz", inputs, keys);
    assert_eq!(
        error(&one("pixels", F32, &[3]), &[]),
        "d.npz: input `pixels` has no data: there is `x`, `y` and `scalar`"
    );
    assert_eq!(
        error(&one("z", F32, &[3]), &[("z", "scalr")]),
        "d.npz: input `z` has no data: there is no `scalr`, only `x`, `y` and `scalar`; did you mean `scalar`?"
    );
    assert_eq!(
        error(&one("pixels", F32, &[3]), &[("pixel", "x")]),
        "d.npz: there is no input `pixel` to give data to, only `pixels`; did you mean `pixels`?"
    );
    assert_eq!(
        error(&one("x", F32, &[4]), &[]),
        "d.npz: input `x` takes examples of shape [4], but `x` has the shape [2, 3]: 2 examples of shape [3]"
    );
    assert_eq!(error(&one("scalar", F32, &[]), &[]), "d.npz: `scalar` is one number, not an array of examples");
    assert_eq!(
        error(&one("x", I32, &[3]), &[]),
        "d.npz: example 1 of `x`: 5.5 (f32) is not a whole number, as i32 needs"
    );
    assert_eq!(
        error(&one("mask", Bool, &[]), &[("mask", "y")]),
        "d.npz: example 0 of `y` (for input `mask`): 3 (i32) is neither 0 nor 1, as bool needs"
    );
    assert_eq!(
        error(&[InputSpec::new("y", I32, vec![]).below(10)], &[]),
        "d.npz: example 1 of `y`: 12 is out of range, values from 0 to 9 are allowed"
    );
    assert_eq!(
        error(&[InputSpec::new("y", I32, vec![]).below(20)], &[]),
        "d.npz: example 2 of `y`: -1 is out of range, values from 0 to 19 are allowed"
    );
    assert_eq!(
        error(&[one("x", F32, &[3]), one("y", I32, &[])].concat(), &[]),
        "d.npz: `x` has 2 examples, but `y` has 3"
    );
}

#[test]
fn files_that_are_no_data_are_said_to_be_none() {
    let files = Files::new()
        .with("a.npz", b"not a zip archive")
        .with("a.npy", b"not npy")
        .with("a-idx3-ubyte", b"not idx")
        .with("a.bin", b"hello")
        .with("empty", b"")
        .with("a.npy.gz", &gzipped(&npy(&Array::from_vec(vec![1.0_f32])))[..20]);
    let inputs = images_and_labels();
    assert!(files.error("a.npz", &inputs, &[]).starts_with("a.npz is not an npz archive that can be read: "));
    assert_eq!(files.error("a.npy", &inputs, &[]), "a.npy is not in npy format");
    assert_eq!(files.error("a-idx3-ubyte", &inputs, &[]), "a-idx3-ubyte is not in IDX format");
    let unknown = "is in no known format: gradc reads .npz, .npy, .csv, .tsv, .txt and IDX, also gzipped";
    assert_eq!(files.error("a.bin", &inputs, &[]), format!("a.bin: {unknown}"));
    assert_eq!(files.error("empty", &inputs, &[]), format!("empty: {unknown}"));
    assert!(files.error("a.npy.gz", &inputs, &[]).starts_with("cannot read a.npy.gz: "));
    assert!(files.error("none.csv", &inputs, &[]).starts_with("cannot read none.csv: "));
}

#[test]
fn a_data_set_without_examples_is_an_error() {
    let files = Files::new().npz("d.npz", &[("x", &f32s(&[0, 3], &[]))]);
    let inputs = [InputSpec::new("x", F32, vec![3])];
    assert_eq!(files.error("d.npz", &inputs, &[]), "d.npz: there are no examples");
}

#[test]
fn a_format_is_told_from_its_bytes_where_the_name_says_nothing() {
    let x = f32s(&[2], &[1.0, 2.0]);
    let files = Files::new().npz("zip", &[("x", &x)]).with("npy", npy(&x)).with("gz", gzipped(&npy(&x)));
    for name in ["zip", "npy", "gz"] {
        let loaded = files.load(name, &[InputSpec::new("x", F32, vec![])], &[]).unwrap();
        assert_eq!(loaded.train.column("x"), Some(&x), "{name}");
    }
}

#[test]
fn csv_is_bound_by_name_and_its_errors_have_lines() {
    let text = "label,a,b\n1,0.5,0.25\n\n12,1,2\n";
    let files = Files::new().with("d.csv", text).with("d.csv.gz", gzipped(text.as_bytes()));
    let files = files.with("d.tsv", text.replace(',', "\t"));
    let inputs = [InputSpec::new("x", F64, vec![1, 2]), InputSpec::new("label", I32, vec![])];
    for name in ["d.csv", "d.csv.gz", "d.tsv"] {
        let loaded = files.load(name, &inputs, &[]).unwrap();
        assert_eq!(loaded.train.column("x").unwrap().shape(), [2, 1, 2], "{name}");
        assert_eq!(loaded.train.column("label"), Some(&Array::from_vec(vec![1, 12])), "{name}");
    }
    let bounded = [inputs[0].clone(), inputs[1].clone().below(10)];
    assert_eq!(
        files.error("d.csv", &bounded, &[]),
        "d.csv: line 4 of `label`: 12 is out of range, values from 0 to 9 are allowed"
    );
    let whole = [InputSpec::new("x", I32, vec![2]), inputs[1].clone()];
    assert_eq!(
        files.error("d.csv", &whole, &[]),
        "d.csv: line 2 of `x`: 0.5 (f64) is not a whole number, as i32 needs"
    );
}

#[test]
fn csv_numbers_arrive_exactly_or_not_at_all() {
    let big = "9007199254740993,0.1\n-9223372036854775808,2\n1e3,9007199254740993\n";
    let files = Files::new().with("d.csv", big).with("halves.csv", "9007199254740993\n0.5\n");
    let files = files.with("large.csv", "1\n1e400\n").with("infinite.csv", "inf\n-Infinity\n-0\n");
    let id = |dtype| [InputSpec::new("id", dtype, vec![]), InputSpec::new("x", F64, vec![])];
    let loaded = files.load("d.csv", &id(I64), &[]).unwrap().train;
    assert_eq!(loaded.column("id"), Some(&Array::from_vec(vec![9_007_199_254_740_993_i64, i64::MIN, 1000])));
    assert_eq!(loaded.column("x"), Some(&Array::from_vec(vec![0.1, 2.0, 9_007_199_254_740_992.0])));
    // A float takes the nearest, as of any decimal.
    let rounded = files.load("d.csv", &id(F64), &[]).unwrap().train;
    assert_eq!(rounded.column("id").unwrap().as_f64().unwrap()[0], 9_007_199_254_740_992.0);
    let only = |dtype| [InputSpec::new("id", dtype, vec![])];
    assert_eq!(
        files.error("halves.csv", &only(I64), &[]),
        "halves.csv: line 1, column `0`: whole numbers beyond 2^53 are read exactly only where the whole column is written \
         in digits alone"
    );
    assert_eq!(
        files.error("large.csv", &only(F64), &[]),
        "large.csv: line 2, column `0`: `1e400` is larger than any number that can be stored"
    );
    let infinite = files.load("infinite.csv", &only(F32), &[]).unwrap().train;
    let column = infinite.column("id").unwrap().as_f32().unwrap();
    assert_eq!(column, [f32::INFINITY, f32::NEG_INFINITY, 0.0]);
    assert!(column[2].is_sign_negative());
}

#[test]
fn a_directory_like_mnist_has_a_held_out_set() {
    let files = Files::new()
        .with("train-images-idx3-ubyte", idx_images(3))
        .with("train-labels.idx1-ubyte.gz", gzipped(&idx_labels(&[7, 8, 9])))
        .with("t10k-images.idx3-ubyte", idx_images(1))
        .with("t10k-labels-idx1-ubyte", idx_labels(&[5]));
    let loaded = files.load("", &images_and_labels(), &[]).unwrap();
    assert_eq!(loaded.train.column("pixels"), Some(&f32s(&[3, 2], &[0., 1., 1. / 255., 1., 2. / 255., 1.])));
    assert_eq!(loaded.train.column("label"), Some(&Array::from_vec(vec![7, 8, 9])));
    let test = loaded.test.unwrap();
    assert_eq!((test.examples(), test.column("label")), (1, Some(&Array::from_vec(vec![5]))));
    // The order of declaration does not matter, and names can be given.
    let [pixels, label] = images_and_labels();
    assert_eq!(files.load("", &[label.clone(), pixels.clone()], &[]).unwrap().train, loaded.train);
    assert_eq!(files.load("", &[pixels.clone(), label], &[("label", "labels")]).unwrap().train, loaded.train);
    // An integer input reads bytes as they are; one array may feed two inputs.
    let raw = [InputSpec::new("bytes", I32, vec![1, 2])];
    assert_eq!(files.load("", &raw, &[]).unwrap().train.column("bytes").unwrap().as_i32().unwrap()[..2], [0, 255]);
    let auto = [pixels, InputSpec::new("target", F32, vec![2])];
    let auto = files.load("", &auto, &[("pixels", "images"), ("target", "images")]).unwrap().train;
    assert_eq!(auto.column("pixels"), auto.column("target"));
}

#[test]
fn a_directory_that_does_not_fit_is_an_error() {
    let files = Files::new();
    assert!(files.error("", &images_and_labels(), &[]).ends_with("or for .npy files, one an input"));
    let files =
        files.with("train-images-idx3-ubyte", idx_images(2)).with("train-labels-idx1-ubyte", idx_labels(&[1, 2, 3]));
    let path = format!("{}/", files.0.path().display());
    assert_eq!(
        files.error("", &images_and_labels(), &[]),
        format!("{path}: `images` has 2 examples, but `labels` has 3").replace(&path, "")
    );
    assert_eq!(
        files.error("", &[InputSpec::new("x", F32, vec![784])], &[]),
        ": input `x` (f32[784] an example) has no data: there is `images` of u8[2, 1, 2] and `labels` of u8[3]"
    );
}

#[test]
fn a_directory_of_npy_files_has_a_column_a_file() {
    let (x, y) = (f32s(&[2, 2], &[1., 2., 3., 4.]), Array::from_vec(vec![1, 0]));
    let files = Files::new().with("pixels.npy", npy(&x)).with("label.npy.gz", gzipped(&npy(&y)));
    let loaded = files.load("", &images_and_labels(), &[]).unwrap().train;
    assert_eq!((loaded.column("pixels"), loaded.column("label")), (Some(&x), Some(&y)));
}

#[test]
fn arrays_in_memory_are_checked_like_files() {
    let inputs = images_and_labels();
    let arrays = vec![f32s(&[2, 2], &[1., 2., 3., 4.]), Array::from_vec(vec![1_i64, 0])];
    let dataset = Dataset::from_arrays(&inputs, arrays.clone()).unwrap();
    assert_eq!(dataset.column("label").unwrap().dtype(), I32);
    assert!(matches!(
        Dataset::from_arrays(&inputs, arrays[..1].to_vec()).unwrap_err(),
        DataErrorKind::Missing { input, .. } if input == "label"
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_in_any_format_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        start in 0_usize..4,
        name in prop::sample::select(vec!["d.npz", "d.npy", "d.csv", "d-idx1-ubyte", "d", "d.csv.gz", "d.txt"]),
    ) {
        let magic: &[u8] = [&[][..], b"PK\x03\x04", npy::MAGIC, &[0x1f, 0x8b, 8]][start];
        let files = Files::new().with(name, [magic, &bytes[..]].concat());
        let _ = files.load(name, &images_and_labels(), &[]);
    }
}
