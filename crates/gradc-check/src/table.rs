//! A report as text.

use std::fmt::Write;

use crate::report::{Compared, Report, Verdict};

/// The columns of a row. Numbers are set to the right.
struct Row {
    verdict: &'static str,
    cells: [String; 6],
}

const HEAD: [&str; 6] = ["gradient by", "type", "size", "along", "error", "allowed"];

/// Which columns are numbers.
const NUMERIC: [bool; 6] = [false, false, true, false, true, true];

impl Report {
    /// The report as an aligned table with a line before it and a summary after it.
    pub fn table(&self) -> String {
        let phase = self.phase.map(|phase| format!(" in {}", phase.name())).unwrap_or_default();
        let mut text = format!("model {}{phase} with seed {}: loss {}\n\n", self.model, self.seed, number(self.loss));
        let targets: Vec<Row> = self.targets.iter().map(target_row).collect();
        let mut widths = HEAD.map(str::len);
        for row in &targets {
            widths.iter_mut().zip(&row.cells).for_each(|(width, cell)| *width = (*width).max(cell.chars().count()));
        }
        // What an identity is called reaches over the columns that it does not have.
        let longest = self.identities.iter().map(|identity| title(identity).chars().count()).max().unwrap_or(0);
        let over = |widths: &[usize; 6]| widths[..4].iter().sum::<usize>() + 3 * GAP;
        widths[0] += longest.saturating_sub(over(&widths));
        if !targets.is_empty() {
            line(&mut text, "", &HEAD.map(str::to_owned), &widths);
            targets.iter().for_each(|row| line(&mut text, row.verdict, &row.cells, &widths));
            text.push('\n');
        }
        for identity in &self.identities {
            let (title, width) = (title(identity), over(&widths));
            let (error, allowed) = (small(identity.error), small(identity.tolerance));
            let verdict = identity.verdict.name();
            let _ = write!(text, "{verdict:<VERDICT$}{title:<width$}");
            let _ = writeln!(text, "{:GAP$}{error:>w4$}{:GAP$}{allowed:>w5$}", "", "", w4 = widths[4], w5 = widths[5]);
        }
        if !self.identities.is_empty() {
            text.push('\n');
        }
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    /// The outcome in one line.
    pub fn summary(&self) -> String {
        let outcome = if self.passed() { "ok" } else { "FAILED" };
        let count = |verdict| self.count(verdict);
        let gradients = match self.targets.len() {
            1 => "1 gradient".to_owned(),
            count => format!("{count} gradients"),
        };
        let identities = self.identities.len();
        let skipped = match count(Verdict::Skipped) {
            0 => String::new(),
            skipped => format!(", {skipped} not compared"),
        };
        format!(
            "check result: {outcome}. {gradients} and {identities} identities: {} ok, {} at a kink{skipped}, {} failed",
            count(Verdict::Ok),
            count(Verdict::Kink),
            self.failed()
        )
    }
}

/// Width of the column of verdicts, and of the gap between columns.
const VERDICT: usize = 6;
const GAP: usize = 2;

fn title(identity: &crate::IdentityReport) -> String {
    match (&identity.of, identity.verdict) {
        (Some(of), Verdict::Fail) => format!("{} (by {of})", identity.name),
        _ => identity.name.to_owned(),
    }
}

fn target_row(target: &crate::TargetReport) -> Row {
    let along = match target.compared {
        Compared::Entries(1) => "its axis".to_owned(),
        Compared::Entries(count) => format!("{count} axes"),
        Compared::Directions(count) => format!("{count} directions"),
    };
    let size = target.gradient.map_or("absent".to_owned(), small);
    let cells = [target.name.clone(), target.ty.to_string(), size, along, small(target.error), small(target.tolerance)];
    Row { verdict: target.verdict.name(), cells }
}

fn line(text: &mut String, verdict: &str, cells: &[String; 6], widths: &[usize; 6]) {
    let mut line = format!("{verdict:<VERDICT$}");
    for (i, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        let gap = if i > 0 { GAP } else { 0 };
        let _ = match NUMERIC[i] {
            true => write!(line, "{:gap$}{cell:>width$}", ""),
            false => write!(line, "{:gap$}{cell:<width$}", ""),
        };
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// A number with seven digits or so.
fn number(number: f64) -> String {
    match (1e-3..1e6).contains(&number.abs()) || number == 0.0 || !number.is_finite() {
        true => format!("{number:.6}"),
        false => format!("{number:.6e}"),
    }
}

/// A magnitude with two digits.
fn small(number: f64) -> String {
    if number == 0.0 { "0".to_owned() } else { format!("{number:.1e}") }
}
