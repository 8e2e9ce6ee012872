#pragma once
// The methods of the socket protocol that are about what is installed (proto/PROTOCOL.md, "store"), and doctor, each
// one short function: reads the request, has the storage thread do it, answers, says what changed. Control thread only.

#include <functional>
#include <string>
#include <vector>

#include "daemon/doctor.h"
#include "daemon/jobs.h"
#include "daemon/maintenance.h"
#include "daemon/rpc/dispatcher.h"
#include "daemon/stores.h"
#include "daemon/upkeep.h"
#include "proto/params.h"

namespace pullama {

struct StoreServiceConfig {
  std::string models_dir;                              // the daemon's own
  std::function<void(std::function<void()>)> post;     // any thread: runs it on the control thread
  std::function<void(std::function<void()>)> storage;  // runs it on the storage thread
  std::function<void(proto::Event)> publish;
  std::function<Patient()> patient;  // the daemon's own part of what doctor looks at
};

class StoreService {
 public:
  StoreService(Jobs& jobs, Upkeep& upkeep, Maintenance& maintenance, Stores& stores, StoreServiceConfig config);
  void add_methods(rpc::Dispatcher& dispatcher);

 private:
  using Reply = rpc::Reply;

  void list(const proto::StoreListParams& params, Reply reply);
  void show(const proto::StoreShowParams& params, Reply reply);
  void remove(const proto::StoreRemoveParams& params, Reply reply);
  void copy(const proto::StoreCopyParams& params, Reply reply);
  void clean(const proto::StoreCleanParams& params, Reply reply);
  void outdated(const proto::StoreOutdatedParams& params, Reply reply);
  void verify(const proto::MaintenanceParams& params, Reply reply);
  void update(const proto::MaintenanceParams& params, Reply reply);
  void doctor(const proto::MaintenanceParams& params, Reply reply);

  // A job of its own for it, once what it asks for reads as it should.
  struct Wanted {
    std::string models_dir;
    std::vector<ModelName> models;
    UpkeepTask task;  // without its work
  };
  Result<Wanted> wanted(proto::JobKind kind, const proto::MaintenanceParams& params) const;

  // Runs `work` on the storage thread and answers with what it returns, after `then` saw a success on the control
  // thread.
  template <class T>
  void answer(
      Reply reply, std::function<Result<T>()> work, std::function<void(T&)> then = [](T&) {});
  void publish_change(const std::string& models_dir, const char* change, std::vector<std::string> models);

  Jobs& jobs_;
  Upkeep& upkeep_;
  Maintenance& maintenance_;
  Stores& stores_;
  StoreServiceConfig config_;
};

}  // namespace pullama
