#include "daemon/engine/upload_state.h"

#include <doctest/doctest.h>

#include <string>

using namespace pullama;
using namespace pullama::engine;

namespace {

const Digest kDigest = io::sha256(std::as_bytes(std::span("abc", 3)));

io::Md5Digest md5_of(std::string_view text) {
  io::Md5 hash;
  hash.update(std::as_bytes(std::span(text.data(), text.size())));
  return hash.digest();
}

UploadState in_chunks() {
  UploadState state{"host:5000", "ns/m", "http://host:5000/v2/ns/m/blobs/uploads/1?_state=a%2Fb\"", 128, std::nullopt,
                    0,           {}};
  io::Sha256 hash;
  hash.update(std::as_bytes(std::span(std::string(128, 'x').data(), 128)));
  state.front = hash.midstate();
  return state;
}

UploadState in_parts() {
  UploadState state{"host", "ns/m", "https://host/v2/ns/m/blobs/uploads/2", 0, std::nullopt, 400, {}};
  state.parts = {md5_of("a"), std::nullopt, md5_of("")};
  return state;
}

}  // namespace

TEST_CASE("an upload state comes back as it was") {
  for (const auto& state : {in_chunks(), in_parts()}) {
    const auto text = format_upload_state(kDigest, 1000, state);
    CHECK(text.find('\n') == text.size() - 1);
    const auto back = parse_upload_state(text, kDigest, 1000);
    REQUIRE_MESSAGE(back, back.error().message);
    CHECK(back->host == state.host);
    CHECK(back->repository == state.repository);
    CHECK(back->session == state.session);
    CHECK(back->offset == state.offset);
    CHECK(back->front == state.front);
    CHECK(back->part_bytes == state.part_bytes);
    CHECK(back->parts == state.parts);
  }
}

TEST_CASE("an upload state that was cut off anywhere, or in which a byte is wrong, is refused") {
  for (const auto& state : {in_chunks(), in_parts()}) {
    const auto text = format_upload_state(kDigest, 1000, state);
    for (std::size_t length = 0; length < text.size(); ++length) {
      CHECK_FALSE(parse_upload_state(text.substr(0, length), kDigest, 1000));
      auto bent = text;
      bent[length] = static_cast<char>(bent[length] ^ 1);
      CHECK_FALSE(parse_upload_state(bent, kDigest, 1000));
    }
    CHECK_FALSE(parse_upload_state(text + " ", kDigest, 1000));
  }
}

TEST_CASE("an upload state of another blob, or that does not fit itself, is refused") {
  const auto text = format_upload_state(kDigest, 1000, in_parts());
  CHECK_FALSE(parse_upload_state(text, io::sha256({}), 1000));
  CHECK_FALSE(parse_upload_state(text, kDigest, 1200));  // parts cover 1000 only
  CHECK_FALSE(parse_upload_state(text, kDigest, 1001));
  auto far = in_chunks();
  far.offset = 1001;
  CHECK_FALSE(parse_upload_state(format_upload_state(kDigest, 1000, far), kDigest, 1000));
  auto front = in_chunks();
  front.front->length_bytes = 1024;
  CHECK_FALSE(parse_upload_state(format_upload_state(kDigest, 1000, front), kDigest, 1000));
  auto no_session = in_chunks();
  no_session.session.clear();
  CHECK_FALSE(parse_upload_state(format_upload_state(kDigest, 1000, no_session), kDigest, 1000));
  auto tiny_parts = in_parts();
  tiny_parts.part_bytes = 1;
  CHECK_FALSE(parse_upload_state(format_upload_state(kDigest, ~0ULL, tiny_parts), kDigest, ~0ULL));
}

TEST_CASE("MD5 of RFC 1321, and its hex") {
  CHECK(md5_of("").hex() == "d41d8cd98f00b204e9800998ecf8427e");
  CHECK(md5_of("message digest").hex() == "f96b697d7cb7938d525a2f31aaf161d0");
  CHECK(io::Md5Digest::from_hex("f96b697d7cb7938d525a2f31aaf161d0") == md5_of("message digest"));
  CHECK_FALSE(io::Md5Digest::from_hex("F96b697d7cb7938d525a2f31aaf161d0"));
  CHECK_FALSE(io::Md5Digest::from_hex("f96b"));
}
