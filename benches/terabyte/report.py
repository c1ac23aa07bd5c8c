"""Makes a table and plots of what airlift-terabyte has measured.

`python3 report.py RESULTS.jsonl ... OUT` writes OUT/table.md, memory.svg, rate.svg and cost.svg.
"""

import json
import math
import sys
from pathlib import Path

STEPS = ("pack", "verify", "import")
KINDS = {"models": ("CPU s/GB", lambda line: cpu(line) / line["bytes"] * 1e9),
         "records": ("CPU ms/file", lambda line: cpu(line) / line["files"] * 1e3)}
PANEL_WIDTH, PANEL_HEIGHT, LEFT, TOP, GAP = 300, 170, 56, 48, 62
COLOURS = ("#1b9e77", "#d95f02", "#7570b3", "#e7298a")
STYLE = """<style>
text { font: 12px sans-serif; fill: #333 } .title { font-weight: bold } .grid { stroke: #ddd }
.line { fill: none; stroke-width: 1.8 } .limit { stroke: #c00; stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .grid { stroke: #444 } .limit { stroke: #f66 } }
</style>"""


def cpu(line):
    return line["user_s"] + line["system_s"]


def kind_of(line):
    return line["tree"].split(":")[0]


def size(value, units=("B", "kB", "MB", "GB", "TB")):
    step = min(int(math.log10(max(value, 1)) // 3), len(units) - 1)
    return f"{value / 1000 ** step:.3g} {units[step]}".strip()


def name_of(line):
    if kind_of(line) == "models":
        return f"{line['files']} models, {size(line['bytes'])}"
    return f"{size(line['files'], ('', 'k', 'M'))} files".replace(" k", " k").replace("  ", " ")


def table(lines):
    rows = ["| tree | step | time s | CPU s | of it user | CPU s/GB | CPU ms/file | server CPU s | peak MiB "
            "| volumes | manifest | pack table | state | spilled |", "|" + "---|" * 14]
    for line in lines:
        figures = (f"{line['wall_s']:.1f}", f"{cpu(line):.1f}", f"{line['user_s']:.1f}",
                   f"{cpu(line) / line['bytes'] * 1e9:.2f}", f"{cpu(line) / line['files'] * 1e3:.3f}",
                   f"{line['server_s']:.1f}", f"{line['peak_memory'] / 2 ** 20:.0f}", size(line["volumes"]),
                   size(line["manifest"]), size(line["packs"]), size(line["state"]),
                   size(line["spilled"]) if "spilled" in line else "")
        rows.append("| " + " | ".join((name_of(line), line["step"]) + figures) + " |")
    return "\n".join(rows) + "\n"


class Plot:
    """Panels in rows and columns: kinds of trees, and steps."""

    def __init__(self, title, columns):
        self.columns, self.parts = columns, [f'<text x="{LEFT}" y="18" class="title">{title}</text>']
        self.height = TOP

    def row(self):
        self.height += PANEL_HEIGHT + GAP

    def panel(self, column, title, top_value, x_names, series, limit=None):
        """Each of the series is (name, points); points have x from 0 to 1 and a value."""
        left, top = LEFT + column * (PANEL_WIDTH + GAP), self.height
        place = lambda x, y: (left + x * PANEL_WIDTH, top + PANEL_HEIGHT * (1 - y / top_value))
        self.parts.append(f'<text x="{left}" y="{top - 8}">{title}</text>')
        for step in range(5):
            value = top_value * step / 4
            _, y = place(0, value)
            self.parts.append(f'<line class="grid" x1="{left}" x2="{left + PANEL_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
                              f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
        for x, text in x_names:
            self.parts.append(f'<text x="{left + x * PANEL_WIDTH:.1f}" y="{top + PANEL_HEIGHT + 16}" '
                              f'text-anchor="middle">{text}</text>')
        if limit:
            (x1, y), (x2, _) = place(0, limit), place(1, limit)
            self.parts.append(f'<line class="limit" x1="{x1}" x2="{x2}" y1="{y:.1f}" y2="{y:.1f}"/>')
        for number, (name, points) in enumerate(series):
            colour = COLOURS[number % len(COLOURS)]
            found = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
            self.parts.append(f'<polyline class="line" stroke="{colour}" points="{found}"/>')
            if len(points) < 8:
                self.parts += [f'<circle fill="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
                               for x, y in (place(*point) for point in points)]
            x, y = left + (number % 2) * PANEL_WIDTH / 2, top + PANEL_HEIGHT + 32 + number // 2 * 14
            self.parts.append(f'<rect fill="{colour}" x="{x}" y="{y - 9}" width="10" height="10"/>'
                              f'<text x="{x + 15}" y="{y}">{name}</text>')

    def write(self, path):
        width = LEFT + self.columns * (PANEL_WIDTH + GAP)
        path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {self.height}" '
                        f'width="{width}" height="{self.height}">{STYLE}' + "\n".join(self.parts) + "</svg>\n")


def over_time(lines, title, unit, values, limits=None):
    """Plots values over the share of each run."""
    steps = [step for step in STEPS if any(line["step"] == step for line in lines)]
    plot = Plot(title, len(steps))
    for kind in KINDS:
        for column, step in enumerate(steps):
            found = [line for line in lines if kind_of(line) == kind and line["step"] == step]
            series = [(name_of(line), values(line)) for line in found if len(line["samples"]) > 2]
            limit = (limits or {}).get(step)
            top = 1.1 * max([limit or 0] + [value for _, points in series for _, value in points] + [1e-9])
            ends = ((0, "begin"), (1, "end"))
            plot.panel(column, f"{step}, {kind}: {unit}", top, ends, series, limit)
        plot.row()
    return plot


def memory(line):
    last = line["samples"][-1][0] or 1
    return [(sample[0] / last, sample[1] / 2 ** 20) for sample in line["samples"]]


def rate(line):
    """Returns the rate at which bytes are read by a pack or sent by an import, as shares of the mean."""
    column = {"pack": 2, "import": 3}[line["step"]]
    # The counters go on from one step to the next.
    kept = line["samples"][::max(1, len(line["samples"]) // 40)]
    first, last = kept[0], kept[-1]
    mean = (last[column] - first[column]) / max(last[0] - first[0], 1)
    pairs = [(before, after) for before, after in zip(kept, kept[1:]) if after[0] > before[0] and mean]
    return [(after[0] / last[0], (after[column] - before[column]) / (after[0] - before[0]) / mean)
            for before, after in pairs]


def cost(lines):
    steps = [step for step in STEPS if any(line["step"] == step for line in lines)]
    plot = Plot("CPU time of the program by size of the tree", 2)
    for column, (kind, (unit, value)) in enumerate(KINDS.items()):
        found = [line for line in lines if kind_of(line) == kind]
        trees = list(dict.fromkeys(name_of(line) for line in found))
        x_of = {tree: (number + 0.5) / len(trees) for number, tree in enumerate(trees)}
        series = [(step, [(x_of[name_of(line)], value(line)) for line in found if line["step"] == step])
                  for step in steps]
        top = 1.2 * max([point[1] for _, points in series for point in points] + [1e-9])
        short = [(x, tree.split(", ")[-1]) for tree, x in x_of.items()]
        plot.panel(column, f"{kind}: {unit}", top, short, [one for one in series if one[1]])
    plot.row()
    return plot


def main():
    *sources, out = map(Path, sys.argv[1:])
    lines = [json.loads(text) for source in sources for text in source.read_text().splitlines()]
    lines.sort(key=lambda line: (kind_of(line), line["bytes"], STEPS.index(line["step"])))
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(table(lines))
    with (out / "results.jsonl").open("w") as results:
        results.writelines(json.dumps(line) + "\n" for line in lines)
    limits = {"pack": 512, "import": 256}
    over_time(lines, "Memory over the run", "MiB", memory, limits).write(out / "memory.svg")
    moving = [line for line in lines if line["step"] != "verify"]
    over_time(moving, "Bytes read by pack and sent by import over the run", "share of the mean rate", rate).write(out / "rate.svg")
    cost(lines).write(out / "cost.svg")


main()
