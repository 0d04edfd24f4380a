//! Lane-by-lane code as instructions of wide vectors.

use cranelift_codegen::ir::condcodes::{CondCode, FloatCC, IntCC};
use gradc_ir::DType;
use rustc_hash::FxHashMap;

use super::program::{Class, ConstantId, Extension, Id, Instruction, Op, Place, Pool, Program, Source};
use crate::imports::Import;
use crate::lanes::{Lanes, LanesExt};

/// A list of instructions that is not complete yet.
#[derive(Default)]
struct Scope {
    instructions: Vec<Instruction>,
    /// Constants that are in registers here and in the scopes within.
    constants: FxHashMap<ConstantId, Id>,
    /// Whether what does not change is computed outside.
    repeats: bool,
}

/// A program under construction.
pub(super) struct Builder {
    extension: Extension,
    lane: u8,
    classes: Vec<Class>,
    pool: Pool,
    scopes: Vec<Scope>,
    /// The masks of first lanes that there are, by how many.
    masks: FxHashMap<usize, Id>,
}

impl Builder {
    pub(super) fn new(extension: Extension, lane: u8) -> Builder {
        Builder {
            extension,
            lane,
            classes: Vec::new(),
            pool: Pool::default(),
            scopes: vec![Scope::default()],
            masks: FxHashMap::default(),
        }
    }

    pub(super) fn finish(mut self) -> Program {
        let instructions = self.scopes.pop().map(|scope| scope.instructions).unwrap_or_default();
        Program { extension: self.extension, lane: self.lane, instructions, classes: self.classes, pool: self.pool }
    }

    /// Bytes of a lane.
    pub(super) fn lane_bytes(&self) -> u8 {
        self.lane
    }

    pub(super) fn extension(&self) -> Extension {
        self.extension
    }

    /// How many lanes there are.
    pub(super) fn lanes(&self) -> usize {
        self.extension.bytes() / usize::from(self.lane)
    }

    /// Begins a list of instructions. Where it `repeats`, constants are loaded outside of it.
    pub(super) fn open(&mut self, repeats: bool) {
        self.scopes.push(Scope { repeats, ..Scope::default() });
    }

    /// Ends the list that was begun last.
    pub(super) fn close(&mut self) -> Vec<Instruction> {
        self.scopes.pop().map(|scope| scope.instructions).unwrap_or_default()
    }

    pub(super) fn extend(&mut self, instructions: impl IntoIterator<Item = Instruction>) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.instructions.extend(instructions);
        }
    }

    pub(super) fn emit(&mut self, instruction: Instruction) {
        self.extend([instruction]);
    }

    /// A value that nothing defines yet.
    pub(super) fn fresh(&mut self, class: Class) -> Id {
        self.classes.push(class);
        Id(self.classes.len() as u32 - 1)
    }

    /// Emits an instruction with a new result.
    pub(super) fn define(&mut self, class: Class, instruction: Instruction) -> Id {
        let result = self.fresh(class);
        self.emit(Instruction { result: Some(result), ..instruction });
        result
    }

    /// Makes a value that is defined already the same as another.
    pub(super) fn assign(&mut self, to: Id, value: Source) {
        let last = self.scopes.last_mut().and_then(|scope| scope.instructions.last_mut());
        match (last, value) {
            // What was just computed for this is computed in place.
            (Some(last), Source::Value(id)) if last.result == Some(id) => last.result = Some(to),
            (_, Source::Value(id)) => {
                self.emit(Instruction { result: Some(to), a: id.into(), ..Instruction::new(Op::Copy) });
            }
            (_, Source::Constant(_) | Source::None) => {
                self.emit(Instruction { result: Some(to), a: value, ..Instruction::new(Op::Constant) });
            }
        }
    }

    /// Defines a value as another one.
    pub(super) fn copy(&mut self, to: Id, from: Id) {
        self.emit(Instruction { result: Some(to), a: from.into(), ..Instruction::new(Op::Copy) });
    }

    /// A value that stays as another one is now.
    pub(super) fn copied(&mut self, from: Id) -> Source {
        self.define(Class::Vector, Instruction { a: from.into(), ..Instruction::new(Op::Copy) }).into()
    }

    /// A value in a register.
    pub(super) fn register(&mut self, source: Source) -> Id {
        let constant = match source {
            Source::Value(id) => return id,
            Source::Constant(constant) => constant,
            Source::None => unreachable!("operands are there"),
        };
        if let Some(&id) = self.scopes.iter().rev().find_map(|scope| scope.constants.get(&constant)) {
            return id;
        }
        let id = self.fresh(Class::Vector);
        let is_zero = self.pool.entries[constant.0 as usize].iter().all(|&byte| byte == 0);
        let instruction = match is_zero {
            true => Instruction { result: Some(id), a: source, ..Instruction::new(Op::Zero) },
            false => Instruction { result: Some(id), a: source, ..Instruction::new(Op::Constant) },
        };
        let at = self.scopes.iter().rposition(|scope| !scope.repeats).unwrap_or(0);
        self.scopes[at].instructions.push(instruction);
        self.scopes[at].constants.insert(constant, id);
        id
    }

    /// An integer of a lane's width in each lane.
    pub(super) fn lane_constant(&mut self, bits: u64) -> Source {
        let bytes = bits.to_le_bytes()[..usize::from(self.lane)].to_vec();
        Source::Constant(self.pool.insert(bytes))
    }

    /// A vector of which lane i is `number(i)`.
    pub(super) fn vector_constant(&mut self, number: impl Fn(i64) -> i64) -> Source {
        let size = usize::from(self.lane);
        let bytes = (0..self.lanes() as i64).flat_map(|lane| number(lane).to_le_bytes()[..size].to_vec()).collect();
        Source::Constant(self.pool.insert(bytes))
    }

    /// The mask that holds in the first lanes; it is made once, before all loops.
    pub(super) fn first_lanes(&mut self, count: usize) -> Id {
        if self.extension == Extension::Avx2 {
            let mask = self.vector_constant(|lane| if lane < count as i64 { -1 } else { 0 });
            return self.register(mask);
        }
        if let Some(&mask) = self.masks.get(&count) {
            return mask;
        }
        let mask = self.fresh(Class::Mask);
        let immediate = (1 << count) - 1;
        let instruction = Instruction { result: Some(mask), immediate, ..Instruction::new(Op::MaskConstant) };
        self.scopes[0].instructions.push(instruction);
        self.masks.insert(count, mask);
        mask
    }

    /// Restricts an access to memory to the first lanes. Half of a vector, a quarter and so on need no mask: what was stored
    /// under a mask would not be there for a load that follows soon.
    fn restrict(&mut self, instruction: &mut Instruction, tail: Option<usize>) {
        let Some(count) = tail else { return };
        let is_narrow = !matches!(instruction.op, Op::Load | Op::Store);
        let is_part = count.is_power_of_two() && (!is_narrow || self.lane == 4 && count >= 4);
        instruction.immediate = count as i64;
        if !is_part || instruction.op == Op::Gather {
            instruction.mask = Some(self.first_lanes(count));
        }
    }

    /// The class of masks.
    pub(super) fn mask_class(&self) -> Class {
        match self.extension {
            Extension::Avx2 => Class::Vector,
            Extension::Avx512 => Class::Mask,
        }
    }

    fn has_masks(&self) -> bool {
        self.extension == Extension::Avx512
    }

    /// An operation on one operand, which may be in memory.
    pub(super) fn unary(&mut self, op: Op, b: Source, immediate: i64) -> Source {
        // The shifts of AVX2 have none in memory.
        let b = if self.has_masks() { b } else { self.register(b).into() };
        self.define(Class::Vector, Instruction { b, immediate, ..Instruction::new(op) }).into()
    }

    /// An operation on two operands, of which the second may be in memory.
    fn binary(&mut self, op: Op, a: Source, b: Source) -> Source {
        let a = self.register(a).into();
        self.define(Class::Vector, Instruction { a, b, ..Instruction::new(op) }).into()
    }

    /// The same, where the order of operands does not matter.
    fn commutative(&mut self, op: Op, a: Source, b: Source) -> Source {
        if matches!(a, Source::Constant(_)) { self.binary(op, b, a) } else { self.binary(op, a, b) }
    }

    fn of_masks(&mut self, op: Op, a: Source, b: Source) -> Source {
        self.define(Class::Mask, Instruction { a, b, ..Instruction::new(op) }).into()
    }

    fn is_mask(&self, source: Source) -> bool {
        matches!(source, Source::Value(id) if self.classes[id.0 as usize] == Class::Mask)
    }

    fn bitwise(&mut self, on_masks: Op, on_vectors: Op, a: Source, b: Source) -> Source {
        if self.is_mask(a) { self.of_masks(on_masks, a, b) } else { self.commutative(on_vectors, a, b) }
    }

    fn compare(&mut self, op: Op, predicate: i64, a: Source, b: Source) -> Source {
        let a = self.register(a).into();
        let class = self.mask_class();
        self.define(class, Instruction { a, b, immediate: predicate, ..Instruction::new(op) }).into()
    }

    fn sign_bit(&self) -> u64 {
        1 << (8 * u32::from(self.lane) - 1)
    }

    /// The lower 32 bits of a general register in each lane.
    pub(super) fn splat(&mut self, general: Id) -> Source {
        self.define(Class::Vector, Instruction { a: general.into(), ..Instruction::new(Op::Splat) }).into()
    }

    /// Where integers that are not negative differ from 0.
    pub(super) fn not_zero(&mut self, a: Source) -> Source {
        if self.has_masks() {
            let a = Source::from(self.register(a));
            return self.define(Class::Mask, Instruction { a, b: a, ..Instruction::new(Op::Test) }).into();
        }
        let zero = self.lane_constant(0);
        self.compare(Op::IntCompare, GREATER, a, zero)
    }

    /// Loads in some way.
    pub(super) fn load(&mut self, op: Op, place: Place, tail: Option<usize>) -> Source {
        let class = if matches!(op, Op::LoadByte | Op::LoadWord) { Class::General } else { Class::Vector };
        let mut load = Instruction { place: Some(place), ..Instruction::new(op) };
        self.restrict(&mut load, tail);
        self.define(class, load).into()
    }

    /// Loads the elements at these distances in bytes from a place.
    pub(super) fn gather(&mut self, place: Place, distances: Source, tail: Option<usize>) -> Source {
        let a = self.register(distances).into();
        let mut gather = Instruction { a, place: Some(place), ..Instruction::new(Op::Gather) };
        self.restrict(&mut gather, tail);
        self.define(Class::Vector, gather).into()
    }

    /// Stores in some way.
    pub(super) fn store(&mut self, op: Op, place: Place, value: Source, tail: Option<usize>) {
        let a = if self.is_mask(value) { value } else { self.register(value).into() };
        let mut store = Instruction { a, place: Some(place), ..Instruction::new(op) };
        self.restrict(&mut store, tail);
        self.emit(store);
    }

    /// Combines the first `filled` lanes of a vector, neighbours of halves first; the result is in each lane.
    pub(super) fn collapse(
        &mut self,
        filled: usize,
        vector: Source,
        mut combine: impl FnMut(&mut Self, Source, Source) -> Source,
    ) -> Source {
        let mut total = vector;
        let mut distance = self.lanes() / 2;
        let mut skipped = false;
        while distance > 0 {
            let bytes = (distance * usize::from(self.lane)) as u8;
            // Lanes beyond hold nothing; what is below 128 bits is not skipped.
            if filled <= distance && bytes >= 16 {
                skipped = true;
            } else {
                let other = self.unary(Op::Swap(bytes), total, 0);
                total = combine(self, total, other);
            }
            distance /= 2;
        }
        if skipped { self.unary(Op::RepeatFirst, total, 0) } else { total }
    }
}

/// `a > b` of integers in AVX2.
const GREATER: i64 = 14;
const EQUAL: i64 = 0;

impl Lanes for Builder {
    type Value = Source;

    fn has_rounding(&self) -> bool {
        true
    }

    fn mends_extrema(&self) -> bool {
        true
    }

    fn constant(&mut self, dtype: DType, value: f64) -> Source {
        match dtype {
            DType::Bool if self.has_masks() => {
                let immediate = if value != 0.0 { (1 << self.lanes()) - 1 } else { 0 };
                self.define(Class::Mask, Instruction { immediate, ..Instruction::new(Op::MaskConstant) }).into()
            }
            DType::Bool => self.lane_constant(if value != 0.0 { u64::MAX } else { 0 }),
            DType::F64 => self.lane_constant(value.to_bits()),
            DType::F32 | DType::F16 | DType::Bf16 => self.lane_constant(u64::from((value as f32).to_bits())),
            DType::I32 | DType::U8 | DType::I64 => self.lane_constant(value as i64 as u64),
        }
    }

    fn bits(&mut self, _: DType, bits: u64) -> Source {
        self.lane_constant(bits)
    }

    fn fadd(&mut self, a: Source, b: Source) -> Source {
        self.commutative(Op::Add, a, b)
    }

    fn fsub(&mut self, a: Source, b: Source) -> Source {
        self.binary(Op::Sub, a, b)
    }

    fn fmul(&mut self, a: Source, b: Source) -> Source {
        self.commutative(Op::Mul, a, b)
    }

    fn fdiv(&mut self, a: Source, b: Source) -> Source {
        self.binary(Op::Div, a, b)
    }

    fn fneg(&mut self, a: Source) -> Source {
        let sign = self.lane_constant(self.sign_bit());
        self.commutative(Op::Xor, a, sign)
    }

    fn fabs(&mut self, a: Source) -> Source {
        let others = self.lane_constant(self.sign_bit() - 1);
        self.commutative(Op::And, a, others)
    }

    fn sqrt(&mut self, a: Source) -> Source {
        self.unary(Op::Sqrt, a, 0)
    }

    fn floor(&mut self, a: Source) -> Source {
        self.unary(Op::Round, a, 9)
    }

    fn ceil(&mut self, a: Source) -> Source {
        self.unary(Op::Round, a, 10)
    }

    fn nearest(&mut self, a: Source) -> Source {
        self.unary(Op::Round, a, 8)
    }

    fn multiply_add(&mut self, a: Source, b: Source, c: Source) -> Source {
        // One operand may be in memory, and not the first factor.
        let (a, b) = if matches!(a, Source::Constant(_)) { (b, a) } else { (a, b) };
        let a = self.register(a).into();
        let b = if matches!(c, Source::Constant(_)) { self.register(b).into() } else { b };
        self.define(Class::Vector, Instruction { a, b, c, ..Instruction::new(Op::MultiplyAdd) }).into()
    }

    fn iadd(&mut self, a: Source, b: Source) -> Source {
        self.commutative(Op::IntAdd, a, b)
    }

    fn isub(&mut self, a: Source, b: Source) -> Source {
        self.binary(Op::IntSub, a, b)
    }

    fn imul(&mut self, a: Source, b: Source) -> Source {
        self.commutative(Op::IntMul, a, b)
    }

    fn ineg(&mut self, a: Source) -> Source {
        let zero = self.lane_constant(0);
        self.binary(Op::IntSub, zero, a)
    }

    fn iabs(&mut self, a: Source) -> Source {
        self.unary(Op::IntAbs, a, 0)
    }

    fn smax(&mut self, a: Source, b: Source) -> Source {
        self.commutative(Op::IntMax, a, b)
    }

    fn smin(&mut self, a: Source, b: Source) -> Source {
        self.commutative(Op::IntMin, a, b)
    }

    fn ishl(&mut self, a: Source, by: u8) -> Source {
        self.unary(Op::ShiftLeft, a, by.into())
    }

    fn ushr(&mut self, a: Source, by: u8) -> Source {
        self.unary(Op::ShiftRight, a, by.into())
    }

    fn rotate_left(&mut self, a: Source, by: u8) -> Source {
        if self.has_masks() {
            return self.unary(Op::RotateLeft, a, by.into());
        }
        let high = self.ishl(a, by);
        let low = self.ushr(a, 32 - by);
        self.bor(high, low)
    }

    fn band(&mut self, a: Source, b: Source) -> Source {
        self.bitwise(Op::MaskAnd, Op::And, a, b)
    }

    fn bor(&mut self, a: Source, b: Source) -> Source {
        self.bitwise(Op::MaskOr, Op::Or, a, b)
    }

    fn bxor(&mut self, a: Source, b: Source) -> Source {
        self.bitwise(Op::MaskXor, Op::Xor, a, b)
    }

    fn not(&mut self, mask: Source) -> Source {
        if self.has_masks() {
            return self.of_masks(Op::MaskNot, mask, Source::None);
        }
        let ones = self.lane_constant(u64::MAX);
        self.commutative(Op::Xor, mask, ones)
    }

    fn bits_of(&mut self, _: DType, a: Source) -> Source {
        a
    }

    fn float_of(&mut self, _: DType, bits: Source) -> Source {
        bits
    }

    fn mask_bits(&mut self, _: DType, mask: Source) -> Source {
        if !self.has_masks() {
            return mask;
        }
        self.define(Class::Vector, Instruction { a: mask, ..Instruction::new(Op::VectorFromMask) }).into()
    }

    fn fcmp(&mut self, condition: FloatCC, a: Source, b: Source) -> Source {
        // The second operand may be in memory.
        let (condition, a, b) = match (a, b) {
            (Source::Constant(_), Source::Value(_)) => (condition.swap_args(), b, a),
            _ => (condition, a, b),
        };
        // The ordered, quiet ones.
        let predicate = match condition {
            FloatCC::Equal => 0,
            FloatCC::NotEqual => 4,
            FloatCC::LessThan => 17,
            FloatCC::LessThanOrEqual => 18,
            FloatCC::GreaterThan => 30,
            FloatCC::GreaterThanOrEqual => 29,
            FloatCC::Unordered => 3,
            other => unreachable!("nothing is compared by {other}"),
        };
        self.compare(Op::Compare, predicate, a, b)
    }

    fn icmp(&mut self, condition: IntCC, a: Source, b: Source) -> Source {
        if self.has_masks() {
            let predicate = match condition {
                IntCC::Equal => 0,
                IntCC::SignedLessThan => 1,
                IntCC::SignedLessThanOrEqual => 2,
                IntCC::NotEqual => 4,
                IntCC::SignedGreaterThanOrEqual => 5,
                IntCC::SignedGreaterThan => 6,
                other => unreachable!("nothing is compared by {other}"),
            };
            return self.compare(Op::IntCompare, predicate, a, b);
        }
        let (predicate, a, b, is_opposite) = match condition {
            IntCC::Equal => (EQUAL, a, b, false),
            IntCC::NotEqual => (EQUAL, a, b, true),
            IntCC::SignedGreaterThan => (GREATER, a, b, false),
            IntCC::SignedLessThan => (GREATER, b, a, false),
            IntCC::SignedLessThanOrEqual => (GREATER, a, b, true),
            IntCC::SignedGreaterThanOrEqual => (GREATER, b, a, true),
            other => unreachable!("nothing is compared by {other}"),
        };
        let mask = self.compare(Op::IntCompare, predicate, a, b);
        if is_opposite { self.not(mask) } else { mask }
    }

    fn select(&mut self, dtype: DType, mask: Source, a: Source, b: Source) -> Source {
        if dtype == DType::Bool && self.has_masks() {
            let yes = self.of_masks(Op::MaskAnd, mask, a);
            let no = self.of_masks(Op::MaskAndNot, mask, b);
            return self.of_masks(Op::MaskOr, yes, no);
        }
        let no = Source::from(self.register(b));
        let mask = Some(self.register(mask));
        self.define(Class::Vector, Instruction { a: no, b: a, mask, ..Instruction::new(Op::Blend) }).into()
    }

    fn nan_where(&mut self, dtype: DType, mask: Source, value: Source) -> Source {
        if !self.has_masks() {
            return self.commutative(Op::Or, value, mask);
        }
        let ones = self.lane_constant(u64::MAX);
        self.select(dtype, mask, ones, value)
    }

    fn fmax(&mut self, a: Source, b: Source) -> Source {
        self.binary(Op::Max, a, b)
    }

    fn fmin(&mut self, a: Source, b: Source) -> Source {
        self.binary(Op::Min, a, b)
    }

    fn pseudo_maximum(&mut self, _: DType, a: Source, b: Source) -> Source {
        self.binary(Op::Max, a, b)
    }

    fn pseudo_minimum(&mut self, _: DType, a: Source, b: Source) -> Source {
        self.binary(Op::Min, a, b)
    }

    fn convert(&mut self, from: DType, to: DType, a: Source) -> Source {
        if (from, to) == (DType::I32, DType::F32) {
            return self.unary(Op::FloatFromInt, a, 0);
        }
        // Saturated, and 0 for NaN.
        let whole = self.unary(Op::IntFromFloat, a, 0);
        let bound = self.constant(DType::F32, 2_147_483_648.0);
        let exceeds = self.fcmp(FloatCC::GreaterThanOrEqual, a, bound);
        let greatest = self.constant(DType::I32, f64::from(i32::MAX));
        let whole = self.select(DType::I32, exceeds, greatest, whole);
        let unordered = self.fcmp(FloatCC::Unordered, a, a);
        let zero = self.word(0);
        self.select(DType::I32, unordered, zero, whole)
    }

    fn power_of_single(&mut self, _: Source, _: Source) -> Source {
        unreachable!("kernels with powers are not made of wide vectors")
    }

    fn runtime(&mut self, import: Import, _: &[Source]) -> Source {
        unreachable!("kernels that call {import:?} are not made of wide vectors")
    }

    fn scale(&mut self, dtype: DType, mantissa: Source, n: Source) -> Source {
        if self.has_masks() {
            return self.binary(Op::Scale, mantissa, n);
        }
        crate::math::Math::new(self, dtype).scale_in_halves(mantissa, n)
    }

    fn power_of_two(&mut self, dtype: DType, n: Source) -> Source {
        if self.has_masks() {
            let one = self.constant(dtype, 1.0);
            return self.binary(Op::Scale, one, n);
        }
        crate::math::Math::new(self, dtype).power_in_exponent(n)
    }
}
