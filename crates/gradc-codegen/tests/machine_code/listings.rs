//! What can be looked at, and that it says what was asked for.

use gradc_codegen::{Contraction, Features, Listings, Options, Program, Vectors, compile};
use gradc_ir::{DType, ScalarOp};
use gradc_schedule::kernel::{Access, Kernel, LoopKind};

use crate::support::{Memory, affine, apply, elementwise, load, looped, param, plan_of, run, store, widths};

const ALL: Listings = Listings { clif: true, assembly: true };

/// `out = a · b + a`
fn product_and_sum(extent: usize) -> Kernel {
    let one = affine(0, &[(0, 1)]);
    let body = vec![
        load(0, DType::F32, 0, one.clone()),
        load(1, DType::F32, 1, one.clone()),
        apply(2, DType::F32, ScalarOp::Mul, &[0, 1]),
        apply(3, DType::F32, ScalarOp::Add, &[2, 0]),
        store(2, one, 3),
    ];
    Kernel {
        name: "product_and_sum".to_owned(),
        buffers: vec![
            param("a", DType::F32, extent, Access::Read),
            param("b", DType::F32, extent, Access::Read),
            param("out", DType::F32, extent, Access::Write),
        ],
        body: vec![looped(0, extent, LoopKind::Vector, body)],
    }
}

fn compiled(kernel: Kernel, options: &Options) -> Program {
    compile(&plan_of(kernel), options).expect("the kernel is well-formed")
}

#[test]
fn listings_are_kept_when_asked_for() {
    let silent = compiled(product_and_sum(64), &Options::default());
    assert_eq!((silent.clif(), silent.assembly()), (String::new(), String::new()));
    assert_eq!(silent.statistics().functions, 1);
    assert!(silent.statistics().bytes > 64);

    let vectors = Vectors::Bits128;
    let program = compiled(product_and_sum(64), &Options { vectors, listings: ALL, ..Options::default() });
    let clif = program.clif();
    assert!(clif.contains("; kernel 0: product_and_sum (as emitted)"), "{clif}");
    assert!(clif.contains("; kernel 0: product_and_sum (optimised)"), "{clif}");
    assert!(clif.contains("fadd.f32x4") || clif.contains("fadd "), "{clif}");
    assert!(program.assembly().contains("; kernel 0: product_and_sum"), "{}", program.assembly());
}

#[test]
fn listings_are_the_same_every_time() {
    let options = Options { listings: ALL, ..Options::default() };
    let kernel = || elementwise(ScalarOp::Erf, &[DType::F32], DType::F32, 77, LoopKind::Vector);
    let (one, other) = (compiled(kernel(), &options), compiled(kernel(), &options));
    assert_eq!(one.clif(), other.clif());
    assert_eq!(one.assembly(), other.assembly());
}

#[test]
fn products_and_sums_are_fused_only_when_asked_for() {
    let exact = Options { vectors: Vectors::Bits128, listings: ALL, ..Options::default() };
    let fused = Options { contraction: Contraction::Fuse, ..exact };
    // Without the instruction there is nothing to gain.
    let baseline = Options { features: Features::Baseline, ..fused };
    assert!(!compiled(product_and_sum(64), &exact).clif().contains("fma"));
    assert!(!cfg!(target_arch = "x86_64") || !compiled(product_and_sum(64), &baseline).clif().contains("fma"));
    let has_fma = !cfg!(target_arch = "x86_64") || fused_multiply_add_is_there();
    assert_eq!(compiled(product_and_sum(64), &fused).clif().contains("fma"), has_fma);
}

/// Kernels are of the vectors that were asked for, and those that wide vectors do not do are of 128 bits all the same.
#[test]
fn wide_vectors_are_listed_and_counted() {
    for vectors in widths() {
        let options = Options { vectors, listings: ALL, ..Options::default() };
        let register = match vectors {
            Vectors::Bits256 => "ymm",
            Vectors::Bits512 => "zmm",
            _ => continue,
        };
        let program = compiled(product_and_sum(64), &options);
        let assembly = program.assembly();
        assert_eq!(program.statistics().wide, 1);
        assert!(
            assembly.contains(register) && assembly.contains("vmulps") && assembly.contains("vzeroupper"),
            "{assembly}"
        );
        assert!(!assembly.contains("vfmadd"), "{assembly}");
        let fused = Options { contraction: Contraction::Fuse, ..options };
        assert!(compiled(product_and_sum(64), &fused).assembly().contains("vfmadd"));
        let power = elementwise(ScalarOp::Pow, &[DType::F64; 2], DType::F64, 64, LoopKind::Vector);
        assert_eq!(compiled(power, &options).statistics().wide, 0);
    }
}

#[cfg(target_arch = "x86_64")]
fn fused_multiply_add_is_there() -> bool {
    std::arch::is_x86_feature_detected!("fma")
}

#[cfg(not(target_arch = "x86_64"))]
fn fused_multiply_add_is_there() -> bool {
    true
}

/// One program, many threads, an arena for each.
#[test]
fn programs_run_on_several_threads() {
    let program = compiled(product_and_sum(1000), &Options::default());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let program = &program;
            scope.spawn(move || {
                let a = f64::from(thread);
                for _ in 0..100 {
                    let of = |value: f64| Memory::new(DType::F32, &vec![value; 1000]);
                    let mut memory = [of(a), of(2.0), of(0.0)];
                    run(program, &mut memory);
                    assert!(memory[2].values().iter().all(|&value| value == 3.0 * a));
                }
            });
        }
    });
}
