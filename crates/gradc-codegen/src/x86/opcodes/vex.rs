//! Instructions with the prefix VEX: vectors of 256 bits where the name says nothing else, and masks.

use super::forms;

forms! {
    // Arithmetic of floats.
    VADDPS: "VEX.256.0F.WIG 58 /r", "VADDPS ymm1, ymm2, ymm3/m256", RVM;
    VADDPD: "VEX.256.66.0F.WIG 58 /r", "VADDPD ymm1, ymm2, ymm3/m256", RVM;
    VSUBPS: "VEX.256.0F.WIG 5C /r", "VSUBPS ymm1, ymm2, ymm3/m256", RVM;
    VSUBPD: "VEX.256.66.0F.WIG 5C /r", "VSUBPD ymm1, ymm2, ymm3/m256", RVM;
    VMULPS: "VEX.256.0F.WIG 59 /r", "VMULPS ymm1, ymm2, ymm3/m256", RVM;
    VMULPD: "VEX.256.66.0F.WIG 59 /r", "VMULPD ymm1, ymm2, ymm3/m256", RVM;
    VDIVPS: "VEX.256.0F.WIG 5E /r", "VDIVPS ymm1, ymm2, ymm3/m256", RVM;
    VDIVPD: "VEX.256.66.0F.WIG 5E /r", "VDIVPD ymm1, ymm2, ymm3/m256", RVM;
    VMINPS: "VEX.256.0F.WIG 5D /r", "VMINPS ymm1, ymm2, ymm3/m256", RVM;
    VMINPD: "VEX.256.66.0F.WIG 5D /r", "VMINPD ymm1, ymm2, ymm3/m256", RVM;
    VMAXPS: "VEX.256.0F.WIG 5F /r", "VMAXPS ymm1, ymm2, ymm3/m256", RVM;
    VMAXPD: "VEX.256.66.0F.WIG 5F /r", "VMAXPD ymm1, ymm2, ymm3/m256", RVM;

    // Bits.
    VANDPS: "VEX.256.0F.WIG 54 /r", "VANDPS ymm1, ymm2, ymm3/m256", RVM;
    VANDPD: "VEX.256.66.0F.WIG 54 /r", "VANDPD ymm1, ymm2, ymm3/m256", RVM;
    VORPS: "VEX.256.0F.WIG 56 /r", "VORPS ymm1, ymm2, ymm3/m256", RVM;
    VORPD: "VEX.256.66.0F.WIG 56 /r", "VORPD ymm1, ymm2, ymm3/m256", RVM;
    VXORPS: "VEX.256.0F.WIG 57 /r", "VXORPS ymm1, ymm2, ymm3/m256", RVM;
    VXORPD: "VEX.256.66.0F.WIG 57 /r", "VXORPD ymm1, ymm2, ymm3/m256", RVM;

    // Floats: fused products and sums, roots, whole numbers.
    VFMADD132PS: "VEX.256.66.0F38.W0 98 /r", "VFMADD132PS ymm1, ymm2, ymm3/m256", RVM;
    VFMADD132PD: "VEX.256.66.0F38.W1 98 /r", "VFMADD132PD ymm1, ymm2, ymm3/m256", RVM;
    VFMADD213PS: "VEX.256.66.0F38.W0 A8 /r", "VFMADD213PS ymm1, ymm2, ymm3/m256", RVM;
    VFMADD213PD: "VEX.256.66.0F38.W1 A8 /r", "VFMADD213PD ymm1, ymm2, ymm3/m256", RVM;
    VFMADD231PS: "VEX.256.66.0F38.W0 B8 /r", "VFMADD231PS ymm1, ymm2, ymm3/m256", RVM;
    VFMADD231PD: "VEX.256.66.0F38.W1 B8 /r", "VFMADD231PD ymm1, ymm2, ymm3/m256", RVM;
    VSQRTPS: "VEX.256.0F.WIG 51 /r", "VSQRTPS ymm1, ymm2/m256", RM;
    VSQRTPD: "VEX.256.66.0F.WIG 51 /r", "VSQRTPD ymm1, ymm2/m256", RM;
    VROUNDPS: "VEX.256.66.0F3A.WIG 08 /r ib", "VROUNDPS ymm1, ymm2/m256, imm8", RMI;
    VROUNDPD: "VEX.256.66.0F3A.WIG 09 /r ib", "VROUNDPD ymm1, ymm2/m256, imm8", RMI;

    // Integers, and what is between these and floats.
    VPADDD: "VEX.256.66.0F.WIG FE /r", "VPADDD ymm1, ymm2, ymm3/m256", RVM;
    VPADDQ: "VEX.256.66.0F.WIG D4 /r", "VPADDQ ymm1, ymm2, ymm3/m256", RVM;
    VPSUBD: "VEX.256.66.0F.WIG FA /r", "VPSUBD ymm1, ymm2, ymm3/m256", RVM;
    VPSUBQ: "VEX.256.66.0F.WIG FB /r", "VPSUBQ ymm1, ymm2, ymm3/m256", RVM;
    VPMULLD: "VEX.256.66.0F38.WIG 40 /r", "VPMULLD ymm1, ymm2, ymm3/m256", RVM;
    VPMINSD: "VEX.256.66.0F38.WIG 39 /r", "VPMINSD ymm1, ymm2, ymm3/m256", RVM;
    VPMAXSD: "VEX.256.66.0F38.WIG 3D /r", "VPMAXSD ymm1, ymm2, ymm3/m256", RVM;
    VPABSD: "VEX.256.66.0F38.WIG 1E /r", "VPABSD ymm1, ymm2/m256", RM;
    VPSLLD: "VEX.256.66.0F.WIG 72 /6 ib", "VPSLLD ymm1, ymm2, imm8", VMI;
    VPSLLQ: "VEX.256.66.0F.WIG 73 /6 ib", "VPSLLQ ymm1, ymm2, imm8", VMI;
    VPSRLD: "VEX.256.66.0F.WIG 72 /2 ib", "VPSRLD ymm1, ymm2, imm8", VMI;
    VPSRLQ: "VEX.256.66.0F.WIG 73 /2 ib", "VPSRLQ ymm1, ymm2, imm8", VMI;
    VCVTDQ2PS: "VEX.256.0F.WIG 5B /r", "VCVTDQ2PS ymm1, ymm2/m256", RM;
    VCVTTPS2DQ: "VEX.256.F3.0F.WIG 5B /r", "VCVTTPS2DQ ymm1, ymm2/m256", RM;

    // Comparisons, and choices by what they give.
    VCMPPS: "VEX.256.0F.WIG C2 /r ib", "VCMPPS ymm1, ymm2, ymm3/m256, imm8", RVMI;
    VCMPPD: "VEX.256.66.0F.WIG C2 /r ib", "VCMPPD ymm1, ymm2, ymm3/m256, imm8", RVMI;
    VPCMPEQD: "VEX.256.66.0F.WIG 76 /r", "VPCMPEQD ymm1, ymm2, ymm3/m256", RVM;
    VPCMPEQQ: "VEX.256.66.0F38.WIG 29 /r", "VPCMPEQQ ymm1, ymm2, ymm3/m256", RVM;
    VPCMPGTD: "VEX.256.66.0F.WIG 66 /r", "VPCMPGTD ymm1, ymm2, ymm3/m256", RVM;
    VPCMPGTQ: "VEX.256.66.0F38.WIG 37 /r", "VPCMPGTQ ymm1, ymm2, ymm3/m256", RVM;
    VBLENDVPS: "VEX.256.66.0F3A.W0 4A /r /is4", "VBLENDVPS ymm1, ymm2, ymm3/m256, ymm4", RVMS;
    VBLENDVPD: "VEX.256.66.0F3A.W0 4B /r /is4", "VBLENDVPD ymm1, ymm2, ymm3/m256, ymm4", RVMS;
    VMOVMSKPS: "VEX.256.0F.WIG 50 /r", "VMOVMSKPS r32, ymm2", RM;
    VMOVMSKPD: "VEX.256.66.0F.WIG 50 /r", "VMOVMSKPD r32, ymm2", RM;

    // Masks of one bit a lane, which came with AVX-512.
    KANDW: "VEX.L1.0F.W0 41 /r", "KANDW k1, k2, k3", RVM;
    KANDNW: "VEX.L1.0F.W0 42 /r", "KANDNW k1, k2, k3", RVM;
    KORW: "VEX.L1.0F.W0 45 /r", "KORW k1, k2, k3", RVM;
    KXNORW: "VEX.L1.0F.W0 46 /r", "KXNORW k1, k2, k3", RVM;
    KXORW: "VEX.L1.0F.W0 47 /r", "KXORW k1, k2, k3", RVM;
    KNOTW: "VEX.L0.0F.W0 44 /r", "KNOTW k1, k2", RM;
    KMOVW_LOAD: "VEX.L0.0F.W0 90 /r", "KMOVW k1, k2/m16", RM;
    KMOVW_STORE: "VEX.L0.0F.W0 91 /r", "KMOVW m16, k1", MR;
    KMOVW_FROM_R32: "VEX.L0.0F.W0 92 /r", "KMOVW k1, r32", RM;
    KMOVW_TO_R32: "VEX.L0.0F.W0 93 /r", "KMOVW r32, k1", RM;

    // Lanes in another order, and one element in each.
    VSHUFPS: "VEX.256.0F.WIG C6 /r ib", "VSHUFPS ymm1, ymm2, ymm3/m256, imm8", RVMI;
    VPERM2F128: "VEX.256.66.0F3A.W0 06 /r ib", "VPERM2F128 ymm1, ymm2, ymm3/m256, imm8", RVMI;
    VBROADCASTSS: "VEX.256.66.0F38.W0 18 /r", "VBROADCASTSS ymm1, m32", RM;
    VBROADCASTSD: "VEX.256.66.0F38.W0 19 /r", "VBROADCASTSD ymm1, m64", RM;
    VPBROADCASTD: "VEX.256.66.0F38.W0 58 /r", "VPBROADCASTD ymm1, xmm2/m32", RM;

    // Loads and stores.
    VMOVUPS_LOAD: "VEX.256.0F.WIG 10 /r", "VMOVUPS ymm1, ymm2/m256", RM;
    VMOVUPS_STORE: "VEX.256.0F.WIG 11 /r", "VMOVUPS ymm2/m256, ymm1", MR;
    VMOVUPS_LOAD_128: "VEX.128.0F.WIG 10 /r", "VMOVUPS xmm1, xmm2/m128", RM;
    VMOVUPS_STORE_128: "VEX.128.0F.WIG 11 /r", "VMOVUPS xmm2/m128, xmm1", MR;
    VMOVSS_LOAD: "VEX.LIG.F3.0F.WIG 10 /r", "VMOVSS xmm1, m32", RM;
    VMOVSS_STORE: "VEX.LIG.F3.0F.WIG 11 /r", "VMOVSS m32, xmm1", MR;
    VMOVSD_LOAD: "VEX.LIG.F2.0F.WIG 10 /r", "VMOVSD xmm1, m64", RM;
    VMOVSD_STORE: "VEX.LIG.F2.0F.WIG 11 /r", "VMOVSD m64, xmm1", MR;
    VMOVD_FROM_R32: "VEX.128.66.0F.W0 6E /r", "VMOVD xmm1, r/m32", RM;
    VMOVD_TO_R32: "VEX.128.66.0F.W0 7E /r", "VMOVD r/m32, xmm1", MR;
    VMASKMOVPS_LOAD: "VEX.256.66.0F38.W0 2C /r", "VMASKMOVPS ymm1, ymm2, m256", RVM;
    VMASKMOVPS_STORE: "VEX.256.66.0F38.W0 2E /r", "VMASKMOVPS m256, ymm1, ymm2", MVR;
    VMASKMOVPD_LOAD: "VEX.256.66.0F38.W0 2D /r", "VMASKMOVPD ymm1, ymm2, m256", RVM;
    VMASKMOVPD_STORE: "VEX.256.66.0F38.W0 2F /r", "VMASKMOVPD m256, ymm1, ymm2", MVR;
    VGATHERDPS: "VEX.256.66.0F38.W0 92 /r", "VGATHERDPS ymm1, vm32y, ymm2", RMV;
    VGATHERQPD: "VEX.256.66.0F38.W1 93 /r", "VGATHERQPD ymm1, vm64y, ymm2", RMV;

    // Bytes and words as lanes.
    VPMOVZXBD: "VEX.256.66.0F38.WIG 31 /r", "VPMOVZXBD ymm1, xmm2/m64", RM;
    VPMOVZXBQ: "VEX.256.66.0F38.WIG 32 /r", "VPMOVZXBQ ymm1, xmm2/m32", RM;
    VPMOVZXWD: "VEX.256.66.0F38.WIG 33 /r", "VPMOVZXWD ymm1, xmm2/m128", RM;

    // The upper parts of all vectors become zero.
    VZEROUPPER: "VEX.128.0F.WIG 77", "VZEROUPPER", ZO;
}
