//! Places in a model that a check points at.

use gradc::diagnostics::{Diagnostic, Span, codes};

/// A place in a model that a check points at.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// An operator's derivative disagrees with differences of that operator alone: the first from the loss backwards.
    WrongRule {
        /// The operator.
        operator: &'static str,
        /// Where it is applied.
        span: Option<Span>,
        /// Which of its rules is wrong.
        rule: Rule,
        /// The operands by which it is wrong, counted from 0; all of them where it is wrong only for these together.
        operands: Vec<usize>,
    },
    /// Machine code and interpreter disagree; this is the first operator in the order of the model whose result differs.
    WrongCode {
        /// The operator.
        operator: &'static str,
        /// Where it is applied.
        span: Option<Span>,
        /// The relative error.
        error: f64,
    },
    /// The optimised gradient is another one than the rules wrote; this is the first named value of the model or of its
    /// gradient that differs.
    WrongRewrite {
        /// The value: a path and a name.
        value: String,
        /// The operator that it is the result of.
        operator: &'static str,
        /// Where it is applied.
        span: Option<Span>,
        /// The relative error.
        error: f64,
    },
    /// The loss, an output or a derivative of it is NaN or infinite.
    NotFinite {
        /// The first operator that makes something that is not finite from what is.
        operator: &'static str,
        /// The function, where it is a call of one with a derivative rule of the program's own.
        function: Option<String>,
        /// Where it is applied.
        span: Option<Span>,
        /// Whether that happens in its derivative.
        in_gradient: bool,
        /// The output that it is about; none where that is the loss.
        output: Option<String>,
    },
    /// The loss has a kink here.
    Kink {
        /// What was moved.
        target: String,
        /// The first operator on the way to the loss that is not smooth there.
        operator: &'static str,
        /// Where it is applied.
        span: Option<Span>,
        /// How many of its elements are at the kink.
        elements: usize,
        /// How many it has.
        of: usize,
        /// Whether the gradient lies between the slopes of the two sides. If not, differences do not converge there.
        agrees: bool,
    },
    /// A derivative rule of the program's own is not the derivative of what its function computes.
    OtherRule {
        /// The function.
        function: String,
        /// Where it is called.
        span: Option<Span>,
        /// In what way.
        reason: Reason,
        /// Whether that is a failure.
        fails: bool,
    },
}

/// Why a rule is not the derivative of what its function computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// It is not linear in the cotangent, and a derivative is.
    NotLinear,
    /// It differs from finite differences.
    Differs {
        /// The argument by which it does.
        by: String,
        /// The relative error.
        error: f64,
    },
}

/// One of an operator's derivative rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Reverse mode: cotangents.
    Reverse,
    /// Forward mode: tangents.
    Forward,
    /// The derivative of the reverse rule.
    Second,
}

impl Finding {
    /// Whether it is an error, and not only worth knowing.
    pub fn is_error(&self) -> bool {
        !matches!(self, Finding::Kink { .. } | Finding::OtherRule { fails: false, .. })
    }

    /// The same about an output, where it is about something that is not finite.
    pub(crate) fn of_output(mut self, name: Option<&str>) -> Finding {
        if let Finding::NotFinite { output, .. } = &mut self {
            *output = name.map(str::to_owned);
        }
        self
    }

    /// The operator that it is about.
    pub fn operator(&self) -> &'static str {
        match self {
            Finding::WrongRule { operator, .. }
            | Finding::WrongCode { operator, .. }
            | Finding::WrongRewrite { operator, .. }
            | Finding::NotFinite { operator, .. }
            | Finding::Kink { operator, .. } => operator,
            Finding::OtherRule { .. } => gradc::ir::op::custom::CUSTOM.name,
        }
    }

    /// The place that it points at.
    pub fn span(&self) -> Option<Span> {
        match self {
            Finding::WrongRule { span, .. }
            | Finding::WrongCode { span, .. }
            | Finding::WrongRewrite { span, .. }
            | Finding::NotFinite { span, .. }
            | Finding::Kink { span, .. }
            | Finding::OtherRule { span, .. } => *span,
        }
    }

    /// The finding as it is shown to people.
    pub fn diagnostic(&self) -> Diagnostic {
        let (diagnostic, label) = match self {
            Finding::WrongRule { operator, rule, operands, .. } => wrong_rule(operator, *rule, operands),
            Finding::WrongCode { operator, error, .. } => {
                let message = format!("machine code and interpreter disagree on `{operator}`");
                let help = "this is a mistake of gradc's, not of the program: `gradc run --interp` computes without machine code";
                let label = format!("here the relative error is {error:.1e}");
                (Diagnostic::error(codes::WRONG_MACHINE_CODE, message).help(help), label)
            }
            Finding::WrongRewrite { value, error, .. } => {
                let message = format!("optimised and unoptimised code disagree on `{value}`");
                let help = "this is a mistake of gradc's, not of the program: `--fp strict` or `-O0` may avoid it";
                let label = format!("here the relative error is {error:.1e}");
                (Diagnostic::error(codes::WRONG_REWRITE, message).help(help), label)
            }
            Finding::NotFinite { operator, in_gradient: false, output, .. } => {
                let message = match output {
                    None => "the loss is not finite at the point of the check".to_owned(),
                    Some(output) => format!("the output `{output}` is not finite at the point of the check"),
                };
                let help = "check at a point of your own with `--data`, and with `--weights` for the parameters";
                let label = format!("`{operator}` makes NaN or infinity of finite numbers here");
                (Diagnostic::error(codes::NOT_FINITE, message).help(help), label)
            }
            Finding::NotFinite { function: Some(function), output, .. } => {
                let message = steep(output.as_deref());
                let label = format!("the derivative rule of `{function}` makes NaN or infinity of finite numbers here");
                (Diagnostic::error(codes::NOT_FINITE, message), label)
            }
            Finding::NotFinite { operator, output, .. } => {
                let message = steep(output.as_deref());
                let help =
                    "keep the operand away from where its slope is infinite, such as `sqrt(x + 1e-12)` for `sqrt(x)`";
                let label = format!("the derivative of `{operator}` makes NaN or infinity of finite numbers here");
                (Diagnostic::error(codes::NOT_FINITE, message).help(help), label)
            }
            Finding::Kink { target, operator, elements, of, agrees, .. } => {
                let message = match agrees {
                    true => format!("the loss has a kink where `{target}` is moved"),
                    false => format!("differences of the loss do not converge where `{target}` is moved"),
                };
                let shown = if *of == 1 { String::new() } else { format!(", in {elements} of {of} elements") };
                let label = format!("`{operator}` is not smooth here{shown}");
                let note = match agrees {
                    true => {
                        "the gradient is between the slopes of the two sides; there is no derivative for it to equal"
                    }
                    false => {
                        "with kinks or jumps as close as the steps of the differences, these say nothing of the gradient"
                    }
                };
                (Diagnostic::warning(codes::KINK, message).note(note), label)
            }
            Finding::OtherRule { function, reason, fails, .. } => other_rule(function, reason, *fails),
        };
        match self.span() {
            Some(span) => diagnostic.primary(span, label),
            None => diagnostic.note(label),
        }
    }
}

fn steep(output: Option<&str>) -> String {
    match output {
        None => "the gradient is not finite where the loss is".to_owned(),
        Some(output) => format!("the derivative of the output `{output}` is not finite where the output is"),
    }
}

fn other_rule(function: &str, reason: &Reason, fails: bool) -> (Diagnostic, String) {
    let message = format!("the rule of `{function}` is not the derivative of what it computes");
    let (label, note) = match reason {
        Reason::NotLinear => (
            "the rule of this function is not linear in its cotangent".to_owned(),
            "what comes before it is not compared with finite differences, nor forward mode with reverse mode",
        ),
        Reason::Differs { by, error } => (
            format!("by `{by}`, the relative error of the rule is {error:.1e}"),
            "the model is compared with finite differences as if the rule were right",
        ),
    };
    let diagnostic = match fails {
        true => Diagnostic::error(codes::WRONG_RULE, message),
        false => Diagnostic::warning(codes::OTHER_DERIVATIVE, message)
            .note(note)
            .help("`--check-custom` makes this an error"),
    };
    (diagnostic, label)
}

fn wrong_rule(operator: &str, rule: Rule, operands: &[usize]) -> (Diagnostic, String) {
    let which = match rule {
        Rule::Reverse => "derivative",
        Rule::Forward => "forward-mode derivative",
        Rule::Second => "second derivative",
    };
    let by = match operands {
        [one] => format!(" by its {} operand", ordinal(*one)),
        _ => String::new(),
    };
    let message = format!("the {which} of `{operator}` is wrong");
    let help = "this is a mistake of gradc's, not of the program: its rule for this operator is to be mended";
    let label = format!("its {which}{by} does not agree with differences of `{operator}` alone");
    (Diagnostic::error(codes::WRONG_DERIVATIVE, message).help(help), label)
}

fn ordinal(index: usize) -> String {
    match index {
        0 => "first".to_owned(),
        1 => "second".to_owned(),
        2 => "third".to_owned(),
        _ => format!("{}th", index + 1),
    }
}
