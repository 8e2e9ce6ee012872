"""The JSON Schemas of proto/schemas, as a check on every line that goes over the socket."""

import functools
import json
import pathlib

import jsonschema

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "proto" / "schemas"


@functools.lru_cache(maxsize=None)
def _validator(name):
    path = FOLDER / f"{name}.schema.json"
    if not path.exists():
        return None
    return jsonschema.Draft202012Validator(json.loads(path.read_text()))


def _fault(name, value):
    validator = _validator(name)
    if validator is None:
        return f"there is no schema {name}"
    error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    return None if error is None else f"{name}: {error.message[:500]} at {error.json_path}"


def fault_of(message, method):
    """What is wrong with a line from the daemon; `method` is the request's that it answers, None where unknown."""
    if message.get("method") == "event":
        return _fault("event", message) or _fault(f"event.{message['params']['type']}", message["params"])
    if "error" in message:
        return _fault("error", message)
    return _fault("response", message) or (method and _fault(f"{method}.result", message["result"]))
