#pragma once
// How one transfer after another is shown, a class a mode of --output. Times come in, so tests need no clock.
// Everything that came from elsewhere is made printable on the way out.

#include <chrono>
#include <memory>
#include <string>

#include "client/options.h"
#include "client/screen.h"
#include "client/view.h"

namespace pullama::client {

using Instant = std::chrono::steady_clock::time_point;

struct Streams {
  Screen out, err;
};

// Of which transfer.
struct Subject {
  proto::JobKind kind = proto::JobKind::kPull;
  std::string model;      // llama3.2:latest; empty for a job that is not about one model
  std::string name, tag;  // llama3.2, latest
};
Subject subject_of(proto::JobKind kind, const std::string& model);

class Renderer {
 public:
  virtual ~Renderer() = default;

  virtual void started(const Subject& subject) = 0;
  // What a snapshot knows of a transfer that was under way already.
  virtual void attached(const Transfer& transfer, Instant now) = 0;
  // After the view has taken it.
  virtual void event(const proto::Event& event, const Transfer& transfer, Instant now) = 0;
  virtual void tick(Instant) {}                      // ten times a second
  virtual void notice(const std::string& text) = 0;  // about the way, not the end
  // One of these is the last call for a subject.
  virtual void completed(const Transfer& transfer) = 0;
  virtual void failed(const Error& error) = 0;
  // The end before it began: the daemon, or the way to it, did not take the request.
  virtual void refused(const Subject& subject, const Error& error) {
    started(subject);
    failed(error);
  }
  virtual void interrupted(const std::string& text) = 0;
  // No end: the client goes, the transfer stays.
  virtual void detached(const std::string& text) = 0;
};

std::unique_ptr<Renderer> make_renderer(const Options& options, Streams& streams);

std::unique_ptr<Renderer> make_table_renderer(Streams& streams, bool verbose);
std::unique_ptr<Renderer> make_compact_renderer(Streams& streams);
std::unique_ptr<Renderer> make_quiet_renderer(Streams& streams);
// `job`: named in each line, where several transfers are told in one stream; empty: not.
std::unique_ptr<Renderer> make_json_renderer(Streams& streams, bool verbose, bool quiet, std::string job = {});
std::unique_ptr<Renderer> make_debug_renderer(Streams& streams);

// Where a line of progress is due now and then: at every tenth of the whole, and every ten seconds.
class Cadence {
 public:
  bool is_due(unsigned percent, Instant now);

 private:
  bool any_ = false;
  unsigned percent_ = 0;
  Instant at_{};
};

}  // namespace pullama::client
