//! Which machine instruction an operation is.

use iced_x86::Code;
use iced_x86::Code::*;

use super::program::{Extension, Op};

/// Lanes of 4 and of 8 bytes with AVX2, then with AVX-512.
type Row = [Code; 4];

fn chosen(row: Row, extension: Extension, lane: u8) -> Code {
    row[usize::from(extension == Extension::Avx512) * 2 + usize::from(lane == 8)]
}

/// The machine's instruction for an operation, with vectors of this kind and lanes of so many bytes, for those operations that
/// are one. Its operands are those of [`Op`] in order, then an immediate if it takes one.
pub(super) fn code(op: Op, extension: Extension, lane: u8) -> Option<Code> {
    Some(chosen(row(op)?, extension, lane)).filter(|&code| code != INVALID)
}

/// The fused multiply-add that overwrites its first operand, by the order of operands in its name: 132, 213 or 231.
pub(super) fn multiply_add(order: u8, extension: Extension, lane: u8) -> Code {
    let row = match order {
        132 => [
            VEX_Vfmadd132ps_ymm_ymm_ymmm256,
            VEX_Vfmadd132pd_ymm_ymm_ymmm256,
            EVEX_Vfmadd132ps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vfmadd132pd_zmm_k1z_zmm_zmmm512b64_er,
        ],
        213 => [
            VEX_Vfmadd213ps_ymm_ymm_ymmm256,
            VEX_Vfmadd213pd_ymm_ymm_ymmm256,
            EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er,
        ],
        _ => [
            VEX_Vfmadd231ps_ymm_ymm_ymmm256,
            VEX_Vfmadd231pd_ymm_ymm_ymmm256,
            EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er,
        ],
    };
    chosen(row, extension, lane)
}

fn row(op: Op) -> Option<Row> {
    Some(match op {
        Op::Add => [
            VEX_Vaddps_ymm_ymm_ymmm256,
            VEX_Vaddpd_ymm_ymm_ymmm256,
            EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er,
        ],
        Op::Sub => [
            VEX_Vsubps_ymm_ymm_ymmm256,
            VEX_Vsubpd_ymm_ymm_ymmm256,
            EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er,
        ],
        Op::Mul => [
            VEX_Vmulps_ymm_ymm_ymmm256,
            VEX_Vmulpd_ymm_ymm_ymmm256,
            EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er,
        ],
        Op::Div => [
            VEX_Vdivps_ymm_ymm_ymmm256,
            VEX_Vdivpd_ymm_ymm_ymmm256,
            EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er,
        ],
        Op::Min => [
            VEX_Vminps_ymm_ymm_ymmm256,
            VEX_Vminpd_ymm_ymm_ymmm256,
            EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae,
            EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae,
        ],
        Op::Max => [
            VEX_Vmaxps_ymm_ymm_ymmm256,
            VEX_Vmaxpd_ymm_ymm_ymmm256,
            EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae,
            EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae,
        ],
        Op::Scale => {
            [INVALID, INVALID, EVEX_Vscalefps_zmm_k1z_zmm_zmmm512b32_er, EVEX_Vscalefpd_zmm_k1z_zmm_zmmm512b64_er]
        }
        Op::Sqrt => [
            VEX_Vsqrtps_ymm_ymmm256,
            VEX_Vsqrtpd_ymm_ymmm256,
            EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er,
            EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er,
        ],
        Op::Round => [
            VEX_Vroundps_ymm_ymmm256_imm8,
            VEX_Vroundpd_ymm_ymmm256_imm8,
            EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae,
            EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae,
        ],
        Op::And => [
            VEX_Vandps_ymm_ymm_ymmm256,
            VEX_Vandpd_ymm_ymm_ymmm256,
            EVEX_Vandps_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vandpd_zmm_k1z_zmm_zmmm512b64,
        ],
        Op::Or => [
            VEX_Vorps_ymm_ymm_ymmm256,
            VEX_Vorpd_ymm_ymm_ymmm256,
            EVEX_Vorps_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vorpd_zmm_k1z_zmm_zmmm512b64,
        ],
        Op::Xor => [
            VEX_Vxorps_ymm_ymm_ymmm256,
            VEX_Vxorpd_ymm_ymm_ymmm256,
            EVEX_Vxorps_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vxorpd_zmm_k1z_zmm_zmmm512b64,
        ],
        Op::IntAdd => [
            VEX_Vpaddd_ymm_ymm_ymmm256,
            VEX_Vpaddq_ymm_ymm_ymmm256,
            EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64,
        ],
        Op::IntSub => [
            VEX_Vpsubd_ymm_ymm_ymmm256,
            VEX_Vpsubq_ymm_ymm_ymmm256,
            EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64,
        ],
        Op::IntMul => [VEX_Vpmulld_ymm_ymm_ymmm256, INVALID, EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32, INVALID],
        Op::IntMin => [VEX_Vpminsd_ymm_ymm_ymmm256, INVALID, EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32, INVALID],
        Op::IntMax => [VEX_Vpmaxsd_ymm_ymm_ymmm256, INVALID, EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32, INVALID],
        Op::IntAbs => [VEX_Vpabsd_ymm_ymmm256, INVALID, EVEX_Vpabsd_zmm_k1z_zmmm512b32, INVALID],
        Op::ShiftLeft => [
            VEX_Vpslld_ymm_ymm_imm8,
            VEX_Vpsllq_ymm_ymm_imm8,
            EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8,
            EVEX_Vpsllq_zmm_k1z_zmmm512b64_imm8,
        ],
        Op::ShiftRight => [
            VEX_Vpsrld_ymm_ymm_imm8,
            VEX_Vpsrlq_ymm_ymm_imm8,
            EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8,
            EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8,
        ],
        Op::RotateLeft => [INVALID, INVALID, EVEX_Vprold_zmm_k1z_zmmm512b32_imm8, INVALID],
        Op::FloatFromInt => [VEX_Vcvtdq2ps_ymm_ymmm256, INVALID, EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er, INVALID],
        Op::IntFromFloat => [VEX_Vcvttps2dq_ymm_ymmm256, INVALID, EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae, INVALID],
        Op::Compare => [
            VEX_Vcmpps_ymm_ymm_ymmm256_imm8,
            VEX_Vcmppd_ymm_ymm_ymmm256_imm8,
            EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae,
            EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae,
        ],
        Op::IntCompare => {
            [INVALID, INVALID, EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8, EVEX_Vpcmpq_kr_k1_zmm_zmmm512b64_imm8]
        }
        Op::Blend => [
            VEX_Vblendvps_ymm_ymm_ymmm256_ymm,
            VEX_Vblendvpd_ymm_ymm_ymmm256_ymm,
            EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64,
        ],
        Op::VectorFromMask => [INVALID, INVALID, EVEX_Vpmovm2d_zmm_kr, EVEX_Vpmovm2q_zmm_kr],
        Op::Test => [INVALID, INVALID, EVEX_Vptestmd_kr_k1_zmm_zmmm512b32, EVEX_Vptestmq_kr_k1_zmm_zmmm512b64],
        Op::MaskAnd => [INVALID, INVALID, VEX_Kandw_kr_kr_kr, VEX_Kandw_kr_kr_kr],
        Op::MaskAndNot => [INVALID, INVALID, VEX_Kandnw_kr_kr_kr, VEX_Kandnw_kr_kr_kr],
        Op::MaskOr => [INVALID, INVALID, VEX_Korw_kr_kr_kr, VEX_Korw_kr_kr_kr],
        Op::MaskXor => [INVALID, INVALID, VEX_Kxorw_kr_kr_kr, VEX_Kxorw_kr_kr_kr],
        Op::MaskNot => [INVALID, INVALID, VEX_Knotw_kr_kr, VEX_Knotw_kr_kr],
        _ => return None,
    })
}
