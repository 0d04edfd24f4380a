//! Errors that are met away from the source text, by whom data, weights and goals are looked at: each has a code, as what is
//! wrong in a source file has, and says what of the model it is about, so that the place can be shown.

use std::fmt;

use gradc_diagnostics::{Code, Diagnostic, SourceMap, Span, codes};
use gradc_ir::{LeafKind, Role};

use crate::error::Problems;
use crate::program::Model;

/// What of a model an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum About<'a> {
    /// The model as a whole.
    Model,
    /// Its loss.
    Loss,
    /// An input.
    Input(&'a str),
    /// A parameter or a state, by its path.
    Parameter(&'a str),
    /// An output.
    Output(&'a str),
    /// Any value that has a name.
    Value(&'a str),
    /// The `train` block.
    Train,
    /// Where the `train` block says that the data is.
    Data,
    /// What the data of this input is called, in the `train` block.
    Field(&'a str),
    /// The share that the `train` block holds out.
    Split,
}

/// An error with a stable code.
pub trait Coded: fmt::Display {
    /// Its code; [`Code::explanation`] has the long form.
    fn code(&self) -> Code;

    /// What of the model it is about, if it is known.
    fn about(&self) -> Option<About<'_>> {
        None
    }

    /// The mistakes in source files that it consists of, if it does: they have codes and places of their own.
    fn problems(&self) -> Option<&Problems> {
        None
    }
}

impl Problems {
    /// An error as a diagnostic, with its place in the source of `model` where there is one.
    pub fn of(error: &dyn Coded, model: Option<&Model>) -> Problems {
        if let Some(problems) = error.problems() {
            return problems.clone();
        }
        let place = model.and_then(|model| {
            let about = error.about()?;
            Some((model.place(about)?, label(about), model.program().sources()))
        });
        let diagnostic = Diagnostic::error(error.code(), error.to_string());
        match place {
            Some((span, label, sources)) => {
                Problems { diagnostics: vec![diagnostic.primary(span, label)], sources: sources.clone() }
            }
            None => Problems { diagnostics: vec![diagnostic], sources: SourceMap::new() },
        }
    }

    /// The code of the first mistake that is an error.
    pub(crate) fn code(&self) -> Code {
        let error = self.diagnostics.iter().find(|diagnostic| diagnostic.is_error());
        error.or(self.diagnostics.first()).map_or(codes::FAILED, Diagnostic::code)
    }
}

/// What is written at the place.
fn label(about: About<'_>) -> &'static str {
    match about {
        About::Model => "this model",
        About::Loss => "this loss",
        About::Input(_) => "this input",
        About::Parameter(_) => "this parameter",
        About::Output(_) => "this output",
        About::Value(_) => "this value",
        About::Train => "this `train` block",
        About::Data | About::Field(_) => "this data",
        About::Split => "this share",
    }
}

impl Model {
    /// The place in the source of what an error is about. A parameter of a layer of the prelude is where that is called.
    pub fn place(&self, about: About<'_>) -> Option<Span> {
        let elaborated = self.elaborated();
        let graph = self.graph();
        let origin = |value| graph.node(value).origin.span;
        let result = |role, name: &str| {
            let statement = elaborated.results.iter().find(|result| result.role == role && result.name == name);
            let made = || graph.outputs_of(role).find(|output| *output.name == *name).and_then(|o| origin(o.value));
            statement.map(|statement| statement.span).or_else(made)
        };
        let leaf = |kind, name: &str| graph.find_leaf(kind, name);
        let train = self.train_config();
        let data = || train.and_then(|train| train.data.as_ref());
        match about {
            About::Model => self.program().model_name_span(self.name()),
            About::Loss => graph.outputs_of(Role::Loss).next().and_then(|loss| result(Role::Loss, &loss.name)),
            About::Input(name) => {
                let declared = elaborated.inputs.iter().find(|input| input.name == name).map(|input| input.span);
                declared.or_else(|| leaf(LeafKind::Input, name).and_then(origin))
            }
            About::Parameter(name) => {
                let declared = elaborated.params.iter().chain(&elaborated.states).find(|leaf| leaf.name == name);
                let found = leaf(LeafKind::Param, name).or_else(|| leaf(LeafKind::State, name));
                found.and_then(origin).or_else(|| declared.map(|leaf| leaf.span))
            }
            About::Output(name) => result(Role::Output, name),
            About::Value(name) => graph.find_value(name).and_then(origin),
            About::Train => train.map(|train| train.span),
            About::Data => data().map(|data| data.span),
            About::Field(input) => {
                let field = data().and_then(|data| data.value.fields.iter().find(|field| field.input == input));
                field.map(|field| field.span)
            }
            About::Split => train.and_then(|train| train.split.as_ref()).map(|split| split.span),
        }
    }
}
