#include "daemon/registry/ssh_key.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <vector>

#include "daemon/registry/base64.h"
#include "tests/support/io/temp_dir.h"

using namespace pullama::registry;
using pullama::ErrorCode;

namespace {

// Written by ssh-keygen for this test.
constexpr const char* kOpenSsh = R"(-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACD3yvqCAneszgzYy3Eae04Y+LVNymGZNfyOKOLhFkJ+iwAAAJirn+bVq5/m
1QAAAAtzc2gtZWQyNTUxOQAAACD3yvqCAneszgzYy3Eae04Y+LVNymGZNfyOKOLhFkJ+iw
AAAECa3w1zxVtGeb8iYKBxLKSeYpsaP9NYVYuOEGa6TqICH/fK+oICd6zODNjLcRp7Thj4
tU3KYZk1/I4o4uEWQn6LAAAAEXNvbWVvbmVAc29tZXdoZXJlAQIDBA==
-----END OPENSSH PRIVATE KEY-----
)";
constexpr const char* kOpenSshPublic = "AAAAC3NzaC1lZDI1NTE5AAAAIPfK+oICd6zODNjLcRp7Thj4tU3KYZk1/I4o4uEWQn6L";

// RFC 8032 section 7.1, test 1.
const std::string kSeed =
    "\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03"
    "\x1c\xae"
    "\x7f\x60";
const std::string kPublic =
    "\xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a\x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68"
    "\xf7\x07"
    "\x51\x1a";
constexpr const char* kSignatureOfNothing =
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465"
    "5141438e"
    "7a100b";

std::string number(std::uint32_t value) {
  std::string bytes;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) bytes += static_cast<char>(value >> shift & 255);
  return bytes;
}

std::string hex(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string field(const std::string& value) { return number(static_cast<std::uint32_t>(value.size())) + value; }

struct Parts {
  std::string cipher = "none", kdf = "none", options;
  std::uint32_t count = 1;
  std::string type = "ssh-ed25519", public_key = kPublic, inner_type = "ssh-ed25519", inner_public = kPublic;
  std::string secret = kSeed + kPublic;
  std::uint32_t check_a = 7, check_b = 7;
  std::string comment, padding{"\1\2\3", 3};

  std::string der() const {
    const auto blob = field(type) + field(public_key);
    const auto inner = number(check_a) + number(check_b) + field(inner_type) + field(inner_public) + field(secret) +
                       field(comment) + padding;
    return std::string("openssh-key-v1\0", 15) + field(cipher) + field(kdf) + field(options) + number(count) +
           field(blob) + field(inner);
  }
};

std::string pem(const std::string& der, const std::string& label = "OPENSSH PRIVATE KEY", const char* line_end = "\n") {
  const auto text = base64(der);
  std::string lines;
  for (std::size_t i = 0; i < text.size(); i += 64) lines += text.substr(i, 64) + line_end;
  return "-----BEGIN " + label + "-----" + line_end + lines + "-----END " + label + "-----" + line_end;
}

std::string pkcs8(const std::string& seed) {
  return std::string("\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", 16) + seed;
}

}  // namespace

TEST_CASE("a key that ssh-keygen wrote is read") {
  const auto key = SshKey::parse(kOpenSsh, "k");
  REQUIRE(key);
  CHECK((*key)->public_text() == kOpenSshPublic);
}

TEST_CASE("both file forms give the signature of RFC 8032") {
  for (const auto& text : {pem(Parts{}.der()), pem(Parts{}.der(), "OPENSSH PRIVATE KEY", "\r\n"),
                           pem(pkcs8(kSeed), "PRIVATE KEY"), "junk before\n" + pem(pkcs8(kSeed), "PRIVATE KEY")}) {
    CAPTURE(text);
    const auto key = SshKey::parse(text, "k");
    REQUIRE(key);
    const auto signature = from_base64((*key)->sign(""));
    REQUIRE(signature);
    CHECK(hex(*signature) == kSignatureOfNothing);
    CHECK((*key)->public_text() == base64(field("ssh-ed25519") + field(kPublic)));
  }
}

TEST_CASE("a key that cannot be used says which and what to do") {
  const auto with = [](auto change) {
    Parts parts;
    change(parts);
    return pem(parts.der());
  };
  struct Row {
    std::string text, words;
  };
  for (const auto& row : std::vector<Row>{
           {"", "not a private key file"},
           {"ssh-ed25519 AAAA x", "public key"},
           {"-----BEGIN OPENSSH PRIVATE KEY", "cut off"},
           {"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA", "cut off"},
           {pem("abc"), "cut off"},
           {"-----BEGIN OPENSSH PRIVATE KEY-----\n!!!!\n-----END OPENSSH PRIVATE KEY-----", "cut off"},
           {pem("x", "RSA PRIVATE KEY"), "not an Ed25519 key"},
           {pem("x", "EC PRIVATE KEY"), "not an Ed25519 key"},
           {pem("x", "ENCRYPTED PRIVATE KEY"), "encrypted"},
           {pem(std::string(600, 'x'), "PRIVATE KEY"), "not an Ed25519 key"},
           {pem(pkcs8(kSeed).substr(0, 47), "PRIVATE KEY"), "cut off"},
           {pem(pkcs8(kSeed) + "x", "PRIVATE KEY"), "cut off"},
           {pem("", "PRIVATE KEY"), "cut off"},
           {with([](Parts& p) { p.cipher = "aes256-ctr"; }), "encrypted"},
           {with([](Parts& p) { p.kdf = "bcrypt"; }), "encrypted"},
           {with([](Parts& p) { p.count = 2; }), "holds 2 keys"},
           {with([](Parts& p) { p.count = 0; }), "holds 0 keys"},
           {with([](Parts& p) { p.type = "ssh-rsa"; }), "not an Ed25519 key"},
           {with([](Parts& p) { p.inner_type = "ssh-rsa"; }), "not an Ed25519 key"},
           {with([](Parts& p) { p.check_b = 8; }), "damaged"},
           {with([](Parts& p) { p.public_key.pop_back(); }), "damaged"},
           {with([](Parts& p) { p.inner_public[0] ^= 1; }), "two public keys"},
           {with([](Parts& p) { p.secret.back() ^= 1; }), "two public keys"},
           {with([](Parts& p) { p.secret.pop_back(); }), "damaged"},
           {with([](Parts& p) { p.secret[0] ^= 1; }), "does not belong"},
           {with([](Parts& p) { p.padding = "\3\2\1"; }), "damaged"},
       }) {
    CAPTURE(row.text);
    const auto key = SshKey::parse(row.text, "/home/u/.ollama/id_ed25519");
    REQUIRE_FALSE(key);
    CHECK(key.error().code == ErrorCode::kAuthFailed);
    CHECK_MESSAGE(key.error().message.find(row.words) != std::string::npos, key.error().message);
    CHECK(key.error().message.find("/home/u/.ollama/id_ed25519") != std::string::npos);
    CHECK(key.error().hint == "check /home/u/.ollama/id_ed25519");
  }
}

TEST_CASE("a key cut off at any byte is refused, whatever its lengths say") {
  const auto der = Parts{}.der();
  for (std::size_t length = 0; length < der.size() - 3; ++length) {
    CAPTURE(length);
    CHECK_FALSE(SshKey::parse(pem(der.substr(0, length)), "k"));
  }
  for (std::size_t at = 15; at + 4 < der.size(); ++at) {
    CAPTURE(at);
    auto bad = der;
    bad.replace(at, 4, "\xff\xff\xff\xff");
    CHECK_FALSE(SshKey::parse(pem(bad), "k"));
  }
}

TEST_CASE("a key file that others may read, or that is none, is refused") {
  const pullama::testing::TempDir dir;
  const std::string path = dir / "id_ed25519";
  const auto missing = SshKey::load(path);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ErrorCode::kNotFound);

  dir.write("id_ed25519", kOpenSsh);
  REQUIRE(::chmod(path.c_str(), 0644) == 0);
  const auto open = SshKey::load(path);
  REQUIRE_FALSE(open);
  CHECK(open.error().code == ErrorCode::kAuthFailed);
  CHECK(open.error().message.find("chmod 600 " + path) != std::string::npos);

  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  CHECK(SshKey::load(path));
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  CHECK(SshKey::load(path));

  dir.write("id_ed25519", std::string(kMaxKeyFileBytes + 1, 'x'));
  const auto long_file = SshKey::load(path);
  REQUIRE_FALSE(long_file);
  CHECK(long_file.error().code == ErrorCode::kAuthFailed);
  const auto folder = SshKey::load(dir.path().string());
  REQUIRE_FALSE(folder);
  CHECK(folder.error().message.find("not a regular file") != std::string::npos);
}

TEST_CASE("a key of ours is read again as OpenSSH's, and signs the same") {
  const auto made = SshKey::generate();
  REQUIRE(made);
  const std::string text = (*made)->openssh_text();
  CHECK(text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAA"));
  CHECK(text.ends_with("\n-----END OPENSSH PRIVATE KEY-----\n"));
  const auto read = SshKey::parse(text, "/k");
  REQUIRE(read);
  CHECK((*read)->public_text() == (*made)->public_text());
  CHECK((*read)->sign("message") == (*made)->sign("message"));
  CHECK((*made)->public_line() == "ssh-ed25519 " + (*made)->public_text());
  const auto other = SshKey::generate();
  REQUIRE(other);
  CHECK((*other)->public_text() != (*made)->public_text());
}

TEST_CASE("a nonce is 22 characters and new each time") {
  const auto nonce = random_nonce();
  CHECK(nonce.size() == 22);
  CHECK(nonce.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
        std::string::npos);
  CHECK(nonce != random_nonce());
}
