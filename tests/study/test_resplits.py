"""Which runs split the same rows: what a pipeline does to them hides it, what is new is not it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)
from torch import Tensor

from mtl_nt import BadInput, Split, TaskData, load
from mtl_nt.bits import Bits
from mtl_nt.study.comparison import draw_runs
from mtl_nt.study.resplits import is_resplit

ROWS = 300
TASKS = ("a", "b", "c")


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(seed: int, rows: int = ROWS, features: int = 8) -> tuple[Tensor, Tensor]:
    """Correlated features, and three tasks that depend on them."""
    g = random(seed)
    x = torch.randn(rows, features, generator=g) @ torch.randn(features, features, generator=g)
    return x, x[:, : len(TASKS)] + 0.5 * torch.randn(rows, len(TASKS), generator=g)


X, Y = drawn(0)


def split(seed: int, rows: int = ROWS) -> Split:
    order = torch.randperm(rows, generator=random(seed))
    return Split(*order.tensor_split([int(0.6 * rows), int(0.8 * rows)]))


def task_data(x: Tensor | Bits, y: Tensor, cut: Split, kind: str = "regression") -> TaskData:
    tasks = tuple(f"task {t}" for t in range(y.shape[1]))
    return TaskData("own", x, y, tasks, kind, cut)


def shuffled(run: TaskData, seed: int) -> TaskData:
    """The same run, with its rows in another order."""
    order = torch.randperm(len(run.y), generator=random(seed + 99))
    place = order.argsort()
    cut = Split(*(place[part] for part in (run.split.train, run.split.validation, run.split.test)))
    x = run.x.take(order) if isinstance(run.x, Bits) else run.x[order]
    return replace(run, x=x, y=run.y[order], split=cut)


def scaled(columns: Tensor, train: Tensor) -> Tensor:
    return (columns - columns[train].mean(0)) / columns[train].std(0)


def components(x: Tensor, train: Tensor, count: int = 6) -> Tensor:
    """Principal components, of the training rows."""
    centred = x - x[train].mean(0)
    return centred @ torch.linalg.svd(centred[train])[2].T[:, :count]


def of_scaled(seed: int) -> TaskData:
    cut = split(seed)
    return task_data(scaled(X, cut.train), scaled(Y, cut.train), cut)


def of_scaled_targets(seed: int) -> TaskData:
    cut = split(seed)
    return shuffled(task_data(X, scaled(Y, cut.train), cut), seed)


def of_bits_and_scaled_targets(seed: int) -> TaskData:
    cut = split(seed)
    return shuffled(task_data(Bits.from_dense(X > 0), scaled(Y, cut.train), cut), seed)


def of_components_and_scaled_targets(seed: int) -> TaskData:
    cut = split(seed)
    return shuffled(task_data(components(X, cut.train), scaled(Y, cut.train), cut), seed)


def of_components_and_labels(seed: int) -> TaskData:
    """In the order of the table."""
    cut = split(seed)
    return task_data(components(X, cut.train), (Y > 0).float(), cut, "binary")


def of_quantiles(seed: int) -> TaskData:
    """Curved, though rising, as with a power or quantile transformer."""
    cut = split(seed)
    return shuffled(task_data(scaled(X, cut.train).sinh(), scaled(Y, cut.train).exp(), cut), seed)


def of_a_part(share: float) -> Callable[[int], TaskData]:
    """Another part of the rows in each run, features and targets scaled by its training rows."""

    def run(seed: int) -> TaskData:
        some = torch.randperm(ROWS, generator=random(seed + 50))[: int(share * ROWS)]
        cut = split(seed, len(some))
        return task_data(scaled(X[some], cut.train), scaled(Y[some], cut.train), cut)

    return run


def of_components_of_a_part(seed: int) -> TaskData:
    some = torch.randperm(ROWS, generator=random(seed + 50))[: int(0.7 * ROWS)]
    cut = split(seed, len(some))
    return task_data(components(X[some], cut.train), scaled(Y[some], cut.train), cut)


def of_a_bootstrap(seed: int) -> TaskData:
    some = torch.randint(0, ROWS, (ROWS,), generator=random(seed))
    cut = split(seed)
    return task_data(scaled(X[some], cut.train), scaled(Y[some], cut.train), cut)


def of_hidden_labels(seed: int) -> TaskData:
    """Other labels are hidden in each run, and nothing keeps its scale."""
    cut = split(seed)
    hidden = torch.rand(Y.shape, generator=random(seed)) < 0.2
    y = scaled(Y, cut.train).masked_fill(hidden, torch.nan)
    return shuffled(task_data(scaled(X, cut.train), y, cut), seed)


def of_images(seed: int) -> TaskData:
    digits = load("digits")
    assert isinstance(digits.x, Tensor)
    cut = split(seed, len(digits.y))
    x = (digits.x - digits.x[cut.train].mean()) / digits.x[cut.train].std()
    return shuffled(replace(digits, x=x, split=cut), seed)


HOLES = torch.rand(X.shape, generator=random(7)) < 0.1
MANY_HOLES = (torch.rand(X.shape, generator=random(8)) < 0.3) & (torch.arange(8) < 3)


def clipped(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -2, 2)


def piped(
    *steps: Callable[[], Any], holes: Tensor | None = None, share: float = 1
) -> Callable[[int], TaskData]:
    """Binary tasks, whose features a pipeline changes that is fitted to the training rows."""
    table = X if holes is None else X.masked_fill(holes, torch.nan)

    def run(seed: int) -> TaskData:
        some = torch.randperm(ROWS, generator=random(seed + 50))[: int(share * ROWS)]
        cut, x, labels = split(seed, len(some)), table[some].numpy(), (Y[some] > 0).float()
        pipeline = make_pipeline(*(step() for step in steps))
        pipeline.fit(x[cut.train], labels[cut.train, 0])
        return task_data(torch.tensor(pipeline.transform(x)).float(), labels, cut, "binary")

    return run


def bins() -> KBinsDiscretizer:
    return KBinsDiscretizer(5, encode="ordinal", quantile_method="averaged_inverted_cdf")


SAME: dict[str, Callable[[int], TaskData]] = {
    "features and targets scaled": of_scaled,
    "and shuffled": lambda seed: shuffled(of_scaled(seed), seed),
    "targets scaled, in another order": of_scaled_targets,
    "bits, with targets scaled": of_bits_and_scaled_targets,
    "components, with targets scaled": of_components_and_scaled_targets,
    "components, with labels of classes": of_components_and_labels,
    "curved": of_quantiles,
    "9 in 10 of the rows, scaled": of_a_part(0.9),
    "6 in 10 of the rows, scaled": of_a_part(0.6),
    "components of a part": of_components_of_a_part,
    "a bootstrap, scaled": of_a_bootstrap,
    "other labels hidden, scaled": of_hidden_labels,
    "images, scaled and shuffled": of_images,
    "imputed and scaled": piped(SimpleImputer, StandardScaler, holes=HOLES),
    "imputed by medians": piped(lambda: SimpleImputer(strategy="median"), holes=HOLES),
    "bins": piped(bins),
    "the best columns": piped(StandardScaler, lambda: SelectKBest(f_classif, k=5)),
    "polynomials": piped(StandardScaler, PolynomialFeatures),
    "splines": piped(SplineTransformer),
    "8 in 10, imputed and scaled": piped(SimpleImputer, StandardScaler, holes=HOLES, share=0.8),
    "8 in 10, three columns imputed": piped(SimpleImputer, holes=MANY_HOLES, share=0.8),
    "8 in 10, by powers": piped(PowerTransformer, share=0.8),
    "8 in 10, by quantiles": piped(lambda: QuantileTransformer(n_quantiles=50), share=0.8),
    "8 in 10, clipped": piped(StandardScaler, lambda: FunctionTransformer(clipped), share=0.8),
}


@pytest.mark.parametrize("case", SAME)
def test_the_same_rows_are_known_again_whatever_a_pipeline_did_to_them(case: str) -> None:
    runs = [SAME[case](seed) for seed in (1, 2, 3)]
    assert is_resplit(runs[0], runs[1]) and is_resplit(runs[2], runs[0])


@pytest.mark.parametrize("case", [c for c in SAME if " in 10" not in c and "boot" not in c])
def test_the_same_rows_in_the_same_parts_are_no_resplit(case: str) -> None:
    run = SAME[case](1)
    assert not is_resplit(run, run) and not is_resplit(run, shuffled(run, 5))


def a_curve(seed: int) -> TaskData:
    """A feature and tasks that rise together: their ranks are those of any other rows."""
    x = torch.rand(ROWS, 1, generator=random(seed))
    return task_data(x, torch.cat([x**3, 2 * x.exp()], 1), split(seed))


def twin_tasks(seed: int) -> TaskData:
    x, y = drawn(seed)
    return task_data(x[:, :2], torch.stack([y[:, 0], y[:, 0] + 1e-4 * x[:, 5]], 1), split(seed))


def one_task(seed: int) -> TaskData:
    x, y = drawn(seed, 2000, 1)
    return task_data(x, y[:, :1], split(seed, 2000))


def same_labels(seed: int) -> TaskData:
    """Classes of equal size in a fixed order, as makers of data give them; features are new."""
    labels = (torch.arange(ROWS) % 2).float()
    x = labels[:, None] + torch.randn(ROWS, 5, generator=random(seed))
    return task_data(x, torch.stack([labels, 1 - labels], 1), split(seed), "binary")


def same_labels_of_bits(seed: int) -> TaskData:
    run = same_labels(seed)
    assert isinstance(run.x, Tensor)
    return replace(run, x=Bits.from_dense(run.x > 0))


def few_values(seed: int) -> TaskData:
    """Categories: most rows of one run are also in another."""
    x = torch.randint(0, 4, (ROWS, 3), generator=random(seed)).float()
    return task_data(x, (x.sum(1, keepdim=True) > 4).float(), split(seed), "binary")


def classes(seed: int) -> TaskData:
    x, y = drawn(seed)
    return task_data(x, (y > 0).float(), split(seed), "binary")


def other_images(seed: int) -> TaskData:
    """Images of the two halves of digits, in the same order of labels and with other splits."""
    digits = load("digits")
    assert isinstance(digits.x, Tensor)
    mixed = torch.randperm(len(digits.y), generator=random(0))
    kind = digits.y[mixed].nan_to_num().argmax(1).argsort(stable=True)
    mine = mixed[kind][seed % 2 :: 2][:890]
    return replace(digits, x=digits.x[mine], y=digits.y[mine], split=split(seed, len(mine)))


def new_rows_imputed(seed: int) -> TaskData:
    x, y = drawn(seed)
    x = SimpleImputer().fit_transform(x.masked_fill(HOLES, torch.nan).numpy())
    return task_data(torch.tensor(x).float(), (y > 0).float(), split(seed), "binary")


def new_rows_in_bins(seed: int) -> TaskData:
    x, y = drawn(seed)
    x = torch.tensor(bins().fit_transform(x.numpy())).float()
    return task_data(x, (y > 0).float(), split(seed), "binary")


def a_number_and_categories(seed: int) -> TaskData:
    """In each of 32 groups, rows differ by one number."""
    x = torch.rand(ROWS, 6, generator=random(seed))
    x[:, 1:] = x[:, 1:].round()
    return task_data(x, (x[:, :1] + 0.5 * x[:, 1:2] > 0.7).float(), split(seed), "binary")


def a_curve_on_a_grid(seed: int) -> TaskData:
    """Rows are drawn evenly, one in each interval: nearer to new rows than to each other."""
    g = random(seed)
    u = (torch.arange(ROWS) + torch.rand(ROWS, generator=g)) / ROWS
    balanced = (torch.randperm(ROWS, generator=g) % 2).float()
    x = torch.stack([u, u**2, (5 * u).sin()], 1)
    return task_data(x, balanced[:, None], split(seed), "binary")


def every_combination_of_labels(seed: int) -> TaskData:
    """Eight of them, as often each, in another order; features are new."""
    labels = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3).repeat(40, 1)
    labels = labels[torch.randperm(320, generator=random(seed))]
    x = labels @ drawn(0)[0][:3] + torch.randn(320, 8, generator=random(seed))
    return task_data(x, labels, split(seed, 320), "binary")


def one_split_of_noisy_features(seed: int) -> TaskData:
    """The same rows in the same parts; each run measures the features anew."""
    x = X + 0.02 * torch.randn(X.shape, generator=random(seed))
    return shuffled(task_data(x, (Y > 0).float(), split(0), "binary"), seed)


NEW: dict[str, Callable[[int], TaskData]] = {
    "new rows": lambda seed: task_data(*drawn(seed), split(seed)),
    "one split": lambda seed: task_data(*drawn(seed), split(0)),
    "few rows": lambda seed: task_data(*drawn(seed, 20), split(seed, 20)),
    "many features": lambda seed: task_data(*drawn(seed, 100, 400), split(seed, 100)),
    "a curve": a_curve,
    "tasks that are nearly one": twin_tasks,
    "one feature and one task": one_task,
    "labels of classes": classes,
    "the same labels in the same order": same_labels,
    "the same labels of bits": same_labels_of_bits,
    "few values": few_values,
    "dial": lambda seed: load("dial").for_seed(seed),
    "dial with noise": lambda seed: load("dial-noisy").for_seed(seed),
    "other images": other_images,
    "new rows imputed": new_rows_imputed,
    "new rows in bins": new_rows_in_bins,
    "more rows in each run": lambda seed: task_data(*drawn(seed, 200 * seed), split(seed, 200)),
    "a number and categories": a_number_and_categories,
    "a curve on a grid": a_curve_on_a_grid,
    "every combination of labels": every_combination_of_labels,
    "one split of noisy features": one_split_of_noisy_features,
}


@pytest.mark.parametrize("case", NEW)
def test_new_rows_of_one_generator_are_no_resplit(case: str) -> None:
    runs = [NEW[case](seed) for seed in (1, 2, 3, 4, 5)]
    for one, other in zip(runs, runs[1:], strict=False):
        assert not is_resplit(one, other)


def test_runs_of_an_imputing_pipeline_are_free_splits() -> None:
    runs = draw_runs(SAME["imputed and scaled"], [0, 1, 2])
    assert {run.split.kind for run in runs} == {"free"}


def test_where_labels_alone_agree_we_ask_whether_rows_are_the_same() -> None:
    mixed = piped(StandardScaler, lambda: PCA(5))
    runs = [shuffled(mixed(seed), seed) for seed in (1, 2)]
    with pytest.raises(BadInput, match="say Split.*kind='free'.*or kind='new data'") as said:
        is_resplit(*runs)
    assert len(str(said.value)) < 280
    told = [replace(run, split=replace(run.split, kind="new data")) for run in runs]
    assert not is_resplit(*told)


def test_one_task_of_as_many_labels_is_no_reason_to_ask() -> None:
    run, other = drawn(1)[0], drawn(2)[0]
    y = (torch.arange(ROWS) < 100).float()[:, None]
    runs = [task_data(x, y, split(seed), "binary") for seed, x in ((1, run), (2, other))]
    assert not is_resplit(runs[0], shuffled(runs[1], 3))
