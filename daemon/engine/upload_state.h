#pragma once
// What is remembered of an upload under way, .pullm/upload-<hex>.json, so that it goes on after a kill, a reboot or a
// pause. Pure: text in, text out. The registry is the authority: what is written here says whom to ask, not what to
// believe.
//
// Format, version 1, one JSON object on one line:
//   {"version":1,"digest":"sha256:…","size":N,            the blob
//    "host":"…","repository":"ns/model",                   where it is pushed to
//    "session":"https://…",                                URL for the session's next request; may hold a secret
//    "offset":N,                                           bytes that the registry has taken, by its last answer
//    "front":{"offset":N,"sha256":"<64 hex>"},             state words of SHA-256 over the bytes sent so far (a
//    multiple
//                                                          of 64); absent in parts
//    "part_bytes":N,"parts":["<md5 in hex>"|null, …],      parts that went to presigned URLs, null: not there yet;
//                                                          absent in the other ways up
//    "checksum":"<32 hex>"}                                XXH3-128 of the text before `,"checksum"`

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "daemon/io/md5.h"
#include "daemon/io/sha256.h"

namespace pullama::engine {

inline constexpr std::uint64_t kMaxUploadStateBytes = 1ULL << 20;
inline constexpr std::size_t kMaxUploadParts = 10'000;  // as many as S3 takes

struct UploadState {
  std::string host, repository, session;
  std::uint64_t offset = 0;
  std::optional<io::Sha256::Midstate> front;
  std::uint64_t part_bytes = 0;  // 0: not in parts
  std::vector<std::optional<io::Md5Digest>> parts;
};

std::string format_upload_state(const Digest& digest, std::uint64_t size_bytes, const UploadState& state);

// kCorrupt with what is wrong. Everything in it is checked against itself, the digest and the size; the session's URL
// by the redirect rules is the caller's.
Result<UploadState> parse_upload_state(std::string_view text, const Digest& digest, std::uint64_t size_bytes);

}  // namespace pullama::engine
