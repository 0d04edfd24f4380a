"""Runs gradc and, where they are installed, its peers on the models of examples/suite, side by side.

    cargo build --release
    python crates/gradc-bench/peers/compare.py [--forward | --memory] [--gradc PATH] [--jax PYTHON] [--torch PYTHON]
        [--rust FOLDER] [--rounds N] [--seconds S] [--batches N,…] [MODEL…]

What is measured is a complete training step; with `--forward` the outputs alone, at several batch sizes; with `--memory` the bytes
that a training step needs at once. `--jax` and `--torch` are the Pythons that have them; where one cannot import its library, that
peer is left out. ONNX Runtime runs outputs where the latter has it too. `--rust` is the folder with the programs that
`cargo build --release` makes in the folder rust beside this file; where there is none, candle and burn are left out.

In each round, every model is run by everyone, one after the other, each in a process of its own, so that what else the machine
does is spread over all of them. What is written is the median over rounds of the median time of a step; ratios are taken within
rounds. The table goes between its markers in docs/performance.md, and the chart of training steps to docs/performance.svg, if all
models were measured.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
MODELS = ["mlp_tiny", "mlp_small", "mlp_mnist", "mlp_wide", "deep_sigmoid", "residual32", "ewise1m", "transformer2", "lstm32", "lenet"]
# Those without a batch have nothing to be measured at another size.
BATCHED = [model for model in MODELS if model != "ewise1m"]
# At most this share of the best peer's time is what gradc aims at; of the first two, of JAX's.
AIMS = dict(mlp_tiny=1 / 5, mlp_small=1 / 3, mlp_mnist=3 / 4, mlp_wide=4 / 5, lstm32=3 / 4)
FORWARD_AIM = MEMORY_AIM = 2 / 3
COLOURS = {"gradc": "#c2410c", "JAX": "#1d4ed8", "PyTorch": "#6b7280", "candle": "#ca8a04", "burn": "#15803d"}


class Case(NamedTuple):
    """What everyone is to measure."""

    model: str
    # Instead of the suite's.
    batch: int | None = None
    forward: bool = False

    def arguments(self, seconds):
        """As the peers take them."""
        return [self.model, str(seconds), *(["--batch", str(self.batch)] if self.batch else []), *(["--forward"] if self.forward else [])]


def gradc(path, case, seconds):
    command = [path, "bench", str(ROOT / "examples" / "suite" / f"{case.model}.net"), "--format=json", "--time", str(seconds)]
    command += ["--dim", f"batch={case.batch}"] if case.batch else []
    command += ["--for", "outputs"] if case.forward else []
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    own = json.loads(lines[-1])
    return own | dict(peak_bytes=own["working_set_bytes"])


def peer(command, case, seconds, *flags):
    # Settings for one library's kernels would slow another's down.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")}
    ran = subprocess.run([*command, *case.arguments(seconds), *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    if ran.returncode != 0:
        sys.exit(f"{' '.join(ran.args)} failed with {ran.returncode}:\n{ran.stderr}")
    return json.loads(ran.stdout.splitlines()[-1])


def has(python, library):
    return subprocess.run([python, "-c", f"import {library}"], capture_output=True).returncode == 0


def find_runners(options):
    """By name, everyone who is there, as functions of a case and seconds."""
    jax, torch = [options.jax, str(HERE / "jax_models.py")], [options.torch, str(HERE / "torch_models.py")]
    runners = {"gradc": lambda case, seconds: gradc(options.gradc, case, seconds)}
    if has(options.jax, "jax"):
        runners["JAX"] = lambda case, seconds: peer(jax, case, seconds)
    if has(options.torch, "torch"):
        runners["PyTorch"] = lambda case, seconds: peer(torch, case, seconds)
        if options.forward and has(options.torch, "onnxruntime, onnx"):
            runners["ONNX Runtime"] = lambda case, seconds: peer(torch, case, seconds, "--onnx")
    # These are measured in training alone.
    for name in ["candle", "burn"] if not (options.forward or options.memory) else []:
        program = Path(options.rust) / name
        if program.exists():
            runners[name] = lambda case, seconds, program=program: peer([str(program)], case, seconds)
    return runners


def measure(runners, cases, rounds, seconds):
    """By case and runner, the reports of all rounds."""
    reports = {case: {name: [] for name in runners} for case in cases}
    for number in range(rounds):
        for case in cases:
            for name, run in runners.items():
                reports[case][name].append(run(case, seconds))
                size = f" batch {case.batch}" if case.batch else ""
                print(f"round {number + 1}: {case.model}{size} {name} {reports[case][name][-1]['step_us']:.1f} µs", file=sys.stderr)
    return reports


def median(reports, key):
    return statistics.median(report[key] for report in reports)


def names_in(reports):
    return list(next(iter(reports.values())))


def ratio(by, others, key="step_us"):
    """The median over rounds of our share of the least of theirs."""
    if not others:
        return "–"
    best = [min(report[key] for report in one) for one in zip(*(by[name] for name in others))]
    return f"{statistics.median(own[key] / other for own, other in zip(by['gradc'], best)):.2f}"


def digits(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def markdown(head, rows, left=1):
    """A table; the first columns are words, the others numbers."""
    lines = [head, [*["---"] * left, *["---:"] * (len(head) - left)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def training_table(reports):
    names = names_in(reports)
    rows = []
    for case, by in reports.items():
        against = ["JAX"] if case.model in ("mlp_tiny", "mlp_small") and "JAX" in names else names[1:]
        rows.append(
            [
                case.model,
                *(digits(median(by[name], "step_us")) for name in names),
                ratio(by, against),
                f"{AIMS.get(case.model, 0.5):.2f}",
                f"{100 * median(by['gradc'], 'roofline'):.0f} %",
                digits(median(by["gradc"], "compile_ms")),
                digits(median(by["JAX"], "compile_ms")) if "JAX" in names else "–",
            ]
        )
    head = ["model", *(f"{name} µs" for name in names), "of the best peer", "aim", "of the roofline", "compile ms", "JAX compile ms"]
    return markdown(head, rows)


def forward_table(reports):
    names = names_in(reports)
    rows = [
        [
            case.model,
            str(case.batch),
            *(digits(median(by[name], "step_us")) for name in names),
            ratio(by, names[1:]),
            f"{FORWARD_AIM:.2f}",
            f"{100 * median(by['gradc'], 'roofline'):.0f} %",
        ]
        for case, by in reports.items()
    ]
    return markdown(["model", "batch", *(f"{name} µs" for name in names), "of the best peer", "aim", "of the roofline"], rows)


def memory_table(reports):
    names = names_in(reports)
    rows = [
        [
            case.model,
            str(case.batch),
            *(digits(median(by[name], "peak_bytes") / 1e6) for name in names),
            ratio(by, [name for name in names if name == "PyTorch"], "peak_bytes"),
            f"{MEMORY_AIM:.2f}",
        ]
        for case, by in reports.items()
    ]
    return markdown(["model", "batch", *(f"{name} MB" for name in names), "of PyTorch's", "aim"], rows)


def chart(reports):
    """Bars: the time of a step as a share of the slowest's, model by model."""
    names = names_in(reports)
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
    for row, (case, by) in enumerate(reports.items()):
        top = 32 + row * group
        longest = max(median(one, "step_us") for one in by.values())
        parts.append(f'<text x="{left - 8}" y="{top + len(names) * bar / 2 + 4}" text-anchor="end">{case.model}</text>')
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


def put(marker, made):
    """Puts a table in its place in the page about performance."""
    page = ROOT / "docs" / "performance.md"
    pattern = rf"(?s)(<!-- {marker} -->\n).*?(<!-- end -->)"
    text, places = re.subn(pattern, lambda found: found[1] + "\n" + made + "\n\n" + found[2], page.read_text())
    if places != 1:
        sys.exit(f"{page} has {places} places for the table: <!-- {marker} -->")
    write(page, text)


def main():
    parser = argparse.ArgumentParser()
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--forward", action="store_true")
    what.add_argument("--memory", action="store_true")
    parser.add_argument("--gradc", default=str(ROOT / "target" / "release" / "gradc"))
    parser.add_argument("--jax", default=sys.executable)
    parser.add_argument("--torch", default=sys.executable)
    parser.add_argument("--rust", default=str(HERE / "rust" / "target" / "release"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--batches", type=lambda text: [int(size) for size in text.split(",")])
    parser.add_argument("models", nargs="*")
    options = parser.parse_args()
    if options.forward:
        marker, table, models, batches = "forward", forward_table, BATCHED, [1, 64]
    elif options.memory:
        marker, table, models, batches = "memory", memory_table, ["transformer2", "lenet"], [256]
    else:
        marker, table, models, batches = "table", training_table, MODELS, [None]
    cases = [Case(model, batch, options.forward) for model in options.models or models for batch in options.batches or batches]
    reports = measure(find_runners(options), cases, options.rounds, options.seconds)
    made = table(reports)
    print(made)
    if set(reports) == {Case(model, batch, options.forward) for model in models for batch in batches}:
        put(marker, made)
        if marker == "table":
            write(ROOT / "docs" / "performance.svg", chart(reports))


main()
