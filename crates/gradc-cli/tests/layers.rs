//! Holds the table of layers in docs/architecture.md: a crate depends on crates of lower layers only, and each engine from
//! outside is known to one crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A row of the table.
struct Row {
    layer: u32,
    purpose: String,
}

/// The engines, by how the names of their crates begin, and who may use each.
const ENGINES: &[(&str, &str)] = &[
    ("petgraph", "gradc-ir"),
    ("egg", "gradc-simplify"),
    ("cranelift-", "gradc-codegen"),
    ("gemm-", "gradc-runtime"),
    ("logos", "gradc-syntax"),
    ("annotate-snippets", "gradc-diagnostics"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows of the table of crates: `| 0 | `name` | purpose | … |`.
fn table() -> BTreeMap<String, Row> {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md is there");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, layer, name, purpose, ..] = cells[..] else { return None };
        let name = name.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), Row { layer: layer.parse().ok()?, purpose: purpose.to_owned() }))
    };
    text.lines().filter_map(row).collect()
}

/// The crates of the compiler, each with the names of what it depends on outside of its tests.
fn packages() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &Value| value.as_str().expect("a name is a string").to_owned();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let used = |package: &Value| {
        let dependencies = list(&package["dependencies"]);
        dependencies.iter().filter(|dependency| dependency["kind"] != "dev").map(|d| text(&d["name"])).collect()
    };
    let packages = list(&metadata["packages"]);
    // The examples are packages of the workspace too, but none of its layers.
    let own = packages.iter().filter(|package| text(&package["manifest_path"]).contains("/crates/gradc"));
    own.map(|package| (text(&package["name"]), used(package))).collect()
}

#[test]
fn the_table_lists_every_crate() {
    let (table, packages) = (table(), packages());
    let listed: Vec<&String> = table.keys().collect();
    let present: Vec<&String> = packages.keys().collect();
    assert_eq!(listed, present, "left: the table of docs/architecture.md, right: the workspace");
}

#[test]
fn crates_depend_on_lower_layers_only() {
    let (table, packages) = (table(), packages());
    let mut wrong = Vec::new();
    let mut edges = 0;
    for (name, used) in &packages {
        for dependency in used {
            let Some(below) = table.get(dependency) else { continue };
            edges += 1;
            let own = table[name].layer;
            if below.layer >= own {
                wrong.push(format!("{name} (layer {own}) depends on {dependency} (layer {})", below.layer));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(edges >= packages.len() - 2, "only {edges} dependencies within the workspace were seen");
}

#[test]
fn nothing_that_ships_depends_on_the_crate_for_tests() {
    let users: Vec<String> =
        packages().into_iter().filter(|(_, used)| used.iter().any(|d| d == "gradc-testing")).map(|(n, _)| n).collect();
    assert!(users.is_empty(), "gradc-testing is used outside of tests by {}", users.join(", "));
}

#[test]
fn each_engine_is_known_to_one_crate() {
    let packages = packages();
    for (engine, owner) in ENGINES {
        let knows =
            |used: &&Vec<String>| used.iter().any(|d| d == engine || (engine.ends_with('-') && d.starts_with(engine)));
        let users: Vec<&String> = packages.iter().filter(|(_, used)| knows(used)).map(|(name, _)| name).collect();
        assert_eq!(users, [owner], "who uses {engine}");
    }
}

#[test]
fn the_table_says_who_is_the_only_user() {
    let packages = packages();
    let mut seen = 0;
    for (name, row) in table() {
        let Some((_, engine)) = row.purpose.split_once("The only user of ") else { continue };
        let engine = engine.trim_end_matches('.').to_lowercase();
        let knows = |used: &&Vec<String>| used.iter().any(|d| *d == engine || d.starts_with(&format!("{engine}-")));
        let users: Vec<&String> = packages.iter().filter(|(_, used)| knows(used)).map(|(name, _)| name).collect();
        assert_eq!(users, [&name], "the table says that {name} is the only user of {engine}");
        seen += 1;
    }
    assert!(seen >= 3, "the table names the only users of petgraph, egg and Cranelift");
}
