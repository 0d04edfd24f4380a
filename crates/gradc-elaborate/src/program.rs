//! The items of all files, and which of them a name means in which file.

use gradc_diagnostics::{Diagnostic, Span, codes};
use gradc_syntax::ast::{Definition, Function, Item, Model, Name, Train};
use rustc_hash::FxHashMap;

use crate::files::{PRELUDE_UNIT, ROOT_UNIT, Unit};
use crate::intrinsic::{self, Builtin};
use crate::library::Library;

/// Names one item: the unit it is in and its position there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ItemId {
    pub(crate) unit: usize,
    index: usize,
}

/// What a name outside of all bodies means.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meaning {
    Dim(ItemId),
    Const(ItemId),
    Function(ItemId),
    /// An item with a syntax error, which has been reported.
    Broken,
    Builtin(Builtin),
}

/// All parsed files with their tables of names.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) units: Vec<Unit>,
    /// The items of the prelude, which its unit does not hold.
    library: Library,
    /// For each unit, what its own items and those that it imports are called.
    scopes: Vec<Scope>,
}

#[derive(Debug, Default, Clone)]
struct Scope {
    values: FxHashMap<String, ItemId>,
    models: FxHashMap<String, ItemId>,
}

impl Program {
    /// Makes the tables. Two items of one name are reported.
    pub(crate) fn new(units: Vec<Unit>, diagnostics: &mut Vec<Diagnostic>) -> Program {
        let library = Library::new(units[PRELUDE_UNIT].id);
        let mut program = Program { scopes: vec![Scope::default(); units.len()], units, library };
        let mut done = vec![false; program.units.len()];
        for unit in 0..program.units.len() {
            program.fill_scope(unit, &mut done, diagnostics);
        }
        program
    }

    /// Imports form no circle and are not deeply nested: the loader has seen to both.
    fn fill_scope(&mut self, unit: usize, done: &mut [bool], diagnostics: &mut Vec<Diagnostic>) {
        if std::mem::replace(&mut done[unit], true) {
            return;
        }
        let mut scope = self.own_items(unit, diagnostics);
        for (imported, span) in self.units[unit].imports.clone() {
            self.fill_scope(imported, done, diagnostics);
            self.units[unit].incomplete |= self.units[imported].incomplete;
            let theirs = self.scopes[imported].clone();
            self.merge(&mut scope.values, &theirs.values, span, diagnostics);
            self.merge(&mut scope.models, &theirs.models, span, diagnostics);
        }
        self.scopes[unit] = scope;
    }

    fn own_items(&mut self, unit: usize, diagnostics: &mut Vec<Diagnostic>) -> Scope {
        let mut scope = Scope::default();
        let source = &self.units[unit];
        let mut incomplete = source.incomplete;
        for (index, item) in source.file.items.iter().enumerate() {
            let (name, table) = match item {
                Item::Dim(definition) | Item::Const(definition) => (&definition.name, &mut scope.values),
                Item::Function(function) => (&function.name, &mut scope.values),
                Item::Model(model) => (&model.name, &mut scope.models),
                Item::Error { name: Some(name), .. } => (name, &mut scope.values),
                Item::Error { name: None, .. } => {
                    incomplete = true;
                    continue;
                }
                Item::Import(_) | Item::Train(_) => continue,
            };
            let id = ItemId { unit, index };
            match table.get(&name.text) {
                Some(&first) => diagnostics.push(defined_twice(name, self.name(first).span)),
                None => {
                    table.insert(name.text.clone(), id);
                }
            }
        }
        self.units[unit].incomplete = incomplete;
        scope
    }

    fn merge(
        &self,
        own: &mut FxHashMap<String, ItemId>,
        theirs: &FxHashMap<String, ItemId>,
        span: Span,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let mut names: Vec<(&String, &ItemId)> = theirs.iter().collect();
        names.sort_unstable();
        for (name, &id) in names {
            match own.get(name) {
                Some(&first) if first == id => {}
                Some(&first) => diagnostics.push(
                    Diagnostic::error(codes::DUPLICATE_DEFINITION, format!("two items are called `{name}` here"))
                        .primary(span, format!("this import brings a second `{name}`"))
                        .secondary(self.name(first).span, "one is defined here")
                        .secondary(self.name(id).span, "the other here")
                        .help("rename one of them"),
                ),
                None => {
                    own.insert(name.clone(), id);
                }
            }
        }
    }

    /// What `name` means in `unit`, outside of all bodies: an item of the file, of what it imports, of the prelude,
    /// or a builtin.
    pub(crate) fn meaning(&self, unit: usize, name: &str) -> Option<Meaning> {
        let in_library = || self.library.find(name).map(|index| ItemId { unit: PRELUDE_UNIT, index });
        match self.scopes[unit].values.get(name).copied().or_else(in_library) {
            Some(id) => Some(match self.item(id) {
                Item::Dim(_) => Meaning::Dim(id),
                Item::Const(_) => Meaning::Const(id),
                Item::Function(_) => Meaning::Function(id),
                _ => Meaning::Broken,
            }),
            None => intrinsic::builtin(name).map(Meaning::Builtin),
        }
    }

    /// Whether names that are missing in `unit` may come from something that could not be read.
    pub(crate) fn is_incomplete(&self, unit: usize) -> bool {
        self.units[unit].incomplete
    }

    /// Every name that means something in `unit`, sorted.
    pub(crate) fn names<'p>(&'p self, unit: usize) -> Vec<&'p str> {
        let mut names: Vec<&'p str> = self.scopes[unit].values.keys().map(String::as_str).collect();
        names.extend(self.library.names().map(|name| -> &'p str { name }));
        names.extend(intrinsic::names().map(|name| -> &'p str { name }));
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(crate) fn item(&self, id: ItemId) -> &Item {
        match id.unit {
            PRELUDE_UNIT => self.library.item(id.index),
            unit => &self.units[unit].file.items[id.index],
        }
    }

    /// The name of an item that the tables hold.
    pub(crate) fn name(&self, id: ItemId) -> &Name {
        match self.item(id) {
            Item::Dim(definition) | Item::Const(definition) => &definition.name,
            Item::Function(function) => &function.name,
            Item::Model(model) => &model.name,
            Item::Error { name: Some(name), .. } => name,
            Item::Import(_) | Item::Train(_) | Item::Error { name: None, .. } => {
                unreachable!("the tables hold named items")
            }
        }
    }

    /// The function that [`Meaning::Function`] names.
    pub(crate) fn function(&self, id: ItemId) -> &Function {
        match self.item(id) {
            Item::Function(function) => function,
            _ => unreachable!("the meaning is a function"),
        }
    }

    /// The definition that [`Meaning::Dim`] or [`Meaning::Const`] names.
    pub(crate) fn definition(&self, id: ItemId) -> &Definition {
        match self.item(id) {
            Item::Dim(definition) | Item::Const(definition) => definition,
            _ => unreachable!("the meaning is a definition"),
        }
    }

    /// Whether an item is in the prelude.
    pub(crate) fn in_library(&self, id: ItemId) -> bool {
        self.units[id.unit].library
    }

    /// All items with their ids, file by file, but for the prelude's.
    pub(crate) fn items(&self) -> impl Iterator<Item = (ItemId, &Item)> {
        self.units.iter().enumerate().flat_map(|(unit, source)| {
            source.file.items.iter().enumerate().map(move |(index, item)| (ItemId { unit, index }, item))
        })
    }

    /// The models: those of the root file in source order, then what it imports by name.
    pub(crate) fn models(&self) -> Vec<(ItemId, &Model)> {
        let mut ids: Vec<ItemId> = self.scopes[ROOT_UNIT].models.values().copied().collect();
        ids.sort_unstable_by_key(|id| (id.unit != ROOT_UNIT, *id));
        ids.into_iter()
            .filter_map(|id| match self.item(id) {
                Item::Model(model) => Some((id, model)),
                _ => None,
            })
            .collect()
    }

    /// The model of this name, seen from the root file.
    pub(crate) fn model(&self, name: &str) -> Option<(ItemId, &Model)> {
        let id = *self.scopes[ROOT_UNIT].models.get(name)?;
        match self.item(id) {
            Item::Model(model) => Some((id, model)),
            _ => None,
        }
    }

    /// The dims that the root file sees, in the order of their definition.
    pub(crate) fn dims(&self) -> Vec<(ItemId, &Definition)> {
        let mut ids: Vec<ItemId> = self.scopes[ROOT_UNIT].values.values().copied().collect();
        ids.sort_unstable_by_key(|id| (id.unit != ROOT_UNIT, *id));
        ids.into_iter()
            .filter_map(|id| match self.item(id) {
                Item::Dim(definition) => Some((id, definition)),
                _ => None,
            })
            .collect()
    }

    /// The `train` blocks of the root file. Those of imported files are not looked at.
    pub(crate) fn train_blocks(&self) -> impl Iterator<Item = &Train> {
        self.units[ROOT_UNIT].file.items.iter().filter_map(|item| match item {
            Item::Train(train) => Some(train),
            _ => None,
        })
    }
}

/// The diagnostic for a name that is defined a second time in one place.
pub(crate) fn defined_twice(name: &Name, first: Span) -> Diagnostic {
    Diagnostic::error(codes::DUPLICATE_DEFINITION, format!("`{}` is defined twice", name.text))
        .primary(name.span, "defined again here")
        .secondary(first, "first defined here")
        .help("rename one of them")
}
