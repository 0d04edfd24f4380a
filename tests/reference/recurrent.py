"""Writes recurrent.txt: what JAX says about the recurrent layers of the prelude, in double precision.

    python tests/reference/recurrent.py

The equations are those of PyTorch's documentation, step by step in a Python loop. All numbers that go in are made by
`numbers`, so that the test makes the same ones. A line is a case, a quantity and its numbers in row-major order: `y` is the
states after each step, and `d_NAME` the derivative of sum(weights * y) by an input or a parameter.
"""

from pathlib import Path

import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)

BATCH, TIME, FEATURES, UNITS = 2, 5, 3, 2


def numbers(shape, phase):
    count = 1
    for extent in shape:
        count *= extent
    return jnp.array([0.8 * jnp.sin(phase + 1.7 * k) for k in range(count)]).reshape(shape)


def rnn(p, x, h):
    (h,) = h
    return (jnp.tanh(x @ p["w"] + h @ p["u"] + p["b"]),)


def lstm(p, x, state, forget_bias):
    h, c = state
    z = x @ p["w"] + h @ p["u"] + p["b"]
    i, f, g, o = jnp.split(z, 4, axis=-1)
    c = jax.nn.sigmoid(f + forget_bias) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def gru(p, x, h):
    (h,) = h
    xr, xz, xn = jnp.split(x @ p["w"] + p["b"], 3, axis=-1)
    hr, hz, hn = jnp.split(h @ p["u"], 3, axis=-1)
    r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
    n = jnp.tanh(xn + r * (hn + p["b_n"]))
    return ((1 - z) * n + z * h,)


CELLS = {"rnn": (rnn, 1, 1), "lstm": (lstm, 4, 2), "gru": (gru, 3, 1)}


def params(cell, gates):
    p = {
        "w": numbers((FEATURES, gates * UNITS), 0.1),
        "u": numbers((UNITS, gates * UNITS), 0.2),
        "b": numbers((gates * UNITS,), 0.3),
    }
    if cell == "gru":
        p["b_n"] = numbers((UNITS,), 0.4)
    return p


def run(cell, p, x, h0, lengths=None, reverse=False, truncate=None, forget_bias=1.0):
    step, _, states = CELLS[cell]
    state = (h0,) + (jnp.zeros_like(h0),) * (states - 1)
    ys = [None] * TIME
    for count, t in enumerate(reversed(range(TIME)) if reverse else range(TIME)):
        if truncate and count and count % truncate == 0:
            state = jax.tree.map(jax.lax.stop_gradient, state)
        extra = (forget_bias,) if cell == "lstm" else ()
        after = step(p, x[:, t], state, *extra)
        if lengths is not None:
            counts = (t < lengths)[:, None]
            after = tuple(jnp.where(counts, new, old) for new, old in zip(after, state))
        state = after
        ys[t] = state[0]
    return jnp.stack(ys, axis=1)


def main():
    x, h0 = numbers((BATCH, TIME, FEATURES), 0.5), numbers((BATCH, UNITS), 0.6)
    weights = numbers((BATCH, TIME, UNITS), 0.7)
    lengths = jnp.array([5, 2])
    options = {
        "plain": {},
        "lengths": {"lengths": lengths},
        "reverse": {"reverse": True},
        "reverse_lengths": {"reverse": True, "lengths": lengths},
        "truncate": {"truncate": 2},
        "reverse_truncate": {"reverse": True, "truncate": 2},
    }
    lines = []
    for cell, (_, gates, _) in CELLS.items():
        for case, option in options.items():
            p = params(cell, gates)
            loss = lambda p, x, h0: jnp.sum(weights * run(cell, p, x, h0, **option))
            d_p, d_x, d_h0 = jax.grad(loss, argnums=(0, 1, 2))(p, x, h0)
            found = {"y": run(cell, p, x, h0, **option), "d_x": d_x, "d_h0": d_h0}
            found |= {f"d_{name}": value for name, value in d_p.items()}
            for name, value in found.items():
                numbers_text = " ".join(repr(float(number)) for number in value.ravel())
                lines.append(f"{cell} {case} {name} {numbers_text}")
    Path(__file__).with_name("recurrent.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
