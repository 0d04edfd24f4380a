//! Nests of loops, addresses and reductions.

use gradc_ir::{DType, ScalarOp};
use gradc_schedule::kernel::{Access, Combine, Expr, Kernel, LoopKind, Reg, Stmt};

use crate::support::{affine, apply, check, lets, load, looped, param, store};

const EXTENTS: [usize; 12] = [0, 1, 2, 3, 4, 5, 10, 17, 33, 64, 65, 1000];

fn numbers(count: usize, dtype: DType) -> Vec<f64> {
    (0..count).map(|at| dtype.round(((at * 7919) % 2003) as f64 / 64.0 - 15.0)).collect()
}

fn accumulator(reg: u32, dtype: DType, combine: Combine, start: f64) -> Stmt {
    Stmt::Accumulator { reg: Reg(reg), dtype, combine, start: start.into() }
}

fn accumulate(reg: u32, combine: Combine, value: u32) -> Stmt {
    Stmt::Accumulate { reg: Reg(reg), combine, value: Reg(value) }
}

const COMBINES: [(Combine, f64); 3] =
    [(Combine::Sum, 0.0), (Combine::Max, f64::NEG_INFINITY), (Combine::Min, f64::INFINITY)];

/// The start as the type can hold it.
fn start(dtype: DType, start: f64) -> f64 {
    if dtype == DType::I32 { start.clamp(i32::MIN.into(), i32::MAX.into()) } else { start }
}

/// `out[i] = Σ x[i, j]`; the numbers are multiples of 1/64, so that no order of summation rounds.
fn row_reduction(dtype: DType, combine: Combine, first: f64, rows: usize, columns: usize) -> Kernel {
    let row = vec![
        accumulator(0, dtype, combine, first),
        looped(
            1,
            columns,
            LoopKind::Vector,
            vec![load(1, dtype, 0, affine(0, &[(0, columns as i64), (1, 1)])), accumulate(0, combine, 1)],
        ),
        store(1, affine(0, &[(0, 1)]), 0),
    ];
    Kernel {
        name: format!("rows {dtype} {combine:?} {rows}×{columns}"),
        buffers: vec![param("x", dtype, rows * columns, Access::Read), param("out", dtype, rows, Access::Write)],
        body: vec![looped(0, rows, LoopKind::Serial, row)],
    }
}

#[test]
fn rows_are_reduced() {
    for dtype in [DType::I32, DType::F32, DType::F64] {
        for (combine, first) in COMBINES {
            for columns in EXTENTS {
                let kernel = row_reduction(dtype, combine, start(dtype, first), 3, columns);
                check(&kernel, &[numbers(3 * columns, dtype), vec![0.0; 3]], 0.0);
            }
        }
    }
}

#[test]
fn reductions_propagate_nan_wherever_it_stands() {
    for (combine, first) in COMBINES {
        for columns in [1, 3, 4, 10, 65] {
            for at in 0..columns {
                let kernel = row_reduction(DType::F32, combine, first, 1, columns);
                let mut x = numbers(columns, DType::F32);
                x[at] = f64::NAN;
                check(&kernel, &[x, vec![0.0]], 0.0);
            }
        }
    }
}

#[test]
fn reductions_of_zeros_keep_the_sign_that_they_should() {
    for columns in [1, 4, 5, 40] {
        for (combine, first) in COMBINES {
            for odd in [0.0, -0.0] {
                let kernel = row_reduction(DType::F32, combine, first, 1, columns);
                let mut x = vec![-odd; columns];
                x[columns / 2] = odd;
                check(&kernel, &[x, vec![0.0]], 0.0);
            }
        }
    }
}

/// `out[j] = Σ x[i, j]`, with accumulators in memory.
#[test]
fn columns_are_reduced_in_memory() {
    for (rows, columns) in [(0, 5), (1, 1), (3, 4), (5, 33), (7, 130), (60, 1), (60, 5), (60, 8), (60, 33), (60, 100)] {
        let dtype = DType::F32;
        let clear = vec![lets(0, dtype, Expr::Const(0.0.into())), store(1, affine(0, &[(0, 1)]), 0)];
        let add = vec![
            load(1, dtype, 0, affine(0, &[(1, columns as i64), (2, 1)])),
            load(2, dtype, 1, affine(0, &[(2, 1)])),
            apply(3, dtype, ScalarOp::Add, &[2, 1]),
            store(1, affine(0, &[(2, 1)]), 3),
        ];
        let kernel = Kernel {
            name: format!("columns {rows}×{columns}"),
            buffers: vec![param("x", dtype, rows * columns, Access::Read), param("out", dtype, columns, Access::Write)],
            body: vec![
                looped(0, columns, LoopKind::Vector, clear),
                looped(1, rows, LoopKind::Serial, vec![looped(2, columns, LoopKind::Vector, add)]),
            ],
        };
        check(&kernel, &[numbers(rows * columns, dtype), vec![9.0; columns]], 0.0);
    }
}

/// One accumulator over two axes, carried through the outer loop.
#[test]
fn accumulators_are_carried_through_outer_loops() {
    for columns in [1, 3, 8, 37] {
        let dtype = DType::F32;
        let kernel = Kernel {
            name: format!("all of 5×{columns}"),
            buffers: vec![param("x", dtype, 5 * columns, Access::Read), param("out", dtype, 1, Access::Write)],
            body: vec![
                accumulator(0, dtype, Combine::Sum, 0.0),
                looped(
                    0,
                    5,
                    LoopKind::Serial,
                    vec![looped(
                        1,
                        columns,
                        LoopKind::Vector,
                        vec![
                            load(1, dtype, 0, affine(0, &[(0, columns as i64), (1, 1)])),
                            accumulate(0, Combine::Sum, 1),
                        ],
                    )],
                ),
                store(1, affine(0, &[]), 0),
            ],
        };
        check(&kernel, &[numbers(5 * columns, dtype), vec![0.0]], 0.0);
    }
}

/// Broadcast rows and columns, a transposed operand, and a reversed one.
#[test]
fn operands_move_by_any_stride() {
    for dtype in DType::ALL {
        for columns in EXTENTS {
            let rows = 3;
            let n = columns as i64;
            let result = vec![
                load(0, dtype, 0, affine(0, &[(0, 1)])),
                load(1, dtype, 1, affine(0, &[(1, 1)])),
                load(2, dtype, 2, affine(0, &[(0, 1), (1, rows)])),
                load(3, dtype, 3, affine((n * rows - 1).max(0), &[(0, -n), (1, -1)])),
                apply(4, DType::Bool, ScalarOp::Le, &[0, 1]),
                apply(5, DType::Bool, ScalarOp::Le, &[2, 3]),
                apply(6, DType::Bool, ScalarOp::Or, &[4, 5]),
                apply(7, dtype, ScalarOp::Select, &[6, 2, 1]),
                store(4, affine(0, &[(0, n), (1, 1)]), 7),
            ];
            let elements = rows as usize * columns;
            let kernel = Kernel {
                name: format!("strides of {dtype}, {rows}×{columns}"),
                buffers: vec![
                    param("column", dtype, 3, Access::Read),
                    param("row", dtype, columns, Access::Read),
                    param("transposed", dtype, elements, Access::Read),
                    param("reversed", dtype, elements, Access::Read),
                    param("out", dtype, elements, Access::Write),
                ],
                body: vec![looped(0, 3, LoopKind::Serial, vec![looped(1, columns, LoopKind::Vector, result)])],
            };
            let of = |count| numbers(count, dtype);
            check(&kernel, &[of(3), of(columns), of(elements), of(elements), vec![0.0; elements]], 0.0);
        }
    }
}

/// `out[i, j] = inside(i, j) ? x[i − 1, j − 2] : 0`, as padding is written.
#[test]
fn indices_are_numbers() {
    for columns in [1, 3, 6, 21] {
        let (rows, n) = (4, columns as i64);
        let body = vec![
            lets(0, DType::I32, Expr::Index(affine(-2, &[(1, 1)]))),
            lets(1, DType::I32, Expr::Const(0.0.into())),
            apply(2, DType::Bool, ScalarOp::Ge, &[0, 1]),
            lets(3, DType::I32, Expr::Index(affine(7, &[(0, 3), (1, -2)]))),
            apply(4, DType::F32, ScalarOp::Cast(DType::F32), &[3]),
            load(5, DType::F32, 0, affine(0, &[(0, n), (1, 1)])),
            apply(6, DType::F32, ScalarOp::Add, &[4, 5]),
            lets(7, DType::F32, Expr::Const(0.0.into())),
            apply(8, DType::F32, ScalarOp::Select, &[2, 6, 7]),
            store(1, affine(0, &[(0, n), (1, 1)]), 8),
        ];
        let elements = rows * columns;
        let kernel = Kernel {
            name: format!("indices {rows}×{columns}"),
            buffers: vec![
                param("x", DType::F32, elements, Access::Read),
                param("out", DType::F32, elements, Access::Write),
            ],
            body: vec![looped(0, rows, LoopKind::Serial, vec![looped(1, columns, LoopKind::Vector, body)])],
        };
        check(&kernel, &[numbers(elements, DType::F32), vec![0.0; elements]], 0.0);
    }
}

/// Clamps register `from` into `0..=high`; uses the two registers after it, and defines the third.
fn clamped(from: u32, high: usize) -> Vec<Stmt> {
    vec![
        lets(from + 1, DType::I32, Expr::Const(0.0.into())),
        lets(from + 2, DType::I32, Expr::Const((high as f64).into())),
        apply(from + 3, DType::I32, ScalarOp::Max, &[from, from + 1]),
        apply(from + 4, DType::I32, ScalarOp::Min, &[from + 3, from + 2]),
    ]
}

/// `out[i, j] = table[index[i], j]`
#[test]
fn rows_are_gathered_and_scattered() {
    for columns in [1, 3, 4, 19] {
        for dtype in DType::ALL {
            let (rows, entries, n) = (6, 5, columns as i64);
            let mut gather = vec![load(0, DType::I32, 0, affine(0, &[(0, 1)]))];
            gather.extend(clamped(0, entries - 1));
            let row = Expr::LoadIndexed { buffer: 1, address: affine(0, &[(1, 1)]), index: Reg(4), stride: n };
            gather.push(looped(
                1,
                columns,
                LoopKind::Vector,
                vec![lets(5, dtype, row), store(2, affine(0, &[(0, n), (1, 1)]), 5)],
            ));
            let kernel = Kernel {
                name: format!("gather {dtype} {rows}×{columns}"),
                buffers: vec![
                    param("index", DType::I32, rows, Access::Read),
                    param("table", dtype, entries * columns, Access::Read),
                    param("out", dtype, rows * columns, Access::Write),
                ],
                body: vec![looped(0, rows, LoopKind::Serial, gather)],
            };
            let index = vec![3.0, -7.0, 0.0, 4.0, 99.0, 3.0];
            check(&kernel, &[index.clone(), numbers(entries * columns, dtype), vec![0.0; rows * columns]], 0.0);

            if dtype == DType::Bool || dtype.arithmetic() != dtype {
                continue;
            }
            let mut scatter = vec![load(0, DType::I32, 0, affine(0, &[(0, 1)]))];
            scatter.extend(clamped(0, entries - 1));
            scatter.push(apply(5, DType::Bool, ScalarOp::Eq, &[0, 4]));
            let add = Stmt::ScatterAdd {
                buffer: 2,
                address: affine(0, &[(1, 1)]),
                index: Reg(4),
                stride: n,
                value: Reg(6),
                guard: Reg(5),
            };
            scatter.push(looped(
                1,
                columns,
                LoopKind::Serial,
                vec![load(6, dtype, 1, affine(0, &[(0, n), (1, 1)])), add],
            ));
            let kernel = Kernel {
                name: format!("scatter {dtype} {rows}×{columns}"),
                buffers: vec![
                    param("index", DType::I32, rows, Access::Read),
                    param("x", dtype, rows * columns, Access::Read),
                    param("out", dtype, entries * columns, Access::ReadWrite),
                ],
                body: vec![looped(0, rows, LoopKind::Serial, scatter)],
            };
            check(&kernel, &[index, numbers(rows * columns, dtype), numbers(entries * columns, dtype)], 0.0);
        }
    }
}

/// An element type of 64 bits among narrower ones: the loop runs one element at a time.
#[test]
fn widths_mix() {
    for extent in EXTENTS {
        let one = affine(0, &[(0, 1)]);
        let body = vec![
            load(0, DType::F64, 0, one.clone()),
            load(1, DType::F32, 1, one.clone()),
            load(2, DType::I32, 2, one.clone()),
            load(3, DType::Bool, 3, one.clone()),
            apply(4, DType::F64, ScalarOp::Cast(DType::F64), &[1]),
            apply(5, DType::F64, ScalarOp::Cast(DType::F64), &[2]),
            apply(6, DType::F64, ScalarOp::Mul, &[4, 5]),
            apply(7, DType::F64, ScalarOp::Select, &[3, 6, 0]),
            accumulate(9, Combine::Sum, 7),
            apply(8, DType::F32, ScalarOp::Cast(DType::F32), &[7]),
            store(4, one, 8),
        ];
        let kernel = Kernel {
            name: format!("mixed {extent}"),
            buffers: vec![
                param("d", DType::F64, extent, Access::Read),
                param("s", DType::F32, extent, Access::Read),
                param("i", DType::I32, extent, Access::Read),
                param("b", DType::Bool, extent, Access::Read),
                param("out", DType::F32, extent, Access::Write),
                param("sum", DType::F64, 1, Access::Write),
            ],
            body: vec![
                accumulator(9, DType::F64, Combine::Sum, 0.0),
                looped(0, extent, LoopKind::Vector, body),
                store(5, affine(0, &[]), 9),
            ],
        };
        let of = |dtype| numbers(extent, dtype);
        let buffers = [of(DType::F64), of(DType::F32), of(DType::I32), of(DType::Bool), vec![0.0; extent], vec![0.0]];
        check(&kernel, &buffers, 0.0);
    }
}

/// What a loop computes from what does not change in it is computed once, and in place updates see old values.
#[test]
fn updates_in_place_read_before_they_write() {
    for extent in EXTENTS {
        let one = affine(0, &[(0, 1)]);
        let kernel = Kernel {
            name: format!("update {extent}"),
            buffers: vec![
                param("w", DType::F32, extent, Access::ReadWrite),
                param("g", DType::F32, extent, Access::Read),
                param("rate", DType::F32, 1, Access::Read),
            ],
            body: vec![looped(
                0,
                extent,
                LoopKind::Vector,
                vec![
                    load(0, DType::F32, 2, affine(0, &[])),
                    apply(1, DType::F32, ScalarOp::Sqrt, &[0]),
                    load(2, DType::F32, 1, one.clone()),
                    apply(3, DType::F32, ScalarOp::Mul, &[1, 2]),
                    load(4, DType::F32, 0, one.clone()),
                    apply(5, DType::F32, ScalarOp::Sub, &[4, 3]),
                    store(0, one, 5),
                ],
            )],
        };
        check(&kernel, &[numbers(extent, DType::F32), numbers(extent, DType::F32), vec![0.25]], 0.0);
    }
}
