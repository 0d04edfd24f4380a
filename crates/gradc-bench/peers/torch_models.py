"""The models of examples/suite in PyTorch, eager: one complete training step (loss, gradient, SGD).

    pip install torch numpy
    pip install onnx onnxruntime onnxscript
    python torch_models.py MODEL [SECONDS] [--forward] [--batch N] [--onnx]

Prints a JSON object: the median and the least time of a step in microseconds, and the bytes that it needs at once. With
`--onnx`, which needs the second line, the outputs are what ONNX Runtime makes of the exported model.
"""

import io
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F

import common

RATE = 1e-3
torch.manual_seed(0)


def normal(*shape, scale=None):
    return torch.randn(*shape) * (1 / math.sqrt(shape[0]) if scale is None else scale)


def dense(inputs, outputs):
    return [normal(inputs, outputs), torch.zeros(outputs)]


def classifier(widths, batch, activation):
    params = [tensor for a, b in zip(widths, widths[1:]) for tensor in dense(a, b)]

    def outputs(params, x):
        for at in range(0, len(params) - 2, 2):
            x = activation(torch.addmm(params[at + 1], x, params[at]))
        return torch.addmm(params[-1], x, params[-2])

    return outputs, F.cross_entropy, params, (normal(batch, widths[0], scale=1.0), torch.randint(0, widths[-1], (batch,)))


def regressor(widths, batch, activation):
    params = [tensor for a, b in zip(widths, widths[1:]) for tensor in dense(a, b)]

    def outputs(params, x):
        for at in range(0, len(params), 2):
            x = activation(torch.addmm(params[at + 1], x, params[at]))
        return x

    return outputs, F.mse_loss, params, (normal(batch, widths[0], scale=1.0), normal(batch, widths[-1], scale=1.0))


def residual(blocks, width, batch):
    params = [tensor for _ in range(2 * blocks) for tensor in dense(width, width)]

    def outputs(params, x):
        for at in range(0, len(params), 4):
            w1, b1, w2, b2 = params[at : at + 4]
            x = x + torch.addmm(b2, F.relu(torch.addmm(b1, x, w1)), w2)
        return x

    return outputs, F.mse_loss, params, (normal(batch, width, scale=1.0), normal(batch, width, scale=1.0))


def elementwise(count):
    params = [normal(count, scale=1.0), normal(count, scale=1.0)]

    def outputs(params, x):
        a, b = params
        h = torch.sigmoid(a * x + b)
        h = torch.tanh(h * x) + x
        return F.gelu(h, approximate="tanh") * a

    return outputs, F.mse_loss, params, (normal(count, scale=1.0), normal(count, scale=1.0))


def transformer(blocks, batch, length, width, heads):
    def block():
        norm = [torch.ones(width), torch.zeros(width)]
        attention = [normal(width, width) for _ in range(4)]
        return [*norm, *attention, torch.ones(width), torch.zeros(width), *dense(width, 4 * width), *dense(4 * width, width)]

    params = [tensor for _ in range(blocks) for tensor in block()]
    size = width // heads

    def outputs(params, h):
        for at in range(0, len(params), 12):
            g1, c1, query, key, value, out, g2, c2, w1, b1, w2, b2 = params[at : at + 12]
            x = F.layer_norm(h, (width,), g1, c1)
            q, k, v = ((x @ w).view(batch, length, heads, size).transpose(1, 2) for w in (query, key, value))
            attended = F.scaled_dot_product_attention(q, k, v)
            h = h + attended.transpose(1, 2).reshape(batch, length, width) @ out
            x = F.layer_norm(h, (width,), g2, c2)
            h = h + F.gelu(x @ w1 + b1, approximate="tanh") @ w2 + b2
        return h

    shape = (batch, length, width)
    return outputs, F.mse_loss, params, (normal(*shape, scale=1.0), normal(*shape, scale=1.0))


def lstm(length, batch, inputs, hidden):
    params = [p.detach() for p in torch.nn.LSTM(inputs, hidden).parameters()] + dense(hidden, 10)
    start = (torch.zeros(1, batch, hidden), torch.zeros(1, batch, hidden))

    def outputs(params, xs):
        states = torch.lstm(xs, start, params[:4], True, 1, 0.0, True, False, False)[0]
        return torch.addmm(params[5], states[-1], params[4])

    return outputs, F.cross_entropy, params, (normal(length, batch, inputs, scale=1.0), torch.randint(0, 10, (batch,)))


def lenet(batch):
    convs = [normal(8, 1, 5, 5, scale=0.2), torch.zeros(8), normal(16, 8, 5, 5, scale=0.07), torch.zeros(16)]
    params = [*convs, *dense(256, 128), *dense(128, 10)]

    def outputs(params, x):
        k1, c1, k2, c2, w1, b1, w2, b2 = params
        x = F.max_pool2d(F.relu(F.conv2d(x, k1, c1)), 2)
        x = F.max_pool2d(F.relu(F.conv2d(x, k2, c2)), 2).flatten(1)
        return torch.addmm(b2, F.relu(torch.addmm(b1, x, w1)), w2)

    return outputs, F.cross_entropy, params, (normal(batch, 1, 28, 28, scale=1.0), torch.randint(0, 10, (batch,)))


# Each for a batch of the size that it is given, or of the suite's.
MODELS = {
    "mlp_tiny": lambda batch=16: classifier([16, 32, 32, 4], batch, torch.tanh),
    "mlp_small": lambda batch=32: classifier([64, 64, 64, 10], batch, torch.tanh),
    "mlp_mnist": lambda batch=128: classifier([784, 512, 256, 10], batch, F.relu),
    "mlp_wide": lambda batch=256: regressor([1024] * 5, batch, F.relu),
    "deep_sigmoid": lambda batch=64: regressor([128] * 21, batch, torch.sigmoid),
    "residual32": lambda batch=64: residual(32, 128, batch),
    "ewise1m": lambda: elementwise(1 << 20),
    "transformer2": lambda batch=8: transformer(2, batch, 64, 128, 4),
    "lstm32": lambda batch=32: lstm(32, batch, 64, 128),
    "lenet": lambda batch=64: lenet(batch),
}


def onnx_session(outputs, params, x):
    """A run of ONNX Runtime of the same outputs; parameters are constants of its graph. Its input and output are bound once."""
    import onnxruntime

    class Outputs(torch.nn.Module):
        def forward(self, x):
            return outputs(params, x)

    file = io.BytesIO()
    # The exporter of traces keeps an LSTM as one operator, which ONNX Runtime has a kernel for.
    torch.onnx.export(Outputs(), (x,), file, input_names=["x"], output_names=["y"], opset_version=20, dynamo=False)
    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    value = onnxruntime.OrtValue.ortvalue_from_numpy
    expected = outputs(params, x).numpy()
    given, result = value(x.numpy()), value(np.empty_like(expected))
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", given)
    binding.bind_ortvalue_output("y", result)

    def run():
        session.run_with_iobinding(binding)
        return result

    difference = np.abs(run().numpy() - expected).max() / np.abs(expected).max()
    if not difference < 1e-3:
        sys.exit(f"ONNX Runtime and PyTorch differ by {difference} of the greatest output")
    return run


def peak_bytes(step, tensors):
    """The most bytes that PyTorch's allocator has given out at a time during a step, and those of tensors that were there before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    held = most = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most + sum(tensor.nbytes for tensor in tensors)


def main():
    runtime = ("--onnx", "run the outputs in ONNX Runtime")
    options = common.arguments(__doc__, runtime)
    outputs, loss, params, (x, target) = common.build(MODELS, options)

    def step():
        gradient = torch.autograd.grad(loss(outputs(params, x), target), params)
        with torch.no_grad():
            torch._foreach_add_(params, gradient, alpha=-RATE)

    if options.onnx:
        run, tensors = onnx_session(outputs, params, x), None
    elif options.forward:
        run, tensors = lambda: outputs(params, x), [*params, x]
    else:
        params = [p.requires_grad_() for p in params]
        run, tensors = step, [*params, x, target]
    with torch.inference_mode(options.forward):
        times = common.timed(run, options.seconds)
        memory = dict(peak_bytes=peak_bytes(run, tensors)) if tensors else {}
    common.report(options, **times, **memory)


main()
