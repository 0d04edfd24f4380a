//! Predictions: what a network makes of examples, put together from batches.

use crate::array::{Array, Elements, ShapeText};
use crate::batches::Batch;
use crate::split::Examples;
use gradc::{About, Coded, Problems};
use gradc_diagnostics::{Code, codes};
use std::fmt;

/// A network whose outputs can be computed.
pub trait PredictStep {
    /// What can go wrong in a step.
    type Error: std::error::Error + 'static;

    /// The names of the outputs.
    fn outputs(&self) -> &[String];

    /// The outputs for a batch, in the order of their names, each with an axis of examples first.
    ///
    /// # Errors
    /// Where the step cannot be run.
    fn predict_batch(&mut self, batch: &Batch) -> Result<Vec<Array>, Self::Error>;
}

/// Why there are no predictions.
#[derive(Debug)]
pub enum PredictError<E> {
    /// A batch of no examples was asked for.
    EmptyBatch,
    /// The step failed.
    Step(E),
    /// An output that has not one row for each example.
    NotPerExample {
        /// The output.
        output: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The examples of the batch.
        examples: usize,
    },
}

impl<E: fmt::Display> fmt::Display for PredictError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PredictError::EmptyBatch => write!(f, "a batch must have at least one example"),
            PredictError::Step(error) => write!(f, "{error}"),
            PredictError::NotPerExample { output, shape, examples } => write!(
                f,
                "output `{output}` has the shape {}, which is not a row for each of {examples} examples",
                ShapeText(shape)
            ),
        }
    }
}

impl<E: std::error::Error> std::error::Error for PredictError<E> {}

impl<E: Coded> Coded for PredictError<E> {
    fn code(&self) -> Code {
        match self {
            PredictError::EmptyBatch => codes::EXAMPLE_COUNT,
            PredictError::Step(error) => error.code(),
            PredictError::NotPerExample { .. } => codes::NOT_PER_EXAMPLE,
        }
    }

    fn about(&self) -> Option<About<'_>> {
        match self {
            PredictError::EmptyBatch => None,
            PredictError::Step(error) => error.about(),
            PredictError::NotPerExample { output, .. } => Some(About::Output(output)),
        }
    }

    fn problems(&self) -> Option<&Problems> {
        match self {
            PredictError::Step(error) => error.problems(),
            _ => None,
        }
    }
}

/// The outputs of a network for examples, in the order of the examples: one array for each output.
///
/// # Errors
/// Where the batch size is 0, the step fails, or an output does not belong to single examples.
pub fn predict<S: PredictStep>(
    step: &mut S,
    examples: &Examples<'_>,
    batch_size: usize,
) -> Result<Vec<(String, Array)>, PredictError<S::Error>> {
    if batch_size == 0 {
        return Err(PredictError::EmptyBatch);
    }
    let mut batch = Batch::with_capacity(examples.dataset(), batch_size);
    let mut gathered: Vec<(Vec<usize>, Elements)> = Vec::new();
    for rows in examples.rows().chunks(batch_size) {
        batch.fill(examples.dataset(), rows);
        let outputs = step.predict_batch(&batch).map_err(PredictError::Step)?;
        for (index, (output, array)) in step.outputs().iter().zip(outputs).enumerate() {
            let (shape, elements) = array.into_parts();
            if !follows(&shape, &elements, gathered.get(index), rows.len()) {
                return Err(PredictError::NotPerExample { output: output.clone(), shape, examples: rows.len() });
            }
            match gathered.get_mut(index) {
                None => gathered.push((shape, elements)),
                Some((total, before)) => {
                    total[0] += rows.len();
                    before.append(&elements);
                }
            }
        }
    }
    let whole = |(shape, elements)| Array::new(shape, elements).expect("rows of one shape were put together");
    Ok(step.outputs().iter().cloned().zip(gathered.into_iter().map(whole)).collect())
}

/// Whether an output has one row for each example, like those of the batches before.
fn follows(shape: &[usize], elements: &Elements, before: Option<&(Vec<usize>, Elements)>, examples: usize) -> bool {
    shape.first() == Some(&examples)
        && before.is_none_or(|(first, gathered)| first[1..] == shape[1..] && gathered.dtype() == elements.dtype())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::ElementType;
    use crate::data::{Dataset, InputSpec};
    use std::convert::Infallible;

    /// Doubles its input; a scalar beside it if asked for.
    struct Doubling {
        outputs: Vec<String>,
        scalar: bool,
    }

    impl PredictStep for Doubling {
        type Error = Infallible;

        fn outputs(&self) -> &[String] {
            &self.outputs
        }

        fn predict_batch(&mut self, batch: &Batch) -> Result<Vec<Array>, Infallible> {
            let x = batch.input("x").unwrap();
            let doubled: Vec<f32> = x.as_f32().unwrap().iter().map(|value| 2.0 * value).collect();
            let ids: Vec<i32> = x.as_f32().unwrap().chunks(2).map(|row| row[0] as i32).collect();
            let second = if self.scalar { Array::new(vec![], vec![1_i32]).unwrap() } else { Array::from_vec(ids) };
            Ok(vec![Array::new(x.shape().to_vec(), doubled).unwrap(), second])
        }
    }

    fn run(scalar: bool, batch_size: usize) -> Result<Vec<(String, Array)>, PredictError<Infallible>> {
        let x = Array::new(vec![3, 2], vec![0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let dataset = Dataset::from_arrays(&[InputSpec::new("x", ElementType::F32, vec![2])], vec![x]).unwrap();
        let mut step = Doubling { outputs: vec!["doubled".to_owned(), "id".to_owned()], scalar };
        predict(&mut step, &Examples::all(&dataset), batch_size)
    }

    #[test]
    fn batches_are_put_together_in_order() {
        let expected = Array::new(vec![3, 2], vec![0.0_f32, 2.0, 4.0, 6.0, 8.0, 10.0]).unwrap();
        for batch_size in [1, 2, 3, 100] {
            let found = run(false, batch_size).unwrap();
            assert_eq!(found[0], ("doubled".to_owned(), expected.clone()), "batches of {batch_size}");
            assert_eq!(found[1], ("id".to_owned(), Array::from_vec(vec![0, 2, 4])));
        }
    }

    #[test]
    fn an_output_that_is_not_per_example_is_named() {
        let message = run(true, 2).unwrap_err().to_string();
        assert_eq!(message, "output `id` has the shape [], which is not a row for each of 2 examples");
        assert!(matches!(run(false, 0), Err(PredictError::EmptyBatch)));
    }
}
