//! The variables of the blocks that are open.

use gradc_diagnostics::Span;
use rustc_hash::FxHashMap;

/// How a variable came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LocalKind {
    Let,
    /// Of a function.
    Parameter,
    /// A name in the type of a parameter.
    Bound,
    /// Of a `for`.
    Loop,
    /// Of a sequence of a `scan`.
    Slice,
    Input,
    Output,
    /// `param`.
    Param,
    /// `state`.
    State,
    /// `fan_in` and `fan_out`.
    Given,
}

/// A variable.
#[derive(Debug, Clone)]
pub(super) struct Local<'a> {
    pub(super) name: &'a str,
    pub(super) span: Span,
    pub(super) kind: LocalKind,
    used: bool,
}

/// The variables that can be seen, innermost block last.
#[derive(Debug, Default)]
pub(super) struct Locals<'a> {
    blocks: Vec<Block<'a>>,
}

#[derive(Debug, Default)]
struct Block<'a> {
    locals: Vec<Local<'a>>,
    /// The last of each name.
    by_name: FxHashMap<&'a str, usize>,
}

impl<'a> Locals<'a> {
    pub(super) fn open(&mut self) {
        self.blocks.push(Block::default());
    }

    /// Ends the innermost block. Returns what was not used, in order.
    pub(super) fn close(&mut self) -> Vec<Local<'a>> {
        let locals = self.blocks.pop().map(|block| block.locals).unwrap_or_default();
        locals.into_iter().filter(|local| !local.used && !local.name.starts_with('_')).collect()
    }

    pub(super) fn declare(&mut self, name: &'a str, span: Span, kind: LocalKind) {
        if let Some(block) = self.blocks.last_mut() {
            block.by_name.insert(name, block.locals.len());
            block.locals.push(Local { name, span, kind, used: false });
        }
    }

    /// The variable of this name.
    pub(super) fn find(&self, name: &str) -> Option<&Local<'a>> {
        self.blocks.iter().rev().find_map(|block| block.by_name.get(name).map(|&index| &block.locals[index]))
    }

    /// Notes that the variable of this name is read. Whether there is one.
    pub(super) fn read(&mut self, name: &str) -> bool {
        for block in self.blocks.iter_mut().rev() {
            if let Some(&index) = block.by_name.get(name) {
                block.locals[index].used = true;
                return true;
            }
        }
        false
    }

    /// Where the innermost block declares a variable of this name and one of these kinds.
    pub(super) fn in_block(&self, name: &str, kinds: &[LocalKind]) -> Option<Span> {
        let block = self.blocks.last()?;
        let local = &block.locals[*block.by_name.get(name)?];
        kinds.contains(&local.kind).then_some(local.span)
    }

    /// How many blocks are open.
    pub(super) fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// Every name that can be seen, innermost first.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.blocks.iter().rev().flat_map(|block| block.locals.iter().rev().map(|local| local.name))
    }
}
