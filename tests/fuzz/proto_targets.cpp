// What a peer on the socket may send.
#include <algorithm>
#include <vector>

#include "common/model_name.h"
#include "common/utf8.h"
#include "proto/jsonrpc.h"
#include "proto/line_codec.h"
#include "tests/fuzz/targets.h"
#include "tests/proto/message_table.h"

namespace pullama::fuzz {
namespace {

struct Lines {
  std::vector<std::string> lines;
  proto::LineDecoder::Fault fault = proto::LineDecoder::Fault::kNone;
  bool operator==(const Lines&) const = default;
};

Lines decode(std::string_view bytes, std::size_t piece) {
  constexpr std::size_t kMaxLine = 48;
  proto::LineDecoder decoder(kMaxLine);
  Lines found;
  while (!bytes.empty()) {
    decoder.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    while (auto line = decoder.next()) {
      must(line->size() <= kMaxLine, "a line is not longer than it may be");
      must(line->find('\n') == std::string::npos && is_utf8(*line), "a line is one line of UTF-8");
      found.lines.push_back(std::move(*line));
    }
    must(decoder.pending_bytes() <= kMaxLine + piece, "memory is bounded");
    found.fault = decoder.fault();
  }
  return found;
}

}  // namespace

void line_codec(std::string_view input) {
  const Lines whole = decode(input, input.size() + 1);
  must(decode(input, 1) == whole && decode(input, 7) == whole, "lines do not depend on how they arrive");
  static_cast<void>(proto::looks_like_http(input));
}

void jsonrpc(std::string_view input) {
  static_cast<void>(proto::test::event_round_trip(input));
  const auto message = proto::parse_message(input);
  if (!message) {
    must(!proto::error_line(message.error().id, message.error().error).empty(), "a fault can be answered");
    return;
  }
  const auto* request = std::get_if<proto::Request>(&*message);
  if (request == nullptr) {
    const auto& response = std::get<proto::Response>(*message);
    const auto line = response.result ? proto::result_line(response.id, *response.result)
                                      : proto::error_line(response.id, response.result.error());
    must(proto::parse_message(std::string_view(line).substr(0, line.size() - 1)).has_value(),
         "a response that was read can be written and read");
    return;
  }
  if (request->id) {
    const auto line = proto::request_line(*request->id, request->method, request->params);
    must(line.find('\n') == line.size() - 1, "a request is one line");
    const auto again = proto::parse_message(std::string_view(line).substr(0, line.size() - 1));
    must(again.has_value(), "a request that was read can be written and read");
    const auto* same = std::get_if<proto::Request>(&*again);
    must(same != nullptr && same->id == request->id && same->method == request->method &&
             same->params == request->params,
         "a request comes back as it was");
  }
  if (const auto* row = proto::test::find_method(request->method)) {
    const auto params = row->params(request->params);
    if (params) must(row->params(*params).has_value(), "params that were read can be written and read");
  }
}

void model_name(std::string_view input) {
  const auto name = ModelName::parse(input);
  if (!name) return;
  const auto again = ModelName::parse(name->full());
  must(again.has_value() && again->full() == name->full(), "a name means itself");
  const auto shown = ModelName::parse(name->display());
  must(shown.has_value() && shown->path() == name->path(), "a name that is shown means itself");
  const std::string path = "/" + name->path() + "/";
  must(path.find("/../") == std::string::npos && path.find("//") == std::string::npos &&
           path.find("/./") == std::string::npos && path.find('\0') == std::string::npos &&
           path.find('\\') == std::string::npos && std::count(path.begin(), path.end(), '/') == 5,
       "a name is a path of four parts below manifests/");
  must(ModelName::from_parts(name->host(), name->ns(), name->model(), name->tag()).has_value(),
       "a name can be read from its path");
}

}  // namespace pullama::fuzz
