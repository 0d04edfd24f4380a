//! The program as a process: what it prints, writes and returns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gradc_train::{Array, Elements, data};
use tempfile::TempDir;

mod bench;
mod check;
mod codes;
mod examples;
mod files;
mod graphs;
mod reasons;
mod terminal;
mod text;
mod training;
mod types;

/// A classifier of digits that trains in a moment.
const SMALL: &str = "
dim batch = 64
model small {
    input pixels: f32[batch, 64]
    input label: i32[batch]
    let logits = dense(relu(dense(pixels, 16, init = he_normal)), 10)
    output logits
    output p = softmax(logits)
    loss cross_entropy(logits, label)
}
train {
    data \"digits.npz\"
    split 0.2
    epochs 3
    optimizer adam(lr = 0.01)
}
";

/// A folder of a test's own, with `small.net` and its data.
struct Folder(TempDir);

/// What a process printed and returned.
struct Run {
    stdout: String,
    stderr: String,
    code: Option<i32>,
}

impl Folder {
    fn new() -> Folder {
        let folder = Folder(TempDir::new().expect("a temporary folder can be made"));
        folder.write("small.net", SMALL);
        std::fs::copy(example("data/digits.npz"), folder.path("digits.npz")).expect("the data can be copied");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("the folder can be written to");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn arrays(&self, name: &str) -> BTreeMap<String, Array> {
        data::read_npz(&self.path(name)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The first `count` examples of the data, as `name`.
    fn examples(&self, name: &str, count: usize) {
        let all = self.arrays("digits.npz");
        let first: Vec<(&str, Array)> = all.iter().map(|(name, array)| (name.as_str(), rows(array, count))).collect();
        self.write_npz(name, &first);
    }

    fn write_npz(&self, name: &str, arrays: &[(&str, Array)]) {
        let arrays: Vec<(&str, &Array)> = arrays.iter().map(|(name, array)| (*name, array)).collect();
        data::write_npz(&self.path(name), &arrays).expect("the folder can be written to");
    }

    /// The names of everything in it.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("the folder can be read");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> = entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradc"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        for name in ["NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs `gradc` in this folder.
    fn run(&self, arguments: &str) -> Run {
        Run::of(self.command(arguments).output().expect("gradc can be started"), arguments)
    }

    /// Runs `gradc` in this folder, which must succeed, and gives what it printed.
    fn succeed(&self, arguments: &str) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "gradc {arguments}\n{}{}", run.stdout, run.stderr);
        run.stdout
    }
}

impl Run {
    fn of(output: Output, arguments: &str) -> Run {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("gradc prints UTF-8");
        let run = Run { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() };
        assert!(!run.stderr.contains("panicked"), "gradc {arguments}\n{}", run.stderr);
        run
    }
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

/// The first rows of an array.
fn rows(array: &Array, count: usize) -> Array {
    let size: usize = array.shape()[1..].iter().product();
    let mut shape = array.shape().to_vec();
    shape[0] = count;
    let elements = match array.elements() {
        Elements::F32(all) => Elements::F32(all[..count * size].to_vec()),
        Elements::I32(all) => Elements::I32(all[..count * size].to_vec()),
        other => panic!("the digits are f32 and i32, not {other:?}"),
    };
    Array::new(shape, elements).expect("the shape fits")
}

/// The numbers of an array.
fn numbers(array: &Array) -> Vec<f64> {
    match array.elements() {
        Elements::F32(all) => all.iter().map(|&number| f64::from(number)).collect(),
        Elements::F64(all) => all.clone(),
        Elements::I32(all) => all.iter().map(|&number| f64::from(number)).collect(),
        other => panic!("results are numbers, not {other:?}"),
    }
}

/// Fails where arrays are not the same, up to `tolerance` of the greatest magnitude of each.
fn assert_close(found: &BTreeMap<String, Array>, expected: &BTreeMap<String, Array>, tolerance: f64) {
    let keys = |arrays: &BTreeMap<String, Array>| arrays.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(found), keys(expected));
    for (name, expected) in expected {
        assert_eq!(found[name].shape(), expected.shape(), "{name}");
        let (found, expected) = (numbers(&found[name]), numbers(expected));
        let scale = expected.iter().fold(0.0f64, |scale, number| scale.max(number.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= tolerance * scale, "{name}: {found}, not {expected} (of {scale})");
        }
    }
}
