"""The models of examples/suite in PyTorch, eager: one complete training step (loss, gradient, SGD).

    pip install torch numpy
    python torch_models.py MODEL [SECONDS]

Prints a JSON object: the median and the least time of a step in microseconds.
"""

import json
import math
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

RATE = 1e-3
torch.manual_seed(0)


def normal(*shape, scale=None):
    return torch.randn(*shape) * (1 / math.sqrt(shape[0]) if scale is None else scale)


def dense(inputs, outputs):
    return [normal(inputs, outputs), torch.zeros(outputs)]


def classifier(widths, batch, activation):
    params = [tensor for a, b in zip(widths, widths[1:]) for tensor in dense(a, b)]

    def loss(params, x, label):
        for at in range(0, len(params) - 2, 2):
            x = activation(torch.addmm(params[at + 1], x, params[at]))
        return F.cross_entropy(torch.addmm(params[-1], x, params[-2]), label)

    return loss, params, (normal(batch, widths[0], scale=1.0), torch.randint(0, widths[-1], (batch,)))


def regressor(widths, batch, activation):
    params = [tensor for a, b in zip(widths, widths[1:]) for tensor in dense(a, b)]

    def loss(params, x, target):
        for at in range(0, len(params), 2):
            x = activation(torch.addmm(params[at + 1], x, params[at]))
        return F.mse_loss(x, target)

    return loss, params, (normal(batch, widths[0], scale=1.0), normal(batch, widths[-1], scale=1.0))


def residual(blocks, width, batch):
    params = [tensor for _ in range(2 * blocks) for tensor in dense(width, width)]

    def loss(params, x, target):
        for at in range(0, len(params), 4):
            w1, b1, w2, b2 = params[at : at + 4]
            x = x + torch.addmm(b2, F.relu(torch.addmm(b1, x, w1)), w2)
        return F.mse_loss(x, target)

    return loss, params, (normal(batch, width, scale=1.0), normal(batch, width, scale=1.0))


def elementwise(count):
    params = [normal(count, scale=1.0), normal(count, scale=1.0)]

    def loss(params, x, target):
        a, b = params
        h = torch.sigmoid(a * x + b)
        h = torch.tanh(h * x) + x
        return F.mse_loss(F.gelu(h, approximate="tanh") * a, target)

    return loss, params, (normal(count, scale=1.0), normal(count, scale=1.0))


def transformer(blocks, batch, length, width, heads):
    def block():
        norm = [torch.ones(width), torch.zeros(width)]
        attention = [normal(width, width) for _ in range(4)]
        return [*norm, *attention, torch.ones(width), torch.zeros(width), *dense(width, 4 * width), *dense(4 * width, width)]

    params = [tensor for _ in range(blocks) for tensor in block()]
    size = width // heads

    def loss(params, h, target):
        for at in range(0, len(params), 12):
            g1, c1, query, key, value, out, g2, c2, w1, b1, w2, b2 = params[at : at + 12]
            x = F.layer_norm(h, (width,), g1, c1)
            q, k, v = ((x @ w).view(batch, length, heads, size).transpose(1, 2) for w in (query, key, value))
            attended = F.scaled_dot_product_attention(q, k, v)
            h = h + attended.transpose(1, 2).reshape(batch, length, width) @ out
            x = F.layer_norm(h, (width,), g2, c2)
            h = h + F.gelu(x @ w1 + b1, approximate="tanh") @ w2 + b2
        return F.mse_loss(h, target)

    shape = (batch, length, width)
    return loss, params, (normal(*shape, scale=1.0), normal(*shape, scale=1.0))


def lstm(length, batch, inputs, hidden):
    params = [p.detach() for p in torch.nn.LSTM(inputs, hidden).parameters()] + dense(hidden, 10)
    start = (torch.zeros(1, batch, hidden), torch.zeros(1, batch, hidden))

    def loss(params, xs, label):
        states = torch.lstm(xs, start, params[:4], True, 1, 0.0, True, False, False)[0]
        return F.cross_entropy(torch.addmm(params[5], states[-1], params[4]), label)

    return loss, params, (normal(length, batch, inputs, scale=1.0), torch.randint(0, 10, (batch,)))


def lenet(batch):
    convs = [normal(8, 1, 5, 5, scale=0.2), torch.zeros(8), normal(16, 8, 5, 5, scale=0.07), torch.zeros(16)]
    params = [*convs, *dense(256, 128), *dense(128, 10)]

    def loss(params, x, label):
        k1, c1, k2, c2, w1, b1, w2, b2 = params
        x = F.max_pool2d(F.relu(F.conv2d(x, k1, c1)), 2)
        x = F.max_pool2d(F.relu(F.conv2d(x, k2, c2)), 2).flatten(1)
        return F.cross_entropy(torch.addmm(b2, F.relu(torch.addmm(b1, x, w1)), w2), label)

    return loss, params, (normal(batch, 1, 28, 28, scale=1.0), torch.randint(0, 10, (batch,)))


MODELS = {
    "mlp_tiny": lambda: classifier([16, 32, 32, 4], 16, torch.tanh),
    "mlp_small": lambda: classifier([64, 64, 64, 10], 32, torch.tanh),
    "mlp_mnist": lambda: classifier([784, 512, 256, 10], 128, F.relu),
    "mlp_wide": lambda: regressor([1024] * 5, 256, F.relu),
    "deep_sigmoid": lambda: regressor([128] * 21, 64, torch.sigmoid),
    "residual32": lambda: residual(32, 128, 64),
    "ewise1m": lambda: elementwise(1 << 20),
    "transformer2": lambda: transformer(2, 8, 64, 128, 4),
    "lstm32": lambda: lstm(32, 32, 64, 128),
    "lenet": lambda: lenet(64),
}


def main():
    model, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 2.0
    loss, params, data = MODELS[model]()
    params = [p.requires_grad_() for p in params]

    def step():
        gradient = torch.autograd.grad(loss(params, *data), params)
        with torch.no_grad():
            torch._foreach_add_(params, gradient, alpha=-RATE)

    for _ in range(4):
        step()
    times, began = [], time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < 5:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    print(json.dumps(dict(model=model, step_us=1e6 * float(np.median(times)), min_us=1e6 * min(times))))


main()
