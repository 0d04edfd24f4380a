//! Files of certificates.

use std::ops::Range;
use std::path::Path;

use gradc_diagnostics::{Code, Diagnostic, SourceMap, Span, codes};
use gradc_simplify::Mode;
use gradc_simplify::certificate::{Checked, Pass, read};

use crate::error::{Error, Problems};
use crate::program::read_file;

/// A certificate that holds.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Which pass it is of.
    pub pass: Pass,
    /// Which rules were allowed.
    pub mode: Mode,
    /// What was checked, and how.
    pub checked: Checked,
}

/// Checks the certificates of a file.
///
/// # Errors
/// Where the file cannot be read, is not made of certificates, or one of them does not hold: then the first step that is
/// wrong is pointed at.
pub fn verify_proof(path: impl AsRef<Path>) -> Result<Vec<Verified>, Error> {
    let path = path.as_ref();
    let bytes = read_file(path).map_err(|error| Error::File { path: path.to_owned(), error })?;
    let mut sources = SourceMap::new();
    let file = sources.add(path.to_string_lossy(), String::from_utf8_lossy(&bytes));
    let problem = |sources: &SourceMap, code: Code, title: &str, at: Range<usize>, message: String| {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let span = Span::new(file, offset(at.start), offset(at.end));
        let diagnostics = vec![Diagnostic::error(code, title).primary(span, message)];
        Error::from(Problems { diagnostics, sources: sources.clone() })
    };
    let certificates = read(sources.text(file)).map_err(|malformed| {
        let title = "this is not a certificate that gradc can read";
        problem(&sources, codes::MALFORMED_CERTIFICATE, title, malformed.at, malformed.message)
    })?;
    let check = |certificate: &gradc_simplify::certificate::Certificate| {
        let checked = certificate.check().map_err(|rejection| {
            let title = "this certificate does not hold";
            problem(&sources, codes::WRONG_CERTIFICATE, title, rejection.at, rejection.message)
        })?;
        Ok(Verified { pass: certificate.pass(), mode: certificate.mode(), checked })
    };
    certificates.iter().map(check).collect()
}
