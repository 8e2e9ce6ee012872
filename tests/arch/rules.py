"""The house rules as data: who may include whom, who may include which library, and the exceptions with their reasons."""

# Rooms in the order of layout; a file belongs to the longest folder that matches. "daemon" alone is daemon's root.
ROOMS = [
    "common", "proto", "daemon/io", "daemon/manifest", "daemon/registry", "daemon/store", "daemon/engine",
    "daemon/queue", "daemon/rpc", "daemon", "client", "tests",
]

# Room -> rooms whose headers it may include (its own always).
ARROWS = {
    "common": [],
    "proto": ["common"],
    "daemon/io": ["common"],
    "daemon/manifest": ["daemon/io", "common"],
    "daemon/registry": ["daemon/manifest", "daemon/io", "common"],
    "daemon/store": ["daemon/manifest", "daemon/io", "common"],
    "daemon/engine": ["daemon/store", "daemon/registry", "daemon/manifest", "daemon/io", "common"],
    "daemon/queue": ["daemon/io", "common"],
    "daemon/rpc": ["proto", "common"],
    "daemon": ["common", "proto", "daemon/io", "daemon/manifest", "daemon/registry", "daemon/store", "daemon/engine",
               "daemon/queue", "daemon/rpc"],
    "client": ["proto", "common"],
    "tests": ROOMS,
}

# Library -> how its includes begin.
LIBRARIES = {
    "curl": ["curl/"],
    "sodium": ["sodium"],
    "sqlite": ["sqlite3"],
    "openssl": ["openssl/"],
    "xxhash": ["xxhash", "xxh3"],
    "json": ["nlohmann/"],
    "asio": ["boost/"],
    "spdlog": ["spdlog/"],
    "cli11": ["CLI/"],
    "fmt": ["fmt/"],
    "expected": ["tl/"],
    "httplib": ["httplib"],
    "doctest": ["doctest/"],
}

# Room -> libraries. fmt and tl::expected come with common, which every room includes.
LIBRARIES_OF = {
    "common": ["fmt", "expected"],
    "proto": ["json", "fmt", "expected"],
    "daemon/io": ["openssl", "xxhash", "fmt", "expected"],
    "daemon/manifest": ["json", "fmt", "expected"],
    "daemon/registry": ["curl", "sodium", "json", "fmt", "expected"],
    "daemon/store": ["json", "sqlite", "fmt", "expected"],
    "daemon/engine": ["json", "fmt", "expected"],
    "daemon/queue": ["json", "fmt", "expected"],
    "daemon/rpc": ["asio", "fmt", "expected"],
    "daemon": ["asio", "spdlog", "cli11", "fmt", "expected"],
    "client": ["asio", "cli11", "fmt", "expected"],
    "tests": list(LIBRARIES),
}

# (room, library) -> the only files that may include it, relative to the room.
ONLY_FILES = {
    # The second reads the part files that Ollama leaves.
    ("daemon/engine", "json"): ["checkpoint.cpp", "ollama_partial.cpp", "state_json.h"],
}
# (room, library) -> at most so many files of the room, each a .cpp.
ONE_FILE = {("daemon/registry", "curl"): 1, ("daemon/registry", "sodium"): 1, ("daemon/store", "sqlite"): 1}

FORBIDDEN_NAMES = ["util", "utils", "helper", "helpers", "misc", "base"]

MAX_HEADER_LINES = 150
MAX_SOURCE_LINES = 400
# path -> reason. Nothing else may be longer.
LONG_FILES = {
    "proto/events.h": "the catalogue of events, a struct each; a reader looks for one, in one place",
    "proto/params.h": "the catalogue of what requests carry",
    "proto/results.h": "the catalogue of what replies carry",
    "proto/fields.h": "templates that turn one list of members into both reading and writing",
}
