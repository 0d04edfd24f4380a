"""What the peers in Python have in common: their arguments, the clock, and what they print."""

import argparse
import json
import time


def arguments(description, *flags):
    """MODEL [SECONDS] [--forward] [--batch N], and further flags with what they mean."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("seconds", type=float, nargs="?", default=2.0)
    parser.add_argument("--forward", action="store_true", help="the outputs alone, not a training step")
    parser.add_argument("--batch", type=int, help="instead of the suite's")
    for flag, meaning in flags:
        parser.add_argument(flag, action="store_true", help=meaning)
    return parser.parse_args()


def build(models, options):
    """The chosen model, at the batch size that is asked for."""
    return models[options.model]() if options.batch is None else models[options.model](options.batch)


def timed(run, seconds):
    """The median and the least time of a run in microseconds, after a few that do not count."""
    for _ in range(4):
        run()
    times, began = [], time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < 5:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    times.sort()
    return dict(step_us=1e6 * times[len(times) // 2], min_us=1e6 * times[0])


def report(options, **values):
    print(json.dumps(dict(model=options.model, **values)))
