//! The manual is what the operators say about themselves, and shows their code as it is.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use gradc_ir::op::ALL;
use gradc_ir::{AttrSource, Class, Derivative, Notation, OpDef};

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const CLASSES: [(Class, &str); 8] = [
    (Class::Source, "Sources"),
    (Class::Elementwise, "Elementwise"),
    (Class::Reduce, "Reductions"),
    (Class::Contract, "Contraction"),
    (Class::Movement, "Movement"),
    (Class::Accumulate, "Accumulation"),
    (Class::Indexed, "Indexed"),
    (Class::Scan, "Loops"),
];

/// `docs/operators.md` as it should be.
fn manual() -> String {
    let mut manual = String::from(
        "# Operators\n\n\
         What a graph is made of. Each entry is what the operator's file in `crates/gradc-ir/src/op/` says about itself; \
         this page is\nwritten from there, and a test holds it.\n",
    );
    for (class, title) in CLASSES {
        let _ = write!(manual, "\n## {title}\n");
        let mut defs: Vec<&OpDef> = ALL.iter().copied().filter(|def| def.class == class).collect();
        defs.sort_unstable_by_key(|def| def.name);
        for def in defs {
            let _ = write!(manual, "\n### {}\n\n{}\n", form(def), filled(def.doc));
            if let Derivative::None(reason) = def.derivative {
                let _ = write!(manual, "\nNo derivative: {reason}.\n");
            }
        }
    }
    manual
}

/// The files of the registry, in its order.
fn registered() -> Vec<String> {
    let registry = text("crates/gradc-ir/src/op/registry.rs");
    let lines = registry.lines().filter_map(|line| line.trim().strip_prefix('&')?.split_once("::"));
    lines.map(|(file, _)| file.to_owned()).collect()
}

/// How an application is written: the first line of the operator's file, in its own words for the operands.
fn form(def: &OpDef) -> String {
    let position = ALL.iter().position(|other| other.name == def.name).expect("it is from there");
    let file = text(&format!("crates/gradc-ir/src/op/{}.rs", registered()[position]));
    let form = file.lines().next().and_then(|line| line.strip_prefix("//! ")).expect("a file begins with the form");
    let symbol = match def.notation {
        Notation::Call => def.name,
        Notation::Infix(symbol) | Notation::Prefix(symbol) => symbol,
    };
    let attrs = def.attrs.iter().filter(|spec| spec.source == AttrSource::Written);
    for part in attrs.map(|spec| spec.name).chain([symbol]) {
        assert!(form.contains(part), "{form} does not mention {part}");
    }
    form.to_owned()
}

/// A paragraph in lines of at most 120 characters.
fn filled(paragraph: &str) -> String {
    let mut lines = vec![String::new()];
    for word in paragraph.split(' ') {
        let line = lines.last_mut().expect("there is a line");
        if line.chars().count() + 1 + word.chars().count() > 120 {
            lines.push(word.into());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[test]
fn the_manual_is_what_operators_say() {
    let path = repository("docs/operators.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|mode| mode == "always") {
        std::fs::write(&path, manual()).unwrap();
    }
    let found = text("docs/operators.md");
    assert!(found == manual(), "docs/operators.md is out of date: INSTA_UPDATE=always cargo test -p gradc-ir");
}

#[test]
fn the_example_of_an_operator_is_its_file() {
    let guide = text("docs/add-an-operator.md");
    let example = guide.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(example, Some(&*text("crates/gradc-ir/src/op/exp.rs")));
}

#[test]
fn what_the_guide_points_to_exists() {
    let guide = text("docs/add-an-operator.md");
    let links = guide.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(|link| format!("docs/{link}"));
    let quoted = guide.split('`').skip(1).step_by(2).filter(|code| code.starts_with("crates/")).map(String::from);
    let mut count = 0;
    for path in links.chain(quoted) {
        assert!(repository(&path).exists(), "the guide mentions {path}");
        count += 1;
    }
    assert!(count > 10, "{count} paths were found");
}

/// An operator that is not registered would be invisible to every test.
#[test]
fn every_operator_file_is_registered() {
    // The last two are notation: a note for differentiation, and what reads one of several results.
    let shared = ["mod", "derivative", "elementwise", "infer", "registry", "custom", "result"];
    let entries = std::fs::read_dir(repository("crates/gradc-ir/src/op")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
    let files: BTreeSet<String> = files.filter(|name| !shared.contains(&&**name)).collect();
    let registered = registered();
    assert!(registered.is_sorted(), "the registry is in alphabetical order");
    assert_eq!(files, registered.iter().cloned().collect::<BTreeSet<_>>());
    assert_eq!(registered.len(), ALL.len());
}
