#pragma once
// One event in words, for the table's frame and its plain form.

#include <optional>

#include "client/line.h"
#include "client/view.h"
#include "proto/events.h"

namespace pullama::client {

struct EventText {
  Line line;
  bool is_warning = false;  // plain: to standard error
};

// Nothing for samples, for events that only change figures, and, unless `verbose`, for trace events.
// A push has words of its own for what travels upwards.
std::optional<EventText> event_text(const proto::Event& event, bool verbose,
                                    proto::JobKind kind = proto::JobKind::kPull);

// What is told of a transfer that waits already when it is first looked at: the event that was missed.
std::optional<proto::Event> waiting_event(const Transfer& transfer);

// "pulling" and "pulled" of a job's kind.
const char* doing(proto::JobKind kind);
const char* done(proto::JobKind kind);

}  // namespace pullama::client
