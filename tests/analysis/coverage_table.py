"""Prints what gcovr's summary says, a line a folder of the daemon: coverage_table.py SUMMARY.json FOLDER…"""

import json
import sys


def share(covered, total):
    return f"{100 * covered / total:5.1f} % of {total}" if total else "none"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        files = json.load(file)["files"]
    folders = sys.argv[2:]
    print(f"{'folder':<10} {'lines':<18} branches")
    for folder in folders + ["all"]:
        sums = dict.fromkeys(("line_covered", "line_total", "branch_covered", "branch_total"), 0)
        for entry in files:
            if folder == "all" or f"daemon/{folder}/" in entry["filename"]:
                for key in sums:
                    sums[key] += entry[key]
        if not sums["line_covered"]:
            sys.exit(f"coverage_table.py: no line of daemon/{folder} is covered: nothing was measured")
        print(f"{folder:<10} {share(sums['line_covered'], sums['line_total']):<18} "
              f"{share(sums['branch_covered'], sums['branch_total'])}")


if __name__ == "__main__":
    main()
