//! Which variables around a body it gives a new value.

use gradc_diagnostics::Span;
use gradc_syntax::ast::{
    ArgumentValue, Block, Expr, ExprKind, Sequence, Statement, StatementKind, Subscript, SubscriptKind,
};
use rustc_hash::FxHashSet;

/// The last assignment to a variable.
#[derive(Clone, Copy)]
pub(super) struct Assignment<'a> {
    pub(super) name: &'a str,
    /// The name where it is assigned.
    pub(super) place: Span,
    /// What is assigned.
    pub(super) value: Span,
}

/// The variables that `body` assigns and neither it nor `own` declares, in the order of their first assignment. What is
/// in a branch counts whether it is taken or not.
pub(super) fn assigned<'a>(body: &'a Block, own: &[&'a str]) -> Vec<Assignment<'a>> {
    let mut search = Search { scopes: vec![own.iter().copied().collect()], found: Vec::new() };
    search.block(body);
    search.found
}

struct Search<'a> {
    /// What is declared inside, by block.
    scopes: Vec<FxHashSet<&'a str>>,
    found: Vec<Assignment<'a>>,
}

impl<'a> Search<'a> {
    fn declare(&mut self, name: &'a str) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name);
        }
    }

    fn block(&mut self, block: &'a Block) {
        self.scopes.push(FxHashSet::default());
        block.statements.iter().for_each(|statement| self.statement(statement));
        if let Some(value) = &block.value {
            self.expr(value);
        }
        self.scopes.pop();
    }

    /// A block with variables of its own.
    fn block_with(&mut self, variables: impl Iterator<Item = &'a str>, block: &'a Block) {
        self.scopes.push(variables.collect());
        self.block(block);
        self.scopes.pop();
    }

    fn statement(&mut self, statement: &'a Statement) {
        match &statement.kind {
            StatementKind::Let { name, value } => {
                self.expr(value);
                self.declare(&name.text);
            }
            StatementKind::Assign { name, value } => {
                self.expr(value);
                self.assign(&name.text, name.span, value.span);
            }
            StatementKind::For { variable, start, end, body } => {
                self.expr(start);
                self.expr(end);
                self.block_with(std::iter::once(variable.text.as_str()), body);
            }
            StatementKind::Param { name, init, .. } | StatementKind::State { name, init, .. } => {
                self.expr(init);
                self.declare(&name.text);
            }
            StatementKind::Output { name, value: Some(value) } => {
                self.expr(value);
                self.declare(&name.text);
            }
            StatementKind::Update { value, .. }
            | StatementKind::Loss { value }
            | StatementKind::Metric { value, .. }
            | StatementKind::Expr(value) => {
                self.expr(value);
            }
            StatementKind::Input { name, .. } | StatementKind::Error { name: Some(name) } => self.declare(&name.text),
            StatementKind::Output { value: None, .. } | StatementKind::Error { name: None } => {}
        }
    }

    fn assign(&mut self, name: &'a str, place: Span, value: Span) {
        if self.scopes.iter().any(|scope| scope.contains(name)) {
            return;
        }
        match self.found.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = Assignment { name, place, value },
            None => self.found.push(Assignment { name, place, value }),
        }
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Bool(_)
            | ExprKind::String(_)
            | ExprKind::Name(_)
            | ExprKind::Error => {}
            ExprKind::List(elements) => elements.iter().for_each(|element| self.expr(element)),
            ExprKind::Unary { operand, .. } => self.expr(operand),
            ExprKind::Binary { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Call { callee, arguments } => {
                self.expr(callee);
                for argument in arguments {
                    if let ArgumentValue::Expr(value) = &argument.value {
                        self.expr(value);
                    }
                }
            }
            ExprKind::Index { base, subscripts } => {
                self.expr(base);
                subscripts.iter().for_each(|subscript| self.subscript(subscript));
            }
            ExprKind::Field { base, .. } => self.expr(base),
            ExprKind::If { branches, otherwise } => {
                for branch in branches {
                    self.expr(&branch.condition);
                    self.block(&branch.body);
                }
                otherwise.iter().for_each(|block| self.block(block));
            }
            ExprKind::Scan { sequences, options, body } => {
                sequences.iter().for_each(|sequence| self.expr(&sequence.value));
                options.iter().for_each(|option| self.expr(&option.value));
                let name = |sequence: &'a Sequence| sequence.variable.text.as_str();
                self.block_with(sequences.iter().map(name), body);
            }
        }
    }

    fn subscript(&mut self, subscript: &'a Subscript) {
        match &subscript.kind {
            SubscriptKind::At(index) => self.expr(index),
            SubscriptKind::Rest => {}
            SubscriptKind::Slice { start, stop, step } => {
                [start, stop, step].into_iter().flatten().for_each(|part| self.expr(part));
            }
        }
    }
}
