#!/usr/bin/python3
"""Reads the built programs with readelf and nm: what the compiler and the linker were asked for must be in them.
`hardening_test.py BUILD_DIR SANITIZE`; with sanitizers there is no _FORTIFY_SOURCE, which they replace."""

import os
import re
import subprocess
import sys


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def offences(path, sanitized):
    header, segments, dynamic = (output("readelf", "-W", flag, path) for flag in ("-h", "-l", "-d"))
    imports = set(re.findall(r"\bU (\w+)", output("nm", "-D", "--undefined-only", path)))
    found = []

    def expect(holds, what):
        if not holds:
            found.append(f"{path}: {what}")

    expect(re.search(r"Type:\s+DYN", header) and re.search(r"FLAGS_1\).*\bPIE\b", dynamic),
           "is not position independent")
    expect(re.search(r"^\s*GNU_RELRO\b", segments, re.M), "has no RELRO segment")
    expect(re.search(r"\bBIND_NOW\b|FLAGS_1\).*\bNOW\b", dynamic), "is not bound at start: RELRO is partial")
    stack = re.search(r"^\s*GNU_STACK\s.*$", segments, re.M)
    expect(stack and not re.search(r"\bRWE\b", stack.group()), "has an executable stack")
    for line in segments.splitlines():
        expect(not (line.split()[:1] == ["LOAD"] and re.search(r"\bRWE\b", line)), "has memory to write and execute")
    expect(not re.search(r"\((RPATH|RUNPATH)\)|\(TEXTREL\)", dynamic), "has a search path of its own or text relocations")
    expect("__stack_chk_fail" in imports, "has no stack protector")
    if not sanitized:
        expect(any(re.fullmatch(r"__\w+_chk", name) for name in imports - {"__stack_chk_fail"}),
               "has no _FORTIFY_SOURCE")
    return found


def main():
    build, sanitize = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    all_offences = []
    for name in ("pullamad", "pullama"):
        all_offences += offences(os.path.join(build, "bin", name), bool(sanitize))
    for line in all_offences:
        print(line)
    # The reader must be able to find something: a shared object is no program.
    witness = os.path.join(build, "bin", "pullamad")
    plain = subprocess.run(["ldd", witness], capture_output=True, text=True).stdout
    library = re.search(r"libcurl\S*\s+=>\s+(\S+)", plain)
    if library and not any("position independent" in line for line in offences(library.group(1), True)):
        print(f"{library.group(1)}: a library is taken for a program, so this test sees nothing")
        return 1
    return 1 if all_offences else 0


if __name__ == "__main__":
    sys.exit(main())
