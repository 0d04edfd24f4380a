//! Files that are not what they should be: a message that names the place, no panic, nothing left behind.

use std::fs::File;

use gradc_train::Array;

use crate::{Folder, rows};

/// Runs `gradc`, which must fail with code 1 and a message that has all of `said`, and leave the folder as it was.
fn refuse(folder: &Folder, arguments: &str, said: &[&str]) {
    let before = folder.names();
    let run = folder.run(arguments);
    assert_eq!(run.code, Some(1), "gradc {arguments}\n{}{}", run.stdout, run.stderr);
    for part in said {
        assert!(run.stderr.contains(part), "gradc {arguments}: no {part:?} in\n{}", run.stderr);
    }
    assert_eq!(folder.names(), before, "gradc {arguments} leaves files");
}

#[test]
fn what_is_no_source_file() {
    let folder = Folder::new();
    refuse(&folder, "nothing.net", &["nothing.net", "No such file"]);
    std::fs::create_dir(folder.path("folder.net")).expect("the folder can be written to");
    refuse(&folder, "folder.net", &["folder.net", "directory"]);
    let garbage: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    folder.write("garbage.net", garbage);
    refuse(&folder, "garbage.net", &["garbage.net:1:2", "UTF-8"]);
    folder.write("latin.net", b"model m {\n  // caf\xe9\n}");
    refuse(&folder, "latin.net", &["latin.net:2:9", "UTF-8"]);
    folder.write("zeros.net", [0; 64]);
    refuse(&folder, "zeros.net", &["zeros.net:1:1"]);
    let large = File::create(folder.path("large.net")).expect("the folder can be written to");
    large.set_len(100 << 20).expect("a file can have holes");
    refuse(&folder, "large.net", &["large.net", "too large"]);
    folder.write("deep.net", format!("model m {{ output x = {}1{} }}", "(".repeat(100_000), ")".repeat(100_000)));
    refuse(&folder, "deep.net", &["deep.net:1:"]);
    folder.write("open.net", "model m {\n    input x: f32[2]\n    output y = \"never closed");
    refuse(&folder, "open.net", &["open.net:3:16"]);
    folder.write("import.net", "import \"missing.net\"\nmodel m {\n    input x: f32[2]\n    output x\n}");
    refuse(&folder, "import.net", &["import.net:1:8", "missing.net"]);
}

#[test]
fn sizes_that_no_machine_has() {
    let folder = Folder::new();
    folder.write("product.net", "dim n = 3000000000\nmodel m {\n    input x: f32[n, n, n]\n    output x\n}");
    refuse(&folder, "product.net", &["product.net:3:"]);
    folder.write(
        "cycle.net",
        "layer a(x) { b(x) }\nlayer b(x) { a(x) }\nmodel m {\n    input x: f32[2]\n    output y = a(x)\n}",
    );
    refuse(&folder, "cycle.net", &["cycle.net:", "itself"]);
    for extent in ["0", "18446744073709551615"] {
        refuse(&folder, &format!("small.net --dim batch={extent}"), &["error"]);
    }
}

#[test]
fn graphs_that_are_cut_or_changed() {
    let folder = Folder::new();
    folder.succeed("small.net --emit=grad=g.ir");
    let text = String::from_utf8(folder.read("g.ir")).expect("graphs are text");
    for tenth in 1..10 {
        let mut cut = text.len() * tenth / 10;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        folder.write("cut.ir", &text[..cut]);
        refuse(&folder, "cut.ir", &["cut.ir:"]);
    }
    folder.write("other.ir", text.replacen("f32[64, 64]", "f32[64, 63]", 1));
    refuse(&folder, "other.ir", &["other.ir:"]);
    folder.write("bound.ir", &text);
    refuse(&folder, "bound.ir --dim batch=3", &["no dims"]);
}

#[test]
fn data_that_does_not_fit() {
    let folder = Folder::new();
    refuse(&folder, "train small.net --data nothing.npz", &["nothing.npz"]);
    folder.write("garbage.npz", "PK\x03\x04 this is no archive");
    refuse(&folder, "train small.net --data garbage.npz", &["garbage.npz"]);
    let whole = folder.read("digits.npz");
    folder.write("cut.npz", &whole[..whole.len() / 2]);
    refuse(&folder, "train small.net --data cut.npz", &["cut.npz"]);

    let all = folder.arrays("digits.npz");
    folder.write_npz("key.npz", &[("pixels", rows(&all["pixels"], 9))]);
    refuse(&folder, "train small.net --data key.npz", &["key.npz", "label"]);
    let labels = |values: Vec<i32>| Array::new(vec![values.len()], values).expect("the shape fits");
    let narrow = Array::new(vec![2, 63], vec![0.0f32; 126]).expect("the shape fits");
    folder.write_npz("shape.npz", &[("pixels", narrow), ("label", labels(vec![1, 2]))]);
    refuse(&folder, "train small.net --data shape.npz", &["shape.npz", "pixels", "63"]);
    for (i, label) in [10, -1].into_iter().enumerate() {
        let name = format!("label{i}.npz");
        folder.write_npz(&name, &[("pixels", rows(&all["pixels"], 2)), ("label", labels(vec![3, label]))]);
        refuse(&folder, &format!("train small.net --data {name}"), &[&name, "label", &label.to_string()]);
        refuse(&folder, &format!("run small.net --data {name}"), &["label", &label.to_string()]);
    }
    folder.write_npz("count.npz", &[("pixels", rows(&all["pixels"], 3)), ("label", labels(vec![1, 2]))]);
    refuse(&folder, "train small.net --data count.npz", &["count.npz"]);
    refuse(&folder, "run small.net --data count.npz", &["pixels", "f32[3, 64]"]);
    refuse(&folder, "run small.net", &["pixels"]);
    folder.write("table.csv", "pixels,label\n1,2\n");
    refuse(&folder, "train small.net --data table.csv", &["table.csv"]);
}

#[test]
fn weights_that_do_not_fit() {
    let folder = Folder::new();
    folder.succeed("init small.net --out w.safetensors");
    refuse(&folder, "eval small.net --weights nothing.safetensors", &["nothing.safetensors"]);
    let whole = folder.read("w.safetensors");
    for (i, length) in [0, 7, 100, whole.len() - 1].into_iter().enumerate() {
        let name = format!("cut{i}.safetensors");
        folder.write(&name, &whole[..length]);
        refuse(&folder, &format!("eval small.net --weights {name}"), &[&name]);
    }
    folder.write("other.net", crate::SMALL.replace("pixels, 16", "pixels, 17"));
    folder.succeed("init other.net --out other.safetensors");
    for command in ["eval small.net", "run small.net --data digits.npz", "train small.net"] {
        refuse(
            &folder,
            &format!("{command} --weights other.safetensors"),
            &["other.safetensors", "dense.0.", "16", "17"],
        );
    }
    refuse(&folder, "predict small.net --weights other.safetensors --out p.npz", &["other.safetensors"]);
    folder.succeed("train small.net --epochs 1 --checkpoint c.ck");
    refuse(&folder, "train other.net --epochs 2 --checkpoint c.ck --resume", &["another"]);
    let checkpoint = folder.read("c.ck");
    folder.write("half.ck", &checkpoint[..checkpoint.len() / 2]);
    refuse(&folder, "train small.net --checkpoint half.ck --resume", &["half.ck"]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let folder = Folder::new();
    folder.succeed("init small.net --out w.safetensors");
    std::fs::create_dir(folder.path("taken")).expect("the folder can be written to");
    for target in ["nowhere/x", "taken"] {
        refuse(&folder, &format!("init small.net --out {target}"), &[target]);
        refuse(&folder, &format!("small.net --emit=grad={target}"), &[target]);
        refuse(&folder, &format!("train small.net --epochs 1 --out {target}"), &[target]);
        refuse(&folder, &format!("predict small.net --weights w.safetensors --out {target}"), &[target]);
        refuse(&folder, &format!("run small.net --data digits.npz --out {target}"), &[target]);
        refuse(&folder, &format!("train small.net --epochs 1 --checkpoint {target}"), &[target]);
    }
}

#[test]
fn what_is_written_is_alone() {
    let folder = Folder::new();
    let mut names = folder.names();
    folder.succeed("train small.net --epochs 1 --out w --checkpoint c --checkpoint-steps 3");
    folder.succeed("predict small.net --weights w --out p");
    folder.succeed("small.net --emit=grad=g");
    names.extend(["w", "c", "p", "g"].map(String::from));
    names.sort_unstable();
    assert_eq!(folder.names(), names);
}

#[test]
fn json_mistakes_are_objects() {
    let folder = Folder::new();
    folder.write("wrong.net", "model m {\n  input x: f32[2, 3]\n  output y = x @ x\n}");
    let run = folder.run("wrong.net --format=json");
    assert_eq!(run.code, Some(1));
    let object: serde_json::Value = serde_json::from_str(run.stdout.trim()).expect("one object");
    assert_eq!(object["severity"], "error");
    assert_eq!((&object["location"]["line"], &object["location"]["file"]), (&3.into(), &"wrong.net".into()));
    assert!(object["code"].as_str().is_some_and(|code| code.starts_with('E')), "{object}");
}
