#pragma once
// Private to proto/. Each message struct lists its members once, in a function `fields(visitor, message)`; the Reader
// and the Writer here visit that list, so that reading and writing cannot drift apart. The one header that knows the
// JSON library; it is told not to throw.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/digest.h"
#include "common/printable.h"
#include "proto/errors.h"
#include "proto/job.h"
#include "proto/json_object.h"
#include "proto/message.h"
#include "proto/params.h"
#include "proto/timestamp.h"

namespace pullama::proto {

// Sorted objects: nlohmann's ordered ones take quadratic time on an object with many members.
using Json = nlohmann::json;

// How `fields` takes the message: to be filled by a Reader, const for a Writer.
template <class Visitor, class T>
using Ref = std::conditional_t<Visitor::kReads, T&, const T&>;

struct Range {
  std::uint64_t min = 0;
  std::uint64_t max = kMaxInteger;
};
inline constexpr Range kFromOne{1, kMaxInteger};
inline constexpr std::chrono::milliseconds kMaxTimeout = std::chrono::hours(24 * 366);

std::optional<Json> parse_json(std::string_view text);  // nullopt where it is none

// What must hold beyond names, types and ranges; empty: nothing is wrong.
template <class T>
std::string check(const T&) {
  return {};
}

template <class E>
std::optional<E> enum_value(std::string_view name) {
  if constexpr (std::is_same_v<E, JobKind>) {
    return job_kind(name);
  } else if constexpr (std::is_same_v<E, JobState>) {
    return job_state(name);
  } else {
    static_assert(std::is_same_v<E, BlobState>);
    return blob_state(name);
  }
}

class Reader {
 public:
  static constexpr bool kReads = true;

  // `path` is put before names in errors: "options.". `error` keeps the first thing that is wrong.
  Reader(const Json& object, std::string path, bool strict, std::optional<Error>& error)
      : object_(object), path_(std::move(path)), strict_(strict), error_(error) {}

  template <class T>
  void required(std::string_view name, T& value, Range range = {}) {
    if (const Json* found = take(name)) {
      read_value(*found, path_ + std::string(name), value, range);
    } else {
      wrong(path_ + std::string(name), "is missing");
    }
  }
  // Left out: the default stays.
  template <class T>
  void defaulted(std::string_view name, T& value, Range range = {}) {
    if (const Json* found = take(name)) read_value(*found, path_ + std::string(name), value, range);
  }
  void flag(std::string_view name, bool& value) { defaulted(name, value); }
  template <class T>
  void optional(std::string_view name, std::optional<T>& value, Range range = {}) {
    if (const Json* found = take(name)) value = read_new<T>(*found, path_ + std::string(name), range);
  }
  template <class T>
  void nullable(std::string_view name, std::optional<T>& value, Range range = {}) {
    const Json* found = take(name);
    if (found != nullptr && !found->is_null()) value = read_new<T>(*found, path_ + std::string(name), range);
  }
  // Left out where it is empty.
  void text(std::string_view name, std::string& value) { defaulted(name, value); }
  template <class T>
  void list(std::string_view name, std::vector<T>& value) {
    defaulted(name, value);
  }
  // An absolute path, as long as one may be: the daemon's working folder means nothing to a client.
  void path(std::string_view name, std::optional<std::string>& value) {
    optional(name, value);
    if (value && !value->starts_with('/')) wrong(path_ + std::string(name), "must be an absolute path");
    if (value && value->size() > kMaxPathBytes) {
      wrong(path_ + std::string(name), fmt::format("must be at most {} bytes long", kMaxPathBytes));
    }
  }
  template <class T>
  void object(std::string_view name, T& value) {
    defaulted(name, value);
  }
  // A number of seconds that may have a fraction.
  void seconds(std::string_view name, std::optional<std::chrono::milliseconds>& value);
  void choice(std::string_view name, bool& second, std::string_view first_name, std::string_view second_name);

  void finish();

 private:
  const Json* take(std::string_view name);
  void wrong(std::string where, std::string what);

  template <class T>
  T read_new(const Json& json, const std::string& where, Range range) {
    if constexpr (std::is_same_v<T, Digest>) {
      Digest value = Digest::from_bytes({});
      read_value(json, where, value, range);
      return value;
    } else {
      T value{};
      read_value(json, where, value, range);
      return value;
    }
  }
  void read_value(const Json& json, const std::string& where, bool& value, Range range);
  void read_value(const Json& json, const std::string& where, std::string& value, Range range);
  void read_value(const Json& json, const std::string& where, std::uint64_t& value, Range range);
  void read_value(const Json& json, const std::string& where, double& value, Range range);
  void read_value(const Json& json, const std::string& where, Digest& value, Range range);
  void read_value(const Json& json, const std::string& where, Time& value, Range range);
  void read_value(const Json& json, const std::string& where, std::chrono::milliseconds& value, Range range);
  void read_value(const Json& json, const std::string& where, Error& value, Range range);
  void read_value(const Json& json, const std::string& where, RetryLimit& value, Range range);
  template <class T>
  requires(std::is_same_v<T, unsigned> ||
           std::is_same_v<T, int>) void read_value(const Json& json, const std::string& where, T& value, Range range) {
    constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    std::uint64_t wide = 0;
    read_value(json, where, wide, Range{range.min, std::min(range.max, kMost)});
    value = static_cast<T>(wide);
  }
  template <class E>
  requires std::is_enum_v<E>
  void read_value(const Json& json, const std::string& where, E& value, Range range) {
    std::string name;
    read_value(json, where, name, range);
    if (const auto known = enum_value<E>(name)) {
      value = *known;
    } else if (json.is_string()) {
      wrong(where, fmt::format("has the unknown value '{}'", printable(name, 60)));
    }
  }
  void read_value(const Json& json, const std::string& where, std::pair<std::uint64_t, std::uint64_t>& value,
                  Range range) {
    std::vector<std::uint64_t> both;
    read_value(json, where, both, range);
    if (both.size() != 2) return wrong(where, "must be a list of two integers");
    value = {both[0], both[1]};
  }
  template <class T>
  void read_value(const Json& json, const std::string& where, std::vector<T>& value, Range range) {
    if (!json.is_array()) return wrong_type(json, where, "a list");
    value.clear();
    value.reserve(json.size());
    for (std::size_t i = 0; i < json.size() && !error_; ++i) {
      value.push_back(read_new<T>(json[i], fmt::format("{}[{}]", where, i), range));
    }
  }
  template <class T>
  requires std::is_class_v<T>
  void read_value(const Json& json, const std::string& where, T& value, Range) {
    if (!json.is_object()) return wrong_type(json, where, "an object");
    Reader inner(json, where + ".", strict_, error_);
    fields(inner, value);
    inner.finish();
  }
  void wrong_type(const Json& json, const std::string& where, std::string_view wanted);

  const Json& object_;
  std::string path_;
  bool strict_;
  std::optional<Error>& error_;
  std::vector<std::string_view> known_;
};

class Writer {
 public:
  static constexpr bool kReads = false;

  template <class T>
  void required(std::string_view name, const T& value, Range = {}) {
    if constexpr (std::is_arithmetic_v<T> && !std::is_floating_point_v<T>) {
      out_.add(name, value);
    } else {
      out_.add_json(name, json_of(value));
    }
  }
  template <class T>
  void defaulted(std::string_view name, const T& value, Range = {}) {
    required(name, value);
  }
  void flag(std::string_view name, bool value) {
    if (value) out_.add(name, true);
  }
  template <class T>
  void optional(std::string_view name, const std::optional<T>& value, Range = {}) {
    if (value) required(name, *value);
  }
  template <class T>
  void nullable(std::string_view name, const std::optional<T>& value, Range = {}) {
    if (value) {
      required(name, *value);
    } else {
      out_.add_null(name);
    }
  }
  void text(std::string_view name, const std::string& value) {
    if (!value.empty()) out_.add(name, value);
  }
  template <class T>
  void list(std::string_view name, const std::vector<T>& value) {
    if (!value.empty()) required(name, value);
  }
  void path(std::string_view name, const std::optional<std::string>& value) { optional(name, value); }
  template <class T>
  void object(std::string_view name, const T& value) {
    if (std::string json = json_of(value); json != "{}") out_.add_json(name, json);
  }
  void seconds(std::string_view name, const std::optional<std::chrono::milliseconds>& value);
  void choice(std::string_view name, bool second, std::string_view first_name, std::string_view second_name) {
    out_.add(name, second ? second_name : first_name);
  }

  std::string str() && { return std::move(out_).str(); }

 private:
  static std::string json_of(const std::string& value) { return json_string(value); }
  static std::string json_of(std::uint64_t value) { return std::to_string(value); }
  static std::string json_of(double value);  // rates: whole bytes a second
  static std::string json_of(const Digest& value) { return json_string(value.str()); }
  static std::string json_of(Time value) { return json_string(format_time(value)); }
  static std::string json_of(std::chrono::milliseconds value) {
    return std::to_string(std::max<std::int64_t>(0, value.count()));
  }
  static std::string json_of(const Error& value);
  static std::string json_of(const RetryLimit& value) {
    return value.count ? std::to_string(*value.count) : json_string("unlimited");
  }
  static std::string json_of(const std::pair<std::uint64_t, std::uint64_t>& value) {
    return fmt::format("[{},{}]", value.first, value.second);
  }
  template <class E>
  requires std::is_enum_v<E>
  static std::string json_of(E value) { return json_string(name_of(value)); }
  template <class T>
  static std::string json_of(const std::vector<T>& values) {
    std::string out = "[";
    for (const T& value : values) {
      if (out.size() > 1) out += ',';
      out += json_of(value);
    }
    return out + "]";
  }
  template <class T>
  requires std::is_class_v<T>
  static std::string json_of(const T& value) {
    Writer inner;
    fields(inner, value);
    return std::move(inner).str();
  }

  JsonObject out_;
};

template <class T>
Result<T> read_message(std::string_view json, bool strict) {
  const std::optional<Json> object = parse_json(json);
  if (!object) return fail(ErrorCode::kInvalidArgument, "the text is no JSON");
  if (!object->is_object()) return fail(ErrorCode::kInvalidArgument, "the text is no JSON object");
  T message{};
  std::optional<Error> error;
  Reader reader(*object, "", strict, error);
  fields(reader, message);
  reader.finish();
  if (error) return fail(std::move(*error));
  if (std::string why = check(message); !why.empty()) return fail(ErrorCode::kInvalidArgument, std::move(why));
  return message;
}

template <class T>
std::string write_message(const T& message) {
  Writer writer;
  fields(writer, message);
  return std::move(writer).str();
}

// Whether unknown members are refused (message.h).
template <class T>
inline constexpr bool kStrict = false;

template <class T>
Result<T> read(std::string_view json) {
  return read_message<T>(json, kStrict<T>);
}
template <class T>
std::string write(const T& message) {
  return write_message(message);
}

// Makes read() and write() of message.h for one struct, in the file that lists its fields.
#define PULLAMA_MESSAGE(type)                         \
  template Result<type> read<type>(std::string_view); \
  template std::string write<type>(const type&);
#define PULLAMA_STRICT_MESSAGE(type)          \
  template <>                                 \
  inline constexpr bool kStrict<type> = true; \
  PULLAMA_MESSAGE(type)

}  // namespace pullama::proto
