//! Where text goes: colour, broken pipes, JSON lines, files.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anstream::{AutoStream, ColorChoice};
use gradc::diagnostics::{self, Code, Diagnostic, SourceMap, codes};
use gradc::{Coded, Model, Problems};
use serde_json::{Value, json};

use crate::args::{Color, Format, OutputArgs};
use crate::model::Said;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something is wrong; it has been said.
    Reported,
    /// Something is wrong with a source file, a goal, data, weights or a run.
    Problems(Box<Problems>),
    /// The command line asks for what cannot be.
    Usage(String),
    /// Output could not be written.
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

impl Failure {
    /// A failure that says what `error` says, with its place in the source of the model.
    pub(crate) fn of(error: &dyn Coded, model: Option<&Model>) -> Failure {
        Failure::Problems(Box::new(Problems::of(error, model)))
    }

    /// A failure that nothing but the program itself sees.
    pub(crate) fn error(code: Code, message: impl Into<String>) -> Failure {
        let diagnostics = vec![Diagnostic::error(code, message)];
        Failure::Problems(Box::new(Problems { diagnostics, sources: SourceMap::new() }))
    }
}

/// The result of a command.
pub(crate) type Outcome = Result<(), Failure>;

/// `1 step`, `20 steps`: of what has a regular plural.
pub(crate) fn counted<N: fmt::Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let ending = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// The two streams of the program.
pub(crate) struct Output {
    format: Format,
    stdout: AutoStream<io::Stdout>,
    stderr: AutoStream<io::Stderr>,
}

impl Output {
    pub(crate) fn new(args: &OutputArgs) -> Output {
        let choice = match args.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::AlwaysAnsi,
            Color::Never => ColorChoice::Never,
        };
        Output {
            format: args.format,
            stdout: AutoStream::new(io::stdout(), choice),
            stderr: AutoStream::new(io::stderr(), choice),
        }
    }

    /// Whether results are JSON.
    pub(crate) fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether colour reaches the reader of stderr.
    fn stderr_color(&self) -> diagnostics::Color {
        match self.stderr.current_choice() {
            ColorChoice::Never => diagnostics::Color::Never,
            _ => diagnostics::Color::Always,
        }
    }

    /// Writes a result as it is.
    pub(crate) fn text(&mut self, text: &str) -> Outcome {
        self.stdout.write_all(text.as_bytes())?;
        Ok(self.stdout.flush()?)
    }

    /// Writes text that a file made up: as it is to files and pipes, and to terminals with their control characters shown, not
    /// obeyed.
    pub(crate) fn foreign(&mut self, text: &str) -> Outcome {
        let mut stdout = io::stdout().lock();
        if stdout.is_terminal() {
            let is_shown = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
            let shown: String = text
                .chars()
                .map(|c| if is_shown(c) { c.to_string() } else { c.escape_default().to_string() })
                .collect();
            stdout.write_all(shown.as_bytes())?;
        } else {
            stdout.write_all(text.as_bytes())?;
        }
        Ok(stdout.flush()?)
    }

    /// Writes a line of a result.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Outcome {
        self.text(&format!("{line}\n"))
    }

    /// Writes a JSON object on a line of its own.
    pub(crate) fn object(&mut self, object: &Value) -> Outcome {
        self.line(object)
    }

    /// Says something to people, beside the results. Nobody may be listening.
    pub(crate) fn note(&mut self, line: impl fmt::Display) {
        let _ = writeln!(self.stderr, "{line}");
    }

    /// Reports problems of source files: to stderr as text, or as JSON lines among the results.
    pub(crate) fn diagnostics(&mut self, diagnostics: &[Diagnostic], sources: &SourceMap) -> Outcome {
        if self.json() {
            return diagnostics.iter().try_for_each(|diagnostic| self.object(&diagnostic_json(diagnostic, sources)));
        }
        if !diagnostics.is_empty() {
            let text = diagnostics::render(diagnostics, sources, self.stderr_color());
            let _ = self.stderr.write_all(text.as_bytes());
        }
        Ok(())
    }

    /// Says why the program fails, and gives its exit code.
    pub(crate) fn failure(&mut self, failure: &Failure) -> u8 {
        let message = match failure {
            Failure::Reported => return 1,
            Failure::Problems(problems) => {
                let _ = self.diagnostics(&problems.diagnostics, &problems.sources);
                return 1;
            }
            // The reader has gone: that is its right.
            Failure::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => return 0,
            Failure::Io(error) => {
                let unwritten = Diagnostic::error(codes::FILE_ACCESS, format!("the output cannot be written: {error}"));
                let _ = self.diagnostics(&[unwritten], &SourceMap::new());
                return 1;
            }
            Failure::Usage(message) => message,
        };
        let bold_red =
            if self.stderr_color() == diagnostics::Color::Always { ("\x1b[1;91m", "\x1b[0m") } else { ("", "") };
        self.note(format_args!("{}error{}: {message}", bold_red.0, bold_red.1));
        2
    }
}

/// Writes a file under a temporary name and renames it, so that it is whole or not there.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Outcome {
    gradc_train::write_file(path, bytes).said()
}

fn diagnostic_json(diagnostic: &Diagnostic, sources: &SourceMap) -> Value {
    let place = |span: diagnostics::Span| {
        let (start, end) = (sources.line_col(span.file, span.start), sources.line_col(span.file, span.end));
        json!({
            "file": sources.name(span.file),
            "line": start.line, "column": start.column,
            "end_line": end.line, "end_column": end.column,
        })
    };
    let labels: Vec<Value> = diagnostic
        .labels()
        .iter()
        .map(|label| {
            let mut value = place(label.span);
            value["message"] = json!(label.message);
            value["primary"] = json!(label.primary);
            value
        })
        .collect();
    json!({
        "severity": diagnostic.severity().name(),
        "code": diagnostic.code().to_string(),
        "message": diagnostic.message(),
        "location": diagnostic.span().map(place),
        "labels": labels,
        "notes": diagnostic.notes(),
        "helps": diagnostic.helps(),
    })
}
