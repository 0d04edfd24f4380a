//! Any text is read as a graph. What is read prints, reads back, and prints the same: print → read → print is the identity.
#![no_main]

use gradc_ir::text::{print, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let graph = match read(None, text) {
        Ok(graph) => graph,
        Err(error) => {
            assert!(text.get(error.at.clone()).is_some(), "{:?} is not a range of the text", error.at);
            return;
        }
    };
    let printed = print(&graph);
    let again = match read(None, &printed) {
        Ok(again) => again,
        Err(error) => panic!("what was printed is not read: {} at {:?}\n{printed}", error.message, error.at),
    };
    assert_eq!(print(&again), printed, "the text changes when it is read and printed again");
});
