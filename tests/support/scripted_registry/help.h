#pragma once
// The manual, kept beside the code that reads the script.

namespace pullama::scripted {

inline constexpr const char* kHelp =
    R"(scripted-registry: a model registry and its CDN on 127.0.0.1 that do what a script says.

usage: scripted-registry [--script FILE] [--log FILE] [--port N] [--cdn-port N]
                         [--cert FILE --key FILE] [--cdn-cert FILE --cdn-key FILE]

Prints one JSON line when it listens: {"registry":PORT,"cdn":PORT,"control":PORT,"pid":N,"models":{…}}. Ends at SIGTERM,
or when its parent dies. --log appends one JSON line a finished request: time, seconds, port, connection, method, path
(without query), range, status, offset and sent (body bytes: first offset and count), end (whole, reset, closed, stalled,
gone, raw), fault, had_authorization, authorization_scheme, accept_encoding, user_agent.

The script is one JSON object; every part may be missing:
  models   [{"name":"library/m:latest", "config":CONTENT, "layers":[CONTENT…], "manifest":"raw text instead", "media_type"}]
           CONTENT: {"text":…} | {"seed":N,"size":N} | {"file":"/path"}, with "mediaType", "digest" and "stated_size" (lies),
           "from", "urls", "chunksums":BYTES (serve them, in chunks of so many bytes), "chunksums_text":"raw"
  blobs    [CONTENT…] that no manifest names
  auth     {"mode":"none|bearer|basic", "token_requires":"nothing|signature|basic", "user", "password",
            "public_key":"AAAAC3…" (second field of id_ed25519.pub), "realm":URL, "token_seconds":N}
  cdn      {"mode":"direct|redirect|relative|chain", "hops":N, "status":307, "expires_s":N, "host":"127.0.0.1",
            "refuse_authorization":true}
  rate     {"connection":BYTES_A_SECOND, "total":BYTES_A_SECOND}
  faults   [FAULT…]; the first that matches and is not used up is applied to a request

FAULT, which requests: "port":"registry|cdn", "method", "path":REGEX, "range_from":N, "skip":N (not the first N that match),
"times":N (default 1, 0 for ever). The answer instead: "status", "headers":{…} (as they are, line breaks too),
"drop_headers":[…], "body", "endless_body":N (so many bytes more), "raw" (these bytes, then close). Its shape:
"ignore_range" (200 instead of 206), "chunked", "no_length", "shift":N (other bytes than the range says), "extra_bytes":N
(longer than asked), "flip":[offsets in the blob], "header_bomb":BYTES. The wire: "reset_after":N, "close_after":N,
"stall_after":N with "stall_s", all in body bytes; "rate":BYTES_A_SECOND, "drip_bytes":N every "drip_ms", "delay_ms" before
the first byte, "slow_headers_ms" between the header's bytes, "close_before", "reset_before" (no answer at all).

The control port, plain HTTP with JSON: GET /_control/state (what there is, "open" requests); POST /_control/script (adds models, replaces the other parts
that it has), /_control/faults (a list, appended), /_control/expire (all signed URLs until now), /_control/revoke (all
tokens until now), /_control/reset (RST on every open connection).
)";

}  // namespace pullama::scripted
