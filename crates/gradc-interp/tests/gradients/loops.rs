//! Loops against the same steps written one after the other: values, gradients, second derivatives, tangents; and what a
//! loop keeps for its derivative.

use gradc_autodiff::{gradient, jvp};
use gradc_interp::evaluate_values;
use gradc_ir::op::scan::Scan;
use gradc_ir::verify::verify;
use gradc_ir::{Body, Class, DType, Graph, Role, Tensor, TensorType, ValueId};
use gradc_testing::{Random, random_tensor};

/// A step: from carries, slices and constants to next carries and what is stacked, in any graph.
type Step = fn(&mut Graph, &[ValueId]) -> Vec<ValueId>;

/// A loop to be written in two ways. Extents are those of the body's inputs.
struct Loop {
    step: Step,
    carries: usize,
    sequences: usize,
    inputs: Vec<Vec<usize>>,
    reverse: bool,
}

impl Loop {
    /// The types of the operands at this length.
    fn operands(&self, length: usize) -> Vec<TensorType> {
        let is_sequence = |i: usize| (self.carries..self.carries + self.sequences).contains(&i);
        let ty = |(i, extents): (usize, &Vec<usize>)| {
            let stacked: Vec<usize> = is_sequence(i).then_some(length).into_iter().chain(extents.clone()).collect();
            TensorType::new(DType::F64, stacked.as_slice())
        };
        self.inputs.iter().enumerate().map(ty).collect()
    }

    fn body(&self) -> Body {
        let mut graph = Graph::new("step");
        let inputs: Vec<ValueId> = self
            .inputs
            .iter()
            .enumerate()
            .map(|(i, extents)| graph.input(format!("x{i}"), TensorType::new(DType::F64, extents.as_slice())))
            .collect();
        let results = (self.step)(&mut graph, &inputs);
        for (i, value) in results.into_iter().enumerate() {
            graph.add_output(Role::Output, format!("y{i}"), value);
        }
        Body::new(&graph).unwrap()
    }

    fn as_loop(&self, graph: &mut Graph, operands: &[ValueId], length: usize) -> Vec<ValueId> {
        let (carries, sequences, reverse) = (self.carries, self.sequences, self.reverse);
        let scan = Scan { body: self.body(), carries, sequences, length, reverse };
        let value = graph.scan(&scan, operands);
        (0..scan.results()).map(|index| graph.result_of(value, index)).collect()
    }

    fn unrolled(&self, graph: &mut Graph, operands: &[ValueId], length: usize) -> Vec<ValueId> {
        let mut carries = operands[..self.carries].to_vec();
        let mut stacked: Vec<Vec<ValueId>> = vec![];
        for i in 0..length {
            let at = if self.reverse { length - 1 - i } else { i };
            let mut inputs = carries.clone();
            for (j, &sequence) in operands.iter().enumerate().skip(self.carries).take(self.sequences) {
                let slice = graph.slice_axis(sequence, 0, at, at + 1);
                inputs.push(graph.reshape(slice, &self.inputs[j]));
            }
            inputs.extend(&operands[self.carries + self.sequences..]);
            let results = (self.step)(graph, &inputs);
            carries = results[..self.carries].to_vec();
            let row: Vec<ValueId> = results[self.carries..]
                .iter()
                .map(|&value| {
                    let extents: Vec<usize> = std::iter::once(1).chain(graph.shape(value).to_vec()).collect();
                    graph.reshape(value, &extents)
                })
                .collect();
            stacked.push(row);
        }
        if self.reverse {
            stacked.reverse();
        }
        let count = stacked.first().map_or(0, Vec::len);
        for j in 0..count {
            let rows: Vec<ValueId> = stacked.iter().map(|row| row[j]).collect();
            carries.push(graph.concat(&rows, 0));
        }
        carries
    }
}

/// A weighted sum of bounded results, scaled: no result hides and no cotangent is one.
fn loss(graph: &mut Graph, results: &[ValueId]) -> ValueId {
    let mut total = graph.scalar(0.0, DType::F64);
    for (i, &result) in results.iter().enumerate() {
        let bounded = graph.tanh(result);
        let product = graph.mul(bounded, result);
        let axes: Vec<usize> = (0..graph.shape(product).rank()).collect();
        let sum = graph.reduce_sum(product, &axes);
        let scaled = graph.scale(sum, 1.7 - 0.4 * i as f64);
        total = graph.add(total, scaled);
    }
    total
}

/// Everything there is to know of a loop written in one way: results, gradients, second derivatives and tangents.
fn known(of: &Loop, length: usize, write: fn(&Loop, &mut Graph, &[ValueId], usize) -> Vec<ValueId>) -> Vec<Tensor> {
    let mut random = Random::new(length as u64 + 1);
    let mut graph = Graph::new("loop");
    let (mut leaves, mut bindings) = (vec![], vec![]);
    for (i, ty) in of.operands(length).into_iter().enumerate() {
        let leaf = graph.input(format!("a{i}"), ty.clone());
        bindings.push((leaf, random_tensor(&ty, (-1.2, 1.2), &mut random)));
        leaves.push(leaf);
    }
    // Something before the loop, so that it stands in the middle of a graph.
    let operands: Vec<ValueId> = leaves.iter().map(|&leaf| graph.scale(leaf, 0.9)).collect();
    let mut wanted = write(of, &mut graph, &operands, length);
    let first = loss(&mut graph, &wanted);
    let found = gradient(&graph, first, &leaves);
    let mut graph = found.graph;
    let cotangents: Vec<ValueId> = found.cotangents.into_iter().flatten().collect();
    assert_eq!(cotangents.len(), leaves.len());
    wanted.extend(&cotangents);
    let second = loss(&mut graph, &cotangents);
    let found = gradient(&graph, second, &leaves);
    wanted.extend(found.cotangents.into_iter().flatten());
    // Forward over reverse.
    let forward = jvp(&found.graph, &leaves, &cotangents);
    for (&tangent, &leaf) in forward.inputs.iter().zip(&leaves) {
        bindings.push((tangent, random_tensor(graph.ty(leaf), (-1.0, 1.0), &mut random)));
    }
    wanted.extend(forward.tangents.into_iter().flatten());
    assert_eq!(verify(&forward.graph), Ok(()));
    evaluate_values(&forward.graph, &bindings, &wanted).unwrap()
}

fn check(of: &Loop, lengths: &[usize]) {
    for &length in lengths {
        let (ours, unrolled) = (known(of, length, Loop::as_loop), known(of, length, Loop::unrolled));
        assert_eq!(ours.len(), unrolled.len(), "at {length} steps");
        for (i, (ours, unrolled)) in ours.iter().zip(&unrolled).enumerate() {
            assert_eq!(ours.ty(), unrolled.ty());
            let scale = unrolled.data().iter().fold(1.0f64, |largest, x| largest.max(x.abs()));
            for (a, b) in ours.data().iter().zip(unrolled.data()) {
                assert!((a - b).abs() <= 1e-12 * scale, "{i} at {length} steps: {a} is not {b}");
            }
        }
    }
}

/// A gated cell with a state and an output: two carries, two products with the weights.
fn gated(graph: &mut Graph, v: &[ValueId]) -> Vec<ValueId> {
    let &[h, c, x, w, u] = v else { unreachable!() };
    let (from_x, from_h) = (graph.matmul(x, w), graph.matmul(h, u));
    let z = graph.add(from_x, from_h);
    let (gate, candidate) = (graph.slice_axis(z, 1, 0, 3), graph.slice_axis(z, 1, 3, 6));
    let (gate, candidate) = (graph.sigmoid(gate), graph.tanh(candidate));
    let difference = graph.sub(candidate, c);
    let step = graph.mul(gate, difference);
    let c = graph.add(c, step);
    let bounded = graph.tanh(c);
    let h = graph.mul(gate, bounded);
    vec![h, c, h]
}

fn gated_loop(reverse: bool) -> Loop {
    let inputs = vec![vec![2, 3], vec![2, 3], vec![2, 4], vec![4, 6], vec![3, 6]];
    Loop { step: gated, carries: 2, sequences: 1, inputs, reverse }
}

#[test]
fn a_gated_cell() {
    check(&gated_loop(false), &[1, 3, 5]);
    check(&gated_loop(true), &[1, 2, 5]);
}

#[test]
fn a_carry_that_is_replaced_by_a_slice_and_one_that_stays() {
    let step: Step = |graph, v| {
        let (product, other) = (graph.mul(v[0], v[2]), graph.mul(v[1], v[3]));
        let y = graph.sub(product, other);
        vec![v[2], v[1], y, v[0]]
    };
    let inputs = vec![vec![3], vec![3], vec![3], vec![3]];
    check(&Loop { step, carries: 2, sequences: 2, inputs, reverse: false }, &[1, 2, 4]);
}

#[test]
fn reductions_and_constants_in_every_step() {
    let step: Step = |graph, v| {
        // The sum of weights of both signs may be near zero, so these are positive.
        let square = graph.mul(v[2], v[2]);
        let one = graph.full_like(square, 1.0);
        let weight = graph.add(square, one);
        let e = graph.exp(v[1]);
        let scaled = graph.mul(e, weight);
        let sum = graph.reduce_sum(scaled, &[0]);
        let sums = graph.broadcast(sum, &[], &[3]);
        let share = graph.div(e, sums);
        let next = graph.mul(share, v[0]);
        vec![next, sum, share]
    };
    let inputs = vec![vec![3], vec![3], vec![3]];
    check(&Loop { step, carries: 1, sequences: 1, inputs, reverse: true }, &[1, 3, 6]);
}

#[test]
fn no_steps_give_the_first_carries_and_pass_their_cotangents_on() {
    let of = gated_loop(false);
    let results = known(&of, 0, Loop::as_loop);
    // Last state, last carry, stack; then the gradients of five operands.
    assert_eq!(results[2].shape().to_vec(), [0, 2, 3]);
    assert!(results[3].data().iter().all(|x| x.abs() > 0.0) && results[4].data().iter().all(|x| x.abs() > 0.0));
    assert!(results[6].data().iter().chain(results[7].data()).all(|&x| x == 0.0), "no step uses the weights");
}

/// The loops of a graph.
fn loops(graph: &Graph) -> Vec<Scan> {
    graph.values().filter_map(|value| graph.as_scan(value)).collect()
}

#[test]
fn the_derivative_keeps_activations_and_computes_no_product_twice() {
    let (of, mut graph) = (gated_loop(false), Graph::new("loop"));
    let leaves: Vec<ValueId> =
        of.operands(7).into_iter().enumerate().map(|(i, ty)| graph.input(format!("a{i}"), ty)).collect();
    let results = of.as_loop(&mut graph, &leaves, 7);
    let loss = loss(&mut graph, &results);
    let found = gradient(&graph, loss, &leaves);
    let loops = loops(&found.graph);
    let products = |scan: &Scan| {
        let graph = scan.body.graph();
        graph.values().filter(|&v| graph.op(v).is_some_and(|op| op.def.class == Class::Contract)).count()
    };
    assert_eq!(loops.len(), 2);
    assert_eq!(loops.iter().map(products).collect::<Vec<_>>(), [2, 4], "two products, and two for each of these");
    assert!(loops[1].reverse);
    // Beside what was stacked already: both gates, and the two carries at the beginning of each step.
    let kept: Vec<Vec<usize>> = (3..loops[0].results()).map(|i| loops[0].result_type(i).shape.to_vec()).collect();
    assert_eq!(kept, vec![vec![7, 2, 3]; 4]);
}

#[test]
fn what_carries_no_gradient_is_absent() {
    let step: Step = |graph, v| {
        let fixed = graph.stop_gradient(v[1]);
        let next = graph.mul(v[0], fixed);
        let sign = graph.sign(v[2]);
        let y = graph.mul(next, sign);
        vec![next, y]
    };
    let of = Loop { step, carries: 1, sequences: 1, inputs: vec![vec![3], vec![3], vec![3]], reverse: false };
    let mut graph = Graph::new("loop");
    let leaves: Vec<ValueId> =
        of.operands(4).into_iter().enumerate().map(|(i, ty)| graph.input(format!("a{i}"), ty)).collect();
    let results = of.as_loop(&mut graph, &leaves, 4);
    let loss = loss(&mut graph, &results);
    let found = gradient(&graph, loss, &leaves);
    assert_eq!(found.cotangents.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
    let forward = jvp(&graph, &leaves[1..], &results);
    assert_eq!(forward.tangents, [None, None]);
}
