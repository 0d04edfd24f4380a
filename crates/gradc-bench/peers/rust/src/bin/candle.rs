//! The models of examples/suite in candle: one complete training step.

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::{loss, ops};
use gradc_peers::{Activation, Model, RATE, labels};

const DEVICE: Device = Device::Cpu;

/// The parameters of a model, in the order in which it asks for them.
#[derive(Default)]
struct Parameters(Vec<Var>);

impl Parameters {
    fn normal(&mut self, shape: &[usize], scale: f64) -> Result<Tensor> {
        self.0.push(Var::randn(0f32, scale as f32, shape, &DEVICE)?);
        Ok(self.0[self.0.len() - 1].as_tensor().clone())
    }

    fn constant(&mut self, value: f64, shape: &[usize]) -> Result<Tensor> {
        self.0.push(Var::from_tensor(&(Tensor::ones(shape, DType::F32, &DEVICE)? * value)?)?);
        Ok(self.0[self.0.len() - 1].as_tensor().clone())
    }

    fn matrix(&mut self, inputs: usize, outputs: usize) -> Result<Tensor> {
        self.normal(&[inputs, outputs], 1.0 / (inputs as f64).sqrt())
    }

    fn dense(&mut self, inputs: usize, outputs: usize) -> Result<Dense> {
        Ok(Dense { weights: self.matrix(inputs, outputs)?, bias: self.constant(0.0, &[outputs])? })
    }

    fn layers(&mut self, widths: &[usize]) -> Result<Vec<Dense>> {
        widths.windows(2).map(|pair| self.dense(pair[0], pair[1])).collect()
    }

    fn norm(&mut self, width: usize) -> Result<(Tensor, Tensor)> {
        Ok((self.constant(1.0, &[width])?, self.constant(0.0, &[width])?))
    }
}

struct Dense {
    weights: Tensor,
    bias: Tensor,
}

impl Dense {
    fn of(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.weights)?.broadcast_add(&self.bias)
    }
}

struct Block {
    norms: [(Tensor, Tensor); 2],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    up: Dense,
    down: Dense,
}

fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.relu(),
        Activation::Sigmoid => ops::sigmoid(x),
    }
}

fn data(shape: &[usize]) -> Result<Tensor> {
    Tensor::randn(0f32, 1f32, shape, &DEVICE)
}

fn classes(batch: usize, count: usize) -> Result<Tensor> {
    Tensor::new(labels(batch, count), &DEVICE)
}

/// A model's loss as a function of nothing: parameters and data are in it.
type Loss = Box<dyn Fn() -> Result<Tensor>>;

fn loss_of(model: &Model, params: &mut Parameters) -> Result<Loss> {
    match model {
        Model::Classifier { widths, batch, activation } => {
            let (layers, activation) = (params.layers(widths)?, *activation);
            let count = widths[widths.len() - 1];
            let (x, label) = (data(&[*batch, widths[0]])?, classes(*batch, count)?);
            Ok(Box::new(move || {
                let mut h = x.clone();
                for (at, layer) in layers.iter().enumerate() {
                    h = layer.of(&h)?;
                    if at + 1 < layers.len() {
                        h = activate(&h, activation)?;
                    }
                }
                loss::cross_entropy(&h, &label)
            }))
        }
        Model::Regressor { widths, batch, activation } => {
            let (layers, activation) = (params.layers(widths)?, *activation);
            let (x, target) = (data(&[*batch, widths[0]])?, data(&[*batch, widths[widths.len() - 1]])?);
            Ok(Box::new(move || {
                let outputs = layers.iter().try_fold(x.clone(), |h, layer| activate(&layer.of(&h)?, activation))?;
                loss::mse(&outputs, &target)
            }))
        }
        Model::Residual { blocks, width, batch } => {
            let layers = params.layers(&vec![*width; 2 * blocks + 1])?;
            let (x, target) = (data(&[*batch, *width])?, data(&[*batch, *width])?);
            Ok(Box::new(move || {
                let outputs =
                    layers.chunks(2).try_fold(x.clone(), |h, pair| &h + pair[1].of(&pair[0].of(&h)?.relu()?)?)?;
                loss::mse(&outputs, &target)
            }))
        }
        Model::Elementwise { count } => {
            let (a, b) = (params.normal(&[*count], 1.0)?, params.normal(&[*count], 1.0)?);
            let (x, target) = (data(&[*count])?, data(&[*count])?);
            Ok(Box::new(move || {
                let h = ops::sigmoid(&((&a * &x)? + &b)?)?;
                let h = ((h * &x)?.tanh()? + &x)?;
                loss::mse(&(h.gelu()? * &a)?, &target)
            }))
        }
        Model::Transformer { blocks, batch, length, width, heads } => {
            transformer(params, *blocks, [*batch, *length, *width], *heads)
        }
        Model::Lstm { length, batch, inputs, hidden, classes: count } => {
            let (hidden, length) = (*hidden, *length);
            let by_x = params.matrix(*inputs, 4 * hidden)?;
            let by_h = params.dense(hidden, 4 * hidden)?;
            let out = params.dense(hidden, *count)?;
            let (xs, label) = (data(&[length, *batch, *inputs])?, classes(*batch, *count)?);
            let zero = Tensor::zeros((*batch, hidden), DType::F32, &DEVICE)?;
            Ok(Box::new(move || {
                let (mut h, mut c) = (zero.clone(), zero.clone());
                for at in 0..length {
                    let gates = (xs.get(at)?.matmul(&by_x)? + by_h.of(&h)?)?.chunk(4, D::Minus1)?;
                    let (input, forget) = (ops::sigmoid(&gates[0])?, ops::sigmoid(&gates[1])?);
                    c = ((forget * c)? + (input * gates[3].tanh()?)?)?;
                    h = (ops::sigmoid(&gates[2])? * c.tanh()?)?;
                }
                loss::cross_entropy(&out.of(&h)?, &label)
            }))
        }
        Model::Lenet { batch } => {
            let conv1 = (params.normal(&[8, 1, 5, 5], 0.2)?, params.constant(0.0, &[8])?);
            let conv2 = (params.normal(&[16, 8, 5, 5], 0.07)?, params.constant(0.0, &[16])?);
            let dense = params.layers(&[256, 128, 10])?;
            let (x, label) = (data(&[*batch, 1, 28, 28])?, classes(*batch, 10)?);
            Ok(Box::new(move || {
                let stage = |x: &Tensor, (kernel, bias): &(Tensor, Tensor)| {
                    let bias = bias.reshape((1, bias.elem_count(), 1, 1))?;
                    x.conv2d(kernel, 0, 1, 1, 1)?.broadcast_add(&bias)?.relu()?.max_pool2d(2)
                };
                let h = stage(&stage(&x, &conv1)?, &conv2)?.flatten_from(1)?;
                loss::cross_entropy(&dense[1].of(&dense[0].of(&h)?.relu()?)?, &label)
            }))
        }
    }
}

/// Products of sequences with matrices are of one tall matrix; attention is not fused, since candle's fused kernels have no
/// derivative, and neither has its fused layer norm.
fn transformer(params: &mut Parameters, blocks: usize, shape: [usize; 3], heads: usize) -> Result<Loss> {
    let [batch, length, width] = shape;
    let rows = batch * length;
    let size = width / heads;
    let block = |params: &mut Parameters| -> Result<Block> {
        Ok(Block {
            norms: [params.norm(width)?, params.norm(width)?],
            query: params.matrix(width, width)?,
            key: params.matrix(width, width)?,
            value: params.matrix(width, width)?,
            out: params.matrix(width, width)?,
            up: params.dense(width, 4 * width)?,
            down: params.dense(4 * width, width)?,
        })
    };
    let blocks = (0..blocks).map(|_| block(params)).collect::<Result<Vec<Block>>>()?;
    let (x, target) = (data(&[rows, width])?, data(&[rows, width])?);
    let split = move |x: Tensor| x.reshape((batch, length, heads, size))?.transpose(1, 2)?.contiguous();
    Ok(Box::new(move || {
        let mut h = x.clone();
        for block in &blocks {
            let x = ops::layer_norm_slow(&h, &block.norms[0].0, &block.norms[0].1, 1e-5)?;
            let q = split(x.matmul(&block.query)?)?;
            let k = split(x.matmul(&block.key)?)?;
            let v = split(x.matmul(&block.value)?)?;
            let scores = (q.matmul(&k.transpose(2, 3)?)? / (size as f64).sqrt())?;
            let attended = ops::softmax(&scores, D::Minus1)?.matmul(&v)?;
            let attended = attended.transpose(1, 2)?.contiguous()?.reshape((rows, width))?;
            h = (h + attended.matmul(&block.out)?)?;
            let x = ops::layer_norm_slow(&h, &block.norms[1].0, &block.norms[1].1, 1e-5)?;
            h = (&h + block.down.of(&block.up.of(&x)?.gelu()?)?)?;
        }
        loss::mse(&h, &target)
    }))
}

/// A step: the gradient of the loss, and its update of every parameter.
fn step(loss: &Loss, params: &Parameters) -> Result<f32> {
    let value = loss()?;
    let gradients = value.backward()?;
    for var in &params.0 {
        let gradient = gradients.get(var).expect("the loss depends on every parameter");
        var.set(&(var.as_tensor() - (gradient * RATE)?)?)?;
    }
    value.to_scalar()
}

fn main() {
    gradc_peers::run(|model| {
        let mut params = Parameters::default();
        let loss = loss_of(model, &mut params).expect("the model can be made");
        Box::new(move || step(&loss, &params).expect("the step can be run"))
    });
}
