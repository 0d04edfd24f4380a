//! The models of examples/suite in burn, on its CPU backend flex: one complete training step.

use std::slice::Iter;

use burn_tensor::module::{attention, conv2d, layer_norm, linear, max_pool2d};
use burn_tensor::ops::{AttentionModuleOptions, ConvOptions, MaxPoolOptions};
use burn_tensor::{Device, Distribution, Gradients, Int, Tensor, activation};
use gradc_peers::{Activation, Model, RATE, labels};

/// The parameters of a model, by rank, in the order in which it asks for them.
#[derive(Default)]
struct Parameters {
    vectors: Vec<Tensor<1>>,
    matrices: Vec<Tensor<2>>,
    kernels: Vec<Tensor<4>>,
}

fn device() -> Device {
    Device::default().autodiff()
}

fn normal<const D: usize>(shape: [usize; D], scale: f64) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, scale), &device())
}

impl Parameters {
    fn vector(&mut self, width: usize, value: f32) {
        self.vectors.push(Tensor::full([width], value, &device()).require_grad());
    }

    fn matrix(&mut self, inputs: usize, outputs: usize) {
        self.matrices.push(normal([inputs, outputs], 1.0 / (inputs as f64).sqrt()).require_grad());
    }

    fn dense(&mut self, inputs: usize, outputs: usize) {
        self.matrix(inputs, outputs);
        self.vector(outputs, 0.0);
    }

    fn layers(&mut self, widths: &[usize]) {
        widths.windows(2).for_each(|pair| self.dense(pair[0], pair[1]));
    }

    fn norm(&mut self, width: usize) {
        self.vector(width, 1.0);
        self.vector(width, 0.0);
    }

    fn convolution(&mut self, shape: [usize; 4], scale: f64) {
        self.kernels.push(normal(shape, scale).require_grad());
        self.vector(shape[0], 0.0);
    }

    fn in_order(&self) -> InOrder<'_> {
        InOrder { vectors: self.vectors.iter(), matrices: self.matrices.iter(), kernels: self.kernels.iter() }
    }

    fn update(&mut self, mut gradients: Gradients) {
        self.vectors.iter_mut().for_each(|param| descend(param, &mut gradients));
        self.matrices.iter_mut().for_each(|param| descend(param, &mut gradients));
        self.kernels.iter_mut().for_each(|param| descend(param, &mut gradients));
    }
}

fn descend<const D: usize>(param: &mut Tensor<D>, gradients: &mut Gradients) {
    let gradient = param.grad_remove(gradients).expect("the loss depends on every parameter");
    *param = Tensor::from_inner(param.clone().inner() - gradient * RATE).require_grad();
}

/// The parameters, each once.
struct InOrder<'p> {
    vectors: Iter<'p, Tensor<1>>,
    matrices: Iter<'p, Tensor<2>>,
    kernels: Iter<'p, Tensor<4>>,
}

impl InOrder<'_> {
    fn vector(&mut self) -> Tensor<1> {
        self.vectors.next().expect("there is a vector for each use").clone()
    }

    fn matrix(&mut self) -> Tensor<2> {
        self.matrices.next().expect("there is a matrix for each use").clone()
    }

    fn dense<const D: usize>(&mut self, x: Tensor<D>) -> Tensor<D> {
        linear(x, self.matrix(), Some(self.vector()))
    }

    fn product<const D: usize>(&mut self, x: Tensor<D>) -> Tensor<D> {
        linear(x, self.matrix(), None)
    }

    fn norm<const D: usize>(&mut self, x: Tensor<D>) -> Tensor<D> {
        let gamma = self.vector();
        layer_norm(x, gamma, Some(self.vector()), 1e-5)
    }

    /// A convolution, the rectifier and max pooling.
    fn stage(&mut self, x: Tensor<4>) -> Tensor<4> {
        let kernel = self.kernels.next().expect("there is a kernel for each use").clone();
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        let h = conv2d(x, kernel, Some(self.vector()), options);
        max_pool2d(activation::relu(h), MaxPoolOptions::new([2, 2]))
    }
}

fn activate(x: Tensor<2>, by: Activation) -> Tensor<2> {
    match by {
        Activation::Tanh => activation::tanh(x),
        Activation::Relu => activation::relu(x),
        Activation::Sigmoid => activation::sigmoid(x),
    }
}

fn classes(batch: usize, count: usize) -> Tensor<2, Int> {
    let labels: Vec<i64> = labels(batch, count).into_iter().map(i64::from).collect();
    Tensor::<1, Int>::from_data(labels.as_slice(), &device()).reshape([batch, 1])
}

fn cross_entropy(logits: Tensor<2>, label: Tensor<2, Int>) -> Tensor<1> {
    activation::log_softmax(logits, 1).gather(1, label).mean().neg()
}

fn mse<const D: usize>(outputs: Tensor<D>, target: Tensor<D>) -> Tensor<1> {
    (outputs - target).square().mean()
}

/// A model's loss as a function of its parameters; data are in it.
type Loss = Box<dyn Fn(&Parameters) -> Tensor<1>>;

fn loss_of(model: &Model, params: &mut Parameters) -> Loss {
    match model {
        Model::Classifier { widths, batch, activation } => {
            let (layers, by) = (widths.len() - 1, *activation);
            params.layers(widths);
            let (x, label) = (normal([*batch, widths[0]], 1.0), classes(*batch, widths[layers]));
            Box::new(move |params| {
                let mut params = params.in_order();
                let hidden = (1..layers).fold(x.clone(), |h, _| activate(params.dense(h), by));
                cross_entropy(params.dense(hidden), label.clone())
            })
        }
        Model::Regressor { widths, batch, activation } => {
            let (layers, by) = (widths.len() - 1, *activation);
            params.layers(widths);
            let (x, target) = (normal([*batch, widths[0]], 1.0), normal([*batch, widths[layers]], 1.0));
            Box::new(move |params| {
                let mut params = params.in_order();
                mse((0..layers).fold(x.clone(), |h, _| activate(params.dense(h), by)), target.clone())
            })
        }
        Model::Residual { blocks, width, batch } => {
            let blocks = *blocks;
            params.layers(&vec![*width; 2 * blocks + 1]);
            let (x, target) = (normal([*batch, *width], 1.0), normal([*batch, *width], 1.0));
            Box::new(move |params| {
                let mut params = params.in_order();
                let outputs = (0..blocks).fold(x.clone(), |h, _| {
                    let inner = activation::relu(params.dense(h.clone()));
                    h + params.dense(inner)
                });
                mse(outputs, target.clone())
            })
        }
        Model::Elementwise { count } => {
            let mut randomised = || {
                params.vectors.push(normal([*count], 1.0).require_grad());
            };
            randomised();
            randomised();
            let (x, target) = (normal([*count], 1.0), normal([*count], 1.0));
            Box::new(move |params| {
                let mut params = params.in_order();
                let (a, b) = (params.vector(), params.vector());
                let h = activation::sigmoid(a.clone() * x.clone() + b);
                let h = (h * x.clone()).tanh() + x.clone();
                mse(activation::gelu_approximate(h) * a, target.clone())
            })
        }
        Model::Transformer { blocks, batch, length, width, heads } => {
            transformer(params, *blocks, [*batch, *length, *width], *heads)
        }
        Model::Lstm { length, batch, inputs, hidden, classes: count } => {
            let (length, batch, hidden) = (*length, *batch, *hidden);
            params.matrix(*inputs, 4 * hidden);
            params.dense(hidden, 4 * hidden);
            params.dense(hidden, *count);
            let (xs, label) = (normal([length, batch, *inputs], 1.0), classes(batch, *count));
            let zero: Tensor<2> = Tensor::zeros([batch, hidden], &device());
            Box::new(move |params| {
                let mut params = params.in_order();
                let (by_x, by_h, bias) = (params.matrix(), params.matrix(), params.vector());
                let (mut h, mut c) = (zero.clone(), zero.clone());
                for at in 0..length {
                    let x: Tensor<2> = xs.clone().select_dim(0, at);
                    let gates = linear(x, by_x.clone(), Some(bias.clone())) + h.matmul(by_h.clone());
                    let gate = |at: usize| gates.clone().narrow(1, at * hidden, hidden);
                    let kept = activation::sigmoid(gate(1)) * c;
                    c = kept + activation::sigmoid(gate(0)) * gate(3).tanh();
                    h = activation::sigmoid(gate(2)) * c.clone().tanh();
                }
                cross_entropy(params.dense(h), label.clone())
            })
        }
        Model::Lenet { batch } => {
            let batch = *batch;
            params.convolution([8, 1, 5, 5], 0.2);
            params.convolution([16, 8, 5, 5], 0.07);
            params.layers(&[256, 128, 10]);
            let (x, label) = (normal([batch, 1, 28, 28], 1.0), classes(batch, 10));
            Box::new(move |params| {
                let mut params = params.in_order();
                let h = params.stage(x.clone());
                let h = params.stage(h).reshape([batch, 256]);
                let h = activation::relu(params.dense(h));
                cross_entropy(params.dense(h), label.clone())
            })
        }
    }
}

fn transformer(params: &mut Parameters, blocks: usize, shape: [usize; 3], heads: usize) -> Loss {
    let [batch, length, width] = shape;
    let size = width / heads;
    for _ in 0..blocks {
        params.norm(width);
        (0..4).for_each(|_| params.matrix(width, width));
        params.norm(width);
        params.dense(width, 4 * width);
        params.dense(4 * width, width);
    }
    let (x, target) = (normal(shape, 1.0), normal(shape, 1.0));
    let split = move |x: Tensor<3>| x.reshape([batch, length, heads, size]).swap_dims(1, 2);
    Box::new(move |params| {
        let mut params = params.in_order();
        let mut h = x.clone();
        for _ in 0..blocks {
            let x = params.norm(h.clone());
            let [q, k, v] = [(); 3].map(|()| split(params.product(x.clone())));
            let attended = attention(q, k, v, None, None, AttentionModuleOptions::default());
            h = h + params.product(attended.swap_dims(1, 2).reshape(shape));
            let x = params.norm(h.clone());
            let up = activation::gelu_approximate(params.dense(x));
            h = h + params.dense(up);
        }
        mse(h, target.clone())
    })
}

fn main() {
    gradc_peers::run(|model| {
        let mut params = Parameters::default();
        let loss = loss_of(model, &mut params);
        Box::new(move || {
            let value = loss(&params);
            params.update(value.backward());
            value.into_scalar()
        })
    });
}
