#pragma once
// What the registry serves and how it misbehaves: plain structs, read from the JSON that `scripted-registry --help`
// describes. Parsing throws std::runtime_error (or a json exception) with what is wrong.

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/scripted_registry/content.h"

namespace pullama::scripted {

struct Model {
  std::string repository, tag;
  std::string manifest;  // as served
  std::string manifest_digest;
  std::string media_type;
  std::vector<std::string> blobs;
};

struct Blob {
  std::shared_ptr<const Content> content;
  std::uint64_t chunk_bytes = 0;  // of chunksums; 0: the endpoint answers 404
  std::string chunksums;          // the body, made once
};

// One way to misbehave. The first fault of the list that matches a request and is not used up is applied to it.
struct Fault {
  // Which requests.
  std::string port, method;  // empty: any
  std::optional<std::regex> path;
  std::optional<std::uint64_t> range_from;
  std::uint64_t skip = 0, times = 1;  // not the first `skip` that match, then `times` (0: for ever)
  std::uint64_t seen = 0;

  // The answer instead.
  std::optional<int> status;
  std::vector<std::pair<std::string, std::string>> headers;  // replace or add; bytes as they are, line breaks too
  std::vector<std::string> drop_headers;
  std::optional<std::string> body;
  std::optional<std::uint64_t> endless_body;  // so many bytes of 'x' after the body
  std::optional<std::string> raw;             // these bytes and nothing else, then the connection is closed

  // The answer's shape.
  bool ignore_range = false, chunked = false, no_length = false;
  std::optional<std::int64_t> shift;  // serve the range that begins so much later, under the asked-for Content-Range
  std::uint64_t extra_bytes = 0;      // body longer than asked: length and Content-Range say so
  std::vector<std::uint64_t> flip;    // offsets in the blob whose lowest bit is turned
  std::uint64_t header_bomb = 0;      // bytes of further headers

  // The wire.
  std::optional<std::uint64_t> reset_after, close_after, stall_after;  // body bytes
  double stall_s = 3600;
  std::uint64_t rate = 0;  // bytes a second of this answer
  std::uint64_t drip_bytes = 0, drip_ms = 100;
  std::uint64_t delay_ms = 0;                       // before the first byte
  std::uint64_t slow_headers_ms = 0;                // between the header's bytes
  bool close_before = false, reset_before = false;  // without an answer

  static Fault from_json(const nlohmann::json& description);
};

struct AuthScript {
  std::string mode = "none";               // none, bearer, basic
  std::string token_requires = "nothing";  // nothing, signature, basic
  std::string user, password;
  std::string public_key;  // base64 of the SSH blob, as in id_ed25519.pub
  std::string realm;       // empty: /token on this registry's own port
  double token_seconds = 300;
};

struct CdnScript {
  std::string mode = "direct";  // direct, redirect, relative, chain
  unsigned hops = 2;            // chain: redirects on the CDN before the bytes
  int status = 307;
  double expires_s = 3600;
  std::string host = "127.0.0.1";
  bool refuse_authorization = true;
};

struct Script {
  std::map<std::string, Model> models;  // by repository:tag
  std::map<std::string, Blob> blobs;    // by digest
  std::vector<Fault> faults;
  AuthScript auth;
  CdnScript cdn;
  std::uint64_t connection_rate = 0, total_rate = 0;  // bytes a second, 0: none

  // Adds the models, replaces every other part that is given.
  void apply(const nlohmann::json& description);
};

}  // namespace pullama::scripted
