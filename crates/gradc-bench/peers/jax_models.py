"""The models of examples/suite in JAX: one complete training step (loss, gradient, SGD), compiled as one program.

    pip install jax numpy
    python jax_models.py MODEL [SECONDS] [--forward] [--batch N]

Prints a JSON object: the median and the least time of a step in microseconds, the time to compile it in milliseconds, and the
bytes that it needs at once, as the compiler says: arguments, results and what is between.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import common

RATE = 1e-3
random = np.random.RandomState(0)


def normal(*shape, scale=None):
    scale = 1 / np.sqrt(shape[0]) if scale is None else scale
    return jnp.asarray((random.randn(*shape) * scale).astype(np.float32))


def zeros(*shape):
    return jnp.zeros(shape, jnp.float32)


def labels(batch, classes):
    return jnp.asarray(random.randint(0, classes, batch).astype(np.int32))


def dense(inputs, outputs):
    return normal(inputs, outputs), zeros(outputs)


def cross_entropy(logits, label):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], 1))


def mse(output, target):
    return jnp.mean(jnp.square(output - target))


def classifier(widths, batch, activation):
    params = [dense(a, b) for a, b in zip(widths, widths[1:])]

    def outputs(params, x):
        for w, b in params[:-1]:
            x = activation(x @ w + b)
        w, b = params[-1]
        return x @ w + b

    return outputs, cross_entropy, params, (normal(batch, widths[0], scale=1.0), labels(batch, widths[-1]))


def regressor(widths, batch, activation):
    params = [dense(a, b) for a, b in zip(widths, widths[1:])]

    def outputs(params, x):
        for w, b in params:
            x = activation(x @ w + b)
        return x

    return outputs, mse, params, (normal(batch, widths[0], scale=1.0), normal(batch, widths[-1], scale=1.0))


def residual(blocks, width, batch):
    params = [(*dense(width, width), *dense(width, width)) for _ in range(blocks)]

    def outputs(params, x):
        for w1, b1, w2, b2 in params:
            x = x + jax.nn.relu(x @ w1 + b1) @ w2 + b2
        return x

    return outputs, mse, params, (normal(batch, width, scale=1.0), normal(batch, width, scale=1.0))


def elementwise(count):
    params = [normal(count, scale=1.0), normal(count, scale=1.0)]

    def outputs(params, x):
        a, b = params
        h = jax.nn.sigmoid(a * x + b)
        h = jnp.tanh(h * x) + x
        return jax.nn.gelu(h, approximate=True) * a

    return outputs, mse, params, (normal(count, scale=1.0), normal(count, scale=1.0))


def layer_norm(x, scale, bias):
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-5) * scale + bias


def transformer(blocks, batch, length, width, heads):
    def block():
        norms = dict(scale1=jnp.ones(width), bias1=zeros(width), scale2=jnp.ones(width), bias2=zeros(width))
        attention = {name: normal(width, width) for name in ("query", "key", "value", "out")}
        return norms | attention | dict(up=dense(width, 4 * width), down=dense(4 * width, width))

    params = [block() for _ in range(blocks)]
    size = width // heads

    def outputs(params, h):
        for p in params:
            x = layer_norm(h, p["scale1"], p["bias1"])
            q, k, v = ((x @ p[name]).reshape(batch, length, heads, size).transpose(0, 2, 1, 3) for name in ("query", "key", "value"))
            weights = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(size), -1)
            h = h + (weights @ v).transpose(0, 2, 1, 3).reshape(batch, length, width) @ p["out"]
            x = layer_norm(h, p["scale2"], p["bias2"])
            (w1, b1), (w2, b2) = p["up"], p["down"]
            h = h + jax.nn.gelu(x @ w1 + b1, approximate=True) @ w2 + b2
        return h

    shape = (batch, length, width)
    return outputs, mse, params, (normal(*shape, scale=1.0), normal(*shape, scale=1.0))


def lstm(length, batch, inputs, hidden):
    params = dict(x=normal(inputs, 4 * hidden), h=normal(hidden, 4 * hidden), bias=zeros(4 * hidden), out=dense(hidden, 10))

    def outputs(params, xs):
        def step(carry, x):
            h, c = carry
            i, f, o, u = jnp.split(x @ params["x"] + h @ params["h"] + params["bias"], 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(u)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        start = (zeros(batch, hidden), zeros(batch, hidden))
        (h, _), _ = lax.scan(step, start, xs)
        w, b = params["out"]
        return h @ w + b

    return outputs, cross_entropy, params, (normal(length, batch, inputs, scale=1.0), labels(batch, 10))


def lenet(batch):
    params = dict(
        conv1=(normal(8, 1, 5, 5, scale=0.2), zeros(8)),
        conv2=(normal(16, 8, 5, 5, scale=0.07), zeros(16)),
        dense1=dense(256, 128),
        dense2=dense(128, 10),
    )

    def stage(x, w, b):
        x = jax.nn.relu(lax.conv_general_dilated(x, w, (1, 1), "VALID") + b[:, None, None])
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def outputs(params, x):
        x = stage(stage(x, *params["conv1"]), *params["conv2"]).reshape(batch, -1)
        (w1, b1), (w2, b2) = params["dense1"], params["dense2"]
        return jax.nn.relu(x @ w1 + b1) @ w2 + b2

    return outputs, cross_entropy, params, (normal(batch, 1, 28, 28, scale=1.0), labels(batch, 10))


# Each for a batch of the size that it is given, or of the suite's.
MODELS = {
    "mlp_tiny": lambda batch=16: classifier([16, 32, 32, 4], batch, jnp.tanh),
    "mlp_small": lambda batch=32: classifier([64, 64, 64, 10], batch, jnp.tanh),
    "mlp_mnist": lambda batch=128: classifier([784, 512, 256, 10], batch, jax.nn.relu),
    "mlp_wide": lambda batch=256: regressor([1024] * 5, batch, jax.nn.relu),
    "deep_sigmoid": lambda batch=64: regressor([128] * 21, batch, jax.nn.sigmoid),
    "residual32": lambda batch=64: residual(32, 128, batch),
    "ewise1m": lambda: elementwise(1 << 20),
    "transformer2": lambda batch=8: transformer(2, batch, 64, 128, 4),
    "lstm32": lambda batch=32: lstm(32, batch, 64, 128),
    "lenet": lambda batch=64: lenet(batch),
}


def main():
    options = common.arguments(__doc__)
    outputs, loss, params, (x, target) = common.build(MODELS, options)

    def step(params, x, target):
        value, gradient = jax.value_and_grad(lambda params: loss(outputs(params, x), target))(params)
        return value, jax.tree.map(lambda p, g: p - RATE * g, params, gradient)

    def run_step():
        nonlocal params
        value, params = compiled(params, x, target)
        jax.block_until_ready((value, params))

    def run_outputs():
        jax.block_until_ready(compiled(params, x))

    program, inputs = (jax.jit(outputs), (params, x)) if options.forward else (jax.jit(step, donate_argnums=0), (params, x, target))
    began = time.perf_counter()
    compiled = program.lower(*inputs).compile()
    compile_seconds = time.perf_counter() - began
    memory = compiled.memory_analysis()
    # Results are in the memory of donated parameters, as far as these are of the same size.
    peak = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes + memory.temp_size_in_bytes
    times = common.timed(run_outputs if options.forward else run_step, options.seconds)
    common.report(options, **times, compile_ms=1e3 * compile_seconds, peak_bytes=peak)


main()
