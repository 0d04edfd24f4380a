//! Counted loops, one iteration at a time.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, types};
use gradc_schedule::kernel::{Loop, LoopKind, Stmt};

use super::{Emitter, Position};

/// A loop of up to this many statements in all is written out: a round of a loop costs as much as a few of them, and what
/// is around the windows of a convolution is often no more than that.
const UNROLL_LIMIT: usize = 96;

/// A vector loop up to this extent is no loop: see [`super::vector`].
const SHORT_VECTOR_LOOP: usize = 32;

/// How many statements a loop is when it is written out, or `None` where it contains one that is a loop anyway.
fn statements(inner: &Loop) -> Option<usize> {
    let copies = match inner.kind {
        LoopKind::Serial => inner.extent,
        LoopKind::Vector if inner.extent <= SHORT_VECTOR_LOOP => inner.extent.div_ceil(4),
        LoopKind::Vector => return None,
    };
    let count = |stmt: &Stmt| match stmt {
        Stmt::Loop(inner) => statements(inner),
        _ => Some(1),
    };
    let body = inner.body.iter().map(count).sum::<Option<usize>>()?;
    body.checked_mul(copies)
}

impl<'k> Emitter<'k, '_> {
    /// A loop. Nothing is emitted for one that does not run.
    pub(super) fn counted_loop(&mut self, inner: &'k Loop) {
        if inner.extent == 0 {
            return;
        }
        match inner.kind {
            LoopKind::Vector => self.vector_loop(inner),
            LoopKind::Serial => {
                let body: Vec<&Stmt> = inner.body.iter().collect();
                if statements(inner).is_some_and(|count| count <= UNROLL_LIMIT) {
                    self.unrolled_loop(inner, &body);
                } else {
                    self.serial_loop(inner, &body);
                }
            }
        }
    }

    /// Runs `body` once for each index, in order. The extent is not 0.
    pub(super) fn serial_loop(&mut self, inner: &'k Loop, body: &[&'k Stmt]) {
        if inner.extent == 1 {
            self.loops.push((inner.var, Position { value: None, offset: 0 }));
            self.statements(body);
            self.loops.pop();
            return;
        }
        let header = self.code.builder.create_block();
        let exit = self.code.builder.create_block();
        let index = self.code.builder.append_block_param(header, types::I64);
        let start = self.code.builder.ins().iconst(types::I64, 0);
        self.code.builder.ins().jump(header, &[start.into()]);
        self.code.builder.switch_to_block(header);
        self.loops.push((inner.var, Position { value: Some(index), offset: 0 }));
        self.statements(body);
        self.loops.pop();
        let next = self.code.builder.ins().iadd_imm_s(index, 1);
        let end = self.code.builder.ins().iconst(types::I64, inner.extent as i64);
        let more = self.code.builder.ins().icmp(IntCC::SignedLessThan, next, end);
        self.code.builder.ins().brif(more, header, &[next.into()], exit, &[]);
        self.code.builder.seal_block(header);
        self.code.builder.switch_to_block(exit);
        self.code.builder.seal_block(exit);
    }

    /// Repeats `body` for each index.
    fn unrolled_loop(&mut self, inner: &'k Loop, body: &[&'k Stmt]) {
        for index in 0..inner.extent as i64 {
            self.loops.push((inner.var, Position { value: None, offset: index }));
            self.statements(body);
            self.loops.pop();
        }
    }

    pub(super) fn statements(&mut self, body: &[&'k Stmt]) {
        for stmt in body {
            self.statement(stmt);
        }
    }
}
