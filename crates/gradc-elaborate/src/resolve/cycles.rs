//! Items that are defined by themselves.

use gradc_diagnostics::{Diagnostic, Span, codes};
use gradc_syntax::ast::Item;
use rustc_hash::FxHashMap;

use super::Resolver;
use crate::limits::MOST_DIAGNOSTICS;
use crate::program::ItemId;

/// The most places of a circle that are shown.
const MOST_SHOWN: usize = 5;

impl Resolver<'_> {
    /// Reports every circle that a depth-first walk over the mentions closes. The walk keeps its own stack: a chain of
    /// items may be as long as a file.
    pub(super) fn cycles(&mut self) {
        let mut states: FxHashMap<ItemId, State> = FxHashMap::default();
        let mut items: Vec<ItemId> = self.mentions.keys().copied().collect();
        items.sort_unstable();
        let mut found = Vec::new();
        for start in items {
            if states.contains_key(&start) {
                continue;
            }
            states.insert(start, State::Open);
            let mut path: Vec<Step> = vec![Step { item: start, next: 0 }];
            while let Some(step) = path.last_mut() {
                let mention = self.mentions.get(&step.item).and_then(|mentions| mentions.get(step.next)).copied();
                let Some((target, span)) = mention else {
                    states.insert(step.item, State::Done);
                    path.pop();
                    continue;
                };
                step.next += 1;
                match states.get(&target) {
                    None => {
                        states.insert(target, State::Open);
                        path.push(Step { item: target, next: 0 });
                    }
                    Some(State::Open) if found.len() >= MOST_DIAGNOSTICS => {}
                    Some(State::Open) => found.push(self.circle(&path, target, span)),
                    Some(State::Done) => {}
                }
            }
        }
        found.into_iter().for_each(|diagnostic| self.report(diagnostic));
    }

    /// The diagnostic for the circle that a mention of `target` closes.
    fn circle(&self, path: &[Step], target: ItemId, closing: Span) -> Diagnostic {
        let begin = path.iter().position(|step| step.item == target).unwrap_or(0);
        let circle = &path[begin..];
        let name = |id: ItemId| self.program.name(id).text.as_str();
        let functions = circle.iter().all(|step| matches!(self.program.item(step.item), Item::Function(_)));
        let (code, verb) = match functions {
            true => (codes::RECURSION, "calls itself"),
            false => (codes::CYCLIC_DEFINITION, "is defined by itself"),
        };
        let by_way = if circle.len() > 1 { ", by way of others" } else { "" };
        let message = format!("`{}` {verb}{by_way}", name(target));
        let label = if circle.len() > 1 { "this closes the circle" } else { "here" };
        let mut diagnostic = Diagnostic::error(code, message)
            .primary(closing, label)
            .secondary(self.program.name(target).span, format!("`{}` is declared here", name(target)));
        for (step, follower) in circle.iter().zip(&circle[1..]).take(MOST_SHOWN) {
            let mentions = self.mentions.get(&step.item);
            if let Some((_, span)) = mentions.and_then(|mentions| mentions.get(step.next - 1)) {
                let text = format!("`{}` uses `{}`", name(step.item), name(follower.item));
                diagnostic = diagnostic.secondary(*span, text);
            }
        }
        match functions {
            true => diagnostic.help("calls are expanded when compiling; repeat with `for`"),
            false => diagnostic.help("give one of them a value that does not depend on the others"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Step {
    item: ItemId,
    /// The next mention to follow.
    next: usize,
}

enum State {
    /// On the current path.
    Open,
    Done,
}
