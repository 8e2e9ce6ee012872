#pragma once
// From a method's name to its handler. A handler runs on the control thread, must not block, and answers through its
// Reply, now or later. What it throws becomes `internal`, and the daemon goes on.

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "daemon/rpc/reply.h"
#include "daemon/rpc/session_context.h"
#include "proto/message.h"

namespace pullama::rpc {

class Dispatcher {
 public:
  using Handler = std::function<void(const std::string& params, SessionContext& session, Reply reply)>;

  // `handler` is called as handler(Params, SessionContext&, Reply) with a struct of proto/params.h; params that do not
  // read as one are answered with -32602 and never reach it. Once a name, before the server starts.
  template <class Params, class F>
  void add(std::string_view method, F handler) {
    add_text(method, [handler = std::move(handler)](const std::string& text, SessionContext& session, Reply reply) {
      auto params = proto::read<Params>(text);
      if (!params) return reply.error(proto::invalid_params(std::move(params.error())));
      handler(std::move(*params), session, std::move(reply));
    });
  }
  // `params` is the text of a JSON object.
  void add_text(std::string_view method, Handler handler);
  // Told of what a handler threw, for the log.
  void on_exception(std::function<void(const std::string& method, const char* what)> report);

  bool knows(std::string_view method) const;
  // -32601 for a method that nobody added. Never throws.
  void dispatch(const std::string& method, const std::string& params, SessionContext& session, Reply reply) const;

 private:
  std::unordered_map<std::string, Handler> handlers_;
  std::function<void(const std::string&, const char*)> on_exception_;
};

}  // namespace pullama::rpc
