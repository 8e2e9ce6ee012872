#include <fmt/format.h>

#include <string>

#include "client/capabilities.h"
#include "client/commands/ago.h"
#include "client/commands/commands.h"
#include "client/commands/table.h"
#include "client/gguf.h"
#include "common/printable.h"
#include "common/size_text.h"
#include "proto/json_object.h"
#include "proto/methods.h"

namespace pullama::client {
namespace {

constexpr std::string_view kWeights = "application/vnd.ollama.image.model";

// Text of the model's author: line breaks and tabs kept, the rest printable.
std::string text_block(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    for (std::size_t from = 0; from <= line.size();) {
      const std::size_t tab = std::min(line.find('\t', from), line.size());
      out += printable(line.substr(from, tab - from));
      if (tab < line.size()) out += '\t';
      from = tab + 1;
    }
    if (end < text.size() || !line.empty()) out += '\n';
    at = end + 1;
  }
  return out;
}

void layers(Context& context, const proto::StoreShow& model) {
  Table table({"DIGEST", "SIZE", "TYPE", "SHARED WITH"});
  for (const proto::StoredLayer& layer : model.layers) {
    std::string shared;
    for (const std::string& other : layer.shared_with) shared += (shared.empty() ? "" : ", ") + other;
    table.add({layer.digest.short_hex(), format_size(layer.size),
               layer.media_type + (layer.problem.empty() ? "" : " (" + layer.problem + ")"), shared});
  }
  table.print(context);
}

// Of the weights, read here and not in the daemon. What cannot be read is not shown.
std::optional<GgufHeader> header_of(const proto::StoreShow& model) {
  for (const proto::StoredLayer& layer : model.layers) {
    if (layer.media_type != kWeights || !layer.present) continue;
    auto header = read_gguf(model.models_dir + "/blobs/" + layer.digest.file_name());
    return header ? std::optional(std::move(*header)) : std::nullopt;
  }
  return std::nullopt;
}

// What the daemon says, and what the weights do.
std::string as_json(const proto::StoreShow& model, const std::optional<GgufHeader>& header,
                    const std::vector<std::string>& capabilities) {
  proto::JsonObject more;
  const auto number = [&](const char* name, const std::optional<std::uint64_t>& value) {
    if (value) {
      more.add(name, *value);
    } else {
      more.add_null(name);
    }
  };
  more.add("architecture", header ? header->architecture : std::string());
  number("context_length", header ? header->context_length : std::nullopt);
  number("embedding_length", header ? header->embedding_length : std::nullopt);
  std::string words;
  for (const std::string& word : capabilities) words += (words.empty() ? "" : ",") + proto::json_string(word);
  more.add_json("capabilities", "[" + words + "]");
  std::string text = proto::write(model);
  text.back() = ',';
  return text + more.str().substr(1);
}

void parameters(Context& context, const proto::StoreShow& model) {
  for (const proto::ModelParameter& parameter : model.parameters) {
    say(context, fmt::format("{:<28} {}", parameter.name, parameter.value));
  }
}

// Several sections at once are told apart by a line of their own.
bool sections(Context& context, const proto::StoreShow& model) {
  const Options& options = context.options;
  int count = 0;
  for (const Flag flag : {Flag::kLicense, Flag::kTemplate, Flag::kSystem, Flag::kParameters, Flag::kLayers}) {
    count += options.has(flag) ? 1 : 0;
  }
  const auto head = [&](const char* title) {
    if (count > 1) say(context, fmt::format("# {}", title));
  };
  if (options.has(Flag::kLicense)) {
    head("license");
    for (const std::string& license : model.licenses) context.streams.out.raw(text_block(license));
  }
  if (options.has(Flag::kTemplate)) {
    head("template");
    context.streams.out.raw(text_block(model.template_text));
  }
  if (options.has(Flag::kSystem)) {
    head("system");
    context.streams.out.raw(text_block(model.system_text));
  }
  if (options.has(Flag::kParameters)) {
    head("parameters");
    parameters(context, model);
  }
  if (options.has(Flag::kLayers)) {
    head("layers");
    layers(context, model);
  }
  return count > 0;
}

}  // namespace

int run_show(Context& context) {
  if (auto connection = context.link.open(); !connection) return report(context, connection.error());
  proto::StoreShowParams params;
  params.model = context.options.operands.front();
  params.models_dir = context.link.models_dir();
  const auto model = context.link.call<proto::StoreShow>(proto::method::kStoreShow, params);
  if (!model) return report(context, model.error());
  const bool asks_for_a_part = !context.options.is_json() && sections(context, *model);
  if (asks_for_a_part) return 0;
  const auto header = header_of(*model);
  const std::vector<std::string> capabilities = capabilities_of(*model, header);
  if (context.options.is_json()) {
    document(context, as_json(*model, header, capabilities));
    return 0;
  }
  const auto row = [&](const char* name, const std::string& value) {
    if (!value.empty()) say(context, fmt::format("{:<18}{}", name, value));
  };
  const auto number = [](const std::optional<std::uint64_t>& value) {
    return value ? std::to_string(*value) : std::string();
  };
  row("Name:", model->model);
  row("Family:", model->family);
  row("Parameters:", model->parameter_size);
  row("Quantization:", model->quantization);
  if (header) {
    row("Architecture:", header->architecture);
    row("Context length:", number(header->context_length));
    row("Embedding length:", number(header->embedding_length));
  }
  std::string words;
  for (const std::string& word : capabilities) words += (words.empty() ? "" : ", ") + word;
  row("Capabilities:", words);
  row("Remote model:", model->remote_model);
  row("Remote host:", model->remote_host);
  row("Format:", model->format);
  row("Size:", format_size(model->size));
  row("Digest:", model->digest.str());
  row("Modified:", ago_text(model->modified, proto::now()));
  say(context, "");
  layers(context, *model);
  return 0;
}

}  // namespace pullama::client
