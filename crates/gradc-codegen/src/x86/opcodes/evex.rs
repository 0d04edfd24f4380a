//! Instructions with the prefix EVEX: vectors of 512 bits where the name says nothing else.

use super::forms;

forms! {
    // Arithmetic of floats.
    VADDPS: "EVEX.512.0F.W0 58 /r", "VADDPS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst {er}", RVM Full;
    VADDPD: "EVEX.512.66.0F.W1 58 /r", "VADDPD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst {er}", RVM Full;
    VSUBPS: "EVEX.512.0F.W0 5C /r", "VSUBPS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst {er}", RVM Full;
    VSUBPD: "EVEX.512.66.0F.W1 5C /r", "VSUBPD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst {er}", RVM Full;
    VMULPS: "EVEX.512.0F.W0 59 /r", "VMULPS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst {er}", RVM Full;
    VMULPD: "EVEX.512.66.0F.W1 59 /r", "VMULPD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst {er}", RVM Full;
    VDIVPS: "EVEX.512.0F.W0 5E /r", "VDIVPS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst {er}", RVM Full;
    VDIVPD: "EVEX.512.66.0F.W1 5E /r", "VDIVPD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst {er}", RVM Full;
    VMINPS: "EVEX.512.0F.W0 5D /r", "VMINPS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst {sae}", RVM Full;
    VMINPD: "EVEX.512.66.0F.W1 5D /r", "VMINPD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst {sae}", RVM Full;
    VMAXPS: "EVEX.512.0F.W0 5F /r", "VMAXPS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst {sae}", RVM Full;
    VMAXPD: "EVEX.512.66.0F.W1 5F /r", "VMAXPD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst {sae}", RVM Full;

    // Bits.
    VANDPS: "EVEX.512.0F.W0 54 /r", "VANDPS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst", RVM Full;
    VANDPD: "EVEX.512.66.0F.W1 54 /r", "VANDPD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst", RVM Full;
    VORPS: "EVEX.512.0F.W0 56 /r", "VORPS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst", RVM Full;
    VORPD: "EVEX.512.66.0F.W1 56 /r", "VORPD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst", RVM Full;
    VXORPS: "EVEX.512.0F.W0 57 /r", "VXORPS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst", RVM Full;
    VXORPD: "EVEX.512.66.0F.W1 57 /r", "VXORPD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst", RVM Full;
    VPXORD: "EVEX.512.66.0F.W0 EF /r", "VPXORD zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst", RVM Full;

    // Floats: fused products and sums, powers of two, roots, whole numbers.
    VFMADD132PS: "EVEX.512.66.0F38.W0 98 /r", "VFMADD132PS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst {er}", RVM Full;
    VFMADD132PD: "EVEX.512.66.0F38.W1 98 /r", "VFMADD132PD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst {er}", RVM Full;
    VFMADD213PS: "EVEX.512.66.0F38.W0 A8 /r", "VFMADD213PS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst {er}", RVM Full;
    VFMADD213PD: "EVEX.512.66.0F38.W1 A8 /r", "VFMADD213PD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst {er}", RVM Full;
    VFMADD231PS: "EVEX.512.66.0F38.W0 B8 /r", "VFMADD231PS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst {er}", RVM Full;
    VFMADD231PD: "EVEX.512.66.0F38.W1 B8 /r", "VFMADD231PD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst {er}", RVM Full;
    VSCALEFPS: "EVEX.512.66.0F38.W0 2C /r", "VSCALEFPS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst {er}", RVM Full;
    VSCALEFPD: "EVEX.512.66.0F38.W1 2C /r", "VSCALEFPD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst {er}", RVM Full;
    VSQRTPS: "EVEX.512.0F.W0 51 /r", "VSQRTPS zmm1 {k1}{z}, zmm2/m512/m32bcst {er}", RM Full;
    VSQRTPD: "EVEX.512.66.0F.W1 51 /r", "VSQRTPD zmm1 {k1}{z}, zmm2/m512/m64bcst {er}", RM Full;
    VRNDSCALEPS: "EVEX.512.66.0F3A.W0 08 /r ib", "VRNDSCALEPS zmm1 {k1}{z}, zmm2/m512/m32bcst {sae}, imm8", RMI Full;
    VRNDSCALEPD: "EVEX.512.66.0F3A.W1 09 /r ib", "VRNDSCALEPD zmm1 {k1}{z}, zmm2/m512/m64bcst {sae}, imm8", RMI Full;

    // Integers, and what is between these and floats.
    VPADDD: "EVEX.512.66.0F.W0 FE /r", "VPADDD zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst", RVM Full;
    VPADDQ: "EVEX.512.66.0F.W1 D4 /r", "VPADDQ zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst", RVM Full;
    VPSUBD: "EVEX.512.66.0F.W0 FA /r", "VPSUBD zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst", RVM Full;
    VPSUBQ: "EVEX.512.66.0F.W1 FB /r", "VPSUBQ zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst", RVM Full;
    VPMULLD: "EVEX.512.66.0F38.W0 40 /r", "VPMULLD zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst", RVM Full;
    VPMINSD: "EVEX.512.66.0F38.W0 39 /r", "VPMINSD zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst", RVM Full;
    VPMAXSD: "EVEX.512.66.0F38.W0 3D /r", "VPMAXSD zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst", RVM Full;
    VPABSD: "EVEX.512.66.0F38.W0 1E /r", "VPABSD zmm1 {k1}{z}, zmm2/m512/m32bcst", RM Full;
    VPSLLD: "EVEX.512.66.0F.W0 72 /6 ib", "VPSLLD zmm1 {k1}{z}, zmm2/m512/m32bcst, imm8", VMI Full;
    VPSLLQ: "EVEX.512.66.0F.W1 73 /6 ib", "VPSLLQ zmm1 {k1}{z}, zmm2/m512/m64bcst, imm8", VMI Full;
    VPSRLD: "EVEX.512.66.0F.W0 72 /2 ib", "VPSRLD zmm1 {k1}{z}, zmm2/m512/m32bcst, imm8", VMI Full;
    VPSRLQ: "EVEX.512.66.0F.W1 73 /2 ib", "VPSRLQ zmm1 {k1}{z}, zmm2/m512/m64bcst, imm8", VMI Full;
    VPROLD: "EVEX.512.66.0F.W0 72 /1 ib", "VPROLD zmm1 {k1}{z}, zmm2/m512/m32bcst, imm8", VMI Full;
    VCVTDQ2PS: "EVEX.512.0F.W0 5B /r", "VCVTDQ2PS zmm1 {k1}{z}, zmm2/m512/m32bcst {er}", RM Full;
    VCVTTPS2DQ: "EVEX.512.F3.0F.W0 5B /r", "VCVTTPS2DQ zmm1 {k1}{z}, zmm2/m512/m32bcst {sae}", RM Full;

    // Comparisons, and choices by what they give.
    VCMPPS: "EVEX.512.0F.W0 C2 /r ib", "VCMPPS k1 {k2}, zmm2, zmm3/m512/m32bcst {sae}, imm8", RVMI Full;
    VCMPPD: "EVEX.512.66.0F.W1 C2 /r ib", "VCMPPD k1 {k2}, zmm2, zmm3/m512/m64bcst {sae}, imm8", RVMI Full;
    VPCMPD: "EVEX.512.66.0F3A.W0 1F /r ib", "VPCMPD k1 {k2}, zmm2, zmm3/m512/m32bcst, imm8", RVMI Full;
    VPCMPQ: "EVEX.512.66.0F3A.W1 1F /r ib", "VPCMPQ k1 {k2}, zmm2, zmm3/m512/m64bcst, imm8", RVMI Full;
    VPTESTMD: "EVEX.512.66.0F38.W0 27 /r", "VPTESTMD k2 {k1}, zmm2, zmm3/m512/m32bcst", RVM Full;
    VPTESTMQ: "EVEX.512.66.0F38.W1 27 /r", "VPTESTMQ k2 {k1}, zmm2, zmm3/m512/m64bcst", RVM Full;
    VBLENDMPS: "EVEX.512.66.0F38.W0 65 /r", "VBLENDMPS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst", RVM Full;
    VBLENDMPD: "EVEX.512.66.0F38.W1 65 /r", "VBLENDMPD zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst", RVM Full;
    VPMOVM2D: "EVEX.512.F3.0F38.W0 38 /r", "VPMOVM2D zmm1, k1", RM;
    VPMOVM2Q: "EVEX.512.F3.0F38.W1 38 /r", "VPMOVM2Q zmm1, k1", RM;

    // Lanes in another order, and one element in each.
    VSHUFPS: "EVEX.512.0F.W0 C6 /r ib", "VSHUFPS zmm1 {k1}{z}, zmm2, zmm3/m512/m32bcst, imm8", RVMI Full;
    VSHUFF64X2: "EVEX.512.66.0F3A.W1 23 /r ib", "VSHUFF64X2 zmm1 {k1}{z}, zmm2, zmm3/m512/m64bcst, imm8", RVMI Full;
    VBROADCASTSS: "EVEX.512.66.0F38.W0 18 /r", "VBROADCASTSS zmm1 {k1}{z}, xmm2/m32", RM Tuple1Scalar;
    VBROADCASTSD: "EVEX.512.66.0F38.W1 19 /r", "VBROADCASTSD zmm1 {k1}{z}, xmm2/m64", RM Tuple1Scalar;
    VPBROADCASTD: "EVEX.512.66.0F38.W0 7C /r", "VPBROADCASTD zmm1 {k1}{z}, r32", RM;

    // Loads and stores.
    VMOVUPS_LOAD: "EVEX.512.0F.W0 10 /r", "VMOVUPS zmm1 {k1}{z}, zmm2/m512", RM FullMem;
    VMOVUPS_STORE: "EVEX.512.0F.W0 11 /r", "VMOVUPS zmm2/m512 {k1}{z}, zmm1", MR FullMem;
    VMOVUPS_LOAD_256: "EVEX.256.0F.W0 10 /r", "VMOVUPS ymm1 {k1}{z}, ymm2/m256", RM FullMem;
    VMOVUPS_STORE_256: "EVEX.256.0F.W0 11 /r", "VMOVUPS ymm2/m256 {k1}{z}, ymm1", MR FullMem;
    VMOVUPS_LOAD_128: "EVEX.128.0F.W0 10 /r", "VMOVUPS xmm1 {k1}{z}, xmm2/m128", RM FullMem;
    VMOVUPS_STORE_128: "EVEX.128.0F.W0 11 /r", "VMOVUPS xmm2/m128 {k1}{z}, xmm1", MR FullMem;
    VMOVUPD_LOAD: "EVEX.512.66.0F.W1 10 /r", "VMOVUPD zmm1 {k1}{z}, zmm2/m512", RM FullMem;
    VMOVUPD_STORE: "EVEX.512.66.0F.W1 11 /r", "VMOVUPD zmm2/m512 {k1}{z}, zmm1", MR FullMem;
    VMOVUPD_LOAD_256: "EVEX.256.66.0F.W1 10 /r", "VMOVUPD ymm1 {k1}{z}, ymm2/m256", RM FullMem;
    VMOVUPD_STORE_256: "EVEX.256.66.0F.W1 11 /r", "VMOVUPD ymm2/m256 {k1}{z}, ymm1", MR FullMem;
    VMOVSS_LOAD: "EVEX.LIG.F3.0F.W0 10 /r", "VMOVSS xmm1 {k1}{z}, m32", RM Tuple1Scalar;
    VMOVSS_STORE: "EVEX.LIG.F3.0F.W0 11 /r", "VMOVSS m32 {k1}, xmm1", MR Tuple1Scalar;
    VMOVSD_LOAD: "EVEX.LIG.F2.0F.W1 10 /r", "VMOVSD xmm1 {k1}{z}, m64", RM Tuple1Scalar;
    VMOVSD_STORE: "EVEX.LIG.F2.0F.W1 11 /r", "VMOVSD m64 {k1}, xmm1", MR Tuple1Scalar;
    VMOVD_TO_R32: "EVEX.128.66.0F.W0 7E /r", "VMOVD r/m32, xmm1", MR Tuple1Scalar;
    VGATHERDPS: "EVEX.512.66.0F38.W0 92 /vsib", "VGATHERDPS zmm1 {k1}, vm32z", RM Tuple1Scalar;
    VGATHERQPD: "EVEX.512.66.0F38.W1 93 /vsib", "VGATHERQPD zmm1 {k1}, vm64z", RM Tuple1Scalar;

    // Bytes and words as lanes.
    VPMOVZXBD: "EVEX.512.66.0F38.WIG 31 /r", "VPMOVZXBD zmm1 {k1}{z}, xmm2/m128", RM QuarterMem;
    VPMOVZXBD_256: "EVEX.256.66.0F38.WIG 31 /r", "VPMOVZXBD ymm1 {k1}{z}, xmm2/m64", RM QuarterMem;
    VPMOVZXBD_128: "EVEX.128.66.0F38.WIG 31 /r", "VPMOVZXBD xmm1 {k1}{z}, xmm2/m32", RM QuarterMem;
    VPMOVZXWD: "EVEX.512.66.0F38.WIG 33 /r", "VPMOVZXWD zmm1 {k1}{z}, ymm2/m256", RM HalfMem;
    VPMOVZXWD_256: "EVEX.256.66.0F38.WIG 33 /r", "VPMOVZXWD ymm1 {k1}{z}, xmm2/m128", RM HalfMem;
    VPMOVZXWD_128: "EVEX.128.66.0F38.WIG 33 /r", "VPMOVZXWD xmm1 {k1}{z}, xmm2/m64", RM HalfMem;
    VPMOVZXBQ: "EVEX.512.66.0F38.WIG 32 /r", "VPMOVZXBQ zmm1 {k1}{z}, xmm2/m64", RM EighthMem;
    VPMOVDB: "EVEX.512.F3.0F38.W0 31 /r", "VPMOVDB xmm1/m128 {k1}{z}, zmm2", MR QuarterMem;
    VPMOVDB_256: "EVEX.256.F3.0F38.W0 31 /r", "VPMOVDB xmm1/m64 {k1}{z}, ymm2", MR QuarterMem;
    VPMOVDB_128: "EVEX.128.F3.0F38.W0 31 /r", "VPMOVDB xmm1/m32 {k1}{z}, xmm2", MR QuarterMem;
    VPMOVDW: "EVEX.512.F3.0F38.W0 33 /r", "VPMOVDW ymm1/m256 {k1}{z}, zmm2", MR HalfMem;
    VPMOVDW_256: "EVEX.256.F3.0F38.W0 33 /r", "VPMOVDW xmm1/m128 {k1}{z}, ymm2", MR HalfMem;
    VPMOVDW_128: "EVEX.128.F3.0F38.W0 33 /r", "VPMOVDW xmm1/m64 {k1}{z}, xmm2", MR HalfMem;
    VPMOVQB: "EVEX.512.F3.0F38.W0 32 /r", "VPMOVQB xmm1/m64 {k1}{z}, zmm2", MR EighthMem;
}
