//! Random products of matrices among movements.

use gradc_ir::op::window::Windows;
use gradc_ir::{DType, Graph, Role, Shape, TensorType, ValueId};

use crate::Random;

/// The most elements of a value.
const LIMIT: usize = 3000;

/// A product of matrices whose operands are what some movements make of inputs, or of a value that is computed, and which is moved
/// itself, or added up where windows of it overlap. Some of the movements are read by others too.
pub fn random_movements(seed: u64, float: DType) -> Graph {
    let mut random = Random::new(seed);
    let mut graph = Graph::new("movements");
    let mut a = source(&mut graph, &mut random, "a", float);
    for _ in 0..1 + random.below(4) {
        a = moved(&mut graph, &mut random, a);
    }
    let a = matrix(&mut graph, &mut random, a);
    let shape = graph.shape(a).clone();
    let (transpose_a, transpose_b) = (random.chance(0.5), random.chance(0.5));
    let (batch, last) = (&shape[..shape.rank() - 2], [shape[shape.rank() - 2], shape[shape.rank() - 1]]);
    let depth = if transpose_a { last[0] } else { last[1] };
    let columns = *random.pick(&[1, 2, 4, 6, 12, 18]);
    let matrix = if transpose_b { [columns, depth] } else { [depth, columns] };
    let shape: Vec<usize> = batch.iter().copied().chain(matrix).collect();
    let b = graph.input("b", TensorType::new(float, &*shape));
    let product = match random.chance(0.5) {
        true => graph.matmul_with(a, transpose_a, b, transpose_b),
        // The same numbers, as the transpose of a product.
        false => {
            let turned = graph.matmul_with(b, !transpose_b, a, !transpose_a);
            graph.transpose_last(turned)
        }
    };
    let placed = placed(&mut graph, &mut random, product);
    graph.add_output(Role::Output, "placed", placed);
    if random.chance(0.3) {
        let other = graph.scale(a, 2.0);
        graph.add_output(Role::Output, "other", other);
    }
    if random.chance(0.1) {
        graph.add_output(Role::Output, "operand", a);
    }
    if random.chance(0.1) {
        graph.add_output(Role::Output, "product", product);
    }
    graph
}

fn source(graph: &mut Graph, random: &mut Random, name: &str, float: DType) -> ValueId {
    let rank = 2 + random.below(3);
    let shape: Vec<usize> = (0..rank).map(|_| *random.pick(&[1, 2, 3, 4, 6, 7])).collect();
    let leaf = graph.input(name, TensorType::new(float, &*shape));
    match random.below(3) {
        0 => graph.scale(leaf, 0.5),
        1 => {
            let wave = graph.tanh(leaf);
            graph.mul(wave, wave)
        }
        _ => leaf,
    }
}

/// Two of its axes, or more, as they are or as others.
fn matrix(graph: &mut Graph, random: &mut Random, value: ValueId) -> ValueId {
    let (rank, elements) = (graph.shape(value).rank(), graph.shape(value).elements());
    if rank >= 2 && random.chance(0.3) {
        return value;
    }
    let cut = random.below(rank + 1);
    let (rows, columns): (usize, usize) =
        (graph.shape(value)[..cut].iter().product(), graph.shape(value)[cut..].iter().product());
    debug_assert_eq!(rows * columns, elements);
    if cut > 1 && random.chance(0.3) {
        let first = graph.shape(value)[0];
        return graph.reshape(value, &[first, rows / first, columns]);
    }
    graph.reshape(value, &[rows, columns])
}

/// What a movement makes of a value, if there is not too much of it.
fn moved(graph: &mut Graph, random: &mut Random, value: ValueId) -> ValueId {
    let shape = graph.shape(value).clone();
    let axis = random.below(shape.rank());
    match random.below(9) {
        0 | 1 => transposed(graph, random, value),
        2..=4 => {
            let (size, stride, dilation) = (1 + random.below(3), 1 + random.below(3), 1 + random.below(2));
            let windows = Windows { size, stride, dilation };
            match windows.count(shape[axis]) {
                Some(count) if count > 0 && shape.elements() * size <= LIMIT && shape.rank() < 6 => {
                    graph.window(value, axis, windows)
                }
                _ => value,
            }
        }
        5 => {
            let (start, stride) = (random.below(shape[axis]), 1 + random.below(2));
            let (mut starts, mut strides) = (vec![0; shape.rank()], vec![1; shape.rank()]);
            (starts[axis], strides[axis]) = (start, stride);
            graph.slice(value, &starts, &shape, &strides)
        }
        6 if shape.rank() < 6 && shape.elements() <= LIMIT / 2 => {
            let axes: Vec<usize> = (0..=shape.rank()).filter(|&other| other != axis).collect();
            let wide: Vec<usize> = shape[..axis].iter().chain(&[2]).chain(&shape[axis..]).copied().collect();
            graph.broadcast(value, &axes, &wide)
        }
        _ => reshaped(graph, random, value),
    }
}

/// Where a product goes.
fn placed(graph: &mut Graph, random: &mut Random, product: ValueId) -> ValueId {
    let mut value = product;
    if random.chance(0.5) {
        // As the gradient of windows along an axis is made of a product.
        let shape = graph.shape(value).clone();
        let last = shape.rank() - 1;
        let both = [shape[last - 1], shape[last]]
            .map(|extent| [3, 2, 1].into_iter().find(|part| extent.is_multiple_of(*part)));
        let [Some(rows), Some(columns)] = both else { unreachable!("1 divides everything") };
        let split = [shape[last - 1] / rows, rows, columns, shape[last] / columns];
        let split: Vec<usize> = shape[..last - 1].iter().copied().chain(split).collect();
        value = graph.reshape(value, &split);
        let axis = graph.shape(value).rank() - 3;
        let (windows, size) = (graph.shape(value)[axis], graph.shape(value)[axis + 1]);
        value = graph.overlap_add(value, axis, windows + size - 1, 1, 1);
    }
    for _ in 0..random.below(5) {
        let shape = graph.shape(value).clone();
        let axis = random.below(shape.rank());
        value = match random.below(3) {
            0 => transposed(graph, random, value),
            1 if axis + 1 < shape.rank() && shape.rank() > 1 => {
                let (stride, dilation) = (1 + random.below(3), 1 + random.below(2));
                let span = (shape[axis] - 1) * stride + (shape[axis + 1] - 1) * dilation + 1;
                // As many windows fit, and no more.
                graph.overlap_add(value, axis, span + random.below(stride), stride, dilation)
            }
            _ => reshaped(graph, random, value),
        };
    }
    match random.below(3) {
        0 => value,
        1 => graph.tanh(value),
        _ => {
            let axes: Vec<usize> = (0..graph.shape(value).rank()).collect();
            graph.reduce_sum(value, &axes)
        }
    }
}

fn transposed(graph: &mut Graph, random: &mut Random, value: ValueId) -> ValueId {
    let mut rest: Vec<usize> = (0..graph.shape(value).rank()).collect();
    let mut permutation = Vec::new();
    while !rest.is_empty() {
        permutation.push(rest.swap_remove(random.below(rest.len())));
    }
    graph.transpose(value, &permutation)
}

/// Two adjacent axes as one, or one as two.
fn reshaped(graph: &mut Graph, random: &mut Random, value: ValueId) -> ValueId {
    let shape = graph.shape(value).clone();
    let axis = random.below(shape.rank());
    let mut extents: Vec<usize> = shape.to_vec();
    if axis + 1 < shape.rank() && random.chance(0.5) {
        extents[axis] *= extents.remove(axis + 1);
    } else if let Some(part) = [2, 3].into_iter().find(|part| shape[axis].is_multiple_of(*part)) {
        extents[axis] /= part;
        extents.insert(axis, part);
    }
    let to: Shape = extents.into_iter().collect();
    graph.reshape(value, &to)
}
