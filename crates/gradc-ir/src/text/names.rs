//! Names for all values of a graph.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{Graph, Role, ValueId};

/// A unique name for every value that is printed. Leaves have theirs; other values are called `scope.name`. A name that is
/// taken gets a number.
///
/// A value without a name is called after what it is a part of, which is the first value with a name that is computed from
/// it: the parts of `h` are `h.t1`, `h.t2`… So what is changed in one place of a program changes no name elsewhere.
pub struct Names {
    names: Vec<Option<Arc<str>>>,
}

impl Names {
    /// Names all leaves of `graph`, and `values` in this order, in which operands come before their users.
    pub fn new(graph: &Graph, values: impl IntoIterator<Item = ValueId>) -> Names {
        let mut names: Vec<Option<Arc<str>>> = vec![None; graph.len()];
        let mut taken: FxHashSet<Arc<str>> = super::scan::NUMBERS.map(|(name, _)| name.into()).into_iter().collect();
        for leaf in graph.values().filter(|&value| graph.leaf(value).is_some()) {
            let name = graph.value_name(leaf).cloned().unwrap_or_else(|| "leaf".into());
            taken.insert(name.clone());
            names[leaf.index()] = Some(name);
        }
        let order: Vec<ValueId> = values.into_iter().filter(|&value| graph.leaf(value).is_none()).collect();
        let mut copies: FxHashMap<Arc<str>, usize> = FxHashMap::default();
        for &value in &order {
            let Some(name) = graph.value_name(value) else { continue };
            let name = numbered(&qualified(graph, value, name), &taken, &mut copies);
            taken.insert(name.clone());
            names[value.index()] = Some(name);
        }
        let (wholes, results) = (wholes(graph, &order), results(graph));
        let mut counters: FxHashMap<Option<Arc<str>>, usize> = FxHashMap::default();
        for part in order {
            if names[part.index()].is_none() {
                let whole = wholes[part.index()].map(|whole| match &names[whole.index()] {
                    Some(name) => name.clone(),
                    None => results[&whole].clone(),
                });
                let name = numbered_part(whole, &taken, &mut counters);
                taken.insert(name.clone());
                names[part.index()] = Some(name);
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

/// For each value what it is a part of, if there is such: the first in `order`, in which operands come before their users,
/// that is computed from it and has a name or is a result. A value with a name is a part of itself.
pub fn wholes(graph: &Graph, order: &[ValueId]) -> Vec<Option<ValueId>> {
    let results = results(graph);
    let mut wholes: Vec<Option<ValueId>> = vec![None; graph.len()];
    let mut first: Vec<Option<ValueId>> = vec![None; graph.len()];
    for &value in order.iter().rev() {
        let stands_alone = graph.value_name(value).is_some() || results.contains_key(&value);
        let whole = if stands_alone { Some(value) } else { first[value.index()] };
        wholes[value.index()] = whole;
        if whole.is_none() {
            continue;
        }
        for &operand in graph.operands(value) {
            first[operand.index()] = whole;
            // What results are read from has no line of its own: its operands are parts of the first of them.
            if graph.is_packed(operand) {
                graph.operands(operand).iter().for_each(|operand| first[operand.index()] = whole);
            }
        }
    }
    wholes
}

/// What the values that are results and have no name are called as such.
fn results(graph: &Graph) -> FxHashMap<ValueId, Arc<str>> {
    let unnamed = graph.outputs().iter().rev().filter(|output| graph.value_name(output.value).is_none());
    let named = |role: Role, name: &Arc<str>| match role {
        Role::Gradient => format!("d_{name}").into(),
        Role::Tangent => format!("t_{name}").into(),
        _ => name.clone(),
    };
    unnamed.map(|output| (output.value, named(output.role, &output.name))).collect()
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

/// The next name for a part of what is called `whole`.
fn numbered_part(
    whole: Option<Arc<str>>,
    taken: &FxHashSet<Arc<str>>,
    counters: &mut FxHashMap<Option<Arc<str>>, usize>,
) -> Arc<str> {
    let prefix = whole.as_ref().map_or(String::new(), |whole| format!("{whole}."));
    let count = counters.entry(whole).or_insert(0);
    loop {
        *count += 1;
        let candidate: Arc<str> = format!("{prefix}t{count}").into();
        if !taken.contains(&candidate) {
            return candidate;
        }
    }
}
