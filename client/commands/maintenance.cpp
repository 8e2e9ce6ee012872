// Jobs that look after what is installed: verify, outdated, update, doctor.

#include <fmt/format.h>

#include "client/commands/commands.h"
#include "client/commands/table.h"
#include "client/follow.h"
#include "common/size_text.h"
#include "proto/json_object.h"
#include "proto/methods.h"

namespace pullama::client {
namespace {

// Counts what is found on the way: findings make the exit code, whatever the job itself says.
class Findings final : public Renderer {
 public:
  Findings(std::unique_ptr<Renderer> shown, bool repairs) : shown_(std::move(shown)), repairs_(repairs) {}

  void started(const Subject& subject) override { shown_->started(subject); }
  void attached(const Transfer& transfer, Instant now) override { shown_->attached(transfer, now); }
  void event(const proto::Event& event, const Transfer& transfer, Instant now) override {
    if (const auto* finding = std::get_if<proto::event::VerifyFinding>(&event.body)) {
      wrong_ += finding->repaired ? 0U : 1U;
      repairable_ = repairable_ || (!finding->repaired && finding->finding != "unreferenced");
      add(event);
    }
    if (const auto* check = std::get_if<proto::event::DoctorCheck>(&event.body)) {
      wrong_ += check->status == "failed" ? 1U : 0U;
      add(event);
    }
    shown_->event(event, transfer, now);
  }
  void tick(Instant now) override { shown_->tick(now); }
  void notice(const std::string& text) override { shown_->notice(text); }
  // A verification that found something has done what it should, and what it says is no success all the same. So with
  // doctor.
  void completed(const Transfer& transfer) override {
    if (transfer.summary) summary_ = *transfer.summary;
    if (transfer.kind == proto::JobKind::kDoctor && wrong_ > 0) {
      return shown_->failed(Error{ErrorCode::kInternal,
                                  fmt::format("{} check{} failed", wrong_, wrong_ == 1 ? "" : "s"),
                                  "do what each of them says", 0});
    }
    if (transfer.kind != proto::JobKind::kVerify || wrong_ == 0) return shown_->completed(transfer);
    shown_->failed(Error{ErrorCode::kCorrupt,
                         fmt::format("{} thing{} wrong in {}", wrong_, wrong_ == 1 ? " is" : "s are",
                                     transfer.models_dir.empty() ? "the store" : transfer.models_dir),
                         repairable_ && !repairs_ ? "fetch again what is damaged with: pullama verify --repair" : "",
                         0});
  }
  void failed(const Error& error) override { shown_->failed(error); }
  void refused(const Subject& subject, const Error& error) override { shown_->refused(subject, error); }
  void interrupted(const std::string& text) override { shown_->interrupted(text); }
  void detached(const std::string& text) override { shown_->detached(text); }

  std::size_t wrong() const { return wrong_; }
  const proto::event::JobCompleted& summary() const { return summary_; }
  std::string json() const { return found_.empty() ? "[]" : found_ + "]"; }

 private:
  void add(const proto::Event& event) {
    proto::JsonObject object;
    for (const auto& [name, value] : proto::event_members(event)) object.add_json(name, value);
    found_ += (found_.empty() ? "[" : ",") + object.str();
  }

  std::unique_ptr<Renderer> shown_;
  const bool repairs_;
  bool repairable_ = false;
  std::size_t wrong_ = 0;
  proto::event::JobCompleted summary_;
  std::string found_;
};

// Says nothing: the one JSON document comes at the end.
class Silent final : public Renderer {
 public:
  void started(const Subject&) override {}
  void attached(const Transfer&, Instant) override {}
  void event(const proto::Event&, const Transfer&, Instant) override {}
  void notice(const std::string&) override {}
  void completed(const Transfer&) override {}
  void failed(const Error&) override {}
  void interrupted(const std::string&) override {}
  void detached(const std::string&) override {}
};

int run_job(Context& context, proto::JobKind kind, std::string_view method, const char* verb, bool one_document) {
  const Options& options = context.options;
  const auto transfer = transfer_options(options);
  if (!transfer) return report(context, transfer.error());
  const auto start = [&]() -> Result<proto::StartResult> {
    if (auto connection = context.link.open(); !connection) return fail(connection.error());
    proto::MaintenanceParams params;
    params.models = options.operands;
    params.all = options.has(Flag::kAll);
    params.repair = options.has(Flag::kRepair);
    params.options = *transfer;
    params.models_dir = context.link.models_dir();
    return context.link.call<proto::StartResult>(method, params);
  };
  if (options.has(Flag::kDetach)) {
    const auto started = start();
    if (!started) return report(context, started.error());
    if (options.is_json()) {
      document(context, proto::write(*started));
    } else {
      say(context, fmt::format("started {} as job {}", verb, started->job.value_or("")));
    }
    return 0;
  }
  Signals signals;
  context.link.set_wake(signals.fd(), [&] { return signals.stop_requested(); });
  const bool silent = one_document && options.is_json();
  Findings renderer(silent ? std::make_unique<Silent>() : make_renderer(options, context.streams),
                    options.has(Flag::kRepair));
  std::string words = verb;
  for (const std::string& model : options.operands) words += " " + model;
  if (options.has(Flag::kAll)) words += " --all";
  if (options.has(Flag::kRepair)) words += " --repair";
  Pursuit pursuit;
  pursuit.subject.kind = kind;
  if (options.operands.size() == 1) pursuit.subject = subject_of(kind, options.operands.front());
  pursuit.start = start;
  pursuit.cancels = true;
  pursuit.resume_command = again_command(options, words);
  const Outcome outcome = follow(context, signals, renderer, pursuit);
  context.link.set_wake(-1, {});
  int code = outcome.exit_code;
  if (code == 0 && outcome.end == End::kCompleted && renderer.wrong() > 0) code = 1;
  if (silent && outcome.end == End::kFailed) return report(context, outcome.error);
  if (silent) {
    proto::JsonObject object;
    object.add("ok", code == 0 && outcome.end == End::kCompleted)
        .add_json(kind == proto::JobKind::kDoctor ? "checks" : "findings", renderer.json());
    if (kind == proto::JobKind::kVerify && outcome.end == End::kCompleted) {
      object.add("blobs", renderer.summary().blobs).add("total_bytes", renderer.summary().total_bytes);
      object.add("fetched_bytes", renderer.summary().fetched_bytes);
    }
    if (outcome.end == End::kInterrupted) object.add("interrupted", true);
    document(context, object.str());
  }
  return code;
}

}  // namespace

int run_verify(Context& context) {
  return run_job(context, proto::JobKind::kVerify, proto::method::kStoreVerify, "verify", true);
}

int run_update(Context& context) {
  return run_job(context, proto::JobKind::kUpdate, proto::method::kStoreUpdate, "update", false);
}

// What the daemon cannot look at itself: that it answers.
int run_doctor(Context& context) {
  const auto connection = context.link.open();
  if (!connection && context.link.is_silent()) {
    const Error& error = connection.error();
    proto::Event event;
    event.body = proto::event::DoctorCheck{"daemon", "failed", error.message, error.hint};
    if (context.options.is_json()) {
      proto::JsonObject check;
      for (const auto& [name, value] : proto::event_members(event)) check.add_json(name, value);
      document(context, proto::JsonObject().add("ok", false).add_json("checks", "[" + check.str() + "]").str());
      return 1;
    }
    Transfer transfer;
    transfer.kind = proto::JobKind::kDoctor;
    const auto renderer = make_renderer(context.options, context.streams);
    renderer->started({proto::JobKind::kDoctor, {}, {}, {}});
    renderer->event(event, transfer, {});
    renderer->failed(Error{ErrorCode::kInternal, "1 check failed", "do what it says", 0});
    return 1;
  }
  return run_job(context, proto::JobKind::kDoctor, proto::method::kDaemonDoctor, "doctor", true);
}

int run_outdated(Context& context) {
  const auto transfer = transfer_options(context.options);
  if (!transfer) return report(context, transfer.error());
  if (auto connection = context.link.open(); !connection) return report(context, connection.error());
  proto::StoreOutdatedParams params;
  params.models = context.options.operands;
  params.options = *transfer;
  params.models_dir = context.link.models_dir();
  const auto result =
      context.link.call<proto::StoreOutdatedResult>(proto::method::kStoreOutdated, params, std::chrono::minutes(10));
  if (!result) return report(context, result.error());
  if (context.options.is_json()) {
    document(context, proto::write(*result));
    return 0;
  }
  Table table({"NAME", "STATE", "LAYERS", "TO FETCH"});
  for (const proto::OutdatedModel& model : result->models) {
    table.add({model.model, model.error ? model.state + " — " + model.error->message : model.state,
               model.changed.empty() ? "-" : std::to_string(model.changed.size()),
               model.state == "outdated" ? format_size(model.travel_bytes) : "-"});
  }
  table.print(context);
  for (const proto::OutdatedModel& model : result->models) {
    if (model.changed.empty()) continue;
    say(context, model.model + " changes:");
    for (const proto::PlannedBlob& blob : model.changed) {
      const std::string here = blob.present_bytes >= blob.size ? "already here"
                               : blob.present_bytes > 0        ? format_size(blob.present_bytes) + " here"
                                                               : "";
      say(context, fmt::format("  {} {}{}", blob.digest.short_hex(), format_size(blob.size),
                               here.empty() ? here : " — " + here));
    }
  }
  return 0;
}

}  // namespace pullama::client
