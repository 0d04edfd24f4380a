//! Linear regression by gradient descent with momentum: a step that is plain enough to trust.

use gradc_train::{Array, Batch, Dataset, ElementType, InputSpec, StepInput, TrainState, TrainStep};
use std::fmt;

/// `y = w·x + b` in `f32`, with a squared loss.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinearRegression {
    /// Two weights and the bias.
    pub(crate) parameters: [f32; 3],
    velocity: [f32; 3],
    metrics: Vec<String>,
    /// The step, from 0, at which the loss becomes NaN.
    pub(crate) spoilt_at: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct WrongState;

impl fmt::Display for WrongState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a state of linear regression")
    }
}

impl std::error::Error for WrongState {}

impl LinearRegression {
    pub(crate) fn new() -> Self {
        LinearRegression {
            parameters: [0.0; 3],
            velocity: [0.0; 3],
            metrics: vec!["accuracy".to_owned(), "mean_error".to_owned()],
            spoilt_at: None,
        }
    }

    /// Mean loss, share of errors below 0.1, mean error, gradient.
    fn judge(&self, batch: &Batch) -> (f32, [f64; 2], [f32; 3]) {
        let x = batch.input("x").and_then(Array::as_f32).unwrap();
        let y = batch.input("y").and_then(Array::as_f32).unwrap();
        assert_eq!((x.len(), y.len()), (2 * batch.examples(), batch.examples()));
        let [w0, w1, b] = self.parameters;
        let (mut loss, mut close, mut sum, mut gradient) = (0.0, 0, 0.0, [0.0; 3]);
        for (x, y) in x.chunks(2).zip(y) {
            let error = w0 * x[0] + w1 * x[1] + b - y;
            loss += error * error;
            close += u32::from(error.abs() < 0.1);
            sum += error;
            for (slot, value) in gradient.iter_mut().zip([x[0], x[1], 1.0]) {
                *slot += 2.0 * error * value;
            }
        }
        let n = y.len() as f32;
        (loss / n, [f64::from(close) / f64::from(n), f64::from(sum / n)], gradient.map(|slot| slot / n))
    }
}

impl TrainStep for LinearRegression {
    type Error = WrongState;

    fn metrics(&self) -> &[String] {
        &self.metrics
    }

    fn train_batch(&mut self, batch: &Batch, input: StepInput, metrics: &mut [f64]) -> Result<f64, WrongState> {
        let (loss, values, gradient) = self.judge(batch);
        metrics.copy_from_slice(&values);
        for ((parameter, velocity), slope) in self.parameters.iter_mut().zip(&mut self.velocity).zip(gradient) {
            *velocity = 0.9 * *velocity + slope;
            *parameter -= input.learning_rate as f32 * *velocity;
        }
        Ok(if self.spoilt_at == Some(input.step) { f64::NAN } else { loss.into() })
    }

    fn evaluate_batch(&mut self, batch: &Batch, metrics: &mut [f64]) -> Result<f64, WrongState> {
        let (loss, values, _) = self.judge(batch);
        metrics.copy_from_slice(&values);
        Ok(loss.into())
    }

    fn state(&self) -> TrainState {
        let array = |values: [f32; 3]| Array::from_vec(values.to_vec());
        TrainState {
            parameters: [("w".to_owned(), array(self.parameters))].into(),
            optimizer: [("velocity/w".to_owned(), array(self.velocity))].into(),
        }
    }

    fn restore(&mut self, state: &TrainState) -> Result<(), WrongState> {
        let get = |array: Option<&Array>| array.and_then(Array::as_f32)?.try_into().ok();
        self.parameters = get(state.parameters.get("w")).ok_or(WrongState)?;
        self.velocity = get(state.optimizer.get("velocity/w")).ok_or(WrongState)?;
        Ok(())
    }
}

/// `y = 2 x₀ − x₁ + 0.5`, at points that are spread without pattern.
pub(crate) fn dataset(examples: usize) -> Dataset {
    let point = |i: usize| [(i * 37 % 23) as f32 / 23.0 - 0.5, (i * 53 % 29) as f32 / 29.0 - 0.5];
    let x: Vec<f32> = (0..examples).flat_map(point).collect();
    let y: Vec<f32> = x.chunks(2).map(|x| 2.0 * x[0] - x[1] + 0.5).collect();
    let inputs = [InputSpec::new("x", ElementType::F32, vec![2]), InputSpec::new("y", ElementType::F32, vec![])];
    Dataset::from_arrays(&inputs, vec![Array::new(vec![examples, 2], x).unwrap(), Array::from_vec(y)]).unwrap()
}
