#pragma once
// The answer that a handler owes: move-only, given once, on the control thread, now or later. A Reply that is dropped
// unanswered answers `internal` by itself, so no client waits for ever. It may outlive its session; then it goes
// nowhere.

#include <functional>
#include <string>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>

#include "common/result.h"
#include "proto/errors.h"
#include "proto/message.h"
#include "proto/results.h"

namespace pullama::rpc {

class Reply {
 public:
  using Outcome = tl::expected<std::string, proto::RpcError>;  // the result as JSON text
  using Sink = std::function<void(Outcome)>;

  explicit Reply(Sink sink) : sink_(std::move(sink)) {}
  Reply(Reply&& other) noexcept : sink_(std::exchange(other.sink_, nullptr)) {}
  Reply& operator=(Reply&& other) noexcept {
    if (this != &other) {
      abandon();
      sink_ = std::exchange(other.sink_, nullptr);
    }
    return *this;
  }
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;
  ~Reply() { abandon(); }

  // T is a struct of proto/results.h, or void for no result. A second answer goes nowhere.
  template <class T>
  void operator()(const Result<T>& result) {
    if (!result) return error(result.error());
    if constexpr (std::is_void_v<T>) {
      succeed(proto::NoResult{});
    } else {
      succeed(*result);
    }
  }
  template <class T>
  void succeed(const T& result) {
    answer(Outcome(proto::write(result)));
  }
  void error(Error error) { answer(tl::unexpected(proto::failed(std::move(error)))); }
  void error(proto::RpcError error) { answer(tl::unexpected(std::move(error))); }
  void answer(Outcome outcome) {
    if (Sink sink = std::exchange(sink_, nullptr)) sink(std::move(outcome));
  }

 private:
  void abandon() noexcept {
    if (!sink_) return;
    try {
      error(Error{ErrorCode::kInternal, "the request was dropped without an answer", "", 0});
    } catch (...) {  // out of memory: nothing can be said
    }
  }
  Sink sink_;
};

}  // namespace pullama::rpc
