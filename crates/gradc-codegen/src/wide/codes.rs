//! Which machine instruction an operation is.

use super::program::{Extension, Op};
use crate::x86::Form;
use crate::x86::opcodes::{evex, vex};

/// Lanes of 4 and of 8 bytes with AVX2, then with AVX-512.
type Row<T> = [T; 4];

fn chosen<T: Copy>(row: Row<T>, extension: Extension, lane: u8) -> T {
    row[usize::from(extension == Extension::Avx512) * 2 + usize::from(lane == 8)]
}

/// The machine's instruction for an operation, with vectors of this kind and lanes of so many bytes, for those operations that
/// are one. Its operands are those of [`Op`] in order, then an immediate if it takes one.
pub(super) fn code(op: Op, extension: Extension, lane: u8) -> Option<&'static Form> {
    chosen(row(op), extension, lane)
}

/// The fused multiply-add that overwrites its first operand, by the order of operands in its name: 132, 213 or 231.
pub(super) fn multiply_add(order: u8, extension: Extension, lane: u8) -> &'static Form {
    let row = match order {
        132 => [&vex::VFMADD132PS, &vex::VFMADD132PD, &evex::VFMADD132PS, &evex::VFMADD132PD],
        213 => [&vex::VFMADD213PS, &vex::VFMADD213PD, &evex::VFMADD213PS, &evex::VFMADD213PD],
        _ => [&vex::VFMADD231PS, &vex::VFMADD231PD, &evex::VFMADD231PS, &evex::VFMADD231PD],
    };
    chosen(row, extension, lane)
}

fn row(op: Op) -> Row<Option<&'static Form>> {
    match op {
        Op::Add => [&vex::VADDPS, &vex::VADDPD, &evex::VADDPS, &evex::VADDPD].map(Some),
        Op::Sub => [&vex::VSUBPS, &vex::VSUBPD, &evex::VSUBPS, &evex::VSUBPD].map(Some),
        Op::Mul => [&vex::VMULPS, &vex::VMULPD, &evex::VMULPS, &evex::VMULPD].map(Some),
        Op::Div => [&vex::VDIVPS, &vex::VDIVPD, &evex::VDIVPS, &evex::VDIVPD].map(Some),
        Op::Min => [&vex::VMINPS, &vex::VMINPD, &evex::VMINPS, &evex::VMINPD].map(Some),
        Op::Max => [&vex::VMAXPS, &vex::VMAXPD, &evex::VMAXPS, &evex::VMAXPD].map(Some),
        Op::Scale => [None, None, Some(&evex::VSCALEFPS), Some(&evex::VSCALEFPD)],
        Op::Sqrt => [&vex::VSQRTPS, &vex::VSQRTPD, &evex::VSQRTPS, &evex::VSQRTPD].map(Some),
        Op::Round => [&vex::VROUNDPS, &vex::VROUNDPD, &evex::VRNDSCALEPS, &evex::VRNDSCALEPD].map(Some),
        Op::And => [&vex::VANDPS, &vex::VANDPD, &evex::VANDPS, &evex::VANDPD].map(Some),
        Op::Or => [&vex::VORPS, &vex::VORPD, &evex::VORPS, &evex::VORPD].map(Some),
        Op::Xor => [&vex::VXORPS, &vex::VXORPD, &evex::VXORPS, &evex::VXORPD].map(Some),
        Op::IntAdd => [&vex::VPADDD, &vex::VPADDQ, &evex::VPADDD, &evex::VPADDQ].map(Some),
        Op::IntSub => [&vex::VPSUBD, &vex::VPSUBQ, &evex::VPSUBD, &evex::VPSUBQ].map(Some),
        Op::IntMul => [Some(&vex::VPMULLD), None, Some(&evex::VPMULLD), None],
        Op::IntMin => [Some(&vex::VPMINSD), None, Some(&evex::VPMINSD), None],
        Op::IntMax => [Some(&vex::VPMAXSD), None, Some(&evex::VPMAXSD), None],
        Op::IntAbs => [Some(&vex::VPABSD), None, Some(&evex::VPABSD), None],
        Op::ShiftLeft => [&vex::VPSLLD, &vex::VPSLLQ, &evex::VPSLLD, &evex::VPSLLQ].map(Some),
        Op::ShiftRight => [&vex::VPSRLD, &vex::VPSRLQ, &evex::VPSRLD, &evex::VPSRLQ].map(Some),
        Op::RotateLeft => [None, None, Some(&evex::VPROLD), None],
        Op::FloatFromInt => [Some(&vex::VCVTDQ2PS), None, Some(&evex::VCVTDQ2PS), None],
        Op::IntFromFloat => [Some(&vex::VCVTTPS2DQ), None, Some(&evex::VCVTTPS2DQ), None],
        Op::Compare => [&vex::VCMPPS, &vex::VCMPPD, &evex::VCMPPS, &evex::VCMPPD].map(Some),
        Op::IntCompare => [None, None, Some(&evex::VPCMPD), Some(&evex::VPCMPQ)],
        Op::Blend => [&vex::VBLENDVPS, &vex::VBLENDVPD, &evex::VBLENDMPS, &evex::VBLENDMPD].map(Some),
        Op::VectorFromMask => [None, None, Some(&evex::VPMOVM2D), Some(&evex::VPMOVM2Q)],
        Op::Test => [None, None, Some(&evex::VPTESTMD), Some(&evex::VPTESTMQ)],
        Op::MaskAnd => [None, None, Some(&vex::KANDW), Some(&vex::KANDW)],
        Op::MaskAndNot => [None, None, Some(&vex::KANDNW), Some(&vex::KANDNW)],
        Op::MaskOr => [None, None, Some(&vex::KORW), Some(&vex::KORW)],
        Op::MaskXor => [None, None, Some(&vex::KXORW), Some(&vex::KXORW)],
        Op::MaskNot => [None, None, Some(&vex::KNOTW), Some(&vex::KNOTW)],
        _ => [None; 4],
    }
}
