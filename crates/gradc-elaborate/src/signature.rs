//! Which argument of a call is for which formal parameter.

use gradc_diagnostics::{Diagnostic, Span, codes, did_you_mean};
use gradc_syntax::ast::{Argument, Function};

use crate::intrinsic::Intrinsic;
use crate::program::{ItemId, Program};
use crate::value::{Callable, Slot};

/// The formal parameters of something that can be called.
#[derive(Debug)]
pub(crate) struct Signature<'a> {
    /// What it is called in messages.
    pub(crate) name: &'a str,
    pub(crate) parameters: Vec<Formal<'a>>,
    /// Where it is declared, unless it comes with gradc.
    pub(crate) declared: Option<Span>,
    /// Whether other parameters have been given before.
    pub(crate) partial: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Formal<'a> {
    pub(crate) name: &'a str,
    pub(crate) required: bool,
}

impl<'a> Signature<'a> {
    /// Of a function. That of the prelude is quoted, not pointed at.
    pub(crate) fn of_function(id: ItemId, program: &'a Program) -> Signature<'a> {
        let function: &Function = program.function(id);
        let formal = |parameter: &'a gradc_syntax::ast::Parameter| Formal {
            name: &parameter.name.text,
            required: parameter.default.is_none(),
        };
        Signature {
            name: &function.name.text,
            parameters: function.parameters.iter().map(formal).collect(),
            declared: (!program.in_library(id)).then_some(function.signature),
            partial: false,
        }
    }

    pub(crate) fn of_intrinsic(intrinsic: &'static Intrinsic) -> Signature<'a> {
        let formal = |&(name, required): &(&'static str, bool)| Formal { name, required };
        Signature {
            name: intrinsic.name,
            parameters: intrinsic.parameters.iter().map(formal).collect(),
            declared: None,
            partial: false,
        }
    }

    /// Of a call with open arguments, the open ones.
    pub(crate) fn of(callable: &'a Callable, program: &'a Program) -> Signature<'a> {
        match callable {
            Callable::Function(id) => Signature::of_function(*id, program),
            Callable::Intrinsic(intrinsic) => Signature::of_intrinsic(intrinsic),
            Callable::Partial(partial) => {
                let mut signature = Signature::of(&partial.callee, program);
                let mut slots = partial.slots.iter();
                signature.parameters.retain(|_| matches!(slots.next(), Some(Slot::Open)));
                signature.parameters.iter_mut().for_each(|formal| formal.required = true);
                signature.partial = true;
                signature
            }
        }
    }
}

/// For each formal parameter, the position of its argument; or what is wrong with the call.
pub(crate) fn match_arguments(
    signature: &Signature<'_>,
    arguments: &[Argument],
    call: Span,
) -> Result<Vec<Option<usize>>, Vec<Diagnostic>> {
    let mut matched: Vec<Option<usize>> = vec![None; signature.parameters.len()];
    let mut diagnostics = Vec::new();
    let positional = arguments.iter().take_while(|argument| argument.name.is_none()).count();
    if positional > matched.len() {
        diagnostics.push(too_many(signature, positional, arguments[matched.len()].span));
    }
    for (position, argument) in arguments.iter().enumerate() {
        let target = match &argument.name {
            None => (position < matched.len()).then_some(position),
            Some(name) => {
                let found = signature.parameters.iter().position(|formal| formal.name == name.text);
                if found.is_none() {
                    diagnostics.push(unknown(signature, &name.text, name.span));
                }
                found
            }
        };
        match target {
            Some(target) if matched[target].is_some() => {
                let first = arguments[matched[target].unwrap_or(0)].span;
                diagnostics.push(given_twice(signature.parameters[target].name, argument.span, first));
            }
            Some(target) => matched[target] = Some(position),
            None => {}
        }
    }
    let missing: Vec<&str> = signature
        .parameters
        .iter()
        .zip(&matched)
        .filter(|(formal, argument)| formal.required && argument.is_none())
        .map(|(formal, _)| formal.name)
        .collect();
    if !missing.is_empty() && diagnostics.is_empty() {
        diagnostics.push(lacking(signature, &missing, call));
    }
    if diagnostics.is_empty() { Ok(matched) } else { Err(diagnostics) }
}

fn too_many(signature: &Signature<'_>, found: usize, span: Span) -> Diagnostic {
    let most = signature.parameters.len();
    let more = if signature.partial { " that is still open" } else { "" };
    let message = format!("`{}` takes {}{more}, not {found}", signature.name, arguments(most));
    declared(Diagnostic::error(codes::TOO_MANY_ARGUMENTS, message).primary(span, "one too many"), signature)
}

fn unknown(signature: &Signature<'_>, name: &str, span: Span) -> Diagnostic {
    let message = format!("`{}` has no parameter `{name}`", signature.name);
    let names = || signature.parameters.iter().map(|formal| formal.name);
    let diagnostic = Diagnostic::error(codes::UNKNOWN_ARGUMENT, message).primary(span, "no parameter of this name");
    let diagnostic = match did_you_mean(name, names()) {
        Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
        None if signature.parameters.is_empty() => diagnostic.help("it has no parameters"),
        None => diagnostic.help(format!("its parameters are {}", listed(names()))),
    };
    declared(diagnostic, signature)
}

fn given_twice(name: &str, span: Span, first: Span) -> Diagnostic {
    Diagnostic::error(codes::DUPLICATE_ARGUMENT, format!("`{name}` is given twice"))
        .primary(span, "given again here")
        .secondary(first, "first given here")
        .help("remove one of the two")
}

fn lacking(signature: &Signature<'_>, missing: &[&str], call: Span) -> Diagnostic {
    let message = format!("`{}` needs {}", signature.name, listed(missing.iter().copied()));
    let label = if missing.len() == 1 { "an argument is missing" } else { "arguments are missing" };
    let diagnostic = Diagnostic::error(codes::MISSING_ARGUMENT, message).primary(call, label);
    let example = missing.iter().map(|name| format!("{name} = …")).collect::<Vec<_>>().join(", ");
    declared(diagnostic, signature).help(format!("add `{example}`, or `{} = _` to leave it open", missing[0]))
}

fn declared(diagnostic: Diagnostic, signature: &Signature<'_>) -> Diagnostic {
    match signature.declared {
        Some(span) => diagnostic.secondary(span, "declared here"),
        None if signature.partial => diagnostic,
        None => diagnostic.note(format!("`{}`", shown(signature))),
    }
}

/// `gather(x, indices, axis = …)`
fn shown(signature: &Signature<'_>) -> String {
    let formal = |formal: &Formal<'_>| match formal.required {
        true => formal.name.to_owned(),
        false => format!("{} = …", formal.name),
    };
    let parameters: Vec<String> = signature.parameters.iter().map(formal).collect();
    format!("{}({})", signature.name, parameters.join(", "))
}

fn arguments(count: usize) -> String {
    match count {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        _ => format!("{count} arguments"),
    }
}

/// `` `a`, `b` and `c` ``
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}
