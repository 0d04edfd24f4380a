"""The models of examples/suite in JAX: one complete training step (loss, gradient, SGD), compiled as one program.

    pip install jax numpy
    python jax_models.py MODEL [SECONDS]

Prints a JSON object: the median and the least time of a step in microseconds, and the time to compile it in milliseconds.
"""

import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

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

    def loss(params, x, label):
        for w, b in params[:-1]:
            x = activation(x @ w + b)
        w, b = params[-1]
        return cross_entropy(x @ w + b, label)

    return loss, params, (normal(batch, widths[0], scale=1.0), labels(batch, widths[-1]))


def regressor(widths, batch, activation):
    params = [dense(a, b) for a, b in zip(widths, widths[1:])]

    def loss(params, x, target):
        for w, b in params:
            x = activation(x @ w + b)
        return mse(x, target)

    return loss, params, (normal(batch, widths[0], scale=1.0), normal(batch, widths[-1], scale=1.0))


def residual(blocks, width, batch):
    params = [(*dense(width, width), *dense(width, width)) for _ in range(blocks)]

    def loss(params, x, target):
        for w1, b1, w2, b2 in params:
            x = x + jax.nn.relu(x @ w1 + b1) @ w2 + b2
        return mse(x, target)

    return loss, params, (normal(batch, width, scale=1.0), normal(batch, width, scale=1.0))


def elementwise(count):
    params = [normal(count, scale=1.0), normal(count, scale=1.0)]

    def loss(params, x, target):
        a, b = params
        h = jax.nn.sigmoid(a * x + b)
        h = jnp.tanh(h * x) + x
        return mse(jax.nn.gelu(h, approximate=True) * a, target)

    return loss, params, (normal(count, scale=1.0), normal(count, scale=1.0))


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

    def loss(params, h, target):
        for p in params:
            x = layer_norm(h, p["scale1"], p["bias1"])
            q, k, v = ((x @ p[name]).reshape(batch, length, heads, size).transpose(0, 2, 1, 3) for name in ("query", "key", "value"))
            weights = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(size), -1)
            h = h + (weights @ v).transpose(0, 2, 1, 3).reshape(batch, length, width) @ p["out"]
            x = layer_norm(h, p["scale2"], p["bias2"])
            (w1, b1), (w2, b2) = p["up"], p["down"]
            h = h + jax.nn.gelu(x @ w1 + b1, approximate=True) @ w2 + b2
        return mse(h, target)

    shape = (batch, length, width)
    return loss, params, (normal(*shape, scale=1.0), normal(*shape, scale=1.0))


def lstm(length, batch, inputs, hidden):
    params = dict(x=normal(inputs, 4 * hidden), h=normal(hidden, 4 * hidden), bias=zeros(4 * hidden), out=dense(hidden, 10))

    def loss(params, xs, label):
        def step(carry, x):
            h, c = carry
            i, f, o, u = jnp.split(x @ params["x"] + h @ params["h"] + params["bias"], 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(u)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        start = (zeros(batch, hidden), zeros(batch, hidden))
        (h, _), _ = lax.scan(step, start, xs)
        w, b = params["out"]
        return cross_entropy(h @ w + b, label)

    return loss, params, (normal(length, batch, inputs, scale=1.0), labels(batch, 10))


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

    def loss(params, x, label):
        x = stage(stage(x, *params["conv1"]), *params["conv2"]).reshape(batch, -1)
        (w1, b1), (w2, b2) = params["dense1"], params["dense2"]
        return cross_entropy(jax.nn.relu(x @ w1 + b1) @ w2 + b2, label)

    return loss, params, (normal(batch, 1, 28, 28, scale=1.0), labels(batch, 10))


MODELS = {
    "mlp_tiny": lambda: classifier([16, 32, 32, 4], 16, jnp.tanh),
    "mlp_small": lambda: classifier([64, 64, 64, 10], 32, jnp.tanh),
    "mlp_mnist": lambda: classifier([784, 512, 256, 10], 128, jax.nn.relu),
    "mlp_wide": lambda: regressor([1024] * 5, 256, jax.nn.relu),
    "deep_sigmoid": lambda: regressor([128] * 21, 64, jax.nn.sigmoid),
    "residual32": lambda: residual(32, 128, 64),
    "ewise1m": lambda: elementwise(1 << 20),
    "transformer2": lambda: transformer(2, 8, 64, 128, 4),
    "lstm32": lambda: lstm(32, 32, 64, 128),
    "lenet": lambda: lenet(64),
}


def main():
    model, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 2.0
    loss, params, data = MODELS[model]()

    def step(params, *data):
        value, gradient = jax.value_and_grad(loss)(params, *data)
        return value, jax.tree.map(lambda p, g: p - RATE * g, params, gradient)

    began = time.perf_counter()
    compiled = jax.jit(step, donate_argnums=0).lower(params, *data).compile()
    compile_seconds = time.perf_counter() - began
    for _ in range(3):
        value, params = compiled(params, *data)
    jax.block_until_ready(params)
    times, began = [], time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < 5:
        start = time.perf_counter()
        value, params = compiled(params, *data)
        jax.block_until_ready((value, params))
        times.append(time.perf_counter() - start)
    report = dict(model=model, step_us=1e6 * float(np.median(times)), min_us=1e6 * min(times), compile_ms=1e3 * compile_seconds)
    print(json.dumps(report))


main()
