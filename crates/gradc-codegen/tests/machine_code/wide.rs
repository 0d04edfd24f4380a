//! What only wide vectors have to get right: more values than registers, addresses in general registers.

use gradc_ir::{DType, ScalarOp};
use gradc_schedule::kernel::{Access, Combine, Kernel, LoopKind, Reg, Stmt};

use crate::support::{affine, apply, check, load, looped, param, store};

const EXTENTS: [usize; 8] = [0, 1, 3, 17, 63, 65, 130, 500];

fn numbers(count: usize, seed: usize) -> Vec<f64> {
    (0..count).map(|at| ((at * 7919 + seed * 104_729) % 2003) as f64 / 64.0 - 15.0).collect()
}

/// Values that all live at once: each is read twice, in order and then backwards.
fn crowded(values: usize, extent: usize) -> Kernel {
    let one = affine(0, &[(0, 1)]);
    let count = values as u32;
    let mut body: Vec<Stmt> = vec![load(0, DType::F32, 0, one.clone())];
    for at in 1..count {
        body.push(apply(at, DType::F32, ScalarOp::Add, &[at - 1, 0]));
    }
    let mut sum = count - 1;
    let mut fresh = count;
    for at in (0..count).rev() {
        body.push(apply(fresh, DType::Bool, ScalarOp::Lt, &[at, sum]));
        body.push(apply(fresh + 1, DType::F32, ScalarOp::Max, &[at, sum]));
        body.push(apply(fresh + 2, DType::F32, ScalarOp::Select, &[fresh, fresh + 1, 0]));
        sum = fresh + 2;
        fresh += 3;
    }
    body.push(store(1, one, sum));
    Kernel {
        name: format!("crowded {values} × {extent}"),
        buffers: vec![param("x", DType::F32, extent, Access::Read), param("out", DType::F32, extent, Access::Write)],
        body: vec![looped(0, extent, LoopKind::Vector, body)],
    }
}

#[test]
fn values_that_have_no_register_are_on_the_stack() {
    for values in [12, 14, 20, 28, 31, 40] {
        for extent in EXTENTS {
            check(&crowded(values, extent), &[numbers(extent, 1), vec![0.0; extent]], 0.0);
        }
    }
}

/// More truth values at once than there are registers for masks.
#[test]
fn masks_that_have_no_register_are_on_the_stack() {
    for extent in EXTENTS {
        let one = affine(0, &[(0, 1)]);
        let count = 10;
        let mut body = Vec::new();
        for at in 0..count {
            body.push(load(2 * at, DType::F32, at as usize, one.clone()));
            body.push(apply(2 * at + 1, DType::Bool, ScalarOp::Lt, &[2 * at, 0]));
        }
        let mut all = 1;
        for at in (1..count).rev() {
            body.push(apply(100 + 2 * at, DType::Bool, ScalarOp::Ne, &[2 * at + 1, all]));
            body.push(apply(101 + 2 * at, DType::Bool, ScalarOp::Or, &[100 + 2 * at, 2 * ((at + 5) % count) + 1]));
            all = 101 + 2 * at;
        }
        body.push(apply(200, DType::F32, ScalarOp::Select, &[all, 0, 2]));
        body.push(store(count as usize, one, 200));
        let mut buffers: Vec<_> =
            (0..count).map(|at| param(&format!("x{at}"), DType::F32, extent, Access::Read)).collect();
        buffers.push(param("out", DType::F32, extent, Access::Write));
        let kernel =
            Kernel { name: format!("masks {extent}"), buffers, body: vec![looped(0, extent, LoopKind::Vector, body)] };
        let mut memory: Vec<Vec<f64>> = (0..count as usize).map(|at| numbers(extent, at)).collect();
        memory.push(vec![0.0; extent]);
        check(&kernel, &memory, 0.0);
    }
}

/// More addresses than general registers, in a nest of loops, each operand with strides of its own.
#[test]
fn addresses_that_have_no_register_are_on_the_stack() {
    for (rows, columns) in [(1, 1), (2, 5), (30, 17), (29, 130)] {
        let count = 14u32;
        let (m, n) = (rows as i64, columns as i64);
        let mut body = Vec::new();
        let mut memory = Vec::new();
        let mut buffers = Vec::new();
        let mut sum = 0;
        for at in 0..count {
            let (strides, elements) = match at % 4 {
                0 => ([(0, 3 * n), (1, 1), (2, n)], 3 * rows * columns),
                1 => ([(0, 3), (1, 3 * m), (2, 1)], 3 * rows * columns),
                2 => ([(0, 1), (1, 0), (2, m)], 3 * rows),
                _ => ([(0, 0), (1, 1), (2, n)], 3 * columns),
            };
            buffers.push(param(&format!("x{at}"), DType::F32, elements, Access::Read));
            memory.push(numbers(elements, at as usize));
            body.push(load(2 * at, DType::F32, at as usize, affine(0, &strides)));
            if at > 0 {
                body.push(apply(2 * at + 1, DType::F32, ScalarOp::Sub, &[2 * at, sum]));
                sum = 2 * at + 1;
            }
        }
        buffers.push(param("out", DType::F32, 3 * rows * columns, Access::Write));
        memory.push(vec![0.0; 3 * rows * columns]);
        body.push(store(count as usize, affine(0, &[(0, 3 * n), (1, 1), (2, n)]), sum));
        body.push(Stmt::Accumulate { reg: Reg(99), combine: Combine::Max, value: Reg(sum) });
        buffers.push(param("greatest", DType::F32, 1, Access::Write));
        memory.push(vec![0.0]);
        let inner = looped(2, 3, LoopKind::Serial, vec![looped(1, columns, LoopKind::Vector, body)]);
        let kernel = Kernel {
            name: format!("addresses {rows}×{columns}"),
            buffers,
            body: vec![
                Stmt::Accumulator {
                    reg: Reg(99),
                    dtype: DType::F32,
                    combine: Combine::Max,
                    start: f64::NEG_INFINITY.into(),
                },
                looped(0, rows, LoopKind::Serial, vec![inner]),
                store(count as usize + 1, affine(0, &[]), 99),
            ],
        };
        check(&kernel, &memory, 0.0);
    }
}

/// Sums of columns in memory: what was there before is added to, is read after the sum is stored, and the sum is used
/// elsewhere.
#[test]
fn accumulators_in_memory_are_read_before_they_change() {
    for columns in [1, 2, 4, 7, 8, 15, 16, 17, 31, 64, 127, 128, 129] {
        let (rows, n) = (60, columns as i64);
        let (row, column) = (affine(0, &[(0, n), (1, 1)]), affine(0, &[(1, 1)]));
        let body = vec![
            load(0, DType::F32, 0, row.clone()),
            load(1, DType::F32, 1, column.clone()),
            apply(2, DType::F32, ScalarOp::Add, &[1, 0]),
            store(1, column, 2),
            apply(3, DType::F32, ScalarOp::Sub, &[2, 1]),
            apply(4, DType::F32, ScalarOp::Max, &[3, 1]),
            store(2, row, 4),
            Stmt::Accumulate { reg: Reg(9), combine: Combine::Max, value: Reg(2) },
        ];
        let elements = rows * columns;
        let kernel = Kernel {
            name: format!("accumulators of {rows}×{columns}"),
            buffers: vec![
                param("x", DType::F32, elements, Access::Read),
                param("sum", DType::F32, columns, Access::ReadWrite),
                param("out", DType::F32, elements, Access::Write),
                param("greatest", DType::F32, 1, Access::Write),
            ],
            body: vec![
                Stmt::Accumulator {
                    reg: Reg(9),
                    dtype: DType::F32,
                    combine: Combine::Max,
                    start: f64::NEG_INFINITY.into(),
                },
                looped(0, rows, LoopKind::Serial, vec![looped(1, columns, LoopKind::Vector, body)]),
                store(3, affine(0, &[]), 9),
            ],
        };
        let buffers = [numbers(elements, 3), numbers(columns, 5), vec![0.0; elements], vec![0.0]];
        check(&kernel, &buffers, 0.0);
    }
}

/// `y[i · step + j] += x[i, j]`: windows that overlap, by any number of elements.
#[test]
fn overlapping_windows_are_added_up_in_order() {
    for step in [1, 3, 4, 8, 16, 20] {
        for window in [1, 5, 7, 12, 40, 65] {
            let (count, n) = (50, window as i64);
            let at = affine(0, &[(0, step), (1, 1)]);
            let body = vec![
                load(0, DType::F32, 0, affine(0, &[(0, n), (1, 1)])),
                load(1, DType::F32, 1, at.clone()),
                apply(2, DType::F32, ScalarOp::Add, &[1, 0]),
                store(1, at, 2),
            ];
            let elements = (count - 1) * step as usize + window;
            let kernel = Kernel {
                name: format!("windows of {window}, {step} apart"),
                buffers: vec![
                    param("x", DType::F32, count * window, Access::Read),
                    param("y", DType::F32, elements, Access::ReadWrite),
                ],
                body: vec![looped(0, count, LoopKind::Serial, vec![looped(1, window, LoopKind::Vector, body)])],
            };
            check(&kernel, &[numbers(count * window, 1), numbers(elements, 2)], 0.0);
        }
    }
}

/// Copies and short bodies whose last vector is made of pieces.
#[test]
fn incomplete_vectors_are_made_of_pieces() {
    for extent in 1..40 {
        let (rows, n) = (9, extent as i64);
        let row = |var| affine(0, &[(0, n), (var, 1)]);
        let copy = vec![load(0, DType::F32, 0, row(1)), store(1, row(1), 0)];
        let difference = vec![
            load(1, DType::F32, 0, affine(0, &[(0, 1), (2, rows)])),
            load(2, DType::F32, 0, row(2)),
            apply(3, DType::F32, ScalarOp::Sub, &[1, 2]),
            store(2, row(2), 3),
        ];
        let elements = rows as usize * extent;
        let loops = vec![looped(1, extent, LoopKind::Vector, copy), looped(2, extent, LoopKind::Vector, difference)];
        let kernel = Kernel {
            name: format!("pieces of {extent}"),
            buffers: vec![
                param("x", DType::F32, elements, Access::Read),
                param("copy", DType::F32, elements, Access::Write),
                param("out", DType::F32, elements, Access::Write),
            ],
            body: vec![looped(0, rows as usize, LoopKind::Serial, loops)],
        };
        check(&kernel, &[numbers(elements, 3), vec![0.0; elements], vec![0.0; elements]], 0.0);
    }
}
