//! Products whose operands are read through movements, and which are written through them, against the interpreter.

use std::num::NonZeroUsize;

use gradc_codegen::{Options, Sharing};
use gradc_ir::DType;
use gradc_testing::{random_bindings, random_movements};

use crate::graphs::{check_graph, tolerance};

#[test]
fn random_movements_agree_with_the_interpreter() {
    let shared = Options { threads: NonZeroUsize::new(3), sharing: Sharing::Everything, ..Options::default() };
    for seed in 0..400 {
        let float = if seed % 4 == 0 { DType::F64 } else { DType::F32 };
        let graph = random_movements(seed, float);
        let options = if seed % 2 == 0 { &shared } else { &Options::default() };
        check_graph(&graph, &random_bindings(&graph, seed), 10.0 * tolerance(float), options);
    }
}
