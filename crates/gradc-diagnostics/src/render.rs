//! From diagnostics to the text that a person reads, in the manner of rustc.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use crate::{Diagnostic, FileId, Label, Severity, SourceMap};

/// Whether the text carries ANSI escapes for colour. Deciding which is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Plain text.
    Never,
    /// ANSI escapes.
    Always,
}

/// Labels that are further apart than this many bytes are shown in snippets of their own, and a
/// line longer than this is cut around its label: the cost of rendering does not depend on what
/// else is in the file.
const WIDEST_WINDOW: usize = 16 << 10;

/// How much of an overlong line is shown on either side of the label's start, in bytes.
const CUT_CONTEXT: usize = 120;

/// The diagnostics as text, one after the other with an empty line between them.
///
/// The result ends with a newline, unless there are no diagnostics: then it is empty.
pub fn render(diagnostics: &[Diagnostic], sources: &SourceMap, color: Color) -> String {
    let renderer = match color {
        Color::Never => Renderer::plain(),
        Color::Always => Renderer::styled(),
    };
    let mut text = String::new();
    for (index, diagnostic) in diagnostics.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        text.push_str(&renderer.render(&[group(diagnostic, sources)]));
        text.push('\n');
    }
    text
}

fn group<'a>(diagnostic: &'a Diagnostic, sources: &'a SourceMap) -> Group<'a> {
    let level = match diagnostic.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(printable(diagnostic.message())).id(diagnostic.code().id());
    let mut group = Group::with_title(title);
    for file in files_by_importance(diagnostic) {
        let labels: Vec<&Label> = diagnostic.labels().iter().filter(|label| label.span.file == file).collect();
        for element in snippets(file, &labels, sources) {
            group = group.element(element);
        }
    }
    for note in diagnostic.notes() {
        group = group.element(Level::NOTE.message(printable(note)));
    }
    for help in diagnostic.helps() {
        group = group.element(Level::HELP.message(printable(help)));
    }
    group
}

/// The files of the labels: that of the location first, the others in the order of their labels.
fn files_by_importance(diagnostic: &Diagnostic) -> Vec<FileId> {
    let mut files: Vec<FileId> = diagnostic.span().map(|span| span.file).into_iter().collect();
    for label in diagnostic.labels() {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    files
}

/// What shows the labels of one file.
fn snippets<'a>(file: FileId, labels: &[&'a Label], sources: &'a SourceMap) -> Vec<Element<'a>> {
    let start = labels.iter().map(|label| label.span.start).min();
    let end = labels.iter().map(|label| label.span.end).max();
    let (Some(start), Some(end)) = (start, end) else {
        return Vec::new();
    };
    let (first, last) = sources.lines_around(file, start as usize, end as usize);
    if last - first <= WIDEST_WINDOW {
        return vec![snippet(file, labels, first..last, sources).into()];
    }
    let mut by_importance = labels.to_vec();
    by_importance.sort_by_key(|label| !label.primary);
    by_importance.iter().flat_map(|label| lone_snippet(file, label, sources)).collect()
}

/// The lines in `window`, which are whole lines, with all `labels`.
fn snippet<'a>(
    file: FileId,
    labels: &[&'a Label],
    window: Range<usize>,
    sources: &'a SourceMap,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let text = plain_line_ends(sources.text(file).get(window.clone()).unwrap_or(""));
    let line = sources.line_col(file, window.start as u32).line;
    let annotations = labels.iter().map(|label| {
        let start = (label.span.start as usize).clamp(window.start, window.end) - window.start;
        let end = (label.span.end as usize).clamp(window.start, window.end) - window.start;
        annotation(label, start..end.max(start))
    });
    Snippet::source(text).path(sources.name(file)).line_start(line as usize).annotations(annotations)
}

/// The text without the returns before its line ends; every offset in it stays the same.
fn plain_line_ends(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        // The last line has lost its newline already.
        let mut plain = text.replace("\r\n", " \n");
        if plain.ends_with('\r') {
            plain.pop();
            plain.push(' ');
        }
        Cow::Owned(plain)
    } else {
        Cow::Borrowed(text)
    }
}

/// One label by itself, with its line cut to what is near it if the line is very long.
fn lone_snippet<'a>(file: FileId, label: &'a Label, sources: &'a SourceMap) -> Vec<Element<'a>> {
    let (start, end) = (label.span.start as usize, label.span.end as usize);
    let (first, last) = sources.lines_around(file, start, end);
    if last - first <= WIDEST_WINDOW {
        return vec![snippet(file, &[label], first..last, sources).into()];
    }
    let text = sources.text(file);
    let (line_first, line_last) = sources.lines_around(file, start, start);
    let cut_first = text.floor_char_boundary(start.saturating_sub(CUT_CONTEXT)).max(line_first);
    let cut_last = text.ceil_char_boundary(start.saturating_add(CUT_CONTEXT)).min(line_last);
    let shown = text.get(cut_first..cut_last).unwrap_or("");
    let position = sources.line_col(file, label.span.start);
    let origin = Origin::path(sources.name(file)).line(position.line as usize).char_column(position.column as usize);
    let range = start.clamp(cut_first, cut_last) - cut_first..end.clamp(cut_first, cut_last) - cut_first;
    let snippet = Snippet::source(shown).line_start(position.line as usize).annotation(annotation(label, range));
    vec![origin.into(), snippet.into()]
}

fn annotation(label: &Label, range: Range<usize>) -> annotate_snippets::Annotation<'_> {
    let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
    let text = (!label.message.is_empty()).then(|| printable(&label.message));
    kind.span(range).label(text)
}

/// The text with control characters written as escapes: what a message quotes from a file must not
/// steer the terminal.
fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n';
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Span, codes};

    /// Renders one error with labels on the given byte ranges, the first of them primary.
    fn check(text: &str, labels: &[(u32, u32, &str)], expected: &str) {
        let mut sources = SourceMap::new();
        let file = sources.add("m.net", text);
        let mut diagnostic = Diagnostic::error(codes::UNEXPECTED_TOKEN, "a message");
        for (index, &(start, end, message)) in labels.iter().enumerate() {
            let span = Span::new(file, start, end);
            diagnostic = match index {
                0 => diagnostic.primary(span, message),
                _ => diagnostic.secondary(span, message),
            };
        }
        let rendered = render(&[diagnostic], &sources, Color::Never);
        assert_eq!(rendered.trim_end(), expected.trim_matches('\n'), "\n{rendered}");
    }

    #[test]
    fn labels_on_one_line() {
        check(
            "let a = 1\nlet b = f(x\n",
            &[(21, 21, "expected `)`"), (19, 20, "opened here")],
            r"
error[E0101]: a message
 --> m.net:2:12
  |
2 | let b = f(x
  |          - ^ expected `)`
  |          |
  |          opened here",
        );
    }

    #[test]
    fn the_end_of_a_file_can_be_labelled() {
        check(
            "",
            &[(0, 0, "empty")],
            "
error[E0101]: a message
 --> m.net:1:1
  |
1 |
  | ^ empty",
        );
        check(
            "a\n",
            &[(2, 2, "end")],
            "
error[E0101]: a message
 --> m.net:2:1
  |
2 |
  | ^ end",
        );
    }

    #[test]
    fn a_huge_line_is_cut_around_its_label() {
        let text = format!("x\n{}?{}", "a+".repeat(100_000), "+b".repeat(100_000));
        let mut sources = SourceMap::new();
        let file = sources.add("m.net", text);
        let span = Span::new(file, 200_002, 200_003);
        let diagnostic = Diagnostic::error(codes::UNEXPECTED_TOKEN, "a message").primary(span, "here");
        let rendered = render(&[diagnostic], &sources, Color::Never);
        assert!(rendered.len() < 1000, "{rendered}");
        assert!(rendered.contains("m.net:2:200001"), "{rendered}");
        assert!(rendered.contains("a+?+b"), "{rendered}");
    }

    #[test]
    fn distant_labels_have_snippets_of_their_own() {
        let text = format!("first\n{}last\n", "filler\n".repeat(100_000));
        let end = text.len() as u32;
        let mut sources = SourceMap::new();
        let file = sources.add("m.net", text);
        let diagnostic = Diagnostic::error(codes::UNEXPECTED_TOKEN, "a message")
            .secondary(Span::new(file, 0, 5), "declared here")
            .primary(Span::new(file, end - 5, end - 1), "used here");
        let rendered = render(&[diagnostic], &sources, Color::Never);
        assert!(rendered.contains("m.net:100002:1"), "{rendered}");
        assert!(rendered.contains("declared here"), "{rendered}");
    }

    #[test]
    fn labels_in_two_files_and_notes() {
        let mut sources = SourceMap::new();
        let one = sources.add("one.net", "dim d = 3\n");
        let two = sources.add("two.net", "let x = d\n");
        let diagnostic = Diagnostic::warning(codes::UNEXPECTED_TOKEN, "a message")
            .secondary(Span::new(one, 4, 5), "declared here")
            .primary(Span::new(two, 8, 9), "used here")
            .note("a note")
            .help("a help");
        let rendered = render(&[diagnostic], &sources, Color::Never);
        assert_eq!(
            rendered,
            "\
warning[E0101]: a message
 --> two.net:1:9
  |
1 | let x = d
  |         ^ used here
  |
 ::: one.net:1:5
  |
1 | dim d = 3
  |     - declared here
  |
  = note: a note
  = help: a help
"
        );
    }

    #[test]
    fn control_characters_of_the_source_do_not_reach_the_terminal() {
        let mut sources = SourceMap::new();
        let file = sources.add("m.net", "a \u{1b}[31m \u{0} b");
        let diagnostic = Diagnostic::error(codes::UNKNOWN_CHARACTER, "a \u{1b}[31m message")
            .primary(Span::new(file, 2, 3), "\u{1b}[2J label");
        let rendered = render(&[diagnostic], &sources, Color::Never);
        assert!(!rendered.contains('\u{1b}'), "{rendered:?}");
        assert!(!rendered.contains('\0'), "{rendered:?}");
    }

    #[test]
    fn windows_line_ends_are_not_shown() {
        check(
            "a\r\nb c\r\n",
            &[(5, 6, "this"), (0, 1, "that")],
            "
error[E0101]: a message
 --> m.net:2:3
  |
1 | a 
  | - that
2 | b c 
  |   ^ this",
        );
    }

    #[test]
    fn colour_is_only_there_on_request() {
        let mut sources = SourceMap::new();
        let file = sources.add("m.net", "a");
        let diagnostic = Diagnostic::error(codes::UNEXPECTED_TOKEN, "m").primary(Span::new(file, 0, 1), "l");
        let diagnostics = [diagnostic];
        assert!(!render(&diagnostics, &sources, Color::Never).contains('\u{1b}'));
        assert!(render(&diagnostics, &sources, Color::Always).contains('\u{1b}'));
    }
}
