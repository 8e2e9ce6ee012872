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
    # What must then fail, the quickest that should: a program of the tests, or a file below tests/ that runs the real
    # programs; and which of its cases.
    test: str
    may_hang: bool = False  # an end by the time limit counts as noticed


MUTATIONS = [
    # Files.
    Mutation(
        "files-behind-links", "O_NOFOLLOW: a link in a file's place is not followed",
        "daemon/io/file_system_posix.cpp",
        "flags | extra | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY,",
        "flags | extra | O_CLOEXEC | O_NOCTTY,",
        'io_test -sf="*/links_posix_test.cpp"'),
    Mutation(
        "folders-behind-links", "openat: a link in a folder's place is not followed",
        "daemon/io/beneath_posix.cpp",
        "  Descriptor opened = open_folder(folder, name, O_NOFOLLOW);\n",
        "  Descriptor opened = open_folder(folder, name, 0);\n",
        'io_test -sf="*/links_posix_test.cpp"'),
    Mutation(
        "folders-behind-inner-links", "openat2: nor is one that stays in the models dir",
        "daemon/io/system_calls_linux.cpp",
        "RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;",
        "RESOLVE_BENEATH;",
        'io_test -sf="*/links_posix_test.cpp"'),
    Mutation(
        "anybodys-links", "blobs and manifests may be links of ours, root's or the store's owner's only",
        "daemon/io/beneath_posix.cpp",
        "  if (trusted) return {};\n",
        "  if (trusted || true) return {};\n",
        'io_test -sf="*/links_posix_test.cpp"'),
    Mutation(
        "paths-may-climb", "no path leads out of the models dir",
        "daemon/io/beneath_posix.cpp",
        "part == \".\" || part == \"..\" ||",
        "part == \".\" ||",
        'io_test -sf="*/file_system_posix_test.cpp"'),
    Mutation(
        "queue-json-for-everybody", "queue.json is for its owner only",
        "daemon/queue/queue_file.cpp",
        "atomic_write(fs, path, text, 0600)",
        "atomic_write(fs, path, text, 0644)",
        'queue_test -sf="*/queue_file_test.cpp"'),
    Mutation(
        "history-for-everybody", "what was downloaded is for its owner only",
        "daemon/store/ledger.cpp",
        "kFileMode = 0600;",
        "kFileMode = 0644;",
        'store_test -sf="*/ledger_test.cpp"'),
    Mutation(
        "key-for-everybody", "a new key is for its owner only",
        "daemon/user_key.cpp",
        "make_new(**fs, name, text, 0600)",
        "make_new(**fs, name, text, 0644)",
        "e2e/key_test.py KeyTest.test_a_new_one_is_ssh_keygens_and_ollamas"),
    Mutation(
        "others-keys-are-used", "a key that everybody may read is refused",
        "daemon/registry/secret_file_posix.cpp",
        "(status.st_mode & 0007) != 0;",
        "(status.st_mode & 0007) != 0 && false;",
        'registry_rules_test -sf="*/ssh_key_test.cpp"'),
    Mutation(
        "no-umask", "whatever a library makes is for its owner only",
        "daemon/process_posix.cpp",
        "  ::umask(077);\n",
        "",
        "e2e/secrets_test.py SecretsTest.test_state_is_for_its_owner_only"),
    Mutation(
        "cores-with-keys", "no core file holds a key",
        "daemon/process_posix.cpp",
        "  if (::setrlimit(RLIMIT_CORE, &none) != 0)",
        "  if (none.rlim_cur != 0)",
        "e2e/secrets_test.py SecretsTest.test_state_is_for_its_owner_only"),
    # The socket.
    Mutation(
        "anyone-on-the-socket", "only the user and root may talk to the daemon",
        "daemon/rpc/peer_posix.cpp", "  if (!group) return false;\n", "  if (!group) return true;\n",
        'rpc_test -sf="*/peer_test.cpp"'),
    Mutation(
        "socket-for-everybody", "the socket is for its owner only",
        "daemon/rpc/listener_posix.cpp",
        "group ? 0660 : 0600;",
        "group ? 0660 : 0666;",
        'rpc_test -sf="*/listener_test.cpp"'),
    Mutation(
        "lines-without-end", "a line on the socket is limited",
        "proto/line_codec.cpp", "  if (length > max_line_bytes_) {\n", "  if (length > max_line_bytes_ && false) {\n",
        'proto_test -sf="*/line_codec_test.cpp"'),
    Mutation(
        "outbox-without-end", "promise 8: what a slow subscriber does not read is bounded",
        "daemon/rpc/outbox.cpp",
        "  if (bytes_ + cost(entry) > kMaxBytes) return false;\n",
        "",
        'rpc_test -sf="*/outbox_test.cpp"'),
    Mutation(
        "events-take-all-room", "promise 8: events leave room for replies",
        "daemon/rpc/outbox.cpp",
        "  return bytes_ + wanted <= kEventBytes || entries_.empty();\n",
        "  return bytes_ + wanted <= kMaxBytes || entries_.empty();\n",
        'rpc_test -sf="*/outbox_test.cpp"'),
    Mutation(
        "a-reader-that-stops-stays", "a subscriber that stops reading is dropped",
        "daemon/rpc/session_output.cpp",
        "    if (self->written_ == written && self->unread_by_peer() >= unread) return self->close();\n",
        "",
        'rpc_test -tc="promise 3:*"', may_hang=True),
    Mutation(
        "live-before-replay", "seq: what comes during a replay comes after it, once",
        "daemon/rpc/event_hub.cpp",
        "      if (subscription.replay_next) continue;  // finds it in the ring\n",
        "",
        'rpc_test -sf="*/event_replay_test.cpp"'),
    Mutation(
        "samples-overtake", "seq: no sample before the state changes that it follows",
        "daemon/rpc/event_hub.cpp",
        "    last_pass = now();\n"
        "    deliver();\n",
        "    last_pass = now();\n",
        'rpc_test -sf="*/event_hub_test.cpp"'),
    Mutation(
        "seq-begins-too-early", "seq: the first event after a snapshot has the next number",
        "daemon/rpc/event_hub.cpp",
        "    event.seq = ++seq;\n",
        "    event.seq = seq++;\n",
        'rpc_test -sf="*/event_hub_test.cpp"'),
    # Removing.
    Mutation(
        "rm-takes-shared-blobs", "rm leaves what another model names",
        "daemon/store/removal.cpp",
        "      const bool stays = needed->contains(digest) || (",
        "      const bool stays = (",
        'store_test -sf="*/removal_test.cpp"'),
    Mutation(
        "rm-takes-what-is-pulled", "rm leaves what a pull took since rm looked",
        "daemon/store/removal.cpp",
        "    context.in_use->unless_held(digest, remove);\n",
        "    remove();\n",
        'store_test -tc="a blob that a transfer took*"'),
    Mutation(
        "rm-guesses", "where a manifest cannot be read nothing is removed",
        "daemon/store/needed.cpp",
        "      if (!stays || fault) continue;\n",
        "      if (!stays || fault || true) continue;\n",
        'store_test -sf="*/removal_test.cpp"'),
    Mutation(
        "update-takes-shared-blobs", "an update removes only what nothing else names",
        "daemon/store/removal.cpp",
        "    if (needed->contains(digest)) continue;\n",
        "",
        'store_test -sf="*/removal_test.cpp"'),
    # What comes from outside.
    Mutation(
        "no-content-range-check", "a 206 gives the bytes that were asked for",
        "daemon/registry/content_range.cpp",
        "  if (range->first != first || range->last > last) {\n",
        "  if ((range->first != first || range->last > last) && false) {\n",
        'registry_rules_test -sf="*/content_range_test.cpp"'),
    Mutation(
        "content-range-is-not-asked", "what a wrong 206 brings is not written",
        "daemon/registry/blob_source.cpp",
        "      if (!problem.empty()) return refuse(std::move(problem));\n",
        "      if (value == nullptr || !parse_content_range(*value)) return refuse(std::move(problem));\n",
        'registry_test -sf="*/blob_source_test.cpp"'),
    Mutation(
        "tokens-without-end", "a token service's answer has a size limit",
        "daemon/registry/auth.cpp",
        "perform_small(connection, request, kMaxTokenResponseBytes, ",
        "perform_small(connection, request, kMaxTokenResponseBytes * 64, ",
        'registry_test -sf="*/auth_test.cpp"'),
    Mutation(
        "manifests-without-end", "a manifest has a size limit",
        "daemon/registry/registry.cpp",
        "  auto text = requester.send_text(connection, ask, manifest::kMaxManifestBytes, stop);\n",
        "  auto text = requester.send_text(connection, ask, manifest::kMaxManifestBytes * 64, stop);\n",
        'registry_test -sf="*/registry_test.cpp"'),
    Mutation(
        "names-may-begin-with-a-dot", "no part of a name is a path",
        "common/model_name.cpp",
        "  if (!plain(text.front()))\n",
        "  if (!plain(text.front()) && text.front() != '.')\n",
        'common_test -sf="*/model_name_test.cpp"'),
    Mutation(
        "digests-may-go-on", "a digest is 64 hex digits and nothing behind them",
        "common/digest.cpp",
        "  if (text.size() != prefix.size() + kHexDigits ||",
        "  if (text.size() < prefix.size() + kHexDigits ||",
        'common_test -sf="*/digest_test.cpp"'),
    Mutation(
        "escapes-reach-the-terminal", "what a registry says is shown escaped",
        "common/printable.cpp",
        "  if (c < 0x20 || (c >= 0x7F && c <= 0x9F)) return false;",
        "  if (c < 0x20 && c != 0x1B) return false;",
        'common_test -sf="*/printable_test.cpp"'),
    # What is durable.
    Mutation(
        "no-sync-before-checkpoint", "promise 2: a checkpoint claims durable bytes only",
        "daemon/engine/checkpoint_writer.cpp",
        "  if (auto synced = partial_.file().sync_data(); !synced) return synced;\n", "",
        'crash_test -tc="*first pull*"'),
    Mutation(
        "no-sync-before-rename", "promise 4: a file with a digest's name has that digest",
        "daemon/engine/blob_download.cpp",
        "  if (auto synced = start.partial.file().sync_all(); !synced) {\n"
        "    remove_unsynced(fs_, blob_.digest);  // it would vouch for pages that may be gone\n"
        "    return fail(synced.error());\n  }\n", "",
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
        "checkpoint-file-without-sync", "promise 3: a checkpoint is a whole old one or a whole new one",
        "daemon/io/atomic_write.cpp",
        "  return (*file)->sync_all();\n",
        "  return {};\n",
        'crash_test -tc="*first pull*"'),
    Mutation(
        "queue-json-without-sync", "promise 3: queue.json is a whole old one or a whole new one",
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
        "no-folder-sync-after-rm", "promise 5: a model that was removed does not come back without its blobs",
        "daemon/store/manifests.cpp",
        "    if (auto synced = fs_.sync_directory(path); !synced) return synced;\n",
        "",
        'store_test -tc="a power cut amid a removal*"'),
    # What is verified.
    Mutation(
        "no-digest-at-the-end", "promise 4: SHA-256 decides before a blob gets its name",
        "daemon/engine/front_hash.cpp", "      if (hash.digest() == expected) {\n",
        "      if (hash.digest() == expected || true) {\n", 'pull_test -tc="a bit that flips on the way*"'),
    Mutation(
        "no-digest-of-found-blobs", "promise 4: a file that lies there is verified before it counts",
        "daemon/engine/cached_blob.cpp", "    if (hash->whole && hash->digest == blob.digest) {\n",
        "    if (hash->whole) {\n", 'pull_test -tc="a file with a digest*other bytes*"'),
    Mutation(
        "no-xxh3-on-resume", "promise 2: what rotted while the daemon was away is fetched again",
        "daemon/engine/resume_check.cpp", "    if (readable && (!chunk.xxh3 || hash.digest() == *chunk.xxh3)) {\n",
        "    if (readable) {\n", 'pull_test -tc="bytes that rot in the partial*"'),
    Mutation(
        "no-chunksums", "a chunk that does not have its digest is fetched again, not the blob",
        "daemon/engine/group_verify.cpp",
        "  if (hash.digest() == group.digest) {\n",
        "  if (hash.digest() == group.digest || true) {\n",
        'pull_test -tc="with chunksums one flipped bit*"'),
    Mutation(
        "unsynced-bytes-believed", "promise 2: what was not synced counts only where the disk still has it",
        "daemon/engine/unsynced_checkpoint.cpp",
        "    if (!chunk.xxh3 || hash.digest() != *chunk.xxh3) return std::nullopt;\n", "",
        'crash_test -tc="*a byte that changed since the record*"'),
    Mutation(
        "unsynced-record-overwritten-in-place", "promise 3: a kill amid a write of a record leaves the one before it",
        "daemon/engine/unsynced_checkpoint.cpp",
        "  for (const std::uint64_t at : {std::uint64_t{0}, kUnsyncedPlaceBytes}) {\n",
        "  for (const std::uint64_t at : {std::uint64_t{0}}) {\n",
        'engine_test -tc="*amid a write of a record*"'),
    Mutation(
        "checkpoint-without-checksum", "promise 3: a checkpoint that was changed is refused",
        "daemon/engine/state_json.cpp", "  if (!stated || *stated != checksum_of(text.substr(0, at)) ||\n",
        "  if (!stated ||\n", 'engine_test -sf="*/checkpoint_test.cpp"'),
    Mutation(
        "manifest-before-blobs", "promise 5: a visible manifest has all its blobs",
        "daemon/engine/finalize.cpp",
        "    if (!there && io::is_missing(there.error())) return false;\n",
        "    if (!there && io::is_missing(there.error())) continue;\n",
        'pull_test -tc="no manifest appears beside*"'),
    Mutation(
        "no-manifest-digest", "a manifest's bytes have the digest that the registry states",
        "daemon/registry/registry.cpp", "    if (!other_algorithm && *stated != parsed->digest().str()) {\n",
        "    if (!other_algorithm && *stated != parsed->digest().str() && false) {\n",
        'registry_test -sf="*/registry_test.cpp"'),
    Mutation(
        "wrong-bytes-are-pushed", "what does not have its digest is not finished at a registry",
        "daemon/engine/blob_upload.cpp",
        "  return hash_->is_right() ? finish({}, stop) : give_up_wrong_bytes(stop);\n}\n\n//",
        "  return finish({}, stop);\n}\n\n//", 'push_test -tc="a file with wrong bytes is not pushed"'),
    Mutation(
        "silence-means-absent", "only a 404 says that a registry lacks a blob",
        "daemon/registry/upload.cpp", "  if (status == 404) return false;\n  auto fault",
        "  if (status != 401) return false;\n  auto fault", 'push_test -sf="*/push_refusals_test.cpp"'),
    # Locks.
    Mutation(
        "no-daemon-lock", "promise 7: one daemon a models dir",
        "daemon/store/daemon_lock.cpp", "    if (!*locked) {\n", "    if (!*locked && false) {\n",
        'store_test -sf="*/daemon_lock_test.cpp"'),
    Mutation(
        "no-blob-lock", "one writer a partial",
        "daemon/store/blob_lock.cpp", "    if (!*locked) return std::optional<BlobLock>();\n", "",
        'store_test -sf="*/blob_lock_test.cpp"'),
    Mutation(
        "lock-on-a-removed-file", "one writer a partial, also where the lock's file was removed under it",
        "daemon/store/blob_lock.cpp",
        "  return there->same_file(*ours);\n",
        "  return true;\n",
        'store_test -sf="*/blob_lock_test.cpp"'),
    Mutation(
        "no-lock-of-manifests", "one changes the models at a time",
        "daemon/store/manifests.cpp",
        "    if (*locked) {\n",
        "    if (true) {\n",
        'store_test -sf="*/manifests_test.cpp"'),
    Mutation(
        "no-lock-of-the-socket", "one daemon a socket",
        "daemon/rpc/listener_posix.cpp",
        "    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {\n",
        "    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && false) {\n",
        'rpc_test -sf="*/listener_test.cpp"'),
    # Who is told what: realms, redirects, certificates.
    Mutation(
        "any-realm-sees-signatures", "a foreign realm sees neither signature nor credentials",
        "daemon/registry/token_request.cpp",
        "  realm.may_sign = (url->host == registry.host && url->port == registry.port) || are_aliases(registry, *url);\n",
        "  realm.may_sign = are_aliases(registry, *url) || true;\n", 'registry_rules_test -sf="*/token_request_test.cpp"'),
    Mutation(
        "credentials-for-any-realm", "a foreign realm sees no login of the registry",
        "daemon/registry/auth.cpp",
        "  auto basic = credentials_.basic(realm.may_sign ? options_.registry.authority() : realm.url.authority());\n",
        "  auto basic = credentials_.basic(options_.registry.authority());\n",
        'registry_test -tc="a foreign realm gets neither*"'),
    Mutation(
        "realm-down-to-http", "a registry on https has no token service on http",
        "daemon/registry/token_request.cpp",
        "    if (registry.is_https()) return refused(",
        "    if (registry.is_https() && false) return refused(",
        'registry_rules_test -sf="*/token_request_test.cpp"'),
    Mutation(
        "authorization-follows-redirects", "what is meant for one host is sent to no other",
        "daemon/registry/requester.cpp",
        "    const bool shows_grant = !ask.without_authorization && !answer.left_registry;\n",
        "    const bool shows_grant = !ask.without_authorization;\n", 'registry_test -sf="*/auth_test.cpp"'),
    Mutation(
        "authorization-for-any-port", "Authorization stays at its scheme, host and port",
        "daemon/registry/redirect.cpp",
        "  return registry.same_origin(target) ||",
        "  return registry.host == target.host ||",
        'registry_rules_test -sf="*/redirect_test.cpp"'),
    Mutation(
        "authorization-on-the-way-back", "a way that left the registry gets no Authorization where it leads back",
        "daemon/registry/requester.cpp",
        "    answer.left_registry = answer.left_registry || !may_send_authorization(registry_, answer.from);\n",
        "    answer.left_registry = !may_send_authorization(registry_, answer.from);\n",
        'registry_test -sf="*/blob_answers_test.cpp"'),
    Mutation(
        "redirect-down-to-http", "no redirect leads from https to http",
        "daemon/registry/redirect.cpp", "  if (current.is_https() && !url->is_https()) {\n",
        "  if (current.is_https() && !url->is_https() && false) {\n", 'registry_rules_test -sf="*/redirect_test.cpp"'),
    Mutation(
        "redirects-lead-inside", "a redirect of a public registry leads to no private address",
        "daemon/registry/requester.cpp",
        "  return redirected && registry_is_public_ && !options_.insecure;\n",
        "  return redirected && registry_is_public_ && !options_.insecure && false;\n",
        'registry_test -sf="*/registry_test.cpp"'),
    Mutation(
        "any-certificate", "TLS is with the host that was meant",
        "daemon/registry/http_client.cpp",
        "    set(CURLOPT_SSL_VERIFYPEER, 1L);\n"
        "    set(CURLOPT_SSL_VERIFYHOST, 2L);\n",
        "    set(CURLOPT_SSL_VERIFYPEER, 0L);\n"
        "    set(CURLOPT_SSL_VERIFYHOST, 0L);\n",
        'http_client_test -sf="*/http_client_tls_test.cpp"'),
    Mutation(
        "any-header-may-be-signed", "no registry chooses what names us, or where a message ends",
        "daemon/registry/upload_headers.cpp", "    if (!may_be_signed_header(name)) continue;\n", "",
        'push_test -tc="a direct upload*"'),
]
