"""Seconds and memory of the embedded model's prediction, in a process of its own.

``python -m vggt_sfm.benchmarks.embedded_cost WEIGHTS IMAGE…`` prints one line of JSON: the wall
seconds of the predict stage, several times after one for warming up.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from vggt_sfm.benchmarks import child, markdown
from vggt_sfm.benchmarks.embedded_parts import (
    Measured,
    Plan,
    below,
    ingest,
    photographs,
    predict,
    predictor_of,
)
from vggt_sfm.errors import GateError

THREADS, REPEAT = 2, 3
MOST_MEGABYTES = 1024.0
RUNS = (("fountain-P11", 11, 6.0), ("7scenes_a", 30, 20.0))  # set, photographs, most seconds


def run_cost(plan: Plan) -> Measured:
    """Measure predictions of few and of many photographs.

    Raises:
        GateError: If a process fails.
    """
    titles = ["set", "photographs", "predict: wall s, median", "bar", "peak MB", "bar"]
    rows, figures = [], {}
    for name, count, most_seconds in RUNS:
        images = photographs(plan.data / name).images[:count]
        done = child.run("-m", "vggt_sfm.benchmarks.embedded_cost", plan.weights, *images)
        if done.exit_code:
            raise GateError(f"predicting {name} ended with {done.exit_code}")
        seconds = json.loads(done.output.splitlines()[-1])
        middle, peak = float(np.median(seconds)), done.peak / 2**20
        figures[name] = {"seconds": seconds, "peak_mb": round(peak)}
        bars = below(middle, most_seconds), below(peak, MOST_MEGABYTES)
        rows.append([name, str(count), f"{middle:.2f}", bars[0], f"{peak:.0f}", bars[1]])
    remark = f"torch and OpenCV on {THREADS} threads; reading and resizing the photographs included"
    return Measured(tables=(markdown.table(titles, rows), remark), figures=figures)


def main(weights: str, *images: str) -> None:
    """Predict, and print the seconds of each time but the first."""
    torch.set_num_threads(THREADS)
    cv2.setNumThreads(THREADS)
    scene = ingest([Path(image) for image in images])
    predictor = predictor_of(Path(weights))
    predict(scene, predictor)
    seconds = []
    for _ in range(REPEAT):
        start = time.perf_counter()
        predict(scene, predictor)
        seconds.append(round(time.perf_counter() - start, 3))
    sys.stdout.write(json.dumps(seconds) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
