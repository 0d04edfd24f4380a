//! Kernels in, numbers out.

use gradc_codegen::{Binding, Options, Program, Vectors, compile};
use gradc_ir::{DType, LeafKind, Role, ScalarOp, TensorType};
use gradc_schedule::kernel::{
    Access, Affine, BufferParam, Expr, Kernel, Loop, LoopKind, LoopVar, Reg, Stmt, Storage, evaluate,
};
use gradc_schedule::plan::{Buffer, BufferId, Location, Plan, Prologue, Slot, SlotId, SlotKind, Step};
use half::{bf16, f16};

/// A tensor in the memory of the machine.
#[derive(Clone, Debug)]
pub(crate) enum Memory {
    Byte(Vec<u8>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Memory {
    pub(crate) fn new(dtype: DType, values: &[f64]) -> Memory {
        match dtype {
            DType::Bool => Memory::Byte(values.iter().map(|&value| u8::from(value != 0.0)).collect()),
            DType::U8 => Memory::Byte(values.iter().map(|&value| value as u8).collect()),
            DType::I64 => Memory::I64(values.iter().map(|&value| value as i64).collect()),
            DType::F16 => Memory::F16(values.iter().map(|&value| f16::from_f64(value)).collect()),
            DType::Bf16 => Memory::Bf16(values.iter().map(|&value| bf16::from_f64(value)).collect()),
            DType::I32 => Memory::I32(values.iter().map(|&value| value as i32).collect()),
            DType::F32 => Memory::F32(values.iter().map(|&value| value as f32).collect()),
            DType::F64 => Memory::F64(values.to_vec()),
        }
    }

    pub(crate) fn bind(&mut self) -> Binding<'_> {
        match self {
            Memory::Byte(values) => Binding::write(values),
            Memory::I32(values) => Binding::write(values),
            Memory::I64(values) => Binding::write(values),
            Memory::F16(values) => Binding::write(values),
            Memory::Bf16(values) => Binding::write(values),
            Memory::F32(values) => Binding::write(values),
            Memory::F64(values) => Binding::write(values),
        }
    }

    pub(crate) fn values(&self) -> Storage {
        match self {
            Memory::Byte(values) => values.iter().map(|&value| value.into()).collect(),
            Memory::I64(values) => values.iter().map(|&value| value as f64).collect(),
            Memory::F16(values) => values.iter().map(|&value| value.into()).collect(),
            Memory::Bf16(values) => values.iter().map(|&value| value.into()).collect(),
            Memory::I32(values) => values.iter().map(|&value| value.into()).collect(),
            Memory::F32(values) => values.iter().map(|&value| value.into()).collect(),
            Memory::F64(values) => values.clone(),
        }
    }
}

/// A plan of one kernel whose buffers are the caller's.
pub(crate) fn plan_of(kernel: Kernel) -> Plan {
    let slot = |param: &BufferParam| Slot {
        kind: match param.access {
            Access::Read => SlotKind::Leaf(LeafKind::Input),
            Access::Write | Access::ReadWrite => SlotKind::Result(Role::Output),
        },
        name: param.name.clone(),
        ty: TensorType::new(param.dtype, [param.elements]),
    };
    let interface: Vec<Slot> = kernel.buffers.iter().map(slot).collect();
    let buffers = interface
        .iter()
        .enumerate()
        .map(|(at, slot)| Buffer {
            name: slot.name.clone(),
            ty: slot.ty.clone(),
            location: Location::Slot(SlotId(at as u32)),
        })
        .collect();
    let arguments = (0..kernel.buffers.len() as u32).map(BufferId).collect();
    Plan {
        name: kernel.name.clone(),
        kernels: vec![kernel],
        bodies: Vec::new(),
        steps: vec![Step::Kernel { kernel: 0, buffers: arguments }],
        prologue: Prologue::default(),
        computed: Vec::new(),
        buffers,
        interface,
        arena_bytes: 0,
        recomputed: None,
    }
}

/// Runs a program once on tensors in the order of its interface.
pub(crate) fn run(program: &Program, memory: &mut [Memory]) {
    let mut arena = program.new_arena().expect("there is memory");
    let mut slots: Vec<Binding<'_>> = memory.iter_mut().map(Memory::bind).collect();
    program.run(&mut arena, &mut slots).expect("the tensors fit");
}

/// Runs a kernel as machine code.
pub(crate) fn execute(kernel: &Kernel, buffers: &[Storage], options: &Options) -> Vec<Storage> {
    let program = compile(&plan_of(kernel.clone()), options).unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
    let mut memory: Vec<Memory> =
        kernel.buffers.iter().zip(buffers).map(|(param, values)| Memory::new(param.dtype, values)).collect();
    run(&program, &mut memory);
    memory.iter().map(Memory::values).collect()
}

/// The vectors that this machine has, the portable ones first.
pub(crate) fn widths() -> impl Iterator<Item = Vectors> {
    #[cfg(target_arch = "x86_64")]
    let (has_256, has_512) = (
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512dq"),
    );
    #[cfg(not(target_arch = "x86_64"))]
    let (has_256, has_512) = (false, false);
    let wide = [(Vectors::Bits256, has_256), (Vectors::Bits512, has_512)];
    let wide = wide.into_iter().filter(|width| width.1).map(|width| width.0);
    std::iter::once(Vectors::Bits128).chain(wide)
}

/// The door of these tests: machine code of every width and evaluator agree on every buffer, to so many units in the last
/// place.
pub(crate) fn check(kernel: &Kernel, buffers: &[Storage], ulps: f64) {
    for vectors in widths() {
        check_with(kernel, buffers, ulps, &Options { vectors, ..Options::default() });
    }
}

/// The same, compiled as the options say.
pub(crate) fn check_with(kernel: &Kernel, buffers: &[Storage], ulps: f64, options: &Options) {
    let mut expected = buffers.to_vec();
    evaluate(kernel, &mut expected);
    let actual = execute(kernel, buffers, options);
    for ((param, expected), actual) in kernel.buffers.iter().zip(&expected).zip(&actual) {
        for (at, (&expected, &actual)) in expected.iter().zip(actual).enumerate() {
            let error = ulp_error(param.dtype, expected, actual);
            assert!(
                error <= ulps,
                "{} with {:?}: {}[{at}] is {actual:e}, not {expected:e}: {error} ulp",
                kernel.name,
                options.vectors,
                param.name
            );
        }
    }
}

/// The distance in units in the last place of the expected value; infinite where kinds of numbers or zeros differ.
pub(crate) fn ulp_error(dtype: DType, expected: f64, actual: f64) -> f64 {
    if expected.is_nan() || actual.is_nan() {
        return if expected.is_nan() && actual.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if expected == actual {
        let same_sign = expected != 0.0 || expected.is_sign_negative() == actual.is_sign_negative();
        return if same_sign { 0.0 } else { f64::INFINITY };
    }
    if !dtype.is_float() {
        return f64::INFINITY;
    }
    let (digits, least, greatest) = match dtype {
        DType::F64 => (52, -1074, f64::MAX),
        DType::F16 => (10, -24, dtype.greatest_finite()),
        DType::Bf16 => (7, -133, dtype.greatest_finite()),
        _ => (23, -149, f64::from(f32::MAX)),
    };
    // What lies beyond the greatest number is counted in units of that.
    let clamp = |value: f64| value.clamp(-greatest, greatest);
    let exponent = if expected == 0.0 { least } else { clamp(expected).abs().log2().floor() as i32 - digits };
    let unit = 2f64.powi(exponent.max(least) / 2) * 2f64.powi(exponent.max(least) - exponent.max(least) / 2);
    let beyond = f64::from(u8::from(expected.is_infinite() != actual.is_infinite()));
    ((clamp(expected) - clamp(actual)) / unit).abs() + beyond
}

pub(crate) fn param(name: &str, dtype: DType, elements: usize, access: Access) -> BufferParam {
    BufferParam { name: name.to_owned(), dtype, elements, access }
}

pub(crate) fn affine(offset: i64, terms: &[(u32, i64)]) -> Affine {
    Affine {
        offset,
        terms: terms.iter().filter(|term| term.1 != 0).map(|&(var, stride)| (LoopVar(var), stride)).collect(),
    }
}

pub(crate) fn lets(reg: u32, dtype: DType, expr: Expr) -> Stmt {
    Stmt::Let { reg: Reg(reg), dtype, expr }
}

pub(crate) fn load(reg: u32, dtype: DType, buffer: usize, address: Affine) -> Stmt {
    lets(reg, dtype, Expr::Load { buffer, address })
}

pub(crate) fn apply(reg: u32, dtype: DType, op: ScalarOp, operands: &[u32]) -> Stmt {
    lets(reg, dtype, Expr::Op(op, operands.iter().map(|&reg| Reg(reg)).collect()))
}

pub(crate) fn store(buffer: usize, address: Affine, value: u32) -> Stmt {
    Stmt::Store { buffer, address, value: Reg(value) }
}

pub(crate) fn looped(var: u32, extent: usize, kind: LoopKind, body: Vec<Stmt>) -> Stmt {
    Stmt::Loop(Loop { var: LoopVar(var), extent, kind, body })
}

/// `out[i] = op(a[i], b[i], …)` in a loop of one kind.
pub(crate) fn elementwise(op: ScalarOp, operands: &[DType], result: DType, extent: usize, kind: LoopKind) -> Kernel {
    let mut buffers: Vec<BufferParam> =
        operands.iter().enumerate().map(|(at, &dtype)| param(&format!("x{at}"), dtype, extent, Access::Read)).collect();
    buffers.push(param("out", result, extent, Access::Write));
    let mut body: Vec<Stmt> =
        operands.iter().enumerate().map(|(at, &dtype)| load(at as u32, dtype, at, affine(0, &[(0, 1)]))).collect();
    let arity = operands.len() as u32;
    body.push(apply(arity, result, op, &(0..arity).collect::<Vec<_>>()));
    body.push(store(operands.len(), affine(0, &[(0, 1)]), arity));
    Kernel {
        name: format!("{op:?} {operands:?} × {extent} {kind:?}"),
        buffers,
        body: vec![looped(0, extent, kind, body)],
    }
}
