#include "proto/fields.h"

#include "common/json_text.h"

namespace pullama::proto {

std::optional<Json> parse_json(std::string_view text) {
  if (holds_nul(text)) return std::nullopt;
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

const Json* Reader::take(std::string_view name) {
  known_.push_back(name);
  const auto found = object_.find(name);
  return found == object_.end() ? nullptr : &*found;
}

void Reader::wrong(std::string where, std::string what) {
  if (!error_) error_ = Error{ErrorCode::kInvalidArgument, std::move(where) + " " + std::move(what), "", 0};
}

void Reader::wrong_type(const Json& json, const std::string& where, std::string_view wanted) {
  std::string_view is = "null";
  if (json.is_boolean()) is = "true or false";
  if (json.is_number()) is = "a number";
  if (json.is_string()) is = "a string";
  if (json.is_array()) is = "a list";
  if (json.is_object()) is = "an object";
  wrong(where, fmt::format("must be {}, not {}", wanted, is));
}

void Reader::finish() {
  if (!strict_ || error_) return;
  for (const auto& [name, value] : object_.items()) {
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    return wrong(fmt::format("'{}{}'", path_, printable(name, 60)),
                 known_.empty() ? "is not known here: no members are taken"
                                : fmt::format("is not known here; known are {}", fmt::join(known_, ", ")));
  }
}

void Reader::seconds(std::string_view name, std::optional<std::chrono::milliseconds>& value) {
  const Json* found = take(name);
  if (found == nullptr) return;
  const std::string where = path_ + std::string(name);
  if (!found->is_number()) return wrong_type(*found, where, "a number of seconds");
  const double milliseconds = found->get<double>() * 1000;
  if (!(milliseconds >= 1 && milliseconds <= static_cast<double>(kMaxTimeout.count()))) {
    return wrong(where, fmt::format("must be a number of seconds from 0.001 to {}, not {}", kMaxTimeout.count() / 1000,
                                    found->dump()));
  }
  value = std::chrono::milliseconds(std::llround(milliseconds));
}

void Reader::choice(std::string_view name, bool& second, std::string_view first_name, std::string_view second_name) {
  std::string text;
  required(name, text);
  second = text == second_name;
  if (!second && text != first_name) {
    wrong(path_ + std::string(name), fmt::format("must be '{}' or '{}'", first_name, second_name));
  }
}

void Reader::read_value(const Json& json, const std::string& where, bool& value, Range) {
  if (!json.is_boolean()) return wrong_type(json, where, "true or false");
  value = json.get<bool>();
}

void Reader::read_value(const Json& json, const std::string& where, std::string& value, Range) {
  if (!json.is_string()) return wrong_type(json, where, "a string");
  value = json.get_ref<const std::string&>();
  if (strict_ && value.find('\0') != std::string::npos) wrong(where, "must not hold a NUL character");
}

void Reader::read_value(const Json& json, const std::string& where, std::uint64_t& value, Range range) {
  if (!json.is_number()) return wrong_type(json, where, "an integer");
  const bool fits =
      json.is_number_unsigned() && json.get<std::uint64_t>() >= range.min && json.get<std::uint64_t>() <= range.max;
  if (!fits) {
    return wrong(where, fmt::format("must be an integer from {} to {}, not {}", range.min, range.max, json.dump()));
  }
  value = json.get<std::uint64_t>();
}

void Reader::read_value(const Json& json, const std::string& where, double& value, Range) {
  if (!json.is_number()) return wrong_type(json, where, "a number");
  value = json.get<double>();
  if (!(value >= 0)) wrong(where, fmt::format("must not be negative, but is {}", json.dump()));
}

void Reader::read_value(const Json& json, const std::string& where, Digest& value, Range range) {
  std::string text;
  read_value(json, where, text, range);
  if (!json.is_string()) return;
  if (const auto digest = Digest::parse(text)) {
    value = *digest;
  } else {
    wrong(where + ":", digest.error().message);
  }
}

void Reader::read_value(const Json& json, const std::string& where, Time& value, Range range) {
  std::string text;
  read_value(json, where, text, range);
  if (!json.is_string()) return;
  if (const auto time = parse_time(text)) {
    value = *time;
  } else {
    wrong(where + ":", time.error().message);
  }
}

void Reader::read_value(const Json& json, const std::string& where, std::chrono::milliseconds& value, Range range) {
  std::uint64_t count = 0;
  read_value(json, where, count, range);
  value = std::chrono::milliseconds(static_cast<std::int64_t>(count));
}

void Reader::read_value(const Json& json, const std::string& where, Error& value, Range range) {
  if (!json.is_object()) return wrong_type(json, where, "an object");
  Reader inner(json, where + ".", /*strict=*/false, error_);
  std::string kind;
  inner.required("kind", kind, range);
  inner.required("message", value.message);
  inner.defaulted("hint", value.hint);
  value.code = code_of_kind(kind);
}

void Reader::read_value(const Json& json, const std::string& where, RetryLimit& value, Range) {
  if (json.is_string() && json.get_ref<const std::string&>() == "unlimited") {
    value.count.reset();
    return;
  }
  if (!json.is_number())
    return wrong(where, fmt::format("must be an integer from 1 to {} or \"unlimited\"", kMaxRetriesAccepted));
  unsigned count = 0;
  read_value(json, where, count, Range{1, kMaxRetriesAccepted});
  value.count = count;
}

void Writer::seconds(std::string_view name, const std::optional<std::chrono::milliseconds>& value) {
  if (!value) return;
  if (value->count() % 1000 == 0) {
    out_.add(name, value->count() / 1000);
  } else {
    out_.add(name, static_cast<double>(value->count()) / 1000);
  }
}

std::string Writer::json_of(double value) {
  constexpr auto kMost = static_cast<double>(kMaxInteger);
  if (!(value > 0)) return "0";
  return std::to_string(std::llround(std::min(value, kMost)));
}

std::string Writer::json_of(const Error& value) {
  return JsonObject()
      .add("kind", kind_name(value.code))
      .add("message", value.message)
      .add("hint", value.hint)
      .add("exit_code", exit_code(value.code))
      .str();
}

}  // namespace pullama::proto
