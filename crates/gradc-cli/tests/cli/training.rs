//! `train`, `eval`, `predict`, checkpoints.

use std::process::Stdio;

use gradc_train::{Array, Elements};
use serde_json::Value;

use crate::{Folder, assert_close, example};

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

fn number(object: &Value, key: &str) -> f64 {
    object[key].as_f64().unwrap_or_else(|| panic!("`{key}` of {object} is a number"))
}

#[test]
fn digits_trains_to_the_same_numbers_twice() {
    let folder = Folder::new();
    let train = format!("train {} --epochs 2", example("digits.net").display());
    let first = folder.succeed(&train);
    assert!(first.contains("epoch 2/2"), "{first}");
    assert_eq!(folder.succeed(&train), first);
}

#[test]
fn json_has_one_object_a_line() {
    let folder = Folder::new();
    let objects = objects(&folder.succeed("train small.net --format=json"));
    let epochs: Vec<&Value> = objects.iter().filter(|object| object["event"] == "epoch").collect();
    assert_eq!(epochs.len(), 3);
    for (i, epoch) in epochs.iter().enumerate() {
        assert_eq!(epoch["epoch"], i + 1);
        for key in ["loss", "accuracy", "val_loss", "val_accuracy", "seconds"] {
            assert!(number(epoch, key) >= 0.0, "{key} of {epoch}");
        }
    }
    assert!(number(epochs[2], "loss") < number(epochs[0], "loss"), "it learns");
    assert!(number(epochs[2], "val_accuracy") > 0.5, "it learns");
}

#[test]
fn trained_weights_evaluate_predict_and_run_alike() {
    let folder = Folder::new();
    let trained = objects(&folder.succeed("train small.net --format=json --out w.safetensors"));
    let last = trained.iter().rfind(|object| object["event"] == "epoch").expect("there are epochs");
    let evaluated = objects(&folder.succeed("eval small.net --weights w.safetensors --format=json"));
    assert_eq!(number(&evaluated[0], "loss"), number(last, "val_loss"));
    assert_eq!(number(&evaluated[0], "accuracy"), number(last, "val_accuracy"));

    folder.examples("few.npz", 20);
    folder.succeed("predict small.net --data few.npz --weights w.safetensors --out predicted.npz");
    folder.succeed("run small.net --data few.npz --weights w.safetensors --out run.npz");
    let (predicted, mut ran) = (folder.arrays("predicted.npz"), folder.arrays("run.npz"));
    assert!(ran.contains_key("loss") && ran.contains_key("accuracy"));
    ran.retain(|name, _| name == "logits" || name == "p");
    assert_close(&predicted, &ran, 1e-5);
}

#[test]
fn a_column_of_a_table_without_names_is_mapped_by_its_number() {
    let folder = Folder::new();
    folder.write("t.csv", "7,1,2\n");
    folder.write(
        "m.net",
        "dim batch = 4\nmodel m {\n input x: f32[batch, 2]\n input y: f32[batch]\n param w: [2] = ones\n loss mse(x @ w, y)\n}\n\
         train {\n data \"t.csv\" { y = 0 }\n epochs 1\n}\n",
    );
    // (1 + 2 - 7)² = 16
    let trained = folder.succeed("train m.net");
    assert!(trained.starts_with("1 example, 1 epoch of 1 step\n") && trained.contains("loss 16.0000"), "{trained}");
}

#[test]
fn initial_weights_are_those_that_training_begins_with() {
    let folder = Folder::new();
    folder.succeed("init small.net --out first.safetensors");
    folder.succeed("train small.net --out a.safetensors");
    folder.succeed("train small.net --weights first.safetensors --out b.safetensors");
    assert_eq!(folder.read("a.safetensors"), folder.read("b.safetensors"));
    folder.succeed("train small.net --seed 1 --out c.safetensors");
    assert_ne!(folder.read("a.safetensors"), folder.read("c.safetensors"));
}

#[test]
fn a_training_that_was_stopped_ends_with_the_same_bits() {
    let folder = Folder::new();
    folder.succeed("train small.net --epochs 4 --out whole.safetensors");
    folder.succeed("train small.net --epochs 2 --checkpoint c.ck");
    let resumed = folder.succeed("train small.net --epochs 4 --checkpoint c.ck --resume --out parts.safetensors");
    assert!(resumed.contains("epoch 3/4") && !resumed.contains("epoch 2/4"), "{resumed}");
    assert_eq!(folder.read("whole.safetensors"), folder.read("parts.safetensors"));
}

#[test]
fn a_training_that_was_killed_ends_with_the_same_bits() {
    let folder = Folder::new();
    folder.succeed("train small.net --epochs 20 --out whole.safetensors");
    let mut command = folder.command("train small.net --epochs 20 --checkpoint c.ck --checkpoint-steps 5");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("gradc can be started");
    while !folder.path("c.ck").exists() && child.try_wait().expect("a child can be asked").is_none() {
        std::thread::yield_now();
    }
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");
    let resumed = folder.succeed("train small.net --epochs 20 --checkpoint c.ck --resume --out parts.safetensors");
    assert!(resumed.contains("going on after step"), "{resumed}");
    assert_eq!(folder.read("whole.safetensors"), folder.read("parts.safetensors"));
}

/// Not on another part of the data, of which most was learned.
#[test]
fn what_was_held_out_is_what_is_measured_later() {
    let folder = Folder::new();
    let trained =
        folder.succeed("train small.net --epochs 1 --seed 7 --split 0.3 --out w.safetensors --checkpoint c.ck");
    let accuracy = trained.lines().find_map(|line| line.strip_prefix("held-out accuracy ")).expect("it is told");
    for weights in ["w.safetensors", "c.ck"] {
        let evaluated = folder.succeed(&format!("eval small.net --weights {weights}"));
        assert!(evaluated.starts_with("539 examples\n"), "{evaluated}");
        assert!(evaluated.ends_with(&format!("\naccuracy {accuracy}\n")), "{evaluated}\n{trained}");
    }
    let with = |arguments: &str| folder.succeed(&format!("eval small.net --weights w.safetensors {arguments}"));
    assert!(with("--split 0.5").starts_with("899 examples\n"));
    assert_ne!(with("--seed 8"), with(""));
    assert!(with("--data digits.npz").starts_with("1797 examples\n"));
    assert_eq!(with("--data digits.npz --split 0.3"), with(""));
}

#[test]
fn training_goes_on_with_the_same_examples_compiled_the_same_way() {
    let folder = Folder::new();
    folder.examples("a.npz", 200);
    let mut arrays = folder.arrays("a.npz");
    let as_given: Vec<(&str, Array)> = arrays.iter().map(|(name, array)| (name.as_str(), array.clone())).collect();
    folder.write_npz("renamed.npz", &as_given);
    let pixels = arrays.remove("pixels").expect("the digits have pixels");
    let (shape, elements) = pixels.into_parts();
    let Elements::F32(mut numbers) = elements else { panic!("pixels are f32") };
    numbers[1000] += 1.0;
    arrays.insert("pixels".to_owned(), Array::new(shape, numbers).expect("the shape fits"));
    let changed: Vec<(&str, Array)> = arrays.iter().map(|(name, array)| (name.as_str(), array.clone())).collect();
    folder.write_npz("changed.npz", &changed);
    folder.succeed("train small.net --data a.npz --epochs 1 --checkpoint c.ck");
    for (arguments, message) in [
        ("--data changed.npz", "the examples that are learned from are others"),
        ("--data a.npz -O0", "-O is another one"),
        ("--data a.npz --fp fast", "--fp"),
    ] {
        let run = folder.run(&format!("train small.net --epochs 2 --checkpoint c.ck --resume {arguments}"));
        assert_eq!(run.code, Some(1), "{arguments}");
        assert!(run.stderr.contains(message), "{arguments}: {}", run.stderr);
    }
    let resumed = folder.succeed("train small.net --data renamed.npz --epochs 2 --lr 0.1 --checkpoint c.ck --resume");
    assert!(resumed.contains("epoch 2/2"), "{resumed}");
}

#[test]
fn the_last_batch_counts_by_its_examples() {
    let folder = Folder::new();
    folder.succeed("init small.net --out w.safetensors");
    let loss = |batch: usize| {
        let arguments =
            format!("eval small.net --data digits.npz --weights w.safetensors --dim batch={batch} --format=json");
        let evaluated = &objects(&folder.succeed(&arguments))[0];
        (number(evaluated, "loss"), number(evaluated, "accuracy"))
    };
    let (whole, in_sevens) = (loss(1797), loss(7));
    assert!((whole.0 - in_sevens.0).abs() < 1e-5 * whole.0, "{whole:?} {in_sevens:?}");
    assert!((whole.1 - in_sevens.1).abs() < 1e-6, "{whole:?} {in_sevens:?}");
    // A rate that moves nothing: the loss of the epoch is that of the initial weights over all examples.
    folder.write("all.net", crate::SMALL.replace("split 0.2", ""));
    let trained = objects(&folder.succeed("train all.net --dim batch=7 --epochs 1 --lr 1e-30 --format=json"));
    let epoch = trained.iter().find(|object| object["event"] == "epoch").expect("there is an epoch");
    assert!((number(epoch, "loss") - whole.0).abs() < 1e-5 * whole.0, "{epoch}, not {whole:?}");
}
