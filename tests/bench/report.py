#!/usr/bin/python3
"""RESULTS.md and results.svg from the figures of bench.py. Usage: report.py FIGURES.json FOLDER"""

import html
import json
import pathlib
import platform
import sys
import time

from goals import GOALS

# Why a goal is not met, where one is not: by case. Kept with the figures, so that nobody has to guess.
WHY = {
    "state.resume": "curl goes on at the length that the file has, which after a kill -9, other than after a power cut, "
                    "is right; it does not verify. aria2c begins anew. We go on from what was written up to a few hundredths of a second "
                    "before, compared with the disk first, and our time includes the daemon's start.",
    "push.push": "the registry's own hashing is the limit; theirs and ours wait for it.",
}


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    with open("/proc/meminfo", encoding="ascii") as file:
        gib = int(file.readline().split()[1]) / (1 << 20)
    return f"{len(names)} x {names[0]}, {gib:.0f} GiB, Linux {platform.release()}"


def case_lines(result):
    lines = [f"## {result['title']}", ""]
    gib = (result["bytes"] or 0) / (1 << 30)
    ours = result["rows"].get("pullama", {}).get("seconds")
    lines += ["| what | seconds, median | slowest | against pullama | CPU s a GiB | peak MiB |", "|---|---|---|---|---|---|"]
    for name, row in sorted(result["rows"].items(), key=lambda item: item[1]["seconds"]):
        ratio = f"{row['seconds'] / ours:.2f}" if ours else ""
        cpu = f"{row['cpu_s'] / gib:.2f}" if gib and row["cpu_s"] else ""
        memory = f"{row['rss_kb'] / 1024:.0f}" if row["rss_kb"] else ""
        shown = f"**{name}**" if name.startswith("pullama") else name.replace("|", "\\|")
        lines.append(f"| {shown} | {row['seconds']:.3f} | {max(row['all_seconds']):.3f} | {ratio} | {cpu} | {memory} |")
    lines.append("")
    for goal in GOALS.get(result["case"], []):
        met, text = goal(result)
        lines.append(f"- {'met' if met else 'NOT MET'}: {goal.__name__.replace('_', ' ')}: {text}.")
    if result["case"] in WHY:
        lines.append(f"- {WHY[result['case']]}")
    return [*lines, f"- {result['rounds']} rounds, load {result['load']:.1f}, commit {result['commit']}.", ""]


def plot(result):
    """Horizontal bars of one case's medians; one colour is ours."""
    rows = sorted(result["rows"].items(), key=lambda item: item[1]["seconds"])
    longest = max(row["seconds"] for _, row in rows) or 1
    height = 34 + 22 * len(rows)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" font-family="sans-serif" font-size="13">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="8" y="20" font-weight="bold">{html.escape(result["title"])}: seconds, less is better</text>']
    for number, (name, row) in enumerate(rows):
        y, width = 34 + 22 * number, 440 * row["seconds"] / longest
        colour = "#1f77b4" if name.startswith("pullama") else "#bbbbbb" if name.startswith("limit:") else "#888888"
        parts += [f'<text x="240" y="{y + 13}" text-anchor="end">{html.escape(name)}</text>',
                  f'<rect x="248" y="{y}" width="{width:.1f}" height="17" fill="{colour}"/>',
                  f'<text x="{254 + width:.1f}" y="{y + 13}">{row["seconds"]:.2f}</text>']
    return "\n".join([*parts, "</svg>", ""])


def main():
    results = json.loads(pathlib.Path(sys.argv[1]).read_text())
    folder = pathlib.Path(sys.argv[2])
    lines = ["# Measured", "",
             "Made by `tests/bench/run.sh`; not edited by hand. Every contender of a case in turn, then the next round; medians.",
             "Trust the ratios: they are of one run on one machine. pullama's figures end with the blob verified and synced,",
             "those of the others do not sync. A peak of a command is at least that of the Python that starts it, 28 MiB and more.",
             "", f"Machine: {machine()}. Date: {time.strftime('%Y-%m-%d', time.gmtime())}.", "",
             "![seconds for one large blob](results.svg)", ""]
    for result in results:
        lines += case_lines(result)
    (folder / "RESULTS.md").write_text("\n".join(lines))
    shown = next((result for result in results if result["case"] == "blob.http"), results[0])
    (folder / "results.svg").write_text(plot(shown))


if __name__ == "__main__":
    main()
