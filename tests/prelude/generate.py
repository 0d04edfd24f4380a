"""Writes prelude.safetensors: what JAX says about the functions of the prelude, in double precision.

    pip install jax==0.10.2 numpy==2.4.6 safetensors==0.8.0
    python tests/prelude/generate.py

A case is an expression of the language over inputs a, b, …, and the same in JAX. The file has the inputs, the value, and the
derivative of sum(w * value) by every float input and every parameter.
"""

import json
import os
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp
import jax.nn as jnn
import numpy as np
from jax.scipy.special import logsumexp
from safetensors.numpy import save_file

jax.config.update("jax_enable_x64", True)

HERE = Path(__file__).resolve().parent
RNG = np.random.default_rng(20260101)
CASES = []


def normal(*shape, scale=1.0):
    # Numbers that f32 holds exactly, so that the test in single precision begins with the same.
    return (RNG.normal(size=shape) * scale).astype(np.float32).astype(np.float64)


def ids(n, *shape):
    return RNG.integers(0, n, size=shape).astype(np.int32)


def truth(*shape):
    return (RNG.random(size=shape) < 0.6).astype(np.bool_)


def case(name, expression, function, *inputs, phase="inference", params=None):
    """`function` takes the inputs, and the parameters by name if there are any."""
    CASES.append((name, expression, function, inputs, phase, params or {}))


# --- Reductions -------------------------------------------------------------------------------------------------------

for tag, shape in [("one", (1,)), ("vector", (17,)), ("matrix", (3, 17)), ("cube", (2, 3, 5))]:
    x = normal(*shape)
    axes = sorted({0, len(shape) - 1})
    case(f"mean.{tag}", f"mean(a, axis = {axes})", lambda a, axes=axes: a.mean(tuple(axes)), x)
    case(f"variance.{tag}", f"variance(a, axis = {axes}, keep = true)", lambda a, axes=axes: a.var(tuple(axes), keepdims=True), x)
    case(f"logsumexp.{tag}", f"logsumexp(a, axis = {axes})", lambda a, axes=axes: logsumexp(a, axis=tuple(axes)), x)
    case(f"softmax.{tag}", f"softmax(a, axis = {axes})", lambda a, axes=axes: jnn.softmax(a, axis=tuple(axes)), x)
    case(f"log_softmax.{tag}", f"log_softmax(a, axis = {axes})", lambda a, axes=axes: jnn.log_softmax(a, axis=tuple(axes)), x)
    for axis in axes:
        case(f"cumsum.{tag}.{axis}", f"cumsum(a, axis = {axis})", lambda a, axis=axis: jnp.cumsum(a, axis), x)
        case(f"cumsum_back.{tag}.{axis}", f"cumsum(a, {axis}, reverse = true)",
             lambda a, axis=axis: jnp.flip(jnp.cumsum(jnp.flip(a, axis), axis), axis), x)
        case(f"argmax.{tag}.{axis}", f"argmax(a, axis = {axis})", lambda a, axis=axis: jnp.argmax(a, axis), x)
        case(f"argmin.{tag}.{axis}", f"argmin(a, axis = {axis}, keep = true)", lambda a, axis=axis: jnp.argmin(a, axis, keepdims=True), x)
x = normal(3, 17)
case("variance.unbiased", "variance(a, axis = 1, correction = 1)", lambda a: a.var(1, ddof=1), x)
case("variance.far", "variance(a + 100, axis = 0)", lambda a: (a + 100).var(0), x)
case("std", "std(a, axis = -1)", lambda a: a.std(-1), x)
case("norm", "norm(a, axis = 0)", lambda a: jnp.sqrt((a * a).sum(0)), x)
case("norm.1", "norm(a, axis = 0, order = 1)", lambda a: abs(a).sum(0), x)
case("norm.3", "norm(a, axis = 1, order = 3)", lambda a: (abs(a) ** 3).sum(1) ** (1 / 3), x)
case("norm.max", "norm(a, axis = 1, order = \"max\")", lambda a: abs(a).max(1), x)
case("root", "root(a)", jnp.sqrt, abs(x) + 0.125)

# --- Shapes and choices -----------------------------------------------------------------------------------------------

x = normal(2, 3, 4)
y = normal(2, 3, 4)
for source, destination in [(0, 2), (2, 0), (1, -1), (-1, 1), (0, 0), (0, 1)]:
    case(f"moveaxis.{source}.{destination}", f"moveaxis(a, {source}, {destination})",
         lambda a, s=source, d=destination: jnp.moveaxis(a, s, d), x)
case("swapaxes", "swapaxes(a, 0, -1)", lambda a: jnp.swapaxes(a, 0, -1), x)
for axis in (0, 1, 3, -1, -4):
    case(f"unsqueeze.{axis}", f"unsqueeze(a, {axis})", lambda a, axis=axis: jnp.expand_dims(a, axis), x)
    case(f"stack.{axis}", f"stack([a, b], {axis})", lambda a, b, axis=axis: jnp.stack([a, b], axis), x, y)
case("squeeze", "squeeze(a, 1)", lambda a: jnp.squeeze(a, 1), normal(3, 1, 5))
case("flatten", "flatten(a)", lambda a: a.reshape(2, 12), x)
case("flatten.0", "flatten(a, 0)", lambda a: a.reshape(24), x)
for axis in (0, 1, -1):
    case(f"split.{axis}", f"split(a, {x.shape[axis]}, {axis})[1]", lambda a, axis=axis: jnp.split(a, a.shape[axis], axis)[1], x)
case("split.sizes", "split(a, [1, 3], axis = 2)[1]", lambda a: a[:, :, 1:], x)
for repeats in [(2,), (1, 2, 3), (2, 1, 1, 2), (3, 1)]:
    case(f"tile.{len(repeats)}.{repeats[0]}", f"tile(a, {list(repeats)})", lambda a, r=repeats: jnp.tile(a, r), x)
case("vector", "vector([1, 2.5, -3]) * cast(a, f32)", lambda a: jnp.array([1, 2.5, -3]) * a, ids(9, 3))
case("along", "along(a, b, 1) * b", lambda a, b: a[None, :, None] * b, normal(3), x)
case("where", "where(a > b, a, b * b)", lambda a, b: jnp.where(a > b, a, b * b), x, y)
case("clamp", "clamp(a, -0.5, 0.7)", lambda a: jnp.clip(a, -0.5, 0.7), x)

# --- Activations ------------------------------------------------------------------------------------------------------

x = np.concatenate([normal(20, scale=3), np.array([-30.0, -8.0, -0.125, 0.125, 8.0, 30.0])])
for name, function in {
    "relu": jnn.relu, "leaky_relu": jnn.leaky_relu, "elu": jnn.elu, "selu": jnn.selu, "silu": jnn.silu,
    "gelu": lambda a: jnn.gelu(a, approximate=False), "gelu_tanh": lambda a: jnn.gelu(a, approximate=True),
    "softplus": jnn.softplus, "square": lambda a: a * a, "hard_sigmoid": jnn.hard_sigmoid, "hard_swish": jnn.hard_swish,
    "hardtanh": jnn.hard_tanh, "relu6": jnn.relu6, "mish": jnn.mish, "softsign": jnn.soft_sign,
    "log_sigmoid": jnn.log_sigmoid,
}.items():
    case(f"activation.{name}", f"{name}(a)", function, x)
case("logit", "logit(a)", jax.scipy.special.logit, np.array([0.001953125, 0.25, 0.5, 0.875, 0.9990234375]))
for axis in (-1, 0):
    case(f"glu.{axis}", f"glu(a, {axis})", lambda a, axis=axis: jnn.glu(a, axis), normal(4, 6))

# --- Layers -----------------------------------------------------------------------------------------------------------


def normalise(a, axis, eps):
    centred = a - a.mean(axis, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(axis, keepdims=True) + eps)


def channels(c, path):
    return {f"{path}.scale": normal(c), f"{path}.bias": normal(c)}


for tag, shape in [("2", (3, 17)), ("4", (2, 3, 1, 5))]:
    x = normal(*shape, scale=2)
    c = shape[-1]
    case(f"dense.{tag}", "dense(a, 3)", lambda a, w, b: a @ w + b, x,
         params={"dense.0.w": normal(c, 3), "dense.0.b": normal(3)})
    case(f"layer_norm.{tag}", "layer_norm(a)", lambda a, s, b: normalise(a, -1, 1e-5) * s + b, x, params=channels(c, "layer_norm.0"))
    case(f"layer_norm.plain.{tag}", "layer_norm(a, eps = 0.1, affine = false)", lambda a: normalise(a, -1, 0.1), x)
    case(f"rms_norm.{tag}", "rms_norm(a)", lambda a, s: a / jnp.sqrt((a * a).mean(-1, keepdims=True) + 1e-6) * s, x,
         params={"rms_norm.0.scale": normal(c)})
    every = tuple(range(len(shape) - 1))
    case(f"batch_norm.training.{tag}", "batch_norm(a)", lambda a, s, b, e=every: normalise(a, e, 1e-5) * s + b, x,
         phase="training", params=channels(c, "batch_norm.0"))
    case(f"batch_norm.inference.{tag}", "batch_norm(a)", lambda a, s, b: a / jnp.sqrt(1 + 1e-5) * s + b, x,
         params=channels(c, "batch_norm.0"))
x = normal(2, 3, 4, 6)
grouped = lambda a, s, b: normalise(a.reshape(2, 3, 4, 3, 2), (1, 2, 4), 1e-5).reshape(a.shape) * s + b
case("group_norm", "group_norm(a, 3)", grouped, x, params=channels(6, "group_norm.0"))
case("group_norm.flat", "group_norm(a, 2, affine = false)", lambda a: normalise(a.reshape(5, 2, 3), 2, 1e-5).reshape(5, 6), normal(5, 6))
case("instance_norm", "instance_norm(a)", lambda a: normalise(a, (1, 2), 1e-5), x)
case("instance_norm.affine", "instance_norm(a, affine = true)", lambda a, s, b: normalise(a, (1, 2), 1e-5) * s + b, x,
     params=channels(6, "instance_norm.0"))
case("embedding", "embedding(a, 7, 3)", lambda a, t: t[a], ids(7, 2, 5), params={"embedding.0.table": normal(7, 3)})


def attention(q, k, v, mask=None):
    scores = q @ jnp.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    return jnn.softmax(scores if mask is None else jnp.where(mask, scores, -1e30)) @ v


causal = lambda n, m: np.arange(n)[:, None] + (m - n) >= np.arange(m)
q, k, v = normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 3)
case("attention", "attention(a, b, c)", attention, q, k, v)
case("attention.causal", "attention(a, b, c, causal = true)", lambda a, b, c: attention(a, b, c, causal(3, 5)), q, k, v)
mask = truth(2, 3, 5)
mask[0, 0] = False
case("attention.mask", "attention(a, b, c, mask = d)", lambda a, b, c, d: attention(a, b, c, d), q, k, v, mask)
case("attention.both", "attention(a, b, c, d, causal = true)", lambda a, b, c, d: attention(a, b, c, d & causal(3, 5)), q, k, v, mask)
case("padding_mask", "attention(a, b, c, padding_mask(d, 5))",
     lambda a, b, c, d: attention(a, b, c, d[:, None, None] > np.arange(5)), q, k, v, np.array([5, 2], np.int32))


def heads(x, memory, mask, wq, bq, wk, bk, wv, bv, wo, bo):
    apart = lambda a: jnp.swapaxes(a.reshape(*a.shape[:-1], 2, 3), -2, -3)
    joined = attention(apart(x @ wq + bq), apart(memory @ wk + bk), apart(memory @ wv + bv), mask)
    return jnp.swapaxes(joined, -2, -3).reshape(x.shape) @ wo + bo


def projections(d, f):
    path = "multi_head_attention.0"
    shapes = {"query": (d, d), "key": (f, d), "value": (f, d), "out": (d, d)}
    return {f"{path}.{name}.{part}": normal(*shape) if part == "w" else normal(shape[1])
            for name, shape in shapes.items() for part in "wb"}


x, memory = normal(2, 3, 6), normal(2, 5, 4)
case("multi_head", "multi_head_attention(a, 2, causal = true)", lambda a, *p: heads(a, a, causal(3, 3), *p), x, params=projections(6, 6))
case("multi_head.memory", "multi_head_attention(a, 2, memory = b, mask = c)",
     lambda a, b, c, *p: heads(a, b, c[:, None], *p), x, memory, truth(2, 3, 5), params=projections(6, 4))

# --- Losses and metrics -----------------------------------------------------------------------------------------------

x, t, weight = normal(9, 5, scale=2), ids(5, 9), abs(normal(5)) + 0.25
p = np.asarray(jnn.softmax(normal(9, 5)))
logp = jnn.log_softmax
pick = lambda a, t: jnp.take_along_axis(a, t[..., None], -1)[..., 0]
case("mse", "mse(a, b)", lambda a, b: ((a - b) ** 2).mean(), x, normal(9, 5))
case("mae", "mae(a, b)", lambda a, b: abs(a - b).mean(), x, normal(9, 5))
case("huber", "huber(a, b, 0.5)", lambda a, b: jnp.where(abs(a - b) <= 0.5, 0.5 * (a - b) ** 2, 0.5 * (abs(a - b) - 0.25)).mean(), x, normal(9, 5))
case("bce_with_logits", "bce_with_logits(a, b)", lambda a, b: -(b * jnn.log_sigmoid(a) + (1 - b) * jnn.log_sigmoid(-a)).mean(), x, p)
case("cross_entropy.ids", "cross_entropy(a, b)", lambda a, b: -pick(logp(a), b).mean(), x, t)
case("cross_entropy.probabilities", "cross_entropy(a, b)", lambda a, b: -(b * logp(a)).sum(-1).mean(), x, p)
smooth = lambda b: 0.9 * jnn.one_hot(b, 5, dtype=jnp.float64) + 0.1 / 5
case("cross_entropy.smooth", "cross_entropy(a, b, label_smoothing = 0.1)", lambda a, b: -(smooth(b) * logp(a)).sum(-1).mean(), x, t)
case("cross_entropy.weight", "cross_entropy(a, b, weight = c)", lambda a, b, c: -(c[b] * pick(logp(a), b)).sum() / c[b].sum(), x, t, weight)
case("cross_entropy.list", "cross_entropy(a, b, weight = [1, 2, 0.5, 1, 3])",
     lambda a, b: (lambda c: -(c[b] * pick(logp(a), b)).sum() / c[b].sum())(jnp.array([1, 2, 0.5, 1, 3])), x, t)
case("cross_entropy.both", "cross_entropy(a, b, c, 0.1)", lambda a, b, c: -(c * smooth(b) * logp(a)).sum() / c[b].sum(), x, t, weight)
case("cross_entropy.weighted_probabilities", "cross_entropy(a, b, c)", lambda a, b, c: -(c * b * logp(a)).sum(-1).mean(), x, p, weight)
case("nll", "nll(a, b)", lambda a, b: -pick(a, b).mean(), x, t)
sparse = np.where(p < 0.2, 0.0, p)
case("kl_divergence", "kl_divergence(log_softmax(a), b)",
     lambda a, b: jnp.where(b > 0, b * (jnp.log(jnp.where(b > 0, b, 1)) - logp(a)), 0).sum(-1).mean(), x, sparse)
signs = np.sign(normal(9, 5))
case("hinge", "hinge(a, sign(b))", lambda a, b: jnn.relu(1 - jnp.sign(b) * a).mean(), x, signs)
case("multi_margin", "multi_margin(a, b)",
     lambda a, b: jnp.where(jnn.one_hot(b, 5) > 0, 0, jnn.relu(1 - pick(a, b)[:, None] + a)).mean(), x, t)
cosine = lambda a, b: (a * b).sum(-1) / (jnp.sqrt((a * a).sum(-1)) * jnp.sqrt((b * b).sum(-1)))
case("cosine_similarity", "cosine_similarity(a, b)", cosine, x, normal(9, 5))
case("cosine_embedding", "cosine_embedding(a, b, sign(c), 0.2)",
     lambda a, b, c: jnp.where(c > 0, 1 - cosine(a, b), jnn.relu(cosine(a, b) - 0.2)).mean(), x, normal(9, 5), np.sign(normal(9)))
case("accuracy", "accuracy(a, b)", lambda a, b: (a.argmax(-1) == b).mean(dtype=jnp.float64), x, t)
case("binary_accuracy", "binary_accuracy(a, b)", lambda a, b: ((a > 0) == (b > 0.5)).mean(dtype=jnp.float64), x, p)
for count in (1, 2, 4):
    case(f"top_k_accuracy.{count}", f"top_k_accuracy(a, b, {count})",
         lambda a, b, n=count: (jax.lax.top_k(a, n)[1] == b[:, None]).any(-1).mean(dtype=jnp.float64), x, t)

# --- einsum -----------------------------------------------------------------------------------------------------------

for number, (equation, shapes) in enumerate([
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]), ("ij,jk", [(3, 4), (4, 5)]), ("ji,kj->ik", [(4, 3), (5, 4)]),
    ("bij->b", [(2, 3, 4)]), ("ii", [(4, 4)]), ("ii->i", [(4, 4)]), ("bii,ij->bj", [(2, 4, 4), (4, 3)]),
    ("i,j->ij", [(3,), (4,)]), ("i,i->", [(5,), (5,)]), ("ij,ij->ij", [(3, 4), (3, 4)]), ("ij,j->i", [(3, 4), (4,)]),
    ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]), ("bqhd,bkhd->bhqk", [(2, 4, 3, 5), (2, 6, 3, 5)]),
    ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]), ("abc,ad,bd,cd->", [(2, 3, 4), (2, 5), (3, 5), (4, 5)]),
    ("...ij,...jk->...ik", [(2, 3, 4), (4, 5)]), ("...j,kj->...k", [(2, 3, 4), (5, 4)]),
    ("...i,...i", [(1, 3, 4), (2, 1, 4)]), ("ij->ji", [(3, 4)]), ("ijk,l->k", [(2, 3, 4), (5,)]), ("iji->j", [(3, 4, 3)]),
    ("i...->...", [(3, 1, 4)]), ("ij,ij", [(1, 17), (1, 17)]),
]):
    names = "abcd"[: len(shapes)]
    case(f"einsum.{number}", f'einsum("{equation}", {", ".join(names)})', lambda *o, e=equation: jnp.einsum(e, *o),
         *[normal(*shape) for shape in shapes])

# --- From cases to numbers --------------------------------------------------------------------------------------------


def main():
    tensors, listed = {}, []
    for name, expression, function, inputs, phase, params in CASES:
        arguments = [jnp.asarray(value) for value in (*inputs, *params.values())]
        value = jnp.asarray(function(*arguments))
        differentiable = jnp.issubdtype(value.dtype, jnp.floating)
        names = [*"abcd"[: len(inputs)], *params]
        entry = {"name": name, "expression": expression, "phase": phase, "inputs": names[: len(inputs)], "params": list(params)}
        for key, argument in zip(names, arguments):
            tensors[f"{name}/{key}"] = np.asarray(argument)
        tensors[f"{name}/value"] = np.asarray(value)
        if differentiable:
            weight = normal(*value.shape)
            tensors[f"{name}/w"] = weight
            floats = [i for i, argument in enumerate(arguments) if jnp.issubdtype(argument.dtype, jnp.floating)]
            loss = lambda *a: jnp.sum(weight * function(*a))
            for i, gradient in zip(floats, jax.grad(loss, tuple(floats))(*arguments) if floats else ()):
                tensors[f"{name}/grad.{names[i]}"] = np.asarray(gradient)
        listed.append(entry)
    path = HERE / "prelude.safetensors"
    save_file({key: np.asarray(value, order="C") for key, value in tensors.items()}, path, {"cases": json.dumps(listed)})
    print(f"{len(listed)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
