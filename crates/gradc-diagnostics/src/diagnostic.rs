//! One problem in the user's program, as a value.

use crate::{Code, Span};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look; compiling goes on.
    Warning,
    /// The program cannot be compiled.
    Error,
}

impl Severity {
    /// The word that is shown: `warning` or `error`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// A message about one span of source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is to be said about it; may be empty.
    pub message: String,
    /// Whether this is the place of the problem itself, rather than one that explains it.
    pub primary: bool,
}

/// One problem: what it is, where, and what can be done.
///
/// Built step by step:
///
/// ```
/// use gradc_diagnostics::{Diagnostic, SourceMap, Span, codes};
/// # let mut sources = SourceMap::new();
/// # let file = sources.add("m.net", "f(a, b");
/// let opened = Span::new(file, 1, 2);
/// let end = Span::new(file, 6, 6);
/// let diagnostic = Diagnostic::error(codes::UNCLOSED_DELIMITER, "`(` is never closed")
///     .primary(end, "expected `)`")
///     .secondary(opened, "opened here")
///     .help("add `)`");
/// assert_eq!(diagnostic.span(), Some(end));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    severity: Severity,
    code: Code,
    message: String,
    labels: Vec<Label>,
    notes: Vec<String>,
    helps: Vec<String>,
}

/// Of a longer text only the two ends are kept. What is written about a program quotes names from it, and a file of
/// megabytes can be one name.
const LONGEST_TEXT: usize = 4 << 10;

/// The text, without its middle if it is longer than [`LONGEST_TEXT`] bytes.
fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        let head = text.floor_char_boundary(LONGEST_TEXT / 2);
        let tail = text.ceil_char_boundary(text.len() - LONGEST_TEXT / 2);
        text.replace_range(head..tail, "…");
    }
    text
}

impl Diagnostic {
    /// An error. `message` says what is wrong in one line, in the user's own names.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message.into())
    }

    /// A warning.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message.into())
    }

    fn new(severity: Severity, code: Code, message: String) -> Self {
        Self { severity, code, message: shortened(message), labels: Vec::new(), notes: Vec::new(), helps: Vec::new() }
    }

    /// Marks the place of the problem. The first primary label is the diagnostic's location.
    #[must_use]
    pub fn primary(self, span: Span, message: impl Into<String>) -> Self {
        self.label(span, message.into(), true)
    }

    /// Marks a place that explains the problem, such as a declaration.
    #[must_use]
    pub fn secondary(self, span: Span, message: impl Into<String>) -> Self {
        self.label(span, message.into(), false)
    }

    fn label(mut self, span: Span, message: String, primary: bool) -> Self {
        self.labels.push(Label { span, message: shortened(message), primary });
        self
    }

    /// Adds a fact that helps to understand it.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(shortened(note.into()));
        self
    }

    /// Adds something that the user can do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.helps.push(shortened(help.into()));
        self
    }

    /// Error or warning.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Whether the program cannot be compiled because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// All labels, in the order in which they were added.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The notes, in order.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The helps, in order.
    pub fn helps(&self) -> &[String] {
        &self.helps
    }

    /// The location: the first primary label's span, else the first label's.
    pub fn span(&self) -> Option<Span> {
        self.labels.iter().find(|label| label.primary).or_else(|| self.labels.first()).map(|label| label.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceMap, codes};

    #[test]
    fn long_texts_keep_their_ends() {
        let mut sources = SourceMap::new();
        let span = Span::new(sources.add("m.net", ""), 0, 0);
        let name = "ü".repeat(1_000_000);
        let diagnostic = Diagnostic::error(codes::UNKNOWN_NAME, format!("`{name}` is not known"))
            .primary(span, format!("no {name}"))
            .note(format!("{name}!"))
            .help(name.clone());
        let texts =
            [diagnostic.message(), &diagnostic.labels()[0].message, &diagnostic.notes()[0], &diagnostic.helps()[0]];
        assert!(texts.iter().all(|text| text.len() <= LONGEST_TEXT + "…".len()));
        assert!(texts[0].starts_with("`üü") && texts[0].contains("ü…ü") && texts[0].ends_with("ü` is not known"));
        assert_eq!(shortened("short".to_owned()), "short");
    }
}
