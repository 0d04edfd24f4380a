//! A network inside an ordinary Rust program: it is compiled, trained on arrays, and used for another number of examples
//! than it was trained with. Nothing else is installed, linked or started.
//!
//! ```text
//! cargo run -p embed                 with the digits of this repository
//! cargo run -p embed -- DATA.npz         with others: `pixels` f32[n, 64] and `label` i32[n]
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gradc::{Options, Program};
use gradc_train::data::{self, InputSpec, LoadOptions};
use gradc_train::{DataError, ElementType};
use ndarray::{Array1, Array2, Axis, s};

/// The network is a part of the program, as its shaders or queries may be.
const NETWORK: &str = include_str!("embed.net");

const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/digits.npz");
const EPOCHS: usize = 20;

fn main() -> ExitCode {
    let path = std::env::args_os().nth(1).map_or_else(|| PathBuf::from(DIGITS), PathBuf::from);
    match run(&path) {
        Ok(()) => ExitCode::SUCCESS,
        // What is wrong with the network, the data or an input comes here as a value, and reads well as it is.
        Err(error) => {
            eprintln!("embed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &Path) -> Result<(), Box<dyn Error>> {
    let images = Images::load(path)?;
    let (train, test) = images.hold_out();
    println!("{} images to learn from, {} held out", train.len(), test.len());

    // 1. From text to machine code. Forward pass, backward pass and optimiser are compiled into one step, which holds
    //    the parameters and works on as many images at once as the network says.
    let model = Program::from_source("embed.net", NETWORK)?.only_model()?;
    let batch = model.batch_dim().map_or(1, |dim| dim.value);
    let mut step = model.compile_training(&Options::default())?;

    // 2. Inputs are views of arrays, of any memory layout: slices are not copied. Images that do not fill a batch would
    //    need a step compiled for their number; here they are left out.
    for epoch in 1..=EPOCHS {
        let mut losses = Vec::new();
        for start in (0..=train.len().saturating_sub(batch)).step_by(batch) {
            let rows = s![start..start + batch, ..];
            let labels = s![start..start + batch];
            losses.push(
                step.run(&[("pixels", train.pixels.slice(rows).into()), ("label", train.label.slice(labels).into())])?,
            );
        }
        println!("epoch {epoch:>2}  loss {:.4}", losses.iter().sum::<f64>() / losses.len() as f64);
    }

    // 3. The same model for another batch size. Without the loss there is no need for labels. The parameters are taken
    //    over by name, so that training could go on while this answers questions.
    let mut inference = model.bind("batch", test.len())?.compile_inference(&Options::default())?;
    inference.load(step.state());
    inference.run(&[("pixels", (&test.pixels).into())])?;

    // 4. Results are arrays again, with the names of the network.
    let p = inference.output("p").ok_or("the network has no output `p`")?.numbers();
    let p = Array2::from_shape_vec((test.len(), 10), p)?;
    let right = p.axis_iter(Axis(0)).zip(&test.label).filter(|(p, label)| most_likely(p.iter()) == **label);
    println!("accuracy {:.4} on the images held out", right.count() as f64 / test.len() as f64);
    Ok(())
}

/// The class with the highest probability.
fn most_likely<'a>(p: impl Iterator<Item = &'a f64>) -> i32 {
    (0..).zip(p).max_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(class, _)| class)
}

/// Images and what is on them: plain arrays, however a program comes by them.
struct Images {
    pixels: Array2<f32>,
    label: Array1<i32>,
}

impl Images {
    /// Reads them with the loader of `gradc train`, which checks types, shapes and the range of the labels.
    fn load(path: &Path) -> Result<Images, DataError> {
        let inputs = [
            InputSpec::new("pixels", ElementType::F32, vec![64]),
            InputSpec::new("label", ElementType::I32, vec![]).below(10),
        ];
        let examples = data::load(path, &inputs, &LoadOptions::default())?.train;
        let pixels = examples.column("pixels").and_then(|column| column.as_f32()).unwrap_or_default();
        let label = examples.column("label").and_then(|column| column.as_i32()).unwrap_or_default();
        let pixel = |(image, pixel): (usize, usize)| pixels[image * 64 + pixel];
        Ok(Images { pixels: Array2::from_shape_fn((label.len(), 64), pixel), label: Array1::from(label.to_vec()) })
    }

    fn len(&self) -> usize {
        self.label.len()
    }

    /// The images to learn from, and every sixth, which is held out.
    fn hold_out(&self) -> (Images, Images) {
        let (test, train): (Vec<usize>, Vec<usize>) = (0..self.len()).partition(|image| image % 6 == 5);
        (self.select(&train), self.select(&test))
    }

    fn select(&self, images: &[usize]) -> Images {
        Images { pixels: self.pixels.select(Axis(0), images), label: self.label.select(Axis(0), images) }
    }
}
