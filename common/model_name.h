#pragma once
// A model's name by Ollama's grammar: [[scheme://]host/][namespace/]model[:tag], parsed from right to left as Ollama
// does, so that a name means here what it means there. A valid name cannot leave the manifests folder.

#include <compare>
#include <string>
#include <string_view>

#include "common/result.h"

namespace pullama {

class ModelName {
 public:
  static constexpr std::string_view kDefaultHost = "registry.ollama.ai";
  static constexpr std::string_view kDefaultNamespace = "library";
  static constexpr std::string_view kDefaultTag = "latest";

  // kInvalidArgument names the part that is wrong and shows the right form. `scheme()` is "https" unless given.
  static Result<ModelName> parse(std::string_view text);
  // From the four parts of a path below manifests/; all four are needed and validated.
  static Result<ModelName> from_parts(std::string_view host, std::string_view ns, std::string_view model,
                                      std::string_view tag);

  const std::string& scheme() const { return scheme_; }
  const std::string& host() const { return host_; }  // with ":port" where there is one
  const std::string& ns() const { return ns_; }
  const std::string& model() const { return model_; }
  const std::string& tag() const { return tag_; }

  std::string repository() const;           // <ns>/<model>, as in /v2/<repository>/manifests/<tag>
  std::string path() const;                 // <host>/<ns>/<model>/<tag>, below manifests/
  std::string full() const;                 // host/ns/model:tag
  std::string display() const;              // shortest name that means the same, always with its tag: llama3.2:latest
  std::string display_without_tag() const;  // llama3.2, user/m, host:5000/ns/m

  // Ollama compares names without regard to case; files keep their case.
  bool equals_ignoring_case(const ModelName& other) const;
  auto operator<=>(const ModelName&) const = default;

 private:
  ModelName() = default;
  std::string scheme_, host_, ns_, model_, tag_;
};

}  // namespace pullama
