#include "daemon/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <memory>
#include <mutex>

#include "common/user_folders.h"
#include "daemon/log_file.h"

namespace pullama {
namespace {

constexpr int kStandardError = 2;

class StandardError final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  StandardError() : file_(kStandardError, daemon_log_path()) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    file_.write({text.data(), text.size()});
  }
  void flush_() override {}

  LogFile file_;
};

}  // namespace

void set_log_level(const std::string& level) { spdlog::set_level(spdlog::level::from_str(level)); }

void start_log(const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>("pullamad", std::make_shared<StandardError>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  logger->set_level(spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace pullama
