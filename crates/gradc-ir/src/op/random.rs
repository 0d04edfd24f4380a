//! `random(seed, stream, step, index)`

use super::elementwise::{real, shapes};
use super::{Algebra, Arity, Case, Class, Derivative, Domain, Notation, OpDef, TypeError, infer};
use crate::attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
use crate::scalar::{ScalarBuilder, ScalarOp, ScalarValue};
use crate::{DType, Graph, TensorType, ValueId};

/// Random numbers that are a function of four integers.
///
/// An elementwise operator, not a generator with a state: it may be moved, copied, fused and recomputed, on any number of
/// threads, and gives the same bits.
pub static RANDOM: OpDef = OpDef {
    name: "random",
    class: Class::Elementwise,
    arity: Arity::Exactly(4),
    attrs: &[AttrSpec::from("dtype", AttrKind::DType, AttrSource::ResultDType)],
    notation: Notation::Call,
    infer: |attrs, operands| {
        let (ty, dtype) = (infer::same(operands)?, attrs.dtype("dtype"));
        if ty.dtype == DType::I32 && dtype.is_float() {
            Ok(ty.with_dtype(dtype))
        } else {
            Err(TypeError(format!("random floats are made of i32, not {dtype} of {ty}")))
        }
    },
    evaluate: real(|x| {
        let word = |value: f64| value as i32 as u32;
        let [bits, _] = threefry2x32([word(x[0]), word(x[1])], [word(x[2]), word(x[3])]);
        f64::from(bits >> DROPPED) * UNIT
    }),
    derivative: Derivative::None("the numbers are a function of integers"),
    lower: Some(lower),
    algebra: Algebra::NONE,
    domain: Domain { smooth: &[(-100.0, 100.0)], kinks: &[], kink_at_ties: false, unbounded: false },
    cases: |n, float| {
        let case =
            |shape: Vec<usize>| Case { attrs: attrs(float), operands: vec![TensorType::new(DType::I32, &*shape); 4] };
        shapes(n).map(case).collect()
    },
    doc: "Uniform on [0, 1), in steps of 2⁻²⁴: the first word of Threefry2x32-20 (Salmon, Moraes, Dror and Shaw, \"Parallel \
          random numbers: as easy as 1, 2, 3\", 2011) for the key (`seed`, `stream`) and the counter (`step`, `index`), of \
          which the 24 most significant bits are taken in every float type. Rounded to 16 bits, the greatest of them are 1. The four operands are `i32` whose bits are \
          taken as they are.",
};

/// Bits of a word that an `f32` has no room for.
const DROPPED: u8 = 8;

/// The distance between neighbouring numbers, 2⁻²⁴.
const UNIT: f64 = 1.0 / 16_777_216.0;

/// The constant in the key schedule of Threefry with 32-bit words (the paper above, after Skein).
const PARITY: u32 = 0x1BD1_1BDA;

/// By how much each of eight rounds rotates; they repeat.
const ROTATIONS: [u8; 8] = [13, 15, 26, 6, 17, 29, 16, 24];

/// Rounds; keys are injected after every fourth.
const ROUNDS: usize = 20;

/// Threefry2x32-20.
fn threefry2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let keys = [key[0], key[1], key[0] ^ key[1] ^ PARITY];
    let [mut a, mut b] = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for round in 0..ROUNDS {
        a = a.wrapping_add(b);
        b = b.rotate_left(u32::from(ROTATIONS[round % 8])) ^ a;
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            a = a.wrapping_add(keys[injection % 3]);
            b = b.wrapping_add(keys[(injection + 1) % 3]).wrapping_add(injection as u32);
        }
    }
    [a, b]
}

/// The same in operations of the loop IR.
fn lower(builder: &mut dyn ScalarBuilder, attrs: &Attrs, operands: &[ScalarValue]) -> ScalarValue {
    let [seed, stream, step, index] = [operands[0], operands[1], operands[2], operands[3]];
    let parity = builder.integer(PARITY as i32);
    let mixed = builder.op(ScalarOp::Xor, &[seed, stream]);
    let keys = [seed, stream, builder.op(ScalarOp::Xor, &[mixed, parity])];
    let mut a = builder.op(ScalarOp::Add, &[step, keys[0]]);
    let mut b = builder.op(ScalarOp::Add, &[index, keys[1]]);
    for round in 0..ROUNDS {
        a = builder.op(ScalarOp::Add, &[a, b]);
        let rotated = builder.op(ScalarOp::RotateLeft(ROTATIONS[round % 8]), &[b]);
        b = builder.op(ScalarOp::Xor, &[rotated, a]);
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            let number = builder.integer(injection as i32);
            // Keys are the same for all elements, so their sum with the number is, too.
            let key = builder.op(ScalarOp::Add, &[keys[(injection + 1) % 3], number]);
            a = builder.op(ScalarOp::Add, &[a, keys[injection % 3]]);
            b = builder.op(ScalarOp::Add, &[b, key]);
        }
    }
    let bits = builder.op(ScalarOp::ShiftRight(DROPPED), &[a]);
    let number = builder.op(ScalarOp::Cast(attrs.dtype("dtype")), &[bits]);
    let unit = builder.constant(UNIT);
    builder.op(ScalarOp::Mul, &[number, unit])
}

fn attrs(dtype: DType) -> Attrs {
    Attrs::new([("dtype", Attr::from(dtype))])
}

impl Graph {
    /// `random(seed, stream, step, index)`, as floats of type `dtype`.
    pub fn random(&mut self, [seed, stream, step, index]: [ValueId; 4], dtype: DType) -> ValueId {
        self.emit(RANDOM.with(attrs(dtype)), &[seed, stream, step, index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the authors publish with their implementation, Random123 (`kat_vectors`).
    #[test]
    fn known_answers() {
        let pi = [[0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]];
        let cases = [
            ([[0; 2], [0; 2]], [0x6b20_0159, 0x99ba_4efe]),
            ([[u32::MAX; 2], [u32::MAX; 2]], [0x1cb9_96fc, 0xbb00_2be7]),
            (pi, [0xc492_3a9c, 0x483d_f7a0]),
        ];
        for ([key, counter], expected) in cases {
            assert_eq!(threefry2x32(key, counter), expected, "{key:x?} {counter:x?}");
        }
    }
}
