//! What is checked, and how closely.

/// What is checked, and how closely.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What every random number is derived from.
    pub seed: u64,
    /// The largest relative error between the gradient and a finite difference that is no failure.
    pub tolerance: f64,
    /// How far the first finite difference moves. Where it does not agree, shorter and longer steps are tried.
    pub step: f64,
    /// Along how many random directions each parameter is moved.
    pub directions: usize,
    /// Up to how many elements a parameter is moved along each of them, instead of along random directions.
    pub small: usize,
    /// Names of inputs and of named values by which the derivative is checked too.
    pub wrt: Vec<String>,
    /// Whether second derivatives are checked.
    pub second_order: bool,
    /// Whether it is a failure that a derivative rule of the program's own is not the derivative of what is computed.
    pub check_custom: bool,
    /// How the optimised gradient is compiled, and of which phase the model is: of training, unless it says otherwise. The
    /// element type is always `f64`.
    pub compile: gradc::Options,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 0,
            tolerance: 1e-6,
            step: 1e-5,
            directions: 3,
            small: 32,
            wrt: Vec::new(),
            second_order: false,
            check_custom: false,
            compile: gradc::Options::default(),
        }
    }
}
