#pragma once
// One event in words, for the table's frame and its plain form.

#include <optional>

#include "client/line.h"
#include "proto/events.h"

namespace pullama::client {

struct EventText {
  Line line;
  bool is_warning = false;  // plain: to standard error
};

// Nothing for samples, for events that only change figures, and, unless `verbose`, for trace events.
std::optional<EventText> event_text(const proto::Event& event, bool verbose);

// "pulling" and "pulled" of a job's kind.
const char* doing(proto::JobKind kind);
const char* done(proto::JobKind kind);

}  // namespace pullama::client
