//! Names for all values of a graph.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{Graph, ScopeId, ValueId};

/// A unique name for every value that is printed. Leaves have theirs; other values are called `scope.name`, or
/// `scope.t1`, `scope.t2`… where they have none. A name that is taken gets a number.
pub struct Names {
    names: Vec<Option<Arc<str>>>,
}

impl Names {
    /// Names all leaves of `graph`, and `values` in this order.
    pub fn new(graph: &Graph, values: impl IntoIterator<Item = ValueId>) -> Names {
        let mut names: Vec<Option<Arc<str>>> = vec![None; graph.len()];
        let mut taken: FxHashSet<Arc<str>> = super::scan::NUMBERS.map(|(name, _)| name.into()).into_iter().collect();
        for leaf in graph.values().filter(|&value| graph.leaf(value).is_some()) {
            let name = graph.value_name(leaf).cloned().unwrap_or_else(|| "leaf".into());
            taken.insert(name.clone());
            names[leaf.index()] = Some(name);
        }
        let mut counters: FxHashMap<ScopeId, usize> = FxHashMap::default();
        let mut copies: FxHashMap<Arc<str>, usize> = FxHashMap::default();
        for value in values {
            if names[value.index()].is_none() {
                let name = match graph.value_name(value) {
                    Some(name) => numbered(&qualified(graph, value, name), &taken, &mut copies),
                    None => temporary(graph, value, &taken, &mut counters),
                };
                taken.insert(name.clone());
                names[value.index()] = Some(name);
            }
        }
        Names { names }
    }

    /// The name of a value, if it was among those that were named.
    pub fn known(&self, value: ValueId) -> Option<&str> {
        self.names[value.index()].as_deref()
    }

    /// The name of a value.
    ///
    /// # Panics
    /// Where the value was not among those that were named.
    pub fn get(&self, value: ValueId) -> &str {
        self.names[value.index()].as_deref().expect("every value that is printed has been named")
    }
}

/// `name` under the path of the value's layer, unless it begins with that path already.
fn qualified(graph: &Graph, value: ValueId, name: &str) -> Arc<str> {
    let scope = graph.scope_path(graph.node(value).origin.scope);
    // A derivative is called d_ and the name of its value, which may carry the path itself.
    let plain = name.trim_start_matches("d_").trim_start_matches("t_");
    if scope.is_empty() || plain.starts_with(&**scope) { name.into() } else { format!("{scope}.{name}").into() }
}

fn numbered(name: &Arc<str>, taken: &FxHashSet<Arc<str>>, copies: &mut FxHashMap<Arc<str>, usize>) -> Arc<str> {
    if !taken.contains(name) {
        return name.clone();
    }
    let count = copies.entry(name.clone()).or_insert(1);
    loop {
        *count += 1;
        let candidate: Arc<str> = format!("{name}_{count}").into();
        if !taken.contains(&candidate) {
            return candidate;
        }
    }
}

fn temporary(
    graph: &Graph,
    value: ValueId,
    taken: &FxHashSet<Arc<str>>,
    counters: &mut FxHashMap<ScopeId, usize>,
) -> Arc<str> {
    let scope = graph.node(value).origin.scope;
    let path = graph.scope_path(scope);
    let count = counters.entry(scope).or_insert(0);
    loop {
        *count += 1;
        let candidate: Arc<str> =
            if path.is_empty() { format!("t{count}").into() } else { format!("{path}.t{count}").into() };
        if !taken.contains(&candidate) {
            return candidate;
        }
    }
}
