//! What the peers in Rust have in common: the suite's models as a list of what they are made of, their arguments, the clock, and
//! what they print.

use std::time::{Duration, Instant};

/// Rate of plain gradient descent.
pub const RATE: f64 = 1e-3;

/// A model of the suite. A batch of data has the suite's size, or that which is asked for.
#[derive(Debug, Clone)]
pub enum Model {
    /// Dense layers; the loss is a cross-entropy, and the last layer has no activation.
    Classifier { widths: Vec<usize>, batch: usize, activation: Activation },
    /// Dense layers, each with the activation; the loss is the mean of squared errors, as for all that do not classify.
    Regressor { widths: Vec<usize>, batch: usize, activation: Activation },
    /// `x + dense(relu(dense(x)))`, many times.
    Residual { blocks: usize, width: usize, batch: usize },
    /// A chain of sigmoid, tanh and gelu.
    Elementwise { count: usize },
    /// Blocks of attention and two dense layers, each after a layer norm and with its input added.
    Transformer { blocks: usize, batch: usize, length: usize, width: usize, heads: usize },
    /// An LSTM whose last state is classified.
    Lstm { length: usize, batch: usize, inputs: usize, hidden: usize, classes: usize },
    /// Two convolutions with max pooling, and two dense layers.
    Lenet { batch: usize },
}

/// What follows a dense layer.
#[derive(Debug, Clone, Copy)]
pub enum Activation {
    /// Hyperbolic tangent.
    Tanh,
    /// Rectifier.
    Relu,
    /// Logistic function.
    Sigmoid,
}

impl Model {
    /// The model of the suite that is called so.
    fn named(name: &str, batch: Option<usize>) -> Option<Model> {
        let of = |size| batch.unwrap_or(size);
        Some(match name {
            "mlp_tiny" => {
                Model::Classifier { widths: vec![16, 32, 32, 4], batch: of(16), activation: Activation::Tanh }
            }
            "mlp_small" => {
                Model::Classifier { widths: vec![64, 64, 64, 10], batch: of(32), activation: Activation::Tanh }
            }
            "mlp_mnist" => {
                Model::Classifier { widths: vec![784, 512, 256, 10], batch: of(128), activation: Activation::Relu }
            }
            "mlp_wide" => Model::Regressor { widths: vec![1024; 5], batch: of(256), activation: Activation::Relu },
            "deep_sigmoid" => {
                Model::Regressor { widths: vec![128; 21], batch: of(64), activation: Activation::Sigmoid }
            }
            "residual32" => Model::Residual { blocks: 32, width: 128, batch: of(64) },
            "ewise1m" => Model::Elementwise { count: 1 << 20 },
            "transformer2" => Model::Transformer { blocks: 2, batch: of(8), length: 64, width: 128, heads: 4 },
            "lstm32" => Model::Lstm { length: 32, batch: of(32), inputs: 64, hidden: 128, classes: 10 },
            "lenet" => Model::Lenet { batch: of(64) },
            _ => return None,
        })
    }
}

/// Labels that differ from row to row.
pub fn labels(batch: usize, classes: usize) -> Vec<u32> {
    (0..batch).map(|row| ((7 * row + row / 3) % classes) as u32).collect()
}

/// Reads `MODEL [SECONDS] [--batch N]`, has a training step made for the model, times it, and prints a JSON object: the median and
/// the least time of a step in microseconds, and the loss after the steps.
pub fn run(make: impl FnOnce(&Model) -> Box<dyn FnMut() -> f32>) {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let batch = arguments.iter().position(|argument| argument == "--batch").map(|at| {
        let size = arguments.get(at + 1).and_then(|size| size.parse().ok()).unwrap_or_else(|| usage());
        arguments.drain(at..at + 2);
        size
    });
    let name = arguments.first().cloned().unwrap_or_else(|| usage());
    let seconds = arguments.get(1).map_or(2.0, |seconds| seconds.parse().unwrap_or_else(|_| usage()));
    let model = Model::named(&name, batch).unwrap_or_else(|| usage());
    let mut step = make(&model);
    let mut loss = 0.0;
    for _ in 0..4 {
        loss = step();
    }
    let (mut times, began) = (Vec::new(), Instant::now());
    while began.elapsed().as_secs_f64() < seconds || times.len() < 5 {
        let start = Instant::now();
        loss = step();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
    let report = serde_json::json!({
        "model": name,
        "step_us": microseconds(times[times.len() / 2]),
        "min_us": microseconds(times[0]),
        "loss": loss,
    });
    println!("{report}");
}

fn usage() -> ! {
    eprintln!("MODEL [SECONDS] [--batch N], where MODEL is one of examples/suite");
    std::process::exit(2)
}
