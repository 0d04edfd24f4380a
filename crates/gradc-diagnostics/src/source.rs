//! Files, places in them, and the map from one to the other.

use std::string::FromUtf8Error;
use std::sync::OnceLock;

use crate::{Diagnostic, codes};

/// The largest source file that is read, in bytes (4 MiB).
///
/// A network of ten thousand layers written out by hand has less than a quarter of this. The limit
/// keeps the memory for tokens and trees small whatever a file holds.
pub const MAX_SOURCE_BYTES: usize = 4 << 20;

/// What some editors write at the start of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Names one file of a [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

/// A range of bytes in one file: `start` is the first, `end` is one past the last.
///
/// Both lie on character boundaries of the file's text and `start <= end`. An empty span is a place
/// between two characters, for example where something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end` of `file`.
    pub fn new(file: FileId, start: u32, end: u32) -> Self {
        Self { file, start, end }
    }

    /// The smallest span that covers both. `other` must be in the same file; if it is not, the
    /// result is `self`.
    #[must_use]
    pub fn to(self, other: Span) -> Span {
        if self.file != other.file {
            return self;
        }
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The empty span just before this one.
    #[must_use]
    pub fn before(self) -> Span {
        Span { end: self.start, ..self }
    }

    /// The empty span just after this one.
    #[must_use]
    pub fn after(self) -> Span {
        Span { start: self.end, ..self }
    }

    /// The number of bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether it covers no byte.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// A place as editors count: both numbers begin at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

#[derive(Debug, Clone)]
struct Source {
    name: String,
    text: String,
    /// See [`Source::line_starts`]; for most files nobody asks.
    line_starts: OnceLock<Vec<u32>>,
}

impl Source {
    /// The offset of each line's first byte; the first entry is 0.
    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let breaks = self.text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
            std::iter::once(0).chain(breaks.map(|(offset, _)| offset_u32(offset + 1))).collect()
        })
    }
}

/// The text of every file of one compilation.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    files: Vec<Source>,
}

impl SourceMap {
    /// A map without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file. `name` is what diagnostics show, usually the path as the user wrote it. A byte
    /// order mark at the start is not part of the text.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let mut text = text.into();
        if text.starts_with(BYTE_ORDER_MARK) {
            text.remove(0);
        }
        self.files.push(Source { name: name.into(), text, line_starts: OnceLock::new() });
        FileId(offset_u32(self.files.len() - 1))
    }

    /// Adds a file as it was read from a disk: it may be too large, or not be text.
    ///
    /// # Errors
    ///
    /// A located diagnostic if there are more than [`MAX_SOURCE_BYTES`] bytes or if they are not
    /// UTF-8. The file is in the map all the same, so that the diagnostic can be rendered: an
    /// oversized one as an empty text, one that is not UTF-8 with `U+FFFD` for what cannot be read.
    pub fn add_bytes(&mut self, name: impl Into<String>, bytes: Vec<u8>) -> Result<FileId, Box<Diagnostic>> {
        if bytes.len() > MAX_SOURCE_BYTES {
            let file = self.add(name, "");
            return Err(Box::new(Self::too_large(file, bytes.len())));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(self.add(name, text)),
            Err(error) => Err(Box::new(self.add_unreadable(name.into(), &error))),
        }
    }

    /// Adds what can be read of a file that is not UTF-8, and says where it stops being it.
    fn add_unreadable(&mut self, name: String, error: &FromUtf8Error) -> Diagnostic {
        let offset = error.utf8_error().valid_up_to();
        let bad = error.as_bytes().get(offset).copied().unwrap_or(0);
        let text = String::from_utf8_lossy(error.as_bytes());
        let mark = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        let file = self.add(name, text);
        // What comes before the offset is valid, so it is as long in the lossy text, but for the
        // byte order mark that was taken off; U+FFFD follows.
        let start = offset - mark;
        let end = start + char::REPLACEMENT_CHARACTER.len_utf8();
        let help = match error.as_bytes() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "this looks like UTF-16: save the file as UTF-8",
            _ => "save the file as UTF-8; if it is data or weights, pass it with `--data` or `--weights`",
        };
        Diagnostic::error(codes::NOT_UTF8, "this file is not UTF-8 text")
            .primary(
                Span::new(file, offset_u32(start), offset_u32(end)),
                format!("byte {offset} is 0x{bad:02X}, which is not valid here"),
            )
            .help(help)
    }

    /// The diagnostic for a file of more than [`MAX_SOURCE_BYTES`] bytes, labelled at its start.
    pub fn too_large(file: FileId, bytes: usize) -> Diagnostic {
        Diagnostic::error(codes::FILE_TOO_LARGE, format!("this file is too large: {bytes} bytes"))
            .primary(Span::new(file, 0, 0), "")
            .note(format!("a source file may have at most {MAX_SOURCE_BYTES} bytes"))
            .help("use `for` and `layer` for parts that repeat, or split the file and `import` the pieces")
    }

    /// All files, in the order in which they were added.
    pub fn files(&self) -> impl ExactSizeIterator<Item = FileId> + use<> {
        (0..offset_u32(self.files.len())).map(FileId)
    }

    /// The name under which the file was added; empty for a file of another map.
    pub fn name(&self, file: FileId) -> &str {
        self.source(file).map_or("", |source| &source.name)
    }

    /// The text of the file; empty for a file of another map.
    pub fn text(&self, file: FileId) -> &str {
        self.source(file).map_or("", |source| &source.text)
    }

    /// The text that the span covers; empty if the span does not fit its file.
    pub fn slice(&self, span: Span) -> &str {
        self.text(span.file).get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Line and column of a byte offset. An offset past the end is taken as the end.
    pub fn line_col(&self, file: FileId, offset: u32) -> Position {
        let Some(source) = self.source(file) else {
            return Position { line: 1, column: 1 };
        };
        let offset = (offset as usize).min(source.text.len());
        let line = self.line_of(source, offset);
        let start = source.line_starts()[line] as usize;
        let before = source.text.get(start..offset).unwrap_or("");
        Position { line: offset_u32(line + 1), column: offset_u32(before.chars().count() + 1) }
    }

    /// The bytes of the lines from the one of `start` to the one of `end`, without the last newline.
    pub(crate) fn lines_around(&self, file: FileId, start: usize, end: usize) -> (usize, usize) {
        let Some(source) = self.source(file) else {
            return (0, 0);
        };
        let first = self.line_of(source, start.min(source.text.len()));
        let last = self.line_of(source, end.min(source.text.len()));
        let stop = source.line_starts().get(last + 1).map_or(source.text.len(), |next| *next as usize - 1);
        (source.line_starts()[first] as usize, stop)
    }

    /// The index of the line that holds `offset`.
    fn line_of(&self, source: &Source, offset: usize) -> usize {
        source.line_starts().partition_point(|start| *start as usize <= offset).saturating_sub(1)
    }

    fn source(&self, file: FileId) -> Option<&Source> {
        self.files.get(file.0 as usize)
    }
}

/// Offsets are 32 bits wide; files that large are refused before anything points into them.
fn offset_u32(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_position(text: &str, offset: u32, line: u32, column: u32) {
        let mut sources = SourceMap::new();
        let file = sources.add("m.net", text);
        assert_eq!(sources.line_col(file, offset), Position { line, column }, "{text:?} at {offset}");
    }

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        check_position("", 0, 1, 1);
        check_position("ab\ncd", 0, 1, 1);
        check_position("ab\ncd", 2, 1, 3);
        check_position("ab\ncd", 3, 2, 1);
        check_position("ab\ncd", 5, 2, 3);
        check_position("ab\n", 3, 2, 1);
        check_position("é×x", 4, 1, 3);
        check_position("ab", 99, 1, 3);
    }

    #[test]
    fn files_are_found_by_their_ids() {
        let mut sources = SourceMap::new();
        let one = sources.add("one.net", "a");
        let two = sources.add("two.net", "\u{feff}bc");
        assert_eq!(sources.files().collect::<Vec<_>>(), [one, two]);
        assert_eq!((sources.name(two), sources.text(two)), ("two.net", "bc"));
        assert_eq!(sources.slice(Span::new(two, 1, 2)), "c");
        assert_eq!(sources.slice(Span::new(two, 1, 9)), "");
        // An id of another map is no panic.
        assert_eq!(SourceMap::new().text(one), "");
        assert_eq!(SourceMap::new().line_col(one, 7), Position { line: 1, column: 1 });
    }

    #[test]
    fn spans_join_within_a_file() {
        let mut sources = SourceMap::new();
        let (one, two) = (sources.add("1", "abcdef"), sources.add("2", "abcdef"));
        let (a, b) = (Span::new(one, 1, 2), Span::new(one, 4, 6));
        assert_eq!(a.to(b), Span::new(one, 1, 6));
        assert_eq!(b.to(a), Span::new(one, 1, 6));
        assert_eq!(a.to(Span::new(two, 4, 6)), a);
        assert_eq!((a.before(), a.after()), (Span::new(one, 1, 1), Span::new(one, 2, 2)));
        assert!(a.before().is_empty() && !a.is_empty());
        assert_eq!(b.len(), 2);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_located() {
        let mut sources = SourceMap::new();
        let text = sources.add_bytes("text.net", "\u{feff}é".into()).expect("is UTF-8");
        assert_eq!(sources.text(text), "é");
        let error = sources.add_bytes("bad.net", b"ab\ncd\xff\xfe".to_vec()).expect_err("is not");
        let span = error.span().expect("is located");
        assert_eq!(error.code(), codes::NOT_UTF8);
        assert_eq!(sources.line_col(span.file, span.start), Position { line: 2, column: 3 });
        assert_eq!(sources.slice(span), "\u{fffd}");
        let error = sources.add_bytes("marked.net", b"\xef\xbb\xbfab\xff".to_vec()).expect_err("is not");
        assert_eq!(error.span().map(|span| (span.start, sources.slice(span))), Some((2, "\u{fffd}")));
        let error = sources.add_bytes("utf16.net", b"\xff\xfea\0".to_vec()).expect_err("is not");
        assert!(error.helps()[0].contains("UTF-16"));
    }

    #[test]
    fn too_many_bytes_are_refused() {
        let mut sources = SourceMap::new();
        let error = sources.add_bytes("big.net", vec![b'a'; MAX_SOURCE_BYTES + 1]).expect_err("too large");
        assert_eq!(error.code(), codes::FILE_TOO_LARGE);
        assert!(sources.add_bytes("fits.net", vec![b'a'; MAX_SOURCE_BYTES]).is_ok());
    }
}
