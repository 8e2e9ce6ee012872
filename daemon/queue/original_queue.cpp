#include "daemon/queue/original_queue.h"

#include <fmt/core.h>
#include <charconv>
#include <ctime>
#include <unordered_set>

#include "common/printable.h"
#include "daemon/queue/strict_json.h"

namespace pullama::queue {
namespace {

// "2026-11-21T19:20:13.123456789Z" or with an offset, as Go writes it; its zero time (year 1) and nonsense are 0.
std::int64_t go_time_ms(const json& entry, const char* name) {
  const json* value = member(entry, name);
  if (value == nullptr || !value->is_string()) return 0;
  std::tm parts{};
  const auto text = value->get<std::string>();
  if (text.size() < 19 || text.size() > 40) return 0;
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return 0;
  const char* zone = rest;
  if (*zone == '.') {
    ++zone;
    while (*zone >= '0' && *zone <= '9') ++zone;
  }
  std::int64_t offset_s = 0;
  if (*zone == '+' || *zone == '-') {
    std::int64_t hours = 0;
    std::int64_t minutes = 0;
    const std::string_view tail(zone + 1);
    if (tail.size() != 5 || std::from_chars(tail.data(), tail.data() + 2, hours).ec != std::errc() ||
        std::from_chars(tail.data() + 3, tail.data() + 5, minutes).ec != std::errc()) {
      return 0;
    }
    offset_s = (*zone == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
  }
  const std::int64_t seconds = static_cast<std::int64_t>(timegm(&parts)) - offset_s;
  return seconds <= 0 ? 0 : seconds * 1000;
}

}  // namespace

Result<Decoded> decode_original(const json& root, const std::string& models_dir) {
  Decoded decoded;
  const json* list = member(root, "entries");
  if (list == nullptr || !(list->is_array() || list->is_null())) return corrupt("it has neither version nor entries");
  if (list->size() > kMaxJobs) return corrupt("\"entries\" is too long");
  std::unordered_set<std::string> unfinished;
  for (const json& value : *list) {
    if (!value.is_object()) return corrupt("an entry is no object");
    const auto model = text_of(value, "model", 1024);
    if (!model) return fail(model.error());
    const auto tag = text_of(value, "tag", 256);
    if (!tag) return fail(tag.error());
    const auto status = text_of(value, "status", 32);
    if (!status) return fail(status.error());
    auto state = parse_state(*status);
    if (!state || !(*status == "queued" || *status == "active" || *status == "completed" || *status == "failed")) {
      decoded.warnings.push_back(
          fmt::format("an entry of the old queue was left out: its status '{}' is unknown", printable(*status)));
      continue;
    }
    if (*state == JobState::kActive) state = JobState::kQueued;
    auto name = ModelName::parse(tag->empty() ? *model : *model + ":" + *tag);
    if (!name) {
      decoded.warnings.push_back(fmt::format("an entry of the old queue was left out: {}", name.error().message));
      continue;
    }
    if (!is_finished(*state) && !unfinished.insert(name->full()).second) continue;
    std::optional<Error> error;
    const json* message = member(value, "error");
    if (*state == JobState::kFailed) {
      error = Error{ErrorCode::kInternal,
                    message != nullptr && message->is_string() ? message->get<std::string>() : "it failed", "", 0};
    }
    decoded.data.entries.push_back(
        std::make_shared<Job>(Job{.id = fmt::format("j{}", decoded.data.next_id++),
                                  .kind = JobKind::kPull,
                                  .model = std::move(*name),
                                  .models_dir = models_dir,
                                  .options = "{}",
                                  .entry = true,
                                  .state = *state,
                                  .error = std::move(error),
                                  .bytes_done = 0,
                                  .bytes_total = 0,
                                  .manifest = {},
                                  .added_ms = go_time_ms(value, "added_at"),
                                  .started_ms = 0,
                                  .finished_ms = is_finished(*state) ? go_time_ms(value, "finished_at") : 0}));
  }
  return decoded;
}

}  // namespace pullama::queue
