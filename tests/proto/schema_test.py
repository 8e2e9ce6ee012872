#!/usr/bin/env python3
"""Holds schemas, examples, PROTOCOL.md and the code's tables against each other.

Usage: schema_test.py PROTO_DIR PROTOCOL_TABLE
Each golden example must satisfy its schema. Then each example is damaged in many small ways, and code and schema must
agree about what is still right: for params exactly; for results and events the code must take whatever the schema takes.
"""
import copy
import json
import pathlib
import subprocess
import sys

import jsonschema

failures = []


def fail(text):
    failures.append(text)


def load_schemas(folder):
    schemas = {}
    for path in sorted(folder.glob("*.schema.json")):
        schema = json.loads(path.read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        schemas[path.name.removesuffix(".schema.json")] = jsonschema.Draft202012Validator(schema)
    return schemas


def load_examples(folder):
    """Yields (file name, subject, role, message)."""
    for path in sorted(folder.iterdir()):
        text = path.read_text()
        if text.count("\n") != 1 or not text.endswith("\n"):
            fail(f"{path.name}: must be one line")
        stem = path.name.removesuffix(".json")
        if stem.startswith(("event.", "error.")):
            role, subject = stem.split(".", 1)
            subject = subject.split("-")[0] if role == "event" else subject
        else:
            subject, role = stem.rsplit(".", 1)
            role = role.split("-")[0]
        yield path.name, subject, role, json.loads(text)


# How each role's envelope is called, where its body lies, and the body's schema.
ENVELOPES = {"request": "request", "response": "response", "event": "event", "error": "error"}


def body_of(subject, role, message):
    if role == "request":
        return f"{subject}.params", message["params"]
    if role == "response":
        return f"{subject}.result", message["result"]
    if role == "event":
        return f"event.{subject}", message["params"]
    return None, None


def check_valid(name, validator, value):
    for error in validator.iter_errors(value):
        fail(f"{name}: {error.json_path}: {error.message}")


REPLACEMENTS = {
    "params": [None, True, 0, 1, -1, 1.5, 17, 2**53, 2**64, "x", "/x", "", [], {}, [7], {"x": 1}],
    "result": [None, 0, 2**32, "x", []],
    "event": [None, 0, 2**32, "x", []],
}


def mutations(value, replacements):
    """Copies of a value with one thing changed somewhere."""
    if isinstance(value, dict):
        for key in value:
            without = dict(value)
            del without[key]
            yield without
            for inner in list(mutations(value[key], replacements)) + replacements:
                yield {**value, key: inner}
        yield {**value, "unknown_member": 1}
    elif isinstance(value, list):
        for index, item in enumerate(value[:1]):
            for inner in list(mutations(item, replacements)) + replacements:
                yield value[:index] + [inner] + value[index + 1:]


def judge_all(table, cases):
    text = "".join(f"{kind} {subject} {json.dumps(body)}\n" for kind, subject, body, _ in cases)
    done = subprocess.run([table, "judge"], input=text, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def compare(table, schemas, examples):
    cases = []
    kinds = {"request": "params", "response": "result", "event": "event"}
    for _, subject, role, message in examples:
        schema, body = body_of(subject, role, message)
        if schema is None:
            continue
        for mutated in mutations(body, REPLACEMENTS[kinds[role]]):
            cases.append((kinds[role], subject if role != "event" else "-", mutated, schemas[schema].is_valid(mutated)))
    verdicts = judge_all(table, cases)
    if len(verdicts) != len(cases):
        fail(f"{len(cases)} cases, {len(verdicts)} verdicts")
    for (kind, subject, body, valid), verdict in zip(cases, verdicts):
        taken = verdict == "ok"
        if (valid and not taken) or (kind == "params" and taken and not valid):
            fail(f"{kind} of {subject}: schema says {valid}, code says {verdict!r}: {json.dumps(body)[:300]}")
    return len(cases)


def main():
    proto, table = pathlib.Path(sys.argv[1]), sys.argv[2]
    schemas = load_schemas(proto / "schemas")
    examples = list(load_examples(proto / "examples"))
    names = {}
    for line in subprocess.run([table], capture_output=True, text=True, check=True).stdout.splitlines():
        kind, name = line.split(" ", 1)
        names.setdefault(kind, []).append(name)

    wanted = {"request", "response", "event", "error"}
    for method in names["method"]:
        wanted |= {f"{method}.params", f"{method}.result"}
    wanted |= {f"event.{event}" for event in names["event"]}
    for missing in wanted - schemas.keys():
        fail(f"{missing} has no schema")
    for extra in schemas.keys() - wanted:
        fail(f"schemas/{extra}.schema.json belongs to nothing in the code")

    shown = {role: {subject for _, subject, r, _ in examples if r == role} for role in ENVELOPES}
    for role, known in (("request", names["method"]), ("response", names["method"]), ("event", names["event"])):
        if shown[role] != set(known):
            fail(f"examples of {role}: {sorted(shown[role] ^ set(known))} are only here or only in the code")
    for kind in names["error"]:
        if kind.split()[0] not in shown["error"]:
            fail(f"error kind {kind} has no example")

    for name, subject, role, message in examples:
        check_valid(name, schemas[ENVELOPES[role]], message)
        schema, body = body_of(subject, role, message)
        if schema is not None:
            check_valid(name, schemas[schema], body)
        if role == "error":
            data = message["error"]["data"]
            if f"{data['kind']} {data['exit_code']}" not in names["error"]:
                fail(f"{name}: kind and exit code do not belong together")

    for name, validator in schemas.items():
        if name.endswith((".params", ".result")) or name.startswith("event."):
            parts = [validator.schema] + list(validator.schema.get("$defs", {}).values())
            for part in parts:
                if "properties" in part and part.get("additionalProperties") is not False:
                    fail(f"{name}: additionalProperties must be false")

    text = (proto / "PROTOCOL.md").read_text()
    for kind in ("method", "event", "job_state", "blob_state", "job_kind"):
        for name in names[kind]:
            if f"`{name}`" not in text:
                fail(f"PROTOCOL.md does not speak of {kind} `{name}`")
    for kind in names["error"]:
        if f"| `{kind.split()[0]}` | {kind.split()[1]} |" not in text:
            fail(f"PROTOCOL.md has no row for error kind {kind}")

    count = compare(table, schemas, [copy.deepcopy(example) for example in examples])
    for text in failures[:40]:
        print(text)
    print(f"{len(schemas)} schemas, {len(examples)} examples, {count} damaged messages, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
