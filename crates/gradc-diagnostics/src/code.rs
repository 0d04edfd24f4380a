//! The stable number of a diagnostic.

use std::fmt;

/// A stable diagnostic code: its number, its title and its long explanation.
///
/// Codes are only made by the table in [`crate::codes`]. The first letter is `E` for an error and
/// `W` for a warning; the first two digits are the part of the language it is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    id: &'static str,
    title: &'static str,
    explanation: &'static str,
}

impl Code {
    pub(crate) const fn new(id: &'static str, title: &'static str, explanation: &'static str) -> Self {
        Self { id, title, explanation }
    }

    /// The number that users see and search for, such as `E0101`.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// The problem in a few words.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// The long form, in markdown: why it is an error, an example of it and how to correct it.
    pub fn explanation(&self) -> &'static str {
        self.explanation
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}
