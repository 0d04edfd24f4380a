//! The programs in the long form of every code about names, shapes, types and models: the erroneous one gives that
//! code and no other, the corrected one gives nothing.

use gradc_diagnostics::codes;

use crate::support;

#[test]
fn erroneous_examples_give_their_code_and_corrected_ones_none() {
    let mut wrong = Vec::new();
    for code in codes::ALL {
        // What a warning of training is about shows only there.
        if !matches!(&code.id()[..3], "E02" | "E03" | "E04" | "E05" | "W07") || code.id() > "W0705" {
            continue;
        }
        let programs = support::programs(code.explanation());
        for (index, program) in programs.iter().enumerate() {
            let run = support::run_text(program);
            let mut found = run.codes();
            found.dedup();
            let expected: &[&str] = if index == 0 { &[code.id()] } else { &[] };
            if found != expected {
                wrong.push(format!("{code}, example {}: {found:?}\n{}", index + 1, run.rendered()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
