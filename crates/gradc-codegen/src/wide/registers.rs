//! Which value is in which register: a linear scan over the instructions.
//!
//! A value lives from its definition to its last use; where that is in a loop around which the value is older, to the end of
//! the loop. When there are more values than registers, the one is put on the stack whose uses, weighted by the loops around
//! them, are fewest for the time it lives. It is there for all of its life; constants are read where they are then.

use rustc_hash::FxHashMap;

use super::program::{Class, ConstantId, Extension, Id, Op, Program, Source};

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// Nowhere: it is never defined.
    Nowhere,
    /// In a register of its class, by number.
    Register(u8),
    /// On the stack, so many bytes from its end.
    Stack(u32),
    /// It is a constant, and is read from the pool.
    Pool(ConstantId),
}

/// Where the values of a program are.
pub(super) struct Allocation {
    pub(super) locations: Vec<Location>,
    /// Bytes of the stack.
    pub(super) stack: u32,
    /// The general registers in use, a bit each.
    pub(super) general: u32,
}

/// The registers that values may be in, a bit each. The last three vectors, the last mask and two general registers are for
/// values that are on their way from or to the stack.
fn registers(extension: Extension, class: Class) -> u32 {
    match (class, extension) {
        (Class::Vector, Extension::Avx512) => (1 << 29) - 1,
        (Class::Vector, Extension::Avx2) => (1 << 13) - 1,
        (Class::Mask, _) => 0b0111_1110,
        // Numbered as the machine numbers them. Not rax, rsp, rbp, rdi and r11.
        (Class::General, _) => 0b1111_0111_0100_1110,
    }
}

struct Interval {
    start: usize,
    end: usize,
    weight: f32,
    /// The constant that it is, if it is defined once and as one.
    constant: Option<ConstantId>,
}

/// How much more a use counts for each loop around it.
const LOOP_WEIGHT: f32 = 8.0;

/// Gives every value a place.
pub(super) fn allocate(program: &Program) -> Allocation {
    let intervals = intervals(program);
    let mut by_end: Vec<u32> =
        (0..intervals.len() as u32).filter(|&id| intervals[id as usize].start != usize::MAX).collect();
    by_end.sort_unstable_by_key(|&id| (intervals[id as usize].end, id));
    let mut scan = Scan {
        program,
        free: [Class::Vector, Class::Mask, Class::General].map(|class| registers(program.extension, class)),
        locations: vec![Location::Nowhere; intervals.len()],
        owners: [[None; 32]; 3],
        intervals,
        slots: [const { Vec::new() }; 2],
        stack: 0,
        general: 0,
    };
    let mut dead = 0;
    for (at, instruction) in program.instructions.iter().enumerate() {
        let new = instruction.result.filter(|result| scan.intervals[result.0 as usize].start == at);
        // Operands that are not used again make room for the result.
        let until = if instruction.writes_early() { at } else { at + 1 };
        while dead < by_end.len() && scan.intervals[by_end[dead] as usize].end < until {
            if scan.intervals[by_end[dead] as usize].start >= at {
                break;
            }
            scan.release(Id(by_end[dead]), until);
            dead += 1;
        }
        if let Some(new) = new {
            let hint = [instruction.c, instruction.a, instruction.b].into_iter().find_map(|source| match source {
                Source::Value(id) if scan.intervals[id.0 as usize].end == at => Some(id),
                _ => None,
            });
            scan.place(new, hint);
        }
    }
    Allocation { locations: scan.locations, stack: scan.stack, general: scan.general }
}

fn intervals(program: &Program) -> Vec<Interval> {
    let unused = || Interval { start: usize::MAX, end: 0, weight: 0.0, constant: None };
    let mut intervals: Vec<Interval> = program.classes.iter().map(|_| unused()).collect();
    let ends = loop_ends(program);
    // Begin and end of the loops around.
    let mut loops: Vec<(usize, usize)> = Vec::new();
    for (at, instruction) in program.instructions.iter().enumerate() {
        let weight = LOOP_WEIGHT.powi(loops.len() as i32);
        instruction.reads(|id| {
            let interval = &mut intervals[id.0 as usize];
            let outer = loops.iter().find(|around| around.0 > interval.start);
            interval.end = interval.end.max(outer.map_or(at, |around| around.1));
            interval.weight += weight;
        });
        if instruction.op == Op::LoopBegin {
            loops.push((at, ends[&at]));
        } else if instruction.op == Op::LoopEnd {
            loops.pop();
        }
        if let Some(result) = instruction.result {
            let interval = &mut intervals[result.0 as usize];
            interval.constant = match (interval.start, instruction.op, instruction.a) {
                (usize::MAX, Op::Constant | Op::Zero, Source::Constant(constant)) => Some(constant),
                _ => None,
            };
            if interval.start == usize::MAX {
                interval.start = at;
            }
            let outer = loops.iter().find(|around| around.0 > interval.start);
            interval.end = interval.end.max(outer.map_or(at, |around| around.1));
            interval.weight += weight;
        }
    }
    intervals
}

/// Where each loop ends, by where it begins.
fn loop_ends(program: &Program) -> FxHashMap<usize, usize> {
    let mut begun = Vec::new();
    let mut ends = FxHashMap::default();
    for (at, instruction) in program.instructions.iter().enumerate() {
        match instruction.op {
            Op::LoopBegin => begun.push(at),
            Op::LoopEnd => ends.extend(begun.pop().map(|begin| (begin, at))),
            _ => {}
        }
    }
    ends
}

struct Scan<'p> {
    program: &'p Program,
    intervals: Vec<Interval>,
    locations: Vec<Location>,
    /// Free registers of each class, a bit each.
    free: [u32; 3],
    /// The value in each register of each class.
    owners: [[Option<Id>; 32]; 3],
    /// Places on the stack that were in use, for vectors and for everything else.
    slots: [Vec<Slot>; 2],
    stack: u32,
    general: u32,
}

/// A place on the stack whose value is not used any more.
struct Slot {
    offset: u32,
    /// The instruction from which on it is free.
    since: usize,
}

impl Scan<'_> {
    fn class(&self, id: Id) -> Class {
        self.program.classes[id.0 as usize]
    }

    /// The value is not used from the instruction `since` on.
    fn release(&mut self, id: Id, since: usize) {
        match self.locations[id.0 as usize] {
            Location::Register(register) => {
                let class = self.class(id) as usize;
                if self.owners[class][usize::from(register)] == Some(id) {
                    self.owners[class][usize::from(register)] = None;
                    self.free[class] |= 1 << register;
                }
            }
            Location::Stack(offset) => {
                let slots = &mut self.slots[usize::from(self.class(id) != Class::Vector)];
                slots.push(Slot { offset, since });
            }
            Location::Nowhere | Location::Pool(_) => {}
        }
    }

    fn place(&mut self, id: Id, hint: Option<Id>) {
        let class = self.class(id) as usize;
        let hinted = hint.filter(|&hint| self.class(hint) as usize == class).and_then(|hint| {
            match self.locations[hint.0 as usize] {
                Location::Register(register) if self.free[class] >> register & 1 == 1 => Some(register),
                _ => None,
            }
        });
        if let Some(register) =
            hinted.or_else(|| (self.free[class] != 0).then(|| self.free[class].trailing_zeros() as u8))
        {
            return self.give(id, register);
        }
        let density = |id: Id| {
            let interval = &self.intervals[id.0 as usize];
            interval.weight / (1 + interval.end - interval.start) as f32
        };
        let cheapest = (0..32u8)
            .filter_map(|register| self.owners[class][usize::from(register)].map(|owner| (register, owner)))
            .min_by(|a, b| density(a.1).total_cmp(&density(b.1)));
        match cheapest.filter(|(_, owner)| density(*owner) < density(id)) {
            Some((register, owner)) => {
                self.put_away(owner);
                self.give(id, register);
            }
            None => self.put_away(id),
        }
    }

    fn give(&mut self, id: Id, register: u8) {
        let class = self.class(id);
        self.locations[id.0 as usize] = Location::Register(register);
        self.owners[class as usize][usize::from(register)] = Some(id);
        self.free[class as usize] &= !(1 << register);
        if class == Class::General {
            self.general |= 1 << register;
        }
    }

    fn put_away(&mut self, id: Id) {
        self.locations[id.0 as usize] = match self.intervals[id.0 as usize].constant {
            Some(constant) => Location::Pool(constant),
            None => Location::Stack(self.slot(id)),
        };
    }
    /// A place on the stack for all of a value's life: one that was free already when that began, or a new one.
    fn slot(&mut self, id: Id) -> u32 {
        let is_vector = self.class(id) == Class::Vector;
        let slots = &mut self.slots[usize::from(!is_vector)];
        let start = self.intervals[id.0 as usize].start;
        // The last that became free is the likeliest to be in the nearest cache.
        if let Some(at) = slots.iter().rposition(|slot| slot.since <= start) {
            return slots.remove(at).offset;
        }
        let size = if is_vector { self.program.extension.bytes() as u32 } else { 8 };
        // Vectors first would waste less; there are few others.
        let offset = self.stack.next_multiple_of(size);
        self.stack = offset + size;
        offset
    }
}
