//! Instructions on general registers. Those without "32", "byte" or "word" in their name have operands of 64 bits.
//! The prefix 66, for operands of 16 bits, is written out; the manual takes it for granted.

use super::forms;

forms! {
    // Moves.
    MOV_LOAD: "REX.W + 8B /r", "MOV r64, r/m64", RM;
    MOV_STORE: "REX.W + 89 /r", "MOV r/m64, r64", MR;
    MOV_STORE_BYTE: "88 /r", "MOV r/m8, r8", MR;
    MOV_STORE_WORD: "66 89 /r", "MOV r/m16, r16", MR;
    MOV_IMM32: "B8+rd id", "MOV r32, imm32", OI;
    MOV_IMM64: "REX.W + B8+rd io", "MOV r64, imm64", OI;
    MOVZX_BYTE: "0F B6 /r", "MOVZX r32, r/m8", RM;
    MOVZX_WORD: "0F B7 /r", "MOVZX r32, r/m16", RM;
    MOVSXD: "REX.W + 63 /r", "MOVSXD r64, r/m32", RM;
    PUSH: "50+rd", "PUSH r64", O;
    POP: "58+rd", "POP r64", O;

    // Arithmetic.
    LEA: "REX.W + 8D /r", "LEA r64, m", RM;
    ADD: "REX.W + 81 /0 id", "ADD r/m64, imm32", MI;
    SUB: "REX.W + 81 /5 id", "SUB r/m64, imm32", MI;
    CMP: "REX.W + 81 /7 id", "CMP r/m64, imm32", MI;
    IMUL: "REX.W + 0F AF /r", "IMUL r64, r/m64", RM;
    IMUL_IMM32: "REX.W + 69 /r id", "IMUL r64, r/m64, imm32", RMI;
    AND: "REX.W + 83 /4 ib", "AND r/m64, imm8", MI;
    AND_R32: "83 /4 ib", "AND r/m32, imm8", MI;
    XOR_R32: "33 /r", "XOR r32, r/m32", RM;

    // Jumps.
    JL: "0F 8C cd", "JL rel32", D;
    RET: "C3", "RET", ZO;
}
