//! The variables and the layer instance of the function that is being evaluated.

use std::rc::Rc;

use gradc_diagnostics::Span;
use gradc_ir::ScopeId;
use rustc_hash::FxHashMap;

use crate::int::Int;
use crate::program::ItemId;
use crate::value::{Instance, Value};

/// The state of one active function.
pub(crate) struct Frame<'a> {
    /// The unit in which its names have their meaning.
    pub(crate) unit: usize,
    pub(crate) function: Option<ItemId>,
    /// The call.
    pub(crate) call: Span,
    /// Whether it is in the prelude.
    pub(crate) library: bool,
    /// The scope of the graph.
    pub(crate) scope: ScopeId,
    /// In a layer or model: the instance that owns its parameters.
    pub(crate) application: Option<Application>,
    /// What `..` and `..name` stand for, with the argument that said so.
    pub(crate) rests: FxHashMap<&'a str, (Rc<[Int]>, Span)>,
    /// In a function with a derivative rule, and what it calls: how many values were there before it. They are what the rule
    /// gives cotangents, so no operator is merged with them.
    pub(crate) sealed: usize,
    variables: FxHashMap<&'a str, Value>,
    /// What the inner blocks have hidden, to be restored at their end.
    hidden: Vec<(&'a str, Option<Value>)>,
}

/// One application of a layer instance. Counting restarts with each, so that the second application of a shared
/// instance finds the parameters of the first.
pub(crate) struct Application {
    pub(crate) instance: Rc<Instance>,
    counts: FxHashMap<String, u32>,
}

impl Application {
    pub(crate) fn new(instance: Rc<Instance>) -> Application {
        Application { instance, counts: FxHashMap::default() }
    }

    /// How often this was called before with this name.
    pub(crate) fn count(&mut self, name: &str) -> u32 {
        match self.counts.get_mut(name) {
            Some(count) => {
                *count += 1;
                *count
            }
            None => {
                self.counts.insert(name.to_owned(), 0);
                0
            }
        }
    }

    /// The name with which the first is called just `name` and those after it `name.1`, `name.2`.
    pub(crate) fn numbered(&mut self, name: &str) -> String {
        match self.count(name) {
            0 => name.to_owned(),
            count => format!("{name}.{count}"),
        }
    }
}

impl<'a> Frame<'a> {
    pub(crate) fn new(unit: usize, call: Span, library: bool) -> Frame<'a> {
        Frame {
            unit,
            function: None,
            call,
            library,
            scope: ScopeId::default(),
            application: None,
            rests: FxHashMap::default(),
            sealed: 0,
            variables: FxHashMap::default(),
            hidden: Vec::new(),
        }
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }

    /// Declares a variable, which hides another of its name up to the end of the block.
    pub(crate) fn declare(&mut self, name: &'a str, value: Value) {
        let hidden = self.variables.insert(name, value);
        self.hidden.push((name, hidden));
    }

    /// Gives a variable another value.
    pub(crate) fn assign(&mut self, name: &str, value: Value) {
        if let Some(variable) = self.variables.get_mut(name) {
            *variable = value;
        }
    }

    /// Begins a block.
    pub(crate) fn begin(&self) -> usize {
        self.hidden.len()
    }

    /// Ends the block that began with this mark.
    pub(crate) fn end(&mut self, mark: usize) {
        while self.hidden.len() > mark {
            match self.hidden.pop() {
                Some((name, Some(value))) => {
                    self.variables.insert(name, value);
                }
                Some((name, None)) => {
                    self.variables.remove(name);
                }
                None => return,
            }
        }
    }
}
