"""The second paper's case studies: how long they take, and whether a naive loop errs less."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import naive
import numpy as np
from scipy import stats
from timing import Row

import mtl_nt
from mtl_nt.datasets.downloads import FOLDER
from mtl_nt.study import stored
from mtl_nt.training import scores


def rows(seeds: int, splits: int, steps: int | None) -> list[Row]:
    """Minutes of both studies on two cores, and our errors over the naive loop's; ± is the
    standard deviation of the runs, and of a difference half its 95% interval.
    """
    return [*digits(seeds, steps or 660), *drugs(splits, steps)]


def digits(seeds: int, steps: int) -> list[Row]:
    data = mtl_nt.load("mnist", preset="small")
    runs = list(range(100, 100 + seeds))
    begin = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        study = mtl_nt.compare(
            data,
            naive.METHODS[1:],
            (0.1,),
            runs,
            steps=steps,
            baseline="CNN",
            executor=pool,
            progress=False,
        )
    minutes = (time.perf_counter() - begin) / 60
    where = f"MNIST-Imbalanced, 14 x 14 pixels, {seeds} runs of {steps} steps"
    target = "under 4" if steps == 660 else ""
    found = [
        Row("minutes of CNN twice, MTL-CNN, Deep-AMTFL, U-AMTFL", where, [minutes], "", target)
    ]
    recipe = mtl_nt.Recipe.for_data(data, steps=steps)
    errors = study.results[study.results["metric"] == "error"]
    for name in naive.METHODS:
        ours = errors[errors["method"] == name].groupby("seed")["value"].mean().to_numpy()
        theirs = np.array(
            [
                scores(data, "test", naive.predict(name, data, recipe, seed))["error"].mean()
                for seed in runs
            ]
        )
        found.append(_against_naive(f"mean error of {name}", where, ours, theirs))
    return found


def drugs(splits: int, steps: int | None) -> list[Row]:
    what, where = "minutes of all methods and baselines", f"GDSC, {splits} splits"
    try:
        data = mtl_nt.load("gdsc")
    except mtl_nt.BadInput:
        return [Row(what, where, [], "", "under 3", f"needs the files, see {FOLDER}")]
    runs = list(range(100, 100 + splits))
    seeds = ",".join(map(str, runs)) + ","
    command = [sys.executable, "-m", "mtl_nt", "results", "gdsc", "--workers", "2"]
    options = ["--seeds", seeds, *(["--steps", str(steps)] if steps else [])]
    folder = Path(os.environ.get("TMPDIR", "/tmp"), f"mtl_nt-bench-{os.getpid()}")
    begin = time.perf_counter()
    subprocess.run(
        [*command, *options, "--out", folder / "kept", "--parts", folder / "parts"],
        check=True,
        capture_output=True,
    )
    minutes = (time.perf_counter() - begin) / 60
    study = stored(folder / "kept" / "gdsc")
    found = [Row(what, where, [minutes], "", "" if steps else "under 3")]
    raw = study.results[study.results["metric"] == "MSE (raw)"]
    recipe = mtl_nt.Recipe.for_data(data, steps=steps)
    for name in naive.METHODS[2:]:
        ours = raw[raw["method"] == name].groupby("seed")["value"].mean().to_numpy()
        theirs = []
        for seed in runs:
            run = data.for_seed(seed)
            outputs = naive.predict(name, run, recipe, seed)
            theirs.append(scores(run, "test", outputs)["MSE (raw)"].mean())
        found.append(_against_naive(f"raw MSE of {name}", where, ours, np.array(theirs)))
    return found


def _against_naive(what: str, where: str, ours: np.ndarray, theirs: np.ndarray) -> Row:
    """Our error over the naive loop's, and whether the interval of the difference holds zero."""
    gap = ours - theirs
    wide = stats.t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap))
    own, other = (f"{v.mean():.4f} ± {v.std(ddof=1):.4f}" for v in (ours, theirs))
    against = f"a naive loop, {other}; difference {gap.mean():+.4f} ± {wide:.4f}"
    target = f"{'is' if gap.mean() - wide <= 0 else 'IS NOT'}: not worse beyond the interval"
    return Row(f"{what}, {own}", where, list(ours / theirs), against, target)
