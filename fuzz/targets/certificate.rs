//! Any text is read as certificates and checked. What is read prints, reads back, and prints the same.
#![no_main]

use gradc::certificate::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let certificates = match read(text) {
        Ok(certificates) => certificates,
        Err(error) => {
            assert!(text.get(error.at.clone()).is_some(), "{:?} is not a range of the text", error.at);
            return;
        }
    };
    for certificate in certificates {
        if let Err(rejection) = certificate.check() {
            assert!(text.get(rejection.at.clone()).is_some(), "{:?} is not a range of the text", rejection.at);
        }
        let printed = certificate.to_string();
        let again = match read(&printed) {
            Ok(again) => again,
            Err(error) => panic!("what was printed is not read: {} at {:?}\n{printed}", error.message, error.at),
        };
        assert_eq!(again[0].to_string(), printed, "the text changes when it is read and printed again");
    }
});
