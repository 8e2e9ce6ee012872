#include "daemon/queue/queue_codec.h"

#include <fmt/core.h>
#include <array>
#include <charconv>
#include <limits>
#include <unordered_set>

#include "common/digest.h"
#include "daemon/queue/original_queue.h"
#include "daemon/queue/strict_json.h"

namespace pullama::queue {
namespace {

constexpr std::uint64_t kMaxId = 1ULL << 53;

constexpr std::array<std::pair<ErrorCode, std::string_view>, 11> kErrorKinds{{
    {ErrorCode::kInvalidArgument, "invalid_argument"},
    {ErrorCode::kNotFound, "not_found"},
    {ErrorCode::kAuthFailed, "auth_failed"},
    {ErrorCode::kDiskFull, "disk_full"},
    {ErrorCode::kNetwork, "network"},
    {ErrorCode::kLocked, "locked"},
    {ErrorCode::kCorrupt, "corrupt"},
    {ErrorCode::kCancelled, "cancelled"},
    {ErrorCode::kPermission, "permission"},
    {ErrorCode::kUnsupported, "unsupported"},
    {ErrorCode::kInternal, "internal"},
}};

Result<std::uint64_t> id_number(const std::string& id) {
  std::uint64_t number = 0;
  const char* end = id.data() + id.size();
  if (id.size() < 2 || id[0] != 'j' || id[1] == '0') return corrupt("an id is not like \"j1\"");
  const auto [rest, error] = std::from_chars(id.data() + 1, end, number);
  if (error != std::errc() || rest != end || number > kMaxId) return corrupt("an id is not like \"j1\"");
  return number;
}

Result<Error> error_of(const json& value) {
  if (!value.is_object()) return corrupt("\"error\" is no object");
  const auto kind = text_of(value, "kind", 64);
  if (!kind) return fail(kind.error());
  auto message = text_of(value, "message", 64 << 10);
  if (!message) return fail(message.error());
  auto hint = text_of(value, "hint", 64 << 10);
  if (!hint) return fail(hint.error());
  for (const auto& [code, name] : kErrorKinds) {
    if (name == *kind) return Error{code, std::move(*message), std::move(*hint), 0};
  }
  return corrupt("\"kind\" of an error is unknown");
}

Result<JobPtr> job_of(const json& value, bool entry) {
  if (!value.is_object()) return corrupt("a job is no object");
  auto id = text_of(value, "id", 32);
  if (!id) return fail(id.error());
  const auto kind_text = text_of(value, "kind", 32);
  if (!kind_text) return fail(kind_text.error());
  const auto kind = parse_kind(*kind_text);
  if (!kind) return corrupt("\"kind\" of a job is unknown");
  const auto model_text = text_of(value, "model", 1024);
  if (!model_text) return fail(model_text.error());
  auto model = ModelName::parse(*model_text);
  if (!model) return corrupt("\"model\" of a job is no model name");
  auto models_dir = text_of(value, "models_dir", 4096);
  if (!models_dir) return fail(models_dir.error());
  if (!models_dir->starts_with('/')) return corrupt("\"models_dir\" of a job is not absolute");
  const auto state_text = text_of(value, "state", 32);
  if (!state_text) return fail(state_text.error());
  const auto state = parse_state(*state_text);
  if (!state) return corrupt("\"state\" of a job is unknown");
  const json* options = member(value, "options");
  if (options == nullptr || !options->is_object()) return corrupt("\"options\" of a job is missing or no object");
  constexpr auto kMaxTime = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const auto added = number_of(value, "added_ms", kMaxTime);
  const auto started = number_of(value, "started_ms", kMaxTime, 0);
  const auto finished = number_of(value, "finished_ms", kMaxTime, 0);
  for (const auto* time : {&added, &started, &finished}) {
    if (!*time) return fail(time->error());
  }
  const auto bytes_done = number_of(value, "bytes_done", kMaxTime, 0);
  const auto bytes_total = number_of(value, "bytes_total", kMaxTime, 0);
  for (const auto* bytes : {&bytes_done, &bytes_total}) {
    if (!*bytes) return fail(bytes->error());
  }
  std::string manifest;
  if (member(value, "manifest") != nullptr) {
    auto digest_text = text_of(value, "manifest", 128);
    if (!digest_text) return fail(digest_text.error());
    if (!Digest::parse(*digest_text)) return corrupt("\"manifest\" of a job is no digest");
    manifest = std::move(*digest_text);
  }
  std::optional<Error> error;
  if (const json* error_value = member(value, "error")) {
    auto parsed = error_of(*error_value);
    if (!parsed) return fail(parsed.error());
    error = std::move(*parsed);
  }
  return JobPtr(std::make_shared<Job>(Job{.id = std::move(*id),
                                          .kind = *kind,
                                          .model = std::move(*model),
                                          .models_dir = std::move(*models_dir),
                                          .options = compact(*options),
                                          .entry = entry,
                                          .state = *state,
                                          .error = std::move(error),
                                          .bytes_done = *bytes_done,
                                          .bytes_total = *bytes_total,
                                          .manifest = std::move(manifest),
                                          .added_ms = static_cast<std::int64_t>(*added),
                                          .started_ms = static_cast<std::int64_t>(*started),
                                          .finished_ms = static_cast<std::int64_t>(*finished)}));
}

Result<Limits> limits_of(const json& root) {
  const json* value = member(root, "limits");
  if (value == nullptr || !value->is_object()) return corrupt("\"limits\" is missing or no object");
  const auto rate = number_of(*value, "rate", std::numeric_limits<std::uint64_t>::max());
  if (!rate) return fail(rate.error());
  const auto connections = number_of(*value, "connections", kMaxConnections);
  if (!connections) return fail(connections.error());
  const auto parallel = number_of(*value, "parallel_models", kMaxParallelModels);
  if (!parallel) return fail(parallel.error());
  if (*parallel == 0) return corrupt("\"parallel_models\" is 0");
  return Limits{*rate, static_cast<unsigned>(*connections), static_cast<unsigned>(*parallel)};
}

Result<Decoded> decode_current(const json& root) {
  Decoded decoded;
  const auto next_id = number_of(root, "next_id", kMaxId);
  if (!next_id) return fail(next_id.error());
  decoded.data.next_id = *next_id;
  const json* paused = member(root, "paused");
  if (paused == nullptr || !paused->is_boolean()) return corrupt("\"paused\" is missing or not true or false");
  decoded.data.paused = paused->get<bool>();
  const auto limits = limits_of(root);
  if (!limits) return fail(limits.error());
  decoded.data.limits = *limits;
  std::unordered_set<std::string> ids;
  for (const bool entry : {true, false}) {
    const char* name = entry ? "entries" : "direct";
    const json* list = member(root, name);
    if (list == nullptr || !list->is_array()) return corrupt(fmt::format("\"{}\" is missing or no array", name));
    if (list->size() > kMaxJobs) return corrupt(fmt::format("\"{}\" is too long", name));
    auto& jobs = entry ? decoded.data.entries : decoded.data.direct;
    jobs.reserve(list->size());
    for (const json& value : *list) {
      auto job = job_of(value, entry);
      if (!job) return fail(job.error());
      const auto number = id_number((*job)->id);
      if (!number) return fail(number.error());
      if (!ids.insert((*job)->id).second) return corrupt(fmt::format("the id {} is there twice", (*job)->id));
      if (*number >= decoded.data.next_id) return corrupt("\"next_id\" was given already");
      jobs.push_back(std::move(*job));
    }
  }
  return decoded;
}

std::string line_of(const Job& job) {
  std::string line =
      fmt::format(R"({{"id":{},"kind":"{}","model":{},"models_dir":{},"options":{},"state":"{}","added_ms":{})",
                  compact(job.id), kind_name(job.kind), compact(job.model.full()), compact(job.models_dir), job.options,
                  state_name(job.state), job.added_ms);
  if (job.started_ms != 0) line += fmt::format(R"(,"started_ms":{})", job.started_ms);
  if (job.finished_ms != 0) line += fmt::format(R"(,"finished_ms":{})", job.finished_ms);
  if (job.bytes_total != 0)
    line += fmt::format(R"(,"bytes_done":{},"bytes_total":{})", job.bytes_done, job.bytes_total);
  if (!job.manifest.empty()) line += fmt::format(R"(,"manifest":{})", compact(job.manifest));
  if (job.error) {
    std::string_view kind = "internal";
    for (const auto& [code, name] : kErrorKinds) {
      if (code == job.error->code) kind = name;
    }
    line += fmt::format(R"(,"error":{{"kind":"{}","message":{},"hint":{}}})", kind, compact(job.error->message),
                        compact(job.error->hint));
  }
  return line + "}";
}

}  // namespace

Result<Decoded> decode(std::string_view text, const std::string& models_dir) {
  try {
    const auto root = parse_object(text);
    if (!root) return fail(root.error());
    const json* version = member(*root, "version");
    if (version == nullptr) return decode_original(*root, models_dir);
    if (!version->is_number_unsigned()) return corrupt("\"version\" is no whole number");
    if (version->get<std::uint64_t>() != 2) {
      return fail(ErrorCode::kUnsupported,
                  fmt::format("it has version {}, this program knows 2", version->get<std::uint64_t>()));
    }
    return decode_current(*root);
  } catch (const json::exception& e) {
    return corrupt(e.what());
  }
}

std::string Encoder::encode(const QueueData& data) {
  std::string text = fmt::format(
      R"({{"version":2,"next_id":{},"paused":{},"limits":{{"rate":{},"connections":{},"parallel_models":{}}},)"
      "\n",
      data.next_id, data.paused, data.limits.rate, data.limits.connections, data.limits.parallel_models);
  text.reserve(last_bytes_ + (last_bytes_ >> 4U));
  std::unordered_map<JobPtr, std::string> kept;
  kept.reserve(data.entries.size() + data.direct.size());
  const auto append = [&](const char* name, const std::vector<JobPtr>& jobs) {
    text += fmt::format("\"{}\":[", name);
    const char* separator = "\n";
    for (const JobPtr& job : jobs) {
      const auto known = lines_.find(job);
      const auto at = kept.emplace(job, known == lines_.end() ? line_of(*job) : std::move(known->second)).first;
      text += separator;
      text += at->second;
      separator = ",\n";
    }
    text += "]";
  };
  append("entries", data.entries);
  text += ",\n";
  append("direct", data.direct);
  text += "}\n";
  lines_ = std::move(kept);
  last_bytes_ = text.size();
  return text;
}

}  // namespace pullama::queue
