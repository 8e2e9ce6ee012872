#include "daemon/registry/token_request.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "common/json_text.h"
#include "daemon/registry/ascii.h"
#include "daemon/registry/base64.h"

namespace pullama::registry {
namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;

// base64 of the hex SHA-256 of an empty body.
constexpr std::string_view kEmptyBodyHash =
    "ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NQ==";

constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kAliases{{
    {"hf.co", "huggingface.co"},
    {"registry.ollama.ai", "ollama.com"},
}};

bool are_aliases(const Url& a, const Url& b) {
  if (!a.is_https() || !b.is_https() || a.port != 443 || b.port != 443) return false;
  return std::any_of(kAliases.begin(), kAliases.end(), [&](const auto& set) {
    return (a.host == set.first || a.host == set.second) && (b.host == set.first || b.host == set.second);
  });
}

std::string form_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.' || c == '~') {
      encoded += c;
    } else if (c == ' ') {
      encoded += '+';
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += '%';
      encoded += kHex[byte >> 4];
      encoded += kHex[byte & 15];
    }
  }
  return encoded;
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

std::optional<std::string> form_decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    if (low < 0) return std::nullopt;
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

Parameters parameters_of(const Realm& realm, const Challenge& challenge) {
  Parameters parameters;
  const auto question = realm.url.target.find('?');
  std::string_view query = realm.url.target;
  query.remove_prefix(question == std::string::npos ? query.size() : question + 1);
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto pair = query.substr(0, end);
    const auto equals = std::min(pair.find('='), pair.size());
    const auto key = form_decode(pair.substr(0, equals));
    const auto value = form_decode(pair.substr(std::min(equals + 1, pair.size())));
    if (key && value && !pair.empty()) parameters.emplace_back(*key, *value);
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  if (!challenge.service.empty()) parameters.emplace_back("service", challenge.service);
  for (const auto& scope : challenge.scopes) parameters.emplace_back("scope", scope);
  return parameters;
}

std::string with_query(const Realm& realm, Parameters parameters) {
  std::stable_sort(parameters.begin(), parameters.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string url = realm.url.text.substr(0, realm.url.text.find('?'));
  char separator = '?';
  for (const auto& [key, value] : parameters) {
    url += separator + form_encode(key) + "=" + form_encode(value);
    separator = '&';
  }
  return url;
}

tl::unexpected<Error> refused(const Url& registry, std::string_view why) {
  return fail(ErrorCode::kAuthFailed,
              "the token service that " + registry.authority() + " names is refused: " + std::string(why));
}

}  // namespace

Result<Realm> judge_realm(const Url& registry, std::string_view text) {
  if (text.empty()) return refused(registry, "it names none");
  auto url = Url::parse(text);
  if (!url) return refused(registry, url.error().message);
  Realm realm;
  realm.may_sign = (url->host == registry.host && url->port == registry.port) || are_aliases(registry, *url);
  if (!url->is_https()) {
    if (registry.is_https()) return refused(registry, "http://" + url->authority() + " is not https");
    if (url->host != registry.host)
      return refused(registry, "http://" + url->authority() + " is neither https nor its own host");
  }
  realm.url = std::move(*url);
  return realm;
}

std::string token_url(const Realm& realm, const Challenge& challenge) {
  return with_query(realm, parameters_of(realm, challenge));
}

std::string signed_token_url(const Realm& realm, const Challenge& challenge, std::int64_t unix_seconds,
                             const std::string& nonce) {
  auto parameters = parameters_of(realm, challenge);
  parameters.emplace_back("ts", std::to_string(unix_seconds));
  parameters.emplace_back("nonce", nonce);
  return with_query(realm, std::move(parameters));
}

std::string signature_header(const SshKey& key, const std::string& url) {
  return key.public_text() + ":" + key.sign("GET," + url + "," + std::string(kEmptyBodyHash));
}

Result<std::string> parse_token(std::string_view body) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (holds_nul(body) || !json.is_object()) return fail(ErrorCode::kAuthFailed, "its answer is not a JSON object");
  for (const char* key : {"token", "access_token"}) {
    const auto value = json.find(key);
    if (value == json.end() || !value->is_string()) continue;
    auto token = value->get<std::string>();
    if (token.empty()) continue;
    if (token.size() > kMaxTokenBytes) return fail(ErrorCode::kAuthFailed, "its token is longer than 32 KiB");
    const bool visible = std::all_of(token.begin(), token.end(), [](char c) { return c > 0x20 && c < 0x7f; });
    if (!visible) return fail(ErrorCode::kAuthFailed, "its token has characters that no token may have");
    return token;
  }
  return fail(ErrorCode::kAuthFailed, "its answer holds no token");
}

}  // namespace pullama::registry
