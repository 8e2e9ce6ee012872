#include "tests/support/scripted_registry/tokens.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <vector>

namespace pullama::scripted {
namespace {

using Bytes = std::vector<unsigned char>;

// Of the empty string, in hex, in base64: the last part of what Ollama signs.
constexpr const char* kEmptyHash =
    "ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NQ==";

std::optional<Bytes> from_base64(const std::string& text) {
  if (text.empty() || text.size() % 4 != 0 || text.size() > 4096) return std::nullopt;
  Bytes bytes(text.size() / 4 * 3);
  const int count =
      EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (count < 0) return std::nullopt;
  std::size_t size = static_cast<std::size_t>(count);
  for (std::size_t i = text.size(); i > 0 && text[i - 1] == '='; --i) --size;
  bytes.resize(size);
  return bytes;
}

std::string to_base64(const std::string& text) {
  std::string out((text.size() + 2) / 3 * 4 + 1, '\0');
  const int count = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                    reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(count));
  return out;
}

bool verified(const Bytes& ssh_key, const Bytes& signature, const std::string& message) {
  // string "ssh-ed25519", string 32 bytes: the key is the end of its 51 bytes.
  if (ssh_key.size() != 51 || signature.size() != 64) return false;
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, ssh_key.data() + 19, 32), EVP_PKEY_free);
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  return key && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                          reinterpret_cast<const unsigned char*>(message.data()), message.size()) == 1;
}

std::string refuse_signature(const AuthScript& script, const std::string& own_url, const httplib::Request& request,
                             std::set<std::string>& nonces) {
  const std::string value = request.get_header_value("Authorization");
  const std::size_t colon = value.find(':');
  if (colon == std::string::npos) return "the token request is not signed";
  const std::string key = value.substr(0, colon);
  if (key != script.public_key) return "the key is not registered";
  const auto ssh_key = from_base64(key), signature = from_base64(value.substr(colon + 1));
  if (!ssh_key || !signature) return "key or signature is no base64";
  if (!verified(*ssh_key, *signature, "GET," + own_url + request.target + "," + kEmptyHash)) {
    return "the signature is wrong";
  }
  const long long sent = std::strtoll(request.get_param_value("ts").c_str(), nullptr, 10);
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
  if (std::llabs(sent - now.count()) > 300) return "ts is not now";
  const std::string nonce = request.get_param_value("nonce");
  if (nonce.size() < 16 || !nonces.insert(nonce).second) return "the nonce is short or was used";
  return {};
}

std::string basic(const AuthScript& script) { return "Basic " + to_base64(script.user + ":" + script.password); }

}  // namespace

std::string random_hex(std::size_t bytes) {
  std::string raw(bytes, '\0'), text;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(raw.data()), static_cast<int>(bytes)) != 1) {
    throw std::runtime_error("no random numbers");
  }
  for (const char byte : raw) {
    text += "0123456789abcdef"[static_cast<unsigned char>(byte) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned char>(byte) & 15];
  }
  return text;
}

std::string Tokens::refuse(const AuthScript& script, const httplib::Request& request) const {
  if (script.mode == "none") return {};
  const std::string value = request.get_header_value("Authorization");
  if (value.empty()) return "authentication required";
  if (script.mode == "basic") return value == basic(script) ? "" : "wrong user or password";
  if (value.rfind("Bearer ", 0) != 0) return "a bearer token is required";
  const auto found = valid_.find(value.substr(7));
  if (found == valid_.end()) return "the token is not known";
  return found->second < std::chrono::steady_clock::now() ? "the token has expired" : "";
}

Answer Tokens::challenge(const AuthScript& script, const std::string& own_url, const std::string& repository,
                         const std::string& why) {
  const nlohmann::json body = {{"errors", {{{"code", "UNAUTHORIZED"}, {"message", why}}}}};
  Answer answer = Answer::of_text(401, body.dump());
  if (script.mode == "basic") {
    answer.set_header("WWW-Authenticate", "Basic realm=\"scripted\"");
  } else {
    const std::string realm = script.realm.empty() ? own_url + "/token" : script.realm;
    answer.set_header("WWW-Authenticate", "Bearer realm=\"" + realm +
                                              "\",service=\"scripted\",scope=\"repository:" + repository + ":pull\"");
  }
  return answer;
}

Answer Tokens::serve(const AuthScript& script, const std::string& own_url, const httplib::Request& request) {
  std::string why;
  if (script.token_requires == "signature") why = refuse_signature(script, own_url, request, nonces_);
  if (script.token_requires == "basic" && request.get_header_value("Authorization") != basic(script)) {
    why = "wrong user or password";
  }
  if (why.empty() && (request.get_param_value("service") != "scripted" || !request.has_param("scope"))) {
    why = "service and scope are not those of the challenge";
  }
  if (!why.empty()) return Answer::of_text(401, nlohmann::json{{"error", why}}.dump());
  const std::string token = "scripted-" + random_hex(24);
  given_.insert(token);
  valid_[token] = std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                                         std::chrono::duration<double>(script.token_seconds));
  return Answer::of_text(200, nlohmann::json{{"token", token}, {"expires_in", script.token_seconds}}.dump());
}

}  // namespace pullama::scripted
