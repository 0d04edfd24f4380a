//! Random networks: programs as people write them.
//!
//! [`random_graph`](crate::random_graph) is for what compiles any graph. This is for what knows networks (the prelude,
//! differentiation, simplification): blocks of layers from the prelude and textbook formulas, in an order and of sizes that
//! nobody chose.

use std::fmt::Write;

use crate::random::Random;

/// The sizes that axes have.
const EXTENTS: [usize; 9] = [1, 2, 3, 4, 5, 6, 7, 9, 17];

/// Functions of a tensor `#`, each element by itself, by their names in the prelude or as textbooks write them.
const ACTIVATIONS: [&str; 24] = [
    "relu(#)",
    "sigmoid(#)",
    "tanh(#)",
    "gelu(#)",
    "gelu_tanh(#)",
    "silu(#)",
    "softplus(#)",
    "elu(#)",
    "leaky_relu(#)",
    "mish(#)",
    "softsign(#)",
    "hard_swish(#)",
    "selu(#)",
    "log_sigmoid(#)",
    "square(#)",
    "1 / (1 + exp(-(#)))",
    "log(1 + exp(#))",
    "(#) * sigmoid(#)",
    "(exp(#) - exp(-(#))) / (exp(#) + exp(-(#)))",
    "2 * sigmoid(2 * (#)) - 1",
    "(#) / sqrt(1 + (#) * (#))",
    "max(#, 0) + 0.1 * min(#, 0)",
    "0.5 * (#) + 0.5 * abs(#)",
    "exp(-square(#))",
];

/// Normalisations of a tensor `#` of shape [batch, d], likewise.
const NORMS: [&str; 8] = [
    "layer_norm(#)",
    "rms_norm(#)",
    "batch_norm(#)",
    "normalise(#)",
    "(# - mean(#, axis = 1, keep = true)) / sqrt(mean(square(# - mean(#, axis = 1, keep = true)), axis = 1, keep = true) + 1e-5)",
    "(# - mean(#, axis = 0)) / sqrt(mean(square(# - mean(#, axis = 0)), axis = 0) + 1e-5)",
    "# / sqrt(mean(# * #, axis = 1, keep = true) + 1e-5)",
    "# / sqrt(sum(square(#), axis = 1, keep = true) + 1)",
];

/// Shares that add up to one, of a tensor `#`.
const SHARES: [&str; 3] = ["softmax(#)", "exp(#) / sum(exp(#), axis = 1, keep = true)", "exp(log_softmax(#))"];

/// Losses of a prediction `#` of shape [batch, 4].
const LOSSES: [&str; 14] = [
    "cross_entropy(#, label)",
    "cross_entropy(#, label, label_smoothing = 0.1)",
    "nll(log_softmax(#), label)",
    "-mean(sum(one_hot(label, 4) * log(softmax(#)), axis = 1))",
    "-sum(one_hot(label, 4) * log(exp(#) / sum(exp(#), axis = 1, keep = true))) / batch",
    "mean(logsumexp(#) - sum(one_hot(label, 4) * #, axis = 1))",
    "mse(#, target)",
    "0.5 * sum(square(# - target))",
    "huber(#, target)",
    "mae(#, target)",
    "bce_with_logits(#, chance)",
    "-mean(chance * log(sigmoid(#)) + (1 - chance) * log(1 - sigmoid(#)))",
    "kl_divergence(log_softmax(#), softmax(target))",
    "mean(square(sigmoid(#) - chance))",
];

/// A program with one model, which has a loss: the inputs `x: f32[batch, d]`, `label: i32[batch]` (ids below 4) and, of
/// shape [batch, 4], `target` (any numbers) and `chance` (from 0 to 1). Not all of them need to be used. The same text for
/// the same seed.
pub fn random_network(seed: u64) -> String {
    let mut writer = Writer { random: Random::new(seed ^ 0x6e65_7477), lines: String::new(), values: 0 };
    let (batch, width) = (writer.extent(), writer.extent());
    let value = match writer.random.below(5) {
        0 => writer.images(),
        1 => writer.sequences(),
        _ => ("x".to_owned(), width),
    };
    let value = writer.flat_blocks(value);
    let loss = writer.loss(&value.0);
    format!(
        "dim batch = {batch}\nmodel random_{seed} {{\n    input x: f32[batch, {width}]\n    input label: i32[batch]\n    \
         input target: f32[batch, 4]\n    input chance: f32[batch, 4]\n{}    loss {loss}\n}}\n",
        writer.lines
    )
}

/// A value and the extent of its last axis.
type Value = (String, usize);

struct Writer {
    random: Random,
    lines: String,
    values: usize,
}

impl Writer {
    fn extent(&mut self) -> usize {
        *self.random.pick(&EXTENTS)
    }

    /// Names the value of an expression.
    fn let_be(&mut self, expression: &str) -> String {
        let name = format!("h{}", self.values);
        self.values += 1;
        // A string takes whatever is written into it.
        let _ = writeln!(self.lines, "    let {name} = {expression}");
        name
    }

    /// An activation of a value that has a name.
    fn activation(&mut self, name: &str) -> String {
        self.random.pick(&ACTIVATIONS).replace('#', name)
    }

    fn normed(&mut self, name: &str) -> String {
        let norm = self.random.pick(&NORMS).replace('#', name);
        self.let_be(&norm)
    }

    fn activated(&mut self, expression: &str) -> String {
        let name = self.let_be(expression);
        let activation = self.activation(&name);
        self.let_be(&activation)
    }

    /// One to three blocks on [batch, d].
    fn flat_blocks(&mut self, mut value: Value) -> Value {
        for _ in 0..1 + self.random.below(3) {
            value = self.flat_block(value);
        }
        value
    }

    fn flat_block(&mut self, (h, d): Value) -> Value {
        let units = self.extent();
        let name = match self.random.below(11) {
            0..=2 => return (self.activated(&format!("dense({h}, {units})")), units),
            3 => {
                let inner = self.activated(&format!("dense({h}, {units})"));
                self.let_be(&format!("{h} + dense({inner}, {d})"))
            }
            4 => {
                let normed = self.normed(&h);
                let inner = self.activated(&format!("dense({normed}, {units})"));
                self.let_be(&format!("{h} + dense({inner}, {d})"))
            }
            5 => self.normed(&h),
            6 => return (self.let_be(&format!("glu(dense({h}, {}))", 2 * units)), units),
            7 => {
                let gate = self.let_be(&format!("sigmoid(dense({h}, {d}))"));
                let other = self.activated(&format!("dense({h}, {d})"));
                self.let_be(&format!("{gate} * {h} + (1 - {gate}) * {other}"))
            }
            8 => self.let_be(&format!("dropout({h}, 0.25)")),
            9 => {
                // One layer, applied twice.
                let layer = self.let_be(&format!("dense(_, {d})"));
                let once = self.activated(&format!("{layer}({h})"));
                let twice = self.activated(&format!("{layer}({once})"));
                self.let_be(&format!("{once} + {twice}"))
            }
            _ => {
                // A mixture of two experts.
                let scores = self.let_be(&format!("dense({h}, 2)"));
                let shares = self.random.pick(&SHARES).replace('#', &scores);
                let gates = self.let_be(&shares);
                let first = self.activated(&format!("dense({h}, {d})"));
                let second = self.activated(&format!("dense({h}, {d})"));
                self.let_be(&format!("{gates}[:, 0:1] * {first} + {gates}[:, 1:2] * {second}"))
            }
        };
        (name, d)
    }

    /// From `x` through images to [batch, d].
    fn images(&mut self) -> Value {
        let (side, channels, filters) = (4 + self.random.below(4), 1 + self.random.below(3), 1 + self.random.below(4));
        let pixels = self.let_be(&format!("dense(x, {})", side * side * channels));
        let image = self.let_be(&format!("reshape({pixels}, [batch, {side}, {side}, {channels}])"));
        let padding = self.random.below(2);
        let convolved = self.activated(&format!("conv2d({image}, {filters}, 3, padding = {padding})"));
        let normed = if self.random.chance(0.5) { self.let_be(&format!("batch_norm({convolved})")) } else { convolved };
        let pool = *self.random.pick(&["max_pool2d", "avg_pool2d"]);
        let pooled = self.let_be(&format!("{pool}({normed}, 2)"));
        let rest = (side - 2 + 2 * padding) / 2;
        (self.let_be(&format!("reshape({pooled}, [batch, {}])", rest * rest * filters)), rest * rest * filters)
    }

    /// From `x` through sequences to [batch, d].
    fn sequences(&mut self) -> Value {
        let (time, size) = (1 + self.random.below(5), 2 * (1 + self.random.below(3)));
        let flat = self.let_be(&format!("dense(x, {})", time * size));
        let mut sequence = self.let_be(&format!("reshape({flat}, [batch, {time}, {size}])"));
        sequence = match self.random.below(5) {
            0 => self.let_be(&format!("{sequence} + multi_head_attention(layer_norm({sequence}), 2, causal = true)")),
            1 => self.let_be(&format!("layer_norm({sequence} + attention({sequence}, {sequence}, {sequence}))")),
            2 => {
                let inner = self.activated(&format!("dense(rms_norm({sequence}), 7)"));
                self.let_be(&format!("{sequence} + dense({inner}, {size})"))
            }
            3 => self.let_be(&format!("gru({sequence}, {size})")),
            _ => self.let_be(&format!("lstm({sequence}, {size})")),
        };
        let end = if self.random.chance(0.5) {
            format!("mean({sequence}, axis = 1)")
        } else {
            format!("{sequence}[:, {}]", time - 1)
        };
        (self.let_be(&end), size)
    }

    /// The loss of a value of [batch, d].
    fn loss(&mut self, value: &str) -> String {
        let prediction = self.let_be(&format!("dense({value}, 4)"));
        let loss = self.random.pick(&LOSSES).replace('#', &prediction);
        let penalty =
            if self.random.chance(0.2) { format!(" + 1e-3 * sum(square({prediction}))") } else { String::new() };
        loss + &penalty
    }
}
