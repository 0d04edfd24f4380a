//! Loops over a time axis.

use gradc_diagnostics::{Diagnostic, Span, codes, did_you_mean};
use gradc_syntax::ast::{Block, ScanOption, Sequence};

use super::scope::LocalKind;
use super::{Resolver, body};
use crate::eval::error_at;
use crate::program::defined_twice;

/// What can follow the sequences of a `scan`.
const OPTIONS: [&str; 3] = ["axis", "reverse", "truncate"];

impl<'a> Resolver<'a> {
    pub(super) fn scan(
        &mut self,
        sequences: &'a [Sequence],
        options: &'a [ScanOption],
        block: &'a Block,
        needs_value: bool,
        span: Span,
    ) {
        sequences.iter().for_each(|sequence| self.value(&sequence.value));
        options.iter().for_each(|option| self.value(&option.value));
        self.options(options);
        self.locals.open();
        for Sequence { variable, .. } in sequences {
            let first = self.locals.in_block(&variable.text, &[LocalKind::Slice]).filter(|_| variable.text != "_");
            if let Some(first) = first {
                self.report(defined_twice(variable, first));
            }
            self.locals.declare(&variable.text, variable.span, LocalKind::Slice);
        }
        let keyword = Span { end: span.start + 4, ..span };
        self.loops.push(keyword);
        self.inner_block(block, needs_value);
        self.loops.pop();
        self.close();
        if needs_value && block.value.is_none() && !body::is_broken(block) {
            let end = Span { start: block.span.end.saturating_sub(1), ..block.span };
            let message = "this `scan` has no value";
            let diagnostic = error_at(codes::NO_VALUE, message, end, "an expression is missing before this");
            self.report(diagnostic.help("end the body with what each step gives: it is stacked along the time axis"));
        }
    }

    fn options(&mut self, options: &'a [ScanOption]) {
        for (i, ScanOption { name, .. }) in options.iter().enumerate() {
            if !OPTIONS.contains(&name.text.as_str()) {
                let message = format!("a `scan` has no option `{}`", name.text);
                let diagnostic = Diagnostic::error(codes::UNKNOWN_ARGUMENT, message).primary(name.span, "");
                self.report(match did_you_mean(&name.text, OPTIONS) {
                    Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
                    None => diagnostic.help("the options are `axis`, `reverse` and `truncate`"),
                });
            } else if let Some(first) = options[..i].iter().find(|other| other.name.text == name.text) {
                let message = format!("the option `{}` is given twice", name.text);
                let diagnostic = error_at(codes::DUPLICATE_ARGUMENT, message, name.span, "given again here");
                self.report(diagnostic.secondary(first.name.span, "first given here"));
            }
        }
    }
}
