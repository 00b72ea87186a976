"""The audit of a user's own table: which tasks multi-task training harms, and what helps.

`source` reads the data, and `audit` trains: `work` says what comes first, `costs` what it takes,
`schedule` keeps to the time, `bench` trains one piece, and `status` shows what is going on. `plan`
says what was trained, and `result` holds what was found. `saved` and `folder` keep it on disk.
`early` is for an audit that ended before any verdict.
`findings` puts it into numbers and `sentences` into words, `tables` and `figures` show it, and
`page` puts all of it on one page. `command` is what `python -m mtl_nt report` does.

`predict` is what `python -m mtl_nt fit` and `predict` do with the plan.

`judge` is what `python -m mtl_nt judge` does with scores that somebody else has trained.
`judgement` puts the verdicts on them into numbers and sentences, and `judgement_page` shows them.

This room uses all others.
"""

from .audit import audit, example_audit
from .figures import affinity_map, width_check
from .findings import findings
from .judgement import judgement
from .page import audit_page
from .plan import parse_methods
from .result import Audit, repeat_command
from .sentences import sentences
from .tables import csv_link, plan_table, remedies_table, settings_table, task_table, verdicts_link

__all__ = [
    "Audit",
    "affinity_map",
    "audit",
    "audit_page",
    "example_audit",
    "repeat_command",
    "csv_link",
    "findings",
    "judgement",
    "parse_methods",
    "plan_table",
    "remedies_table",
    "sentences",
    "task_table",
    "settings_table",
    "verdicts_link",
    "width_check",
]
