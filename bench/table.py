# SPDX-License-Identifier: Apache-2.0
"""What a bench returns, and how it is shown."""

import dataclasses
import json


@dataclasses.dataclass
class Figure:
    name: str			# stable: results of different runs are compared by it
    value: float | None		# None: this build cannot tell
    unit: str
    aim: float | None		# None: nothing is promised, the figure is there to be watched
    better: str			# "less" or "more"
    what: str			# in words, for the table
    limit: str			# what bounds the figure here: the emulator, the firmware, the clock

    def record(self):
        return {"name": self.name, "value": self.value, "unit": self.unit, "aim": self.aim, "better": self.better}


def as_json(figures):
    return json.dumps([figure.record() for figure in figures], indent=1)


def _number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.2f}"


def as_table(figures):
    rows = [("what", "figure", "unit", "aim", "limit")]
    for figure in figures:
        sign = {"less": "<= ", "more": ">= "}[figure.better]
        aim = "-" if figure.aim is None else sign + _number(figure.aim)
        rows.append((figure.what, _number(figure.value), figure.unit, aim, figure.limit))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for row in rows:
        what, value, unit, aim, limit = row
        lines.append(f"{what:<{widths[0]}}  {value:>{widths[1]}}  {unit:<{widths[2]}}  {aim:<{widths[3]}}  {limit}")
    return "\n".join(lines)
