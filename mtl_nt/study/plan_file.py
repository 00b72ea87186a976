"""A plan as a JSON file that people may edit: which method trains each task.

    {"plan": "mtl_nt", "tasks": {"height": {"method": "MTL"},
                                 "weight": {"method": "LBTW", "alpha": 0.5}}}

is all that a plan needs. What `plan_json` writes also has the gains, which nobody reads again, and
the settings of the training.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import BadInput, is_finite_number, is_whole_number, suggestion
from ..files import SMALL_FILE, read_bytes
from ..networks import Recipe, unknown_setting
from ..terminal import warn
from .arms import Arm
from .method import Method
from .methods import METHODS, methods_at_widths, tuned
from .task_plan import TaskPlan

KEYS = (
    *("plan", "version", "data", "reading", "says", "chosen_on", "tasks", "recipe", "settings"),
    "candidates",
)
MARK = "mtl_nt"
TASK_KEYS = ("method", "alpha", "why", "apparent", "left_out")
AT_WIDTH = re.compile(r"(?P<name>STL|MTL), width x (?P<factor>[0-9.]+)")


@dataclass(frozen=True)
class Choices:
    """What is to be trained: the method and alpha of each task, and the settings.

    Attributes:
        arms: a method and its alpha, which may be None, by the name of the task.
        settings: settings of the training, in place of the data's own.
        candidates: of each tuned method the number of its candidate, and how many there are.
        own: settings of a method by its name, in place of `settings`. A method that is named has
            these settings and no others; else the data say what their single tasks ask for.
        where: what the plan is called in a message.
        reading: the options with which the plan's table was read, as words of a command line; None
            where nobody says.
    """

    arms: Mapping[str, Arm]
    settings: Mapping[str, Any] = field(default_factory=dict)
    candidates: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    where: str = "the plan"
    reading: str | None = None


def plan_json(plan: TaskPlan, reading: str | None = None) -> str:
    """The plan as the text of a JSON file.

    Args:
        reading: the options with which its table was read, as words of a command line.

    >>> from mtl_nt.study import stored
    >>> text = plan_json(stored("cure-unrelated").task_plan(["MTL"]))
    >>> [arm for arm, _ in parse_plan(json.loads(text)).arms.values()].count("MTL")
    6
    """
    rows = plan.table.set_index("task").to_dict("index")
    tasks = {
        task: {
            "method": method,
            **({} if alpha is None else {"alpha": alpha}),
            "why": rows[task]["why"],
            **{name: _number(rows[task][name]) for name in ("apparent", "left_out")},
        }
        for task, (method, alpha) in plan.choices.items()
    }
    whole = {
        "plan": MARK,
        "version": __version__,
        "data": plan.dataset,
        **({} if reading is None else {"reading": reading}),
        "says": str(plan),
        "chosen_on": plan.chosen_on,
        "tasks": tasks,
        "recipe": None if plan.recipe is None else asdict(plan.recipe),
        "settings": {name: dict(own) for name, own in plan.settings.items()},
        "candidates": {name: list(pair) for name, pair in plan.candidates.items()},
    }
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def is_plan(path: Path) -> bool:
    """Whether a file is a plan that this package has written, and may replace.

    >>> is_plan(Path("no such file"))
    False
    """
    try:
        found = json.loads(read_bytes(path, SMALL_FILE))["plan"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
    return bool(found == MARK)


def read_plan(
    plan: TaskPlan | Mapping[str, Any] | str | Path, own: Sequence[Method] = ()
) -> Choices:
    """A plan from `Study.task_plan`, from the path of its file, or from what such a file holds.

    Args:
        own: methods of your own that the plan may name.

    Raises:
        BadInput: no such file, or one that is no plan. One line says what is wrong, and where.

    >>> read_plan({"tasks": {"a": {"method": "MTL"}}}).arms["a"][0]
    'MTL'
    """
    if isinstance(plan, TaskPlan):
        settings = {} if plan.recipe is None else _fields(plan.recipe)
        return Choices(plan.choices, settings, plan.candidates, plan.settings)
    if isinstance(plan, Mapping):
        return parse_plan(plan, own=own)
    if not isinstance(plan, (str, Path)):
        raise BadInput(f"plan {plan!r:.40}: give what task_plan() gives, or the path of its file")
    where = Path(plan).name
    try:
        value = json.loads(read_bytes(plan, SMALL_FILE), object_pairs_hook=_without_repeats)
    except OSError as error:
        raise BadInput(f"cannot read the plan {plan}: {error.strerror}") from None
    except _Repeated as error:
        raise BadInput(f"{where} has the key {str(error)!r:.60} twice; take one out") from None
    except (ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise BadInput(f"{where} is no JSON{line}; mend it, or write the plan anew") from None
    if not isinstance(value, dict):
        raise BadInput(f'{where} is no plan; it must be {{"tasks": {{...}}}}')
    return parse_plan(value, where, own)


def parse_plan(
    value: Mapping[str, Any], where: str = "the plan", own: Sequence[Method] = ()
) -> Choices:
    """Check what the file of a plan holds. Somebody may have edited it by hand.

    A plan of another version of this package is read, and a line on standard error says so: its
    gains were measured by other code.

    Raises:
        BadInput: a key, a method, an alpha or a setting that cannot be used.

    >>> parse_plan({"tasks": {"height": {"method": "Uncertanty"}}}, "p.json")
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: p.json: task 'height': unknown method 'Uncertanty'; did you mean \
'Uncertainty'?
    """
    _check_keys(value, KEYS, where)
    _check_head(value, where)
    tasks = value.get("tasks")
    if not isinstance(tasks, Mapping) or not tasks:
        raise BadInput(f'{where} has no tasks; give "tasks": {{"NAME": {{"method": "MTL"}}, ...}}')
    arms = {}
    for task, entry in tasks.items():
        at = f"{where}: task {task!r:.60}"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("method"), str):
            raise BadInput(f'{at} has no method; give {{"method": "MTL"}}')
        _check_keys(entry, TASK_KEYS, at)
        _check_gains(entry, at)
        arms[str(task)] = entry["method"], _alpha(entry, at)
    settings = _settings(value.get("recipe"), f"{where}: recipe")
    candidates = value.get("candidates", {})
    if not isinstance(candidates, Mapping) or not all(map(_is_candidate, candidates.values())):
        raise BadInput(f'{where}: candidates: give {{"METHOD": [number, how many]}}, from 0 on')
    numbers = {str(name): (int(n), int(k)) for name, (n, k) in candidates.items()}
    for name in numbers:
        if named_method(name, Recipe(**settings), own) is None:
            raise BadInput(
                f"{where}: candidates of the unknown method {name!r:.40}; name a method of the "
                "plan, or leave it out"
            )
    for task, (name, alpha) in arms.items():
        method = named_method(name, Recipe(**settings), own)
        _check_known(name, alpha, f"{where}: task {task!r:.60}", method)
        if method is not None and method.search and name not in numbers:
            raise BadInput(
                f"{where}: task {task!r:.60} has {name} without its candidate; give "
                f'"candidates": {{"{name}": [NUMBER, HOW MANY]}}, as in the plan that was written'
            )
    return Choices(
        arms, settings, numbers, _own_settings(value, where), where, value.get("reading")
    )


def named_method(name: str, recipe: Recipe, own: Sequence[Method] = ()) -> Method | None:
    """The method of this name: one's own, one of `METHODS`, its tuned form, or one at a width.

    >>> named_method("RMTL, tuned", Recipe()).search is not None
    True
    """
    known = {**METHODS, **{m.name: m for m in own}}
    base = name.removesuffix(", tuned")
    if name in known:
        return known[name]
    if base in known and known[base].search is None and known[base].predictor is None:
        return tuned(known[base])
    if found := AT_WIDTH.fullmatch(name):
        try:
            factor = float(found["factor"])
        except ValueError:
            return None
        return next(m for m in methods_at_widths(recipe, [factor]) if m.name == name)
    return None


class _Repeated(ValueError):
    """A key that is twice in one object of JSON."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, in which no key comes twice: one of them would be lost in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for name in names if names.count(name) > 1))
    return found


def _check_head(value: Mapping[str, Any], where: str) -> None:
    """Check what a plan says of itself."""
    if value.get("plan", MARK) != MARK:
        raise BadInput(f'{where} is a plan of {_shown(value["plan"])}; "plan" must be "{MARK}"')
    for key in ("version", "data", "reading", "says", "chosen_on"):
        if not isinstance(value.get(key, ""), str):
            raise BadInput(f"{where}: {key} {_shown(value[key])}: give a text, or leave it out")
    version = value.get("version", __version__)
    if version != __version__:
        warn(
            f"{where} was written by mtl_nt {version:.40}, and this is {__version__}; its gains "
            "were measured by other code, so run report again if they matter"
        )


def _check_gains(entry: Mapping[str, Any], at: str) -> None:
    """Check what a plan says of a task, and what nobody reads."""
    if not isinstance(entry.get("why", ""), str):
        raise BadInput(f"{at}: why {_shown(entry['why'])}: give a text, or leave it out")
    for key in ("apparent", "left_out"):
        gain = entry.get(key)
        if gain is not None and not is_finite_number(gain):
            raise BadInput(f"{at}: {key} {_shown(gain)}: give a number, or leave it out")


def _fields(recipe: Recipe) -> dict[str, Any]:
    """The settings of a recipe by name."""
    return {f.name: getattr(recipe, f.name) for f in fields(Recipe)}


def _own_settings(plan: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """The settings that a plan gives for single methods, by the method's name."""
    own = plan.get("settings", {})
    if not isinstance(own, Mapping):
        raise BadInput(f'{where}: settings: give them by method, such as {{"MTL": {{"steps": 9}}}}')
    return {str(n): _settings(given, f"{where}: settings of {n!r:.40}") for n, given in own.items()}


def _settings(given: Any, where: str) -> dict[str, Any]:
    """The settings of a training that a plan gives, all of them or some."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise BadInput(f'{where}: give settings by name, such as {{"steps": 600}}')
    known = {f.name for f in fields(Recipe)}
    for name in given:
        if name not in known:
            raise BadInput(f"{where}: unknown setting {name!r:.40}; {unknown_setting(name)}")
    settings: dict[str, Any] = {
        str(k): tuple(v) if isinstance(v, list) else v for k, v in given.items()
    }
    try:
        Recipe(**settings)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    except TypeError:
        name = next((n for n, v in settings.items() if _is_of_another_kind(n, v)), "")
        raise BadInput(
            f"{where}: {name} {_shown(settings.get(name))}: a value of another kind; leave it out"
        ) from None
    return settings


def _is_of_another_kind(name: str, value: Any) -> bool:
    """Whether a setting cannot have such a value."""
    try:
        Recipe(**{name: value})
    except TypeError:
        return True
    except BadInput:
        pass
    return False


def _check_known(name: str, alpha: float | None, at: str, method: Method | None) -> None:
    """Check that there is a method of this name, and that it has an alpha where it needs one."""
    if method is None:
        known = [m.name for m in METHODS.values() if m.predictor is None]
        raise BadInput(f"{at}: unknown method {name!r:.60}; {suggestion(name, known)}")
    if method.alpha and alpha is None:
        raise BadInput(f'{at} has {name} without its alpha; give "alpha": 0.5, say')
    if not method.alpha and alpha is not None:
        raise BadInput(f"{at} has {name} with an alpha, which it has not; leave the alpha out")


def _alpha(entry: Mapping[str, Any], at: str) -> float | None:
    alpha = entry.get("alpha")
    if alpha is not None and not (is_finite_number(alpha) and alpha >= 0):
        raise BadInput(f"{at} has the alpha {_shown(alpha)}; give a number, 0 or more")
    return None if alpha is None else float(alpha)


def _check_keys(value: Mapping[str, Any], known: Sequence[str], at: str) -> None:
    for key in value:
        if key not in known:
            raise BadInput(f"{at} has an unknown key {key!r:.40}; {suggestion(key, known)}")


def _is_candidate(pair: Any) -> bool:
    return (
        isinstance(pair, Sequence)
        and len(pair) == 2
        and all(is_whole_number(number, 0) for number in pair)
        and pair[0] < pair[1] <= 10_000
    )


def _shown(value: Any) -> str:
    """A value as the file has it, cut where it is long."""
    try:
        return json.dumps(value, ensure_ascii=False)[:40]
    except (TypeError, ValueError, RecursionError):  # of a plan that is no file
        return repr(value)[:40]


def _number(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
