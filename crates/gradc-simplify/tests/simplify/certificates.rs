//! Every simplified graph comes with a certificate, and a certificate that was tampered with does not hold.

use std::path::{Path, PathBuf};

use gradc_ir::Graph;
use gradc_simplify::certificate::{Reasons, read, simplify_with_reasons, stabilise_with_reasons};
use gradc_simplify::{Mode, Options};

use crate::common::{differentiated, model_with};

/// The networks of a folder of the repository.
fn networks(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "net"));
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

/// What is found out on the way from a forward graph to its simplified gradient, before and after differentiation.
fn reasons(graph: &Graph, mode: Mode) -> [Reasons; 2] {
    let (stable, before) = stabilise_with_reasons(graph, &Options::in_mode(mode));
    let (_, after) = simplify_with_reasons(&differentiated(&stable.graph), &Options::in_mode(mode));
    [before, after]
}

/// The certificates of a graph hold after they were written and read, and are written in the same way again.
fn check(name: &str, graph: &Graph, mode: Mode) {
    for reasons in reasons(graph, mode) {
        let text = reasons.certificate().to_string();
        let certificates = read(&text).unwrap_or_else(|error| panic!("{name} {mode}: {error:?}\n{text}"));
        assert_eq!(certificates.len(), 1);
        let certificate = &certificates[0];
        assert_eq!(certificate.to_string(), text, "{name} {mode}");
        let checked = certificate.check().unwrap_or_else(|rejection| {
            panic!("{name} {mode}: {}: {}\n{text}", &text[rejection.at.clone()], rejection.message)
        });
        assert_eq!(checked.results, certificate.raw().outputs().len(), "{name} {mode}");
        if let Ok(folder) = std::env::var("GRADC_DUMP") {
            std::fs::write(format!("{folder}/{name}.{mode}.{}", certificate.pass().name()), &text).unwrap();
        }
    }
}

#[test]
fn small_models_have_certificates() {
    for (name, text) in ["tests/simplify", "tests/certificates", "examples/gradients"].into_iter().flat_map(networks) {
        for mode in Mode::ALL {
            check(&name, &model_with(&name, &text, &[]), mode);
        }
    }
}

#[test]
fn random_networks_have_certificates() {
    // The last three are those of the first few hundred in which what is recorded is furthest from the terms it is shown on: a
    // number that was none then, a selection between operands of operands, and a fact on which depends that terms are equal.
    for seed in (0..40).chain([64, 122, 380]) {
        let (name, text) = (format!("random_{seed}"), gradc_testing::random_network(seed));
        for mode in Mode::ALL {
            check(&name, &model_with(&name, &text, &[]), mode);
        }
    }
}

#[test]
fn examples_have_certificates() {
    for (name, text) in networks("examples") {
        for mode in Mode::ALL {
            let dims: &[(&str, i64)] = match &*name {
                "transformer" => &[("batch", 2), ("time", 4), ("width", 8), ("blocks", 2)],
                _ => &[("batch", 2)],
            };
            check(&name, &model_with(&name, &text, dims), mode);
        }
    }
}
