"""Runs gradc and, where they are installed, its peers on the models of examples/suite, side by side.

    cargo build --release
    python crates/gradc-bench/peers/compare.py [--gradc PATH] [--jax PYTHON] [--torch PYTHON] [--rounds N] [--seconds S] [MODEL…]

`--jax` and `--torch` are the Pythons that have them; where one cannot import its library, that peer is left out. In each
round, every model is run by everyone, one after the other, each in a process of its own, so that what else the machine does
is spread over all of them. What is written is the median over rounds of the median time of a step; ratios are taken within
rounds. The table goes between the markers of docs/performance.md, and the chart to docs/performance.svg.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
MODELS = ["mlp_tiny", "mlp_small", "mlp_mnist", "mlp_wide", "deep_sigmoid", "residual32", "ewise1m", "transformer2", "lstm32", "lenet"]
# At most this share of the best peer's time is what gradc aims at; of the first two, of JAX's.
AIMS = dict(mlp_tiny=1 / 5, mlp_small=1 / 3, mlp_mnist=3 / 4, mlp_wide=4 / 5, lstm32=3 / 4)
COLOURS = {"gradc": "#c2410c", "JAX": "#1d4ed8", "PyTorch": "#6b7280"}


def gradc(path, model, seconds):
    command = [path, "bench", str(ROOT / "examples" / "suite" / f"{model}.net"), "--format=json", "--time", str(seconds)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return json.loads(lines[-1])


def peer(python, script, model, seconds):
    command = [python, str(HERE / script), model, str(seconds)]
    # Settings for one library's kernels would slow another's down.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")}
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def has(python, library):
    return subprocess.run([python, "-c", f"import {library}"], capture_output=True).returncode == 0


def measure(runners, models, rounds, seconds):
    """By model and runner, the reports of all rounds."""
    reports = {model: {name: [] for name in runners} for model in models}
    for number in range(rounds):
        for model in models:
            for name, run in runners.items():
                reports[model][name].append(run(model, seconds))
                print(f"round {number + 1}: {model} {name} {reports[model][name][-1]['step_us']:.1f} µs", file=sys.stderr)
    return reports


def median(reports, key):
    return statistics.median(report[key] for report in reports)


def ratio(ours, theirs):
    """The median over rounds of our share of the least of their times."""
    best = [min(report["step_us"] for report in one) for one in zip(*theirs)]
    return statistics.median(own["step_us"] / other for own, other in zip(ours, best))


def digits(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def table(reports):
    peers = [name for name in next(iter(reports.values())) if name != "gradc"]
    head = ["model", "gradc µs", *(f"{name} µs" for name in peers), "of the best peer", "aim", "of the roofline", "compile ms", "JAX compile ms"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for model, by in reports.items():
        own = by["gradc"]
        against = ["JAX"] if model in ("mlp_tiny", "mlp_small") and "JAX" in by else peers
        share = f"{ratio(own, [by[name] for name in against]):.2f}" if peers else "–"
        rows.append(
            [
                model,
                digits(median(own, "step_us")),
                *(digits(median(by[name], "step_us")) for name in peers),
                share,
                f"{AIMS.get(model, 0.5):.2f}",
                f"{100 * median(own, 'roofline'):.0f} %",
                digits(median(own, "compile_ms")),
                digits(median(by["JAX"], "compile_ms")) if "JAX" in by else "–",
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def chart(reports):
    """Bars: the time of a step as a share of the slowest's, model by model."""
    names = list(next(iter(reports.values())))
    bar, gap, left, width = 14, 14, 110, 560
    group = len(names) * bar + gap
    height = len(reports) * group + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 110} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="100%" height="100%" fill="white"/>',
    ]
    for at, name in enumerate(names):
        x = left + 90 * at
        parts.append(f'<rect x="{x}" y="8" width="10" height="10" fill="{COLOURS[name]}"/><text x="{x + 15}" y="17">{name}</text>')
    for row, (model, by) in enumerate(reports.items()):
        top = 32 + row * group
        longest = max(median(one, "step_us") for one in by.values())
        parts.append(f'<text x="{left - 8}" y="{top + len(names) * bar / 2 + 4}" text-anchor="end">{model}</text>')
        for at, name in enumerate(names):
            time = median(by[name], "step_us")
            y, length = top + at * bar, width * time / longest
            parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 2}" fill="{COLOURS[name]}"/>')
            parts.append(f'<text x="{left + length + 4:.1f}" y="{y + bar - 4}">{digits(time)} µs</text>')
    return "\n".join([*parts, "</svg>", ""])


def write(path, text):
    """Writes a file by another name first, so that it is never half there."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    temporary.replace(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gradc", default=str(ROOT / "target" / "release" / "gradc"))
    parser.add_argument("--jax", default=sys.executable)
    parser.add_argument("--torch", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("models", nargs="*", default=MODELS)
    options = parser.parse_args()
    runners = {"gradc": lambda model, seconds: gradc(options.gradc, model, seconds)}
    if has(options.jax, "jax"):
        runners["JAX"] = lambda model, seconds: peer(options.jax, "jax_models.py", model, seconds)
    if has(options.torch, "torch"):
        runners["PyTorch"] = lambda model, seconds: peer(options.torch, "torch_models.py", model, seconds)
    reports = measure(runners, options.models or MODELS, options.rounds, options.seconds)
    made = table(reports)
    print(made)
    page = ROOT / "docs" / "performance.md"
    if page.exists() and set(reports) == set(MODELS):
        text = re.sub(r"(?s)(<!-- table -->\n).*?(<!-- end -->)", lambda found: found[1] + "\n" + made + "\n\n" + found[2], page.read_text())
        write(page, text)
        write(ROOT / "docs" / "performance.svg", chart(reports))


main()
