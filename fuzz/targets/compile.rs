//! A text that is a correct program is compiled, forward and with its gradient, to machine code that is not run. What is
//! checked after each stage is checked here too: this is built with debug assertions.
#![no_main]

use gradc::pipeline::{self, Unobserved};
use gradc::{Goal, Options, Program};
use libfuzzer_sys::fuzz_target;

/// Longer texts and larger graphs are slow to compile, and show nothing that small ones do not.
const MAX_BYTES: usize = 2048;
const MAX_NODES: usize = 300;

fuzz_target!(|text: &str| {
    if text.len() >= MAX_BYTES {
        return;
    }
    let program = match Program::from_source("m.net", text) {
        Ok(program) => program,
        Err(error) => {
            // What is wrong can be shown.
            error.to_string();
            return;
        }
    };
    for name in program.models() {
        match program.model(name) {
            Ok(model) if model.graph().len() <= MAX_NODES => {
                for goal in [Goal::Outputs, Goal::Forward, Goal::Gradient { wrt: Vec::new() }] {
                    compile(&model, &goal);
                }
            }
            Ok(_) => {}
            Err(error) => {
                error.to_string();
            }
        }
    }
});

fn compile(model: &gradc::Model, goal: &Goal) {
    let options = Options::default();
    match pipeline::lower(model.graph(), goal, &options, &mut Unobserved) {
        Ok(graph) => {
            if let Err(error) = pipeline::compile(&graph, &options, &mut Unobserved) {
                panic!("a correct model is not compiled: {error}");
            }
        }
        // A model need not have a loss; a goal that does not fit says so.
        Err(error) => {
            error.to_string();
        }
    }
}
