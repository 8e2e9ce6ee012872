#include "tests/support/scripted_registry/script.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace pullama::scripted {
namespace {

using nlohmann::json;

template <class T>
void take(const json& from, const char* name, T& into) {
  if (from.contains(name)) into = from.at(name).get<T>();
}
template <class T>
void take(const json& from, const char* name, std::optional<T>& into) {
  if (from.contains(name)) into = from.at(name).get<T>();
}

void refuse_unknown(const json& object, const std::vector<std::string>& known, const char* what) {
  for (const auto& [name, value] : object.items()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw std::runtime_error(std::string(what) + " has no member \"" + name + "\"");
    }
  }
}

// Registers the content and says how a manifest names it.
json add_blob(Script& script, const json& description, const std::string& media_type) {
  Blob blob;
  blob.content = Content::from_json(description);
  const std::string digest =
      description.contains("digest") ? description.at("digest").get<std::string>() : sha256_of(*blob.content);
  if (description.contains("chunksums_text")) {
    blob.chunksums = description.at("chunksums_text").get<std::string>();
    blob.chunk_bytes = 1;
  } else if (description.contains("chunksums")) {
    blob.chunk_bytes = description.at("chunksums").get<std::uint64_t>();
    if (blob.chunk_bytes == 0) throw std::runtime_error("\"chunksums\" is a chunk's size in bytes, above 0");
    for (std::uint64_t start = 0; start < blob.content->size(); start += blob.chunk_bytes) {
      const std::uint64_t length = std::min(blob.chunk_bytes, blob.content->size() - start);
      blob.chunksums += sha256_of(*blob.content, start, length) + " " + std::to_string(start) + "-" +
                        std::to_string(start + length - 1) + "\n";
    }
  }
  json layer = {{"mediaType", media_type}, {"digest", digest}, {"size", blob.content->size()}};
  if (description.contains("stated_size")) layer["size"] = description.at("stated_size");
  if (description.contains("from")) layer["from"] = description.at("from");
  if (description.contains("urls")) layer["urls"] = description.at("urls");
  script.blobs[digest] = std::move(blob);
  return layer;
}

void add_model(Script& script, const json& description) {
  refuse_unknown(description, {"name", "config", "layers", "manifest", "media_type"}, "a model");
  Model model;
  const auto name = description.at("name").get<std::string>();
  const std::size_t colon = name.rfind(':');
  model.repository = name.substr(0, colon);
  model.tag = colon == std::string::npos ? "latest" : name.substr(colon + 1);
  model.media_type = description.value("media_type", "application/vnd.docker.distribution.manifest.v2+json");
  json manifest = {{"schemaVersion", 2}, {"mediaType", "application/vnd.docker.distribution.manifest.v2+json"}};
  manifest["layers"] = json::array();
  for (const json& layer : description.value("layers", json::array())) {
    manifest["layers"].push_back(
        add_blob(script, layer, layer.value("mediaType", "application/vnd.ollama.image.model")));
    model.blobs.push_back(manifest["layers"].back().at("digest").get<std::string>());
  }
  if (description.contains("config")) {
    manifest["config"] = add_blob(script, description.at("config"), "application/vnd.docker.container.image.v1+json");
    model.blobs.push_back(manifest["config"].at("digest").get<std::string>());
  }
  model.manifest = description.contains("manifest") ? description.at("manifest").get<std::string>() : manifest.dump();
  model.manifest_digest = sha256_of(*Content::of_text(model.manifest));
  script.models[model.repository + ":" + model.tag] = std::move(model);
}

}  // namespace

Fault Fault::from_json(const json& from) {
  refuse_unknown(
      from,
      {"port",         "method",       "path",        "range_from",   "skip",        "times",        "status",
       "headers",      "drop_headers", "body",        "endless_body", "raw",         "ignore_range", "chunked",
       "no_length",    "shift",        "extra_bytes", "flip",         "header_bomb", "reset_after",  "close_after",
       "stall_after",  "stall_s",      "rate",        "drip_bytes",   "drip_ms",     "delay_ms",     "slow_headers_ms",
       "close_before", "reset_before"},
      "a fault");
  Fault fault;
  take(from, "port", fault.port);
  take(from, "method", fault.method);
  if (from.contains("path")) fault.path.emplace(from.at("path").get<std::string>());
  take(from, "range_from", fault.range_from);
  take(from, "skip", fault.skip);
  take(from, "times", fault.times);
  take(from, "status", fault.status);
  if (from.contains("headers")) {
    for (const auto& [name, value] : from.at("headers").items()) {
      fault.headers.emplace_back(name, value.get<std::string>());
    }
  }
  take(from, "drop_headers", fault.drop_headers);
  take(from, "body", fault.body);
  take(from, "endless_body", fault.endless_body);
  take(from, "raw", fault.raw);
  take(from, "ignore_range", fault.ignore_range);
  take(from, "chunked", fault.chunked);
  take(from, "no_length", fault.no_length);
  take(from, "shift", fault.shift);
  take(from, "extra_bytes", fault.extra_bytes);
  take(from, "flip", fault.flip);
  take(from, "header_bomb", fault.header_bomb);
  take(from, "reset_after", fault.reset_after);
  take(from, "close_after", fault.close_after);
  take(from, "stall_after", fault.stall_after);
  take(from, "stall_s", fault.stall_s);
  take(from, "rate", fault.rate);
  take(from, "drip_bytes", fault.drip_bytes);
  take(from, "drip_ms", fault.drip_ms);
  take(from, "delay_ms", fault.delay_ms);
  take(from, "slow_headers_ms", fault.slow_headers_ms);
  take(from, "close_before", fault.close_before);
  take(from, "reset_before", fault.reset_before);
  return fault;
}

void Script::apply(const json& description) {
  refuse_unknown(description, {"models", "blobs", "faults", "auth", "cdn", "rate"}, "the script");
  for (const json& model : description.value("models", json::array())) add_model(*this, model);
  for (const json& blob : description.value("blobs", json::array())) add_blob(*this, blob, "");
  if (description.contains("faults")) {
    faults.clear();
    for (const json& fault : description.at("faults")) faults.push_back(Fault::from_json(fault));
  }
  if (description.contains("auth")) {
    const json& from = description.at("auth");
    refuse_unknown(from, {"mode", "token_requires", "user", "password", "public_key", "realm", "token_seconds"},
                   "auth");
    auth = {};
    take(from, "mode", auth.mode);
    take(from, "token_requires", auth.token_requires);
    take(from, "user", auth.user);
    take(from, "password", auth.password);
    take(from, "public_key", auth.public_key);
    take(from, "realm", auth.realm);
    take(from, "token_seconds", auth.token_seconds);
  }
  if (description.contains("cdn")) {
    const json& from = description.at("cdn");
    refuse_unknown(from, {"mode", "hops", "status", "expires_s", "host", "refuse_authorization"}, "cdn");
    cdn = {};
    take(from, "mode", cdn.mode);
    take(from, "hops", cdn.hops);
    take(from, "status", cdn.status);
    take(from, "expires_s", cdn.expires_s);
    take(from, "host", cdn.host);
    take(from, "refuse_authorization", cdn.refuse_authorization);
  }
  if (description.contains("rate")) {
    const json& from = description.at("rate");
    refuse_unknown(from, {"connection", "total"}, "rate");
    connection_rate = from.value("connection", std::uint64_t{0});
    total_rate = from.value("total", std::uint64_t{0});
  }
}

}  // namespace pullama::scripted
