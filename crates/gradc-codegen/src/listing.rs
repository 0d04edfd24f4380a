//! Texts of what was compiled, for people.

use std::fmt::Write;

/// What was kept of each function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    /// In order.
    pub(crate) sections: Vec<Section>,
}

/// What was kept of one function.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// What it is.
    pub(crate) name: String,
    /// As it was emitted.
    pub(crate) before: Option<String>,
    /// As Cranelift optimised it.
    pub(crate) after: Option<String>,
    /// Machine code.
    pub(crate) assembly: Option<String>,
}

impl Listing {
    /// Cranelift's IR of all functions, before and after its optimisation.
    pub(crate) fn clif(&self) -> String {
        let mut text = String::new();
        for Section { name, before, after, .. } in &self.sections {
            for (stage, part) in [("as emitted", before), ("optimised", after)] {
                if let Some(part) = part {
                    push(&mut text, &format!("{name} ({stage})"), part);
                }
            }
        }
        text
    }

    /// The machine code of all functions.
    pub(crate) fn assembly(&self) -> String {
        let mut text = String::new();
        for Section { name, assembly, .. } in &self.sections {
            if let Some(part) = assembly {
                push(&mut text, name, part);
            }
        }
        text
    }
}

fn push(text: &mut String, title: &str, part: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "; {title}\n{}\n", part.trim_end());
}
