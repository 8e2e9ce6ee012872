"""Deliberate faults: each takes away one thing that a promise or a rule against attackers stands on. A mutation is one
replacement in one file; `old` must stand there exactly once, or the table is out of date and that is a failure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    name: str
    breaks: str  # the promise or rule that nothing keeps any more
    path: str
    old: str
    new: str
    test: str  # what is built and must then fail: a target of the build, and perhaps a filter of its cases


MUTATIONS = [
    Mutation(
        "no-sync-before-checkpoint", "promise 2: a checkpoint claims durable bytes only",
        "daemon/engine/checkpoint_writer.cpp",
        "  if (auto synced = partial_.file().sync_data(); !synced) return synced;\n", "",
        'crash_test -tc="*first pull*"'),
    Mutation(
        "no-sync-before-rename", "promise 4: a file with a digest's name has that digest",
        "daemon/engine/blob_download.cpp",
        "  if (auto synced = start.partial.file().sync_all(); !synced) return fail(synced.error());\n", "",
        'crash_test -tc="*first pull*"'),
    Mutation(
        "no-folder-sync-after-rename", "promise 2: what is said to be finished is",
        "daemon/engine/blob_download.cpp",
        "    return fail(renamed.error());\n  }\n"
        "  if (auto synced = fs_.sync_directory(store::kBlobsDir); !synced) return fail(synced.error());\n",
        "    return fail(renamed.error());\n  }\n",
        'crash_test -tc="*first pull*"'),
    Mutation(
        "no-names-before-checkpoint", "promise 2: the partial that a checkpoint speaks of is there",
        "daemon/engine/blob_download.cpp",
        "  if (auto synced = fs_.sync_directory(store::kBlobsDir); !synced) return fail(synced.error());\n"
        "  if (auto synced = fs_.sync_directory(store::kKeepDir);\n"
        "      !synced && !io::is_missing(synced.error()) && synced.error().code != ErrorCode::kPermission) {\n"
        "    return fail(synced.error());\n  }\n", "",
        'crash_test -tc="*first pull*"'),
    Mutation(
        "atomic-write-without-sync", "promise 3: a state file is a whole old one or a whole new one",
        "daemon/io/atomic_write.cpp", "  return (*file)->sync_all();\n", "  return {};\n",
        'crash_test -tc="edits of the queue*"'),
    Mutation(
        "atomic-write-without-folder-sync", "promise 1: an accepted request survives a crash",
        "daemon/io/atomic_write.cpp",
        "  if (auto synced = fs.sync_directory(folder_of(path)); !synced) return synced;\n", "",
        'crash_test -tc="edits of the queue*"'),
    Mutation(
        "atomic-write-in-place", "promise 3: a state file is only ever replaced",
        "daemon/io/atomic_write.cpp",
        '  const std::string temp = temporary.empty() ? path + ".tmp" : temporary;\n',
        "  const std::string temp = temporary.empty() ? path : temporary;\n",
        'crash_test -tc="edits of the queue*"'),
    Mutation(
        "reply-before-durable", "promise 1: the reply leaves after queue.json is durable",
        "daemon/state_writer.cpp",
        "    Status status = save_(encoder_.encode(*data));\n",
        "    if (!waiting.empty()) {\n"
        "      post_([waiting = std::move(waiting)] { for (const Saved& saved : waiting) saved(Status{}); });\n"
        "      waiting.clear();\n    }\n"
        "    Status status = save_(encoder_.encode(*data));\n",
        'crash_test -tc="edits of the queue*"'),
    Mutation(
        "no-digest-at-the-end", "promise 4: SHA-256 decides before a blob gets its name",
        "daemon/engine/front_hash.cpp", "      if (hash.digest() == expected) {\n",
        "      if (hash.digest() == expected || true) {\n", "pull_test"),
    Mutation(
        "no-digest-of-found-blobs", "promise 4: a file that lies there is verified before it counts",
        "daemon/engine/cached_blob.cpp", "    if (hash->whole && hash->digest == blob.digest) {\n",
        "    if (hash->whole) {\n", "pull_test"),
    Mutation(
        "no-xxh3-on-resume", "promise 2: what rotted while the daemon was away is fetched again",
        "daemon/engine/resume_check.cpp", "    if (readable && (!chunk.xxh3 || hash.digest() == *chunk.xxh3)) {\n",
        "    if (readable) {\n", "pull_test"),
    Mutation(
        "manifest-before-blobs", "promise 5: a visible manifest has all its blobs",
        "daemon/engine/finalize.cpp",
        "    if (!there && io::is_missing(there.error())) return false;\n",
        "    if (!there && io::is_missing(there.error())) continue;\n", "pull_test"),
    Mutation(
        "checkpoint-without-checksum", "promise 3: a checkpoint that was changed is refused",
        "daemon/engine/state_json.cpp", "  if (!stated || *stated != checksum_of(text.substr(0, at)) ||\n",
        "  if (!stated ||\n", "engine_test"),
    Mutation(
        "no-daemon-lock", "promise 7: one daemon a models dir",
        "daemon/store/daemon_lock.cpp", "    if (!*locked) {\n", "    if (!*locked && false) {\n", "store_test"),
    Mutation(
        "no-blob-lock", "one writer a partial",
        "daemon/store/blob_lock.cpp", "    if (!*locked) return std::optional<BlobLock>();\n", "", "store_test"),
    Mutation(
        "no-manifest-digest", "a manifest's bytes have the digest that the registry states",
        "daemon/registry/registry.cpp", "    if (!other_algorithm && *stated != parsed->digest().str()) {\n",
        "    if (!other_algorithm && *stated != parsed->digest().str() && false) {\n", "registry_test"),
    Mutation(
        "any-realm-sees-signatures", "a foreign realm sees neither signature nor credentials",
        "daemon/registry/token_request.cpp",
        "  realm.may_sign = (url->host == registry.host && url->port == registry.port) || are_aliases(registry, *url);\n",
        "  realm.may_sign = true;\n", "registry_rules_test"),
    Mutation(
        "redirect-down-to-http", "no redirect leads from https to http",
        "daemon/registry/redirect.cpp", "  if (current.is_https() && !url->is_https()) {\n",
        "  if (current.is_https() && !url->is_https() && false) {\n", "registry_rules_test"),
    Mutation(
        "authorization-follows-redirects", "what is meant for one host is sent to no other",
        "daemon/registry/requester.cpp",
        "    const bool shows_grant = !ask.without_authorization && !answer.left_registry;\n",
        "    const bool shows_grant = !ask.without_authorization;\n", "registry_test"),
    Mutation(
        "wrong-bytes-are-pushed", "what does not have its digest is not finished at a registry",
        "daemon/engine/blob_upload.cpp", "  if (hash_->is_right()) return finish({}, stop);\n",
        "  return finish({}, stop);\n", "push_test"),
    Mutation(
        "silence-means-absent", "only a 404 says that a registry lacks a blob",
        "daemon/registry/upload.cpp", "  if (status == 404) return false;\n  auto fault",
        "  if (status != 401) return false;\n  auto fault", "push_test"),
    Mutation(
        "any-header-may-be-signed", "no registry chooses what names us, or where a message ends",
        "daemon/registry/upload_headers.cpp", "    if (!may_be_signed_header(name)) continue;\n", "", "push_test"),
    Mutation(
        "anyone-on-the-socket", "only the user and root may talk to the daemon",
        "daemon/rpc/peer_posix.cpp", "  if (!group) return false;\n", "  if (!group) return true;\n", "rpc_test"),
    Mutation(
        "lines-without-end", "a line on the socket is limited",
        "proto/line_codec.cpp", "  if (length > max_line_bytes_) {\n", "  if (length > max_line_bytes_ && false) {\n",
        "proto_test"),
]
