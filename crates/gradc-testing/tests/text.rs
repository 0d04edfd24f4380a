//! The text form of graphs, as properties: what is printed reads back, and no text is too bad to be refused.

use gradc_ir::DType;
use gradc_ir::text::{print, read};
use gradc_ir::verify::verify;
use gradc_testing::random_graph;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_reads_back_as_the_same_text(seed: u64, size in 1usize..60, float in 0usize..4) {
        let float = [DType::F16, DType::Bf16, DType::F32, DType::F64][float];
        let graph = random_graph(seed, size, float);
        let text = print(&graph);
        let again = read(None, &text).map_err(|error| TestCaseError::fail(format!("{error} at {:?}\n{text}", error.at)))?;
        prop_assert_eq!(verify(&again), Ok(()));
        prop_assert_eq!(print(&again), text);
    }

    /// A damaged text is a graph or an error with a place inside of it, never a panic.
    #[test]
    fn damaged_text_is_refused_with_a_place(seed: u64, at in 0.0..1.0f64, length in 0usize..12, put in "[a-z0-9.=:,()\\[\\]^@*-]{0,4}") {
        let mut text = print(&random_graph(seed, 12, DType::F32));
        let start = (at * text.len() as f64) as usize;
        text.replace_range(start..(start + length).min(text.len()), &put);
        match read(None, &text) {
            Ok(graph) => prop_assert_eq!(verify(&graph), Ok(())),
            Err(error) => prop_assert!(error.at.start <= error.at.end && error.at.end <= text.len()),
        }
    }
}
