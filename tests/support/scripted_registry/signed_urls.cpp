#include "tests/support/scripted_registry/signed_urls.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <cstdlib>

#include "tests/support/scripted_registry/tokens.h"

namespace pullama::scripted {
namespace {

constexpr const char* kSignature = "&X-Amz-Signature=";

long long now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

long long number_after(const std::string& text, const std::string& name) {
  const std::size_t at = text.find(name);
  return at == std::string::npos ? 0 : std::strtoll(text.c_str() + at + name.size(), nullptr, 10);
}

}  // namespace

SignedUrls::SignedUrls() : key_(random_hex(32)) {}

std::string SignedUrls::signature_of(const std::string& text) const {
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
  unsigned size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), mac.data(), &size);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    hex += "0123456789abcdef"[mac[i] >> 4];
    hex += "0123456789abcdef"[mac[i] & 15];
  }
  return hex;
}

std::string SignedUrls::sign(const std::string& path, double seconds) const {
  const long long now = now_ms();
  const long long until = now + static_cast<long long>(seconds * 1000);
  // The credential's %2F and the odd %2Bz%3D are bait for whoever decodes headers.
  const std::string text = path + "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=scripted%2F20260101%2Fauto%2Fs3" +
                           "&odd=a%2Bz%3D&signed=" + std::to_string(now) + "&Expires=" + std::to_string(until) +
                           "&X-Amz-SignedHeaders=host";
  return text + kSignature + signature_of(text);
}

std::string SignedUrls::refuse(const std::string& target) const {
  const std::size_t at = target.rfind(kSignature);
  if (at == std::string::npos) return "MissingSignature";
  const std::string text = target.substr(0, at);
  if (target.substr(at + std::char_traits<char>::length(kSignature)) != signature_of(text)) {
    return "SignatureDoesNotMatch";
  }
  if (number_after(text, "&Expires=") < now_ms() || number_after(text, "&signed=") < oldest_ms_) return "ExpiredToken";
  return {};
}

void SignedUrls::expire_all() { oldest_ms_ = now_ms() + 1; }

}  // namespace pullama::scripted
