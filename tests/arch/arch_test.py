#!/usr/bin/python3
"""Reads the tree and fails where it breaks the rules of rules.py. `arch_test.py CHECK [BUILD_DIR]`, CHECK one of the
functions below without "check_"; every offence is one line on stdout."""

import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rules

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OURS = ["common", "proto", "daemon", "client", "tests", "packaging", "systemd", ".ci"]


def files(*suffixes):
    """Every file of ours with one of the endings, relative to the root, sorted."""
    found = []
    for top in OURS:
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = [f for f in folders if f not in ("__pycache__", "build")]
            found += [os.path.relpath(os.path.join(folder, n), ROOT) for n in names if n.endswith(suffixes)]
    return sorted(found)


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def room_of(path):
    return max((r for r in rules.ROOMS if path.startswith(r + "/")), key=len, default=None)


def includes(path):
    """(line number, kind '"' or '<', name) of every include, outside comments."""
    body = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text(path), flags=re.S)
    for number, line in enumerate(body.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if match:
            yield number, match.group(1), match.group(2)


def library_of(name):
    for library, beginnings in rules.LIBRARIES.items():
        if any(name.startswith(b) for b in beginnings):
            return library
    return None


def check_includes():
    """Arrows between rooms, and third-party libraries, only as the tables say."""
    offences, users = [], {}
    for path in files(".h", ".cpp"):
        room = room_of(path)
        if room is None:
            offences.append(f"{path}: lies in no room of the table")
            continue
        for number, kind, name in includes(path):
            target = room_of(name)
            if kind == '"' and target is None:
                offences.append(f'{path}:{number}: "{name}" is not named by its path from the root')
            elif kind == "<" and target is not None:
                offences.append(f"{path}:{number}: our own <{name}> belongs in quotes")
            elif kind == '"' and not os.path.exists(os.path.join(ROOT, name)):
                generated = name in ("common/version.h",)
                if not generated:
                    offences.append(f'{path}:{number}: "{name}" does not exist')
            elif kind == '"' and target != room and target not in rules.ARROWS[room]:
                offences.append(f"{path}:{number}: {room} may not include {target} ({name})")
            library = library_of(name)
            if library is None:
                continue
            if library not in rules.LIBRARIES_OF[room]:
                offences.append(f"{path}:{number}: {room} may not include {library} (<{name}>)")
            users.setdefault((room, library), set()).add(path)
    for (room, library), allowed in rules.ONLY_FILES.items():
        for path in users.get((room, library), ()):
            if os.path.relpath(path, room) not in allowed:
                offences.append(f"{path}: in {room} only {', '.join(allowed)} may include {library}")
    for (room, library), most in rules.ONE_FILE.items():
        paths = sorted(users.get((room, library), ()))
        if len(paths) > most:
            offences.append(f"{room}: {library} is included by {', '.join(paths)}; one file wraps it")
        offences += [f"{p}: a header shows {library} to its users" for p in paths if p.endswith(".h")]
    return offences


def check_tree():
    """Names, sizes, build files, and what must not be in the text."""
    offences = []
    for path in files(".h", ".cpp", ".py", ".sh", ".txt", ".md", ".json"):
        stem = os.path.splitext(os.path.basename(path))[0]
        if set(re.split(r"[_.-]", stem)) & set(rules.FORBIDDEN_NAMES):
            offences.append(f"{path}: named for no idea ({', '.join(rules.FORBIDDEN_NAMES)} say nothing)")
        if os.sep + "work" + os.sep in text(path):
            offences.append(f"{path}: names a path of one machine")
        if re.search("^(<<<<<<<|>>>>>>>) ", text(path), re.M):
            offences.append(f"{path}: a merge that was not finished")
    for path in files(".h", ".cpp"):
        lines = text(path).count("\n")
        most = rules.MAX_HEADER_LINES if path.endswith(".h") else rules.MAX_SOURCE_LINES
        if lines > most and path not in rules.LONG_FILES:
            offences.append(f"{path}: {lines} lines, at most {most}; split it by ideas")
        if path.endswith(".h") and not re.match(r"\s*#pragma once", text(path)):
            offences.append(f"{path}: does not begin with #pragma once")
    for path in rules.LONG_FILES:
        if not os.path.exists(os.path.join(ROOT, path)):
            offences.append(f"rules.py: LONG_FILES names {path}, which is gone")
    return offences


def check_build_files():
    """Explicit source lists, each source in one, nothing switched off."""
    offences, listed = [], set()
    for path in [p for p in files("CMakeLists.txt", ".cmake")] + ["CMakeLists.txt"]:
        body = re.sub(r"#.*", "", text(path))
        if re.search(r"file\s*\(\s*GLOB|aux_source_directory", body, re.I):
            offences.append(f"{path}: finds sources by globbing; list them")
        if re.search(r"\bDISABLED\b|WILL_FAIL", body):
            offences.append(f"{path}: switches a test off")
        for word in re.findall(r"[\w./${}-]+\.cpp\b", body):
            word = word.replace("${CMAKE_SOURCE_DIR}/", "/").replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")
            listed.add(word[1:] if word.startswith("/") else os.path.normpath(os.path.join(os.path.dirname(path), word)))
    for path in files(".cpp"):
        if path not in listed:
            offences.append(f"{path}: in no CMakeLists.txt")
        if re.search(r"doctest::(skip|may_fail|should_fail|expected_failures)\b", text(path)):
            offences.append(f"{path}: a doctest decorator hides a failure")
    for path in files("_test.py"):
        if re.search(r"@unittest\.(skip|expectedFailure)\b", text(path)):
            offences.append(f"{path}: a test is switched off")
    for path in listed:
        if not os.path.exists(os.path.join(ROOT, path)):
            offences.append(f"{path}: listed in a CMakeLists.txt and not there")
    return offences


def check_format():
    """clang-format-14 has nothing to change."""
    tool = shutil.which("clang-format-14")
    if not tool:
        return ["clang-format-14 is missing; packaging/setup.sh --all installs it"]
    offences = []
    for path in files(".h", ".cpp"):
        formatted = subprocess.run([tool, path], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        if formatted != text(path):
            offences.append(f"{path}: not formatted; run clang-format-14 -i {path}")
    return offences


def check_headers(build):
    """Every header compiles alone, with the flags that its room's sources get."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    flags = {}
    for command in commands:
        path = os.path.relpath(command["file"], ROOT)
        words = shlex.split(command["command"])
        if words[0].endswith("ccache"):
            words = words[1:]
        kept = [w for w in words[1:] if w.startswith(("-D", "-I", "-std=", "-W", "-isystem")) or w.startswith("/")]
        kept = [w for w in kept if not w.endswith(".cpp")]
        flags.setdefault(room_of(path), (words[0], kept))
    build = os.path.abspath(build)
    scratch = os.path.join(build, "arch-headers")
    os.makedirs(scratch, exist_ok=True)
    ccache = [shutil.which("ccache")] if shutil.which("ccache") else []

    def compile_alone(header):
        # A room without sources of its own is compiled as the tests are, which see every library.
        compiler, options = flags.get(room_of(header)) or flags["tests"]
        source = os.path.join(scratch, header.replace("/", "-")[:-2] + ".cpp")
        content = f'#include "{header}"\n'
        if not os.path.exists(source) or open(source, encoding="utf-8").read() != content:
            with open(source, "w", encoding="utf-8") as file:
                file.write(content)
        # An object file rather than -fsyntax-only: that ccache can remember.
        run = subprocess.run([*ccache, compiler, *options, "-O0", "-c", source, "-o", source[:-4] + ".o"], cwd=build,
                             capture_output=True, text=True)
        return None if run.returncode == 0 else f"{header}: does not compile alone\n{run.stderr[:2000]}"

    headers = [h for h in files(".h") if not h.endswith("_win32.h")]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        return [o for o in pool.map(compile_alone, headers) if o]


def check_links(build):
    """The client links no SQLite, no libcurl, no libsodium."""
    client = os.path.join(build, "bin", "pullama")
    if not os.path.exists(client):
        return [f"{client} is not built"]
    needed = subprocess.run(["readelf", "-d", client], capture_output=True, text=True, check=True).stdout
    return [f"pullama links {m}" for m in re.findall(r"NEEDED.*\[(lib(?:sqlite3|curl|sodium)[^\]]*)\]", needed)]


def main():
    checks = {name[6:]: f for name, f in globals().items() if name.startswith("check_")}
    if len(sys.argv) < 2 or sys.argv[1] not in checks:
        print(f"usage: arch_test.py {'|'.join(checks)} [BUILD_DIR]", file=sys.stderr)
        return 2
    offences = checks[sys.argv[1]](*sys.argv[2:3])
    for offence in offences:
        print(offence)
    print(f"{sys.argv[1]}: {len(offences)} offence(s)")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
