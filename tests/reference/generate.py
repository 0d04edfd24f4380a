"""Writes operators.safetensors: what JAX says about every operator of the registry, in double precision.

    pip install jax==0.10.2 numpy==2.4.6 safetensors==0.8.0
    python tests/reference/generate.py              # what is new or has other cases than in the file
    python tests/reference/generate.py exp pad      # also these operators again
    python tests/reference/generate.py --all

The cases (operators, attributes, shapes, numbers) come from the registry, through the example `reference_cases` of
gradc-testing; here is only what each operator means in JAX. A new operator is one more entry of MEANING.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
# One thread and no contraction across operations: the same bits in every run on one machine.
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.random import threefry2x32_p
from safetensors import safe_open
from safetensors.numpy import save_file

jax.config.update("jax_enable_x64", True)

HERE = Path(__file__).resolve().parent
DTYPES = {
    "bool": np.bool_,
    "u8": np.uint8,
    "i32": np.int32,
    "i64": np.int64,
    "f32": np.float32,
    "f64": np.float64,
}

def is_float(a):
    return jnp.issubdtype(a.dtype, jnp.floating)


# --- What each operator means -----------------------------------------------------------------------------------------


def matmul(a, b, transpose_a, transpose_b):
    a = jnp.swapaxes(a, -1, -2) if transpose_a else a
    b = jnp.swapaxes(b, -1, -2) if transpose_b else b
    return a @ b


def cast(a, dtype):
    """From a float to an integer XLA saturates, and makes 0 of NaN."""
    return a.astype(DTYPES[dtype])


def gather(x, indices, axis):
    fill = jnp.nan if is_float(x) else 0
    # NumPy counts negative indices from the end; here they are out of range.
    out_of_range = x.shape[axis]
    indices = jnp.where(indices < 0, out_of_range, indices)
    return jnp.take(x, indices, axis=axis, mode="fill", fill_value=fill)


def scatter_add(indices, updates, axis, extent):
    shape = updates.shape
    rank = indices.ndim
    # The axes of the indices to the front, then one row of updates an index.
    moved = jnp.moveaxis(updates, range(axis, axis + rank), range(rank))
    rows = moved.reshape((math.prod(shape[axis : axis + rank]), *moved.shape[rank:]))
    # Which of the rows go to which place; those with an index out of range to none.
    here = indices.reshape(-1) == jnp.arange(extent)[:, None]
    here = here.reshape(here.shape + (1,) * (rows.ndim - 1))
    sums = jnp.sum(jnp.where(here, rows, 0), axis=1, dtype=updates.dtype)
    return jnp.moveaxis(sums, 0, axis)


def pad(x, low, high, interior, value):
    padding = list(zip(low, high, interior))
    return lax.pad(x, jnp.asarray(value, x.dtype), padding)


def reduce(function, initial):
    def apply(x, axes):
        start = initial
        if not is_float(x):
            limits = np.iinfo(x.dtype)
            start = limits.min if initial < 0 else limits.max
        if any(x.shape[axis] == 0 for axis in axes):
            # A constant, with a derivative of 0; JAX shares it among no elements, which is 0/0.
            return jnp.full([n for axis, n in enumerate(x.shape) if axis not in axes], start, x.dtype)
        return function(x, axis=tuple(axes))

    return apply


def entries(count, size, stride, dilation):
    """The element that each entry of each window is."""
    return stride * np.arange(count)[:, None] + dilation * np.arange(size)


def window(x, axis, size, stride, dilation):
    rest = x.shape[axis] - ((size - 1) * dilation + 1)
    count = rest // stride + 1 if rest >= 0 else 0
    return x[(slice(None),) * axis + (entries(count, size, stride, dilation),)]


def overlap_add(x, axis, extent, stride, dilation):
    front = jnp.moveaxis(x, (axis, axis + 1), (0, 1))
    here = entries(*front.shape[:2], stride, dilation) == np.arange(extent)[:, None, None]
    here = here.reshape(here.shape + (1,) * (front.ndim - 2))
    sums = jnp.sum(jnp.where(here, front, 0), axis=(1, 2), dtype=x.dtype)
    return jnp.moveaxis(sums, 0, axis)


def random(seed, stream, step, index, dtype):
    words = [lax.bitcast_convert_type(a, jnp.uint32) for a in (seed, stream, step, index)]
    bits, _ = threefry2x32_p.bind(*words)
    return (bits >> 8).astype(DTYPES[dtype]) * 2.0**-24


def run(body, inputs):
    """The results of a graph: of the body of a loop."""
    values = dict(zip(body["inputs"], inputs))
    for node in body["nodes"]:
        operands = [values[operand] for operand in node["operands"]]
        values[node["value"]] = MEANING[node["operator"]](*operands, **node["attrs"])
    return [values[result] for result in body["results"]]


def scan(*operands, body, carries, sequences, length, reverse):
    first, slices = operands[:carries], operands[carries : carries + sequences]
    constants = operands[carries + sequences :]

    def step(state, now):
        results = run(body, [*state, *now, *constants])
        return tuple(results[:carries]), tuple(results[carries:])

    last, stacks = lax.scan(step, tuple(first), tuple(slices), length=length, reverse=reverse)
    return [*last, *stacks]


# Operands come first, attributes by their names.
MEANING = {
    "abs": jnp.abs,
    "add": lambda a, b: a + b,
    "amax": reduce(jnp.max, -np.inf),
    "amin": reduce(jnp.min, np.inf),
    "and": jnp.logical_and,
    "broadcast": lambda x, axes, shape: lax.broadcast_in_dim(x, shape, axes),
    "cast": cast,
    "ceil": jnp.ceil,
    "concat": lambda *operands, axis: jnp.concatenate(operands, axis),
    "div": lambda a, b: a / b,
    "eq": lambda a, b: a == b,
    "erf": jax.scipy.special.erf,
    "erfc": jax.scipy.special.erfc,
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "floor": jnp.floor,
    "full": lambda value, dtype, shape: jnp.full(shape, value, DTYPES[dtype]),
    "gather": gather,
    "ge": lambda a, b: a >= b,
    "gt": lambda a, b: a > b,
    "iota": lambda axis, dtype, shape: lax.broadcasted_iota(DTYPES[dtype], shape, axis),
    "le": lambda a, b: a <= b,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "lt": lambda a, b: a < b,
    "matmul": matmul,
    "max": jnp.maximum,
    "mean": reduce(jnp.mean, np.nan),
    "min": jnp.minimum,
    "mul": lambda a, b: a * b,
    "ne": lambda a, b: a != b,
    "neg": lambda a: -a,
    "not": jnp.logical_not,
    "one_hot": lambda indices, depth, dtype: (indices[..., None] == jnp.arange(depth, dtype=indices.dtype)).astype(DTYPES[dtype]),
    "or": jnp.logical_or,
    "overlap_add": overlap_add,
    "pad": pad,
    "pow": lambda a, b: a**b,
    "random": random,
    "reshape": lambda x, shape: x.reshape(shape),
    "result": lambda loop, index, dtype, shape: loop[index],
    "round": jnp.round,
    "rsqrt": lambda a: 1 / jnp.sqrt(a),
    "scan": scan,
    "scatter_add": scatter_add,
    "select": jnp.where,
    "sigmoid": jax.nn.sigmoid,
    "sign": jnp.sign,
    "slice": lambda x, start, limit, stride: lax.slice(x, start, limit, stride),
    "sqrt": jnp.sqrt,
    "stop_gradient": lax.stop_gradient,
    "sub": lambda a, b: a - b,
    "sum": lambda x, axes: jnp.sum(x, axis=tuple(axes), dtype=x.dtype),
    "tanh": jnp.tanh,
    "transpose": lambda x, permutation: jnp.transpose(x, permutation),
    "window": window,
}

# --- From cases to numbers --------------------------------------------------------------------------------------------


def cases():
    """The cases of the registry as the compiler lists them, by operator and group: `exp.smooth`, `exp.special`."""
    command = ["cargo", "run", "--quiet", "-p", "gradc-testing", "--example", "reference_cases"]
    lines = subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout
    groups = {}
    for line in lines.splitlines():
        case = json.loads(line)
        groups.setdefault(f"{case['operator']}.{case['group']}", []).append(case)
    return groups


def array(tensor):
    numbers = [float(number) if isinstance(number, str) else number for number in tensor["data"]]
    return np.array(numbers, DTYPES[tensor["dtype"]]).reshape(tensor["shape"])


def given(case):
    """What a case is computed from, each a list of arrays."""
    numbers = {"operands": [array(operand) for operand in case["operands"]]}
    differentiable = case["cotangent"] is not None and any(map(is_float, numbers["operands"]))
    if case["group"] == "smooth" and differentiable:
        numbers["tangents"] = [array(tangent) for tangent in case["tangents"] if tangent is not None]
        numbers["cotangent"] = [array(case["cotangent"])]
    return numbers


def evaluate(case):
    """What comes of a case, each a list of arrays:

    result  that of the operator
    jvp     its derivative along the tangents
    vjp     the derivative of the sum of cotangent · result by each float operand
    second  the derivative of that along the tangents
    """
    attrs = case["attrs"]

    def meaning(*operands, **attrs):
        value = MEANING[case["operator"]](*operands, **attrs)
        # Of several results, the floats one after the other.
        several = isinstance(value, list)
        return jnp.concatenate([part.reshape(-1) for part in value if is_float(part)]) if several else value

    def compute(operands, tangents=None, cotangent=None):
        found = {"result": [meaning(*operands, **attrs)]}
        if cotangent is None:
            return found
        varied = [i for i, operand in enumerate(operands) if is_float(operand)]

        def of(*floats):
            moved = list(operands)
            for i, value in zip(varied, floats):
                moved[i] = value
            return meaning(*moved, **attrs)

        def vjp(*floats):
            return jax.vjp(of, *floats)[1](cotangent[0])

        floats = [operands[i] for i in varied]
        found["jvp"] = [jax.jvp(of, floats, tangents)[1]]
        found["vjp"], found["second"] = jax.jvp(vjp, floats, tangents)
        return found

    found = jax.jit(compute)(**given(case))
    result, expected = found["result"][0], case["result"]
    assert list(result.shape) == expected["shape"], f"{case['label']} has the shape {result.shape}"
    assert result.dtype == DTYPES[expected["dtype"]], f"{case['label']} is {result.dtype}"
    return found


def flattened(group, function):
    """What `function` gives for the cases of a group, each name's arrays one after the other."""
    parts = {}
    for case in group:
        for name, arrays in function(case).items():
            # f32 holds exactly what cases are made of, but for the greatest integers.
            single = name in {"operands", "tangents", "cotangent"} and case["group"] == "smooth"
            dtype = np.float32 if single else np.float64
            parts.setdefault(name, []).extend(np.asarray(a).astype(dtype).reshape(-1) for a in arrays)
    # A source has no operands.
    return {name: np.concatenate(arrays) for name, arrays in parts.items() if arrays}


def read(path):
    """The tensors of the file and the labels of its cases by group; nothing where there is no file."""
    if not path.exists():
        return {}, {}
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["cases"])


def main(again):
    path = HERE / "operators.safetensors"
    old, old_labels = read(path)
    tensors, labels = {}, {}
    for name, group in sorted(cases().items()):
        labels[name] = [case["label"] for case in group]
        inputs = flattened(group, given)
        kept = {key: value for key, value in old.items() if key.rpartition(".")[0] == name}
        same = all(np.array_equal(kept.get(f"{name}.{key}"), value, equal_nan=True) for key, value in inputs.items())
        if not same or labels[name] != old_labels.get(name) or group[0]["operator"] in again:
            print(f"{name}: {len(group)} cases")
            numbers = inputs | flattened(group, evaluate)
            kept = {f"{name}.{key}": value for key, value in numbers.items()}
        tensors.update(kept)
    # One entry: the order of several is not the same in every run.
    save_file(tensors, path, {"cases": json.dumps(labels, indent=0)})
    print(f"{sum(map(len, labels.values()))} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(again=set(MEANING) if sys.argv[1:] == ["--all"] else set(sys.argv[1:]))
