//! Jacobians, a row or a column a run.

use gradc_ir::{Role, Shape, TensorType};

use crate::error::Error;
use crate::executable::Executable;
use crate::memory;
use crate::pipeline::{Goal, Options};
use crate::program::Model;
use crate::state::State;
use crate::{Tensor, TensorView};

/// How a Jacobian is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JacobianBy {
    /// In reverse mode, one run for each element of what is differentiated: for few results.
    Rows,
    /// In forward mode, one run for each element of what it is differentiated by: for few inputs.
    Columns,
}

impl Model {
    /// The Jacobian of an output, the loss (`loss`) or a named value by a parameter, input or named value, at `inputs`: a
    /// tensor with the axes of the one and then those of the other.
    ///
    /// # Errors
    /// Where there is nothing of these names, inputs or state do not fit, or there is not enough memory.
    pub fn jacobian(
        &self,
        of: &str,
        wrt: &str,
        by: JacobianBy,
        options: &Options,
        state: &mut State,
        inputs: &[(&str, TensorView<'_>)],
    ) -> Result<Tensor, Error> {
        let names = |name: &str| vec![name.to_owned()];
        let (goal, prefix, role, result) = match by {
            JacobianBy::Rows => (Goal::Vjp { of: names(of), wrt: names(wrt) }, "d_", Role::Gradient, wrt),
            JacobianBy::Columns => (Goal::Jvp { of: names(of), wrt: names(wrt) }, "t_", Role::Tangent, of),
        };
        let mut executable = self.compile(&goal, options)?;
        let (seed, seed_type) = seed(self, &executable, prefix);
        let result_type = executable.result(role, result).map_or_else(|| seed_type.clone(), |tensor| tensor.ty());
        let (rows, columns) = match by {
            JacobianBy::Rows => (&seed_type, &result_type),
            JacobianBy::Columns => (&result_type, &seed_type),
        };
        let shape: Shape = rows.shape.iter().chain(columns.shape.iter()).copied().collect();
        let (height, width) = (rows.shape.elements(), columns.shape.elements());
        let elements = height.saturating_mul(width);
        memory::ensure(elements.saturating_mul(size_of::<f64>()))?;
        let mut jacobian = vec![0.0; elements];
        for number in 0..seed_type.shape.elements() {
            let one = (0..seed_type.shape.elements()).map(|i| f64::from(u8::from(i == number)));
            let Some(one) = Tensor::from_numbers(&seed_type, one) else { continue };
            let mut given: Vec<(&str, TensorView<'_>)> =
                inputs.iter().map(|(name, view)| (*name, view.view())).collect();
            // A linear function's derivative does not depend on what it is taken of, and needs no seed where it is zero.
            given.extend(seed.as_deref().map(|seed| (seed, one.view())));
            executable.run(state, &given)?;
            let Some(found) = executable.result(role, result) else { continue };
            for (i, value) in found.numbers().into_iter().enumerate() {
                let at = match by {
                    JacobianBy::Rows => number * width + i,
                    JacobianBy::Columns => i * width + number,
                };
                jacobian[at] = value;
            }
        }
        let ty = TensorType::new(result_type.dtype, shape);
        Ok(Tensor::from_numbers(&ty, jacobian).unwrap_or_else(|| unreachable!("it has as many numbers as {ty}")))
    }
}

/// The input that the derivative is seeded by: the one that the model does not have. Its type.
fn seed(model: &Model, executable: &Executable, prefix: &str) -> (Option<String>, TensorType) {
    let known: Vec<&str> = model.inputs().map(|(name, _)| name).collect();
    let graph = executable.graph();
    let added = graph.leaves(gradc_ir::LeafKind::Input).find_map(|leaf| {
        let name = graph.value_name(leaf)?;
        let is_seed = name.starts_with(prefix) && !known.contains(&&**name);
        is_seed.then(|| (Some(name.to_string()), graph.ty(leaf).clone()))
    });
    added.unwrap_or_else(|| unreachable!("every derivative is seeded by an input"))
}
