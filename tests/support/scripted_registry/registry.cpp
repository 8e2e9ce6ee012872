#include "tests/support/scripted_registry/registry.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <stdexcept>

namespace pullama::scripted {
namespace {

using nlohmann::json;

Answer registry_error(int status, const std::string& code, const std::string& message) {
  return Answer::of_text(status, json{{"errors", {{{"code", code}, {"message", message}}}}}.dump());
}

Answer store_error(int status, const std::string& code) {
  return Answer::of_text(status,
                         "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" + code + "</Code><Message>" +
                             code + "</Message></Error>",
                         "application/xml");
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string path_of(const httplib::Request& request) { return request.target.substr(0, request.target.find('?')); }

}  // namespace

Registry::~Registry() {
  if (log_ != nullptr) std::fclose(log_);
}

void Registry::set_addresses(std::string registry_scheme, int registry_port, std::string cdn_scheme, int cdn_port) {
  registry_url_ = std::move(registry_scheme) + "://127.0.0.1:" + std::to_string(registry_port);
  cdn_scheme_ = std::move(cdn_scheme);
  cdn_port_ = cdn_port;
}

void Registry::log_to(const std::string& path) {
  log_ = std::fopen(path.c_str(), "a");
  if (log_ == nullptr) throw std::runtime_error("cannot write " + path);
}

void Registry::write_log(const json& line) {
  const std::lock_guard lock(log_mutex_);
  if (log_ == nullptr) return;
  // Bytes of a peer may be no UTF-8.
  const std::string text = line.dump(-1, ' ', true, json::error_handler_t::replace) + "\n";
  if (std::fwrite(text.data(), 1, text.size(), log_) != text.size() || std::fflush(log_) != 0) {
    throw std::runtime_error("the access log cannot be written");
  }
}

void Registry::apply(const json& script) {
  // On a copy, so that a bad script changes nothing.
  const std::lock_guard lock(mutex_);
  Script next = script_;
  next.apply(script);
  script_ = std::move(next);
}

void Registry::add_faults(const json& faults) {
  const std::lock_guard lock(mutex_);
  for (const json& fault : faults) script_.faults.push_back(Fault::from_json(fault));
}

void Registry::revoke_tokens() {
  const std::lock_guard lock(mutex_);
  tokens_.revoke();
}

json Registry::state() {
  const std::lock_guard lock(mutex_);
  json models = json::object();
  for (const auto& [name, model] : script_.models) {
    json blobs = json::array();
    for (const auto& digest : model.blobs) {
      blobs.push_back({{"digest", digest}, {"size", script_.blobs.at(digest).content->size()}});
    }
    models[name] = {{"digest", model.manifest_digest}, {"manifest", model.manifest}, {"blobs", blobs}};
  }
  json faults = json::array();
  for (const Fault& fault : script_.faults) faults.push_back({{"seen", fault.seen}});
  return {{"models", models}, {"faults", faults}, {"tokens", tokens_.given()}, {"open", open_.load()}};
}

const Fault* Registry::choose_fault(const std::string& port, const httplib::Request& request, Fault& copy) {
  const std::string path = path_of(request), range = request.get_header_value("Range");
  for (Fault& fault : script_.faults) {
    if (!fault.port.empty() && fault.port != port) continue;
    if (!fault.method.empty() && fault.method != request.method) continue;
    if (fault.path && !std::regex_search(path, *fault.path)) continue;
    if (fault.range_from && range.rfind("bytes=" + std::to_string(*fault.range_from) + "-", 0) != 0) continue;
    const std::uint64_t number = fault.seen++;
    if (number < fault.skip || (fault.times != 0 && number >= fault.skip + fault.times)) continue;
    copy = fault;
    return &copy;
  }
  return nullptr;
}

std::string Registry::cdn_url(const std::string& digest) const {
  const std::string hex = digest.substr(digest.find(':') + 1);
  if (script_.cdn.mode == "relative") return urls_.sign("/signed/" + hex + "/data", script_.cdn.expires_s);
  const std::string where = cdn_scheme_ + "://" + script_.cdn.host + ":" + std::to_string(cdn_port_);
  if (script_.cdn.mode == "chain" && script_.cdn.hops > 0) {
    return where + urls_.sign("/hop/" + std::to_string(script_.cdn.hops) + "/" + hex, script_.cdn.expires_s);
  }
  return where + urls_.sign("/cdn/" + hex + "/data", script_.cdn.expires_s);
}

Answer Registry::bytes_of(const httplib::Request& request, const std::string& digest, const Blob& blob) {
  Answer answer;
  const std::uint64_t size = blob.content->size();
  answer.body = blob.content;
  answer.length = size;
  answer.headers = {
      {"Content-Type", "application/octet-stream"}, {"Accept-Ranges", "bytes"}, {"ETag", "\"" + digest + "\""}};
  if (request.ranges.size() == 1) {
    const auto [first, last] = request.ranges[0];
    const auto from = static_cast<std::uint64_t>(std::max<ssize_t>(first, 0));
    if (first < 0 || from >= size) {
      answer = registry_error(416, "RANGE_INVALID", "the range lies outside the blob");
      answer.set_header("Content-Range", "bytes */" + std::to_string(size));
      return answer;
    }
    const std::uint64_t to = last < 0 ? size - 1 : std::min<std::uint64_t>(static_cast<std::uint64_t>(last), size - 1);
    answer.status = 206;
    answer.offset = from;
    answer.length = to - from + 1;
    answer.set_header("Content-Range",
                      "bytes " + std::to_string(from) + "-" + std::to_string(to) + "/" + std::to_string(size));
  }
  return answer;
}

Answer Registry::answer_blob(const httplib::Request& request, const std::string& digest) {
  const auto found = script_.blobs.find(digest);
  if (found == script_.blobs.end()) return registry_error(404, "BLOB_UNKNOWN", "blob unknown to registry");
  if (script_.cdn.mode == "direct") {
    Answer answer = bytes_of(request, digest, found->second);
    answer.set_header("Docker-Content-Digest", digest);
    return answer;
  }
  Answer answer = Answer::of_text(script_.cdn.status, "", "text/html");
  answer.set_header("Location", cdn_url(digest));
  return answer;
}

Answer Registry::answer_repository(const httplib::Request& request, const std::string& repository,
                                   const std::string& kind, const std::string& reference) {
  if (const std::string why = tokens_.refuse(script_.auth, request); !why.empty()) {
    return Tokens::challenge(script_.auth, registry_url_, repository, why);
  }
  if (kind == "manifests") {
    const auto found = script_.models.find(repository + ":" + reference);
    if (found == script_.models.end()) return registry_error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    Answer answer = Answer::of_text(200, found->second.manifest, found->second.media_type);
    answer.set_header("Docker-Content-Digest", found->second.manifest_digest);
    return answer;
  }
  if (kind == "blobs") return answer_blob(request, reference);
  const auto found = script_.blobs.find(reference);
  if (found == script_.blobs.end() || found->second.chunk_bytes == 0) {
    return registry_error(404, "UNSUPPORTED", "no chunksums");
  }
  Answer answer = Answer::of_text(200, found->second.chunksums, "text/plain");
  answer.set_header("Content-Location", script_.cdn.mode == "direct"
                                            ? registry_url_ + "/v2/" + repository + "/blobs/" + reference
                                            : cdn_url(reference));
  return answer;
}

Answer Registry::answer_registry(const httplib::Request& request) {
  static const std::regex kRoute("/v2/([^/]+/[^/]+)/(manifests|blobs|chunksums)/([^/]+)");
  const std::string path = path_of(request);
  std::smatch match;
  if (path == "/token") return tokens_.serve(script_.auth, registry_url_, request);
  if (path.rfind("/signed/", 0) == 0) return answer_cdn(request);
  if (!std::regex_match(path, match, kRoute)) return registry_error(404, "UNSUPPORTED", "no such endpoint");
  if (request.method != "GET" && request.method != "HEAD") {
    return registry_error(405, "UNSUPPORTED", "this registry is read-only");
  }
  return answer_repository(request, match[1], match[2], match[3]);
}

Answer Registry::answer_cdn(const httplib::Request& request) {
  static const std::regex kRoute("/(cdn|signed|hop/([0-9]+))/([0-9a-f]{64})(/data)?");
  const std::string path = path_of(request);
  std::smatch match;
  if (script_.cdn.refuse_authorization && request.has_header("Authorization")) {
    return store_error(400, "InvalidArgument: only one auth mechanism allowed");
  }
  if (!std::regex_match(path, match, kRoute)) return store_error(404, "NoSuchKey");
  if (const std::string why = urls_.refuse(request.target); !why.empty()) return store_error(403, why);
  const std::string hex = match[3];
  if (match[2].matched) {
    const int left = std::stoi(match[2]) - 1;
    const std::string next = left > 0 ? "/hop/" + std::to_string(left) + "/" + hex : "/cdn/" + hex + "/data";
    Answer answer = Answer::of_text(302, "", "text/html");
    answer.set_header("Location", urls_.sign(next, script_.cdn.expires_s));
    return answer;
  }
  const auto found = script_.blobs.find("sha256:" + hex);
  return found == script_.blobs.end() ? store_error(404, "NoSuchKey")
                                      : bytes_of(request, "sha256:" + hex, found->second);
}

namespace {
struct Open {
  explicit Open(std::atomic<int>& count) : count_(count) { ++count_; }
  ~Open() { --count_; }
  std::atomic<int>& count_;
};
}  // namespace

void Registry::serve(const std::string& port, const httplib::Request& request, Wire& wire) {
  const Open counted(open_);
  const double begin = seconds_now();
  Answer answer;
  Fault copy;
  const Fault* fault = nullptr;
  Speed speed;
  {
    const std::lock_guard lock(mutex_);
    fault = choose_fault(port, request, copy);
    httplib::Request seen = request;
    if (fault != nullptr && fault->ignore_range) seen.ranges.clear();
    answer = port == "cdn" ? answer_cdn(seen) : answer_registry(seen);
    speed = {script_.connection_rate, script_.total_rate};
  }
  answer.head_only = request.method == "HEAD";
  if (fault != nullptr) {
    if (fault->extra_bytes > 0) answer.length += fault->extra_bytes;
    if (fault->shift)
      answer.offset = static_cast<std::uint64_t>(static_cast<std::int64_t>(answer.offset) + *fault->shift);
    distort(answer, *fault);
  }
  const Sent sent = send(answer, fault, wire, speed, total_, lifetime_);
  const std::string authorization = request.get_header_value("Authorization");
  const bool payload = answer.status == 200 || answer.status == 206;
  write_log({{"time", begin},
             {"seconds", seconds_now() - begin},
             {"port", port},
             {"connection", wire.number()},
             {"method", request.method},
             {"path", path_of(request)},
             {"range", request.has_header("Range") ? json(request.get_header_value("Range")) : json(nullptr)},
             {"status", answer.status},
             {"offset", payload ? answer.offset : 0},
             {"sent", sent.body_bytes},
             {"end", sent.end},
             {"fault", fault != nullptr},
             {"had_authorization", !authorization.empty()},
             {"authorization_scheme", authorization.substr(0, authorization.find_first_of(" :"))},
             {"accept_encoding", request.get_header_value("Accept-Encoding")},
             {"user_agent", request.get_header_value("User-Agent")}});
}

}  // namespace pullama::scripted
