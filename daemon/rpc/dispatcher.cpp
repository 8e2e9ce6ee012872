#include "daemon/rpc/dispatcher.h"

#include <exception>

namespace pullama::rpc {

void Dispatcher::add_text(std::string_view method, Handler handler) {
  handlers_.insert_or_assign(std::string(method), std::move(handler));
}

void Dispatcher::on_exception(std::function<void(const std::string&, const char*)> report) {
  on_exception_ = std::move(report);
}

bool Dispatcher::knows(std::string_view method) const { return handlers_.contains(std::string(method)); }

void Dispatcher::dispatch(const std::string& method, const std::string& params, SessionContext& session,
                          Reply reply) const {
  const auto found = handlers_.find(method);
  if (found == handlers_.end()) return reply.error(proto::method_not_found(method));
  try {
    found->second(params, session, std::move(reply));
  } catch (const std::exception& thrown) {  // the Reply died on the way here and answered
    if (on_exception_) on_exception_(method, thrown.what());
  } catch (...) {
    if (on_exception_) on_exception_(method, "something that is no std::exception");
  }
}

}  // namespace pullama::rpc
