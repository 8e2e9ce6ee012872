#include <fmt/format.h>

#include <string>

#include "client/commands/ago.h"
#include "client/commands/commands.h"
#include "client/commands/table.h"
#include "common/printable.h"
#include "common/size_text.h"
#include "proto/methods.h"

namespace pullama::client {
namespace {

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
               layer.media_type + (layer.present ? "" : " (missing)"), shared});
  }
  table.print(context);
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
  if (context.options.is_json()) {
    document(context, proto::write(*model));
    return 0;
  }
  if (sections(context, *model)) return 0;
  const auto row = [&](const char* name, const std::string& value) {
    if (!value.empty()) say(context, fmt::format("{:<15}{}", name, value));
  };
  row("Name:", model->model);
  row("Family:", model->family);
  row("Parameters:", model->parameter_size);
  row("Quantization:", model->quantization);
  row("Format:", model->format);
  row("Size:", format_size(model->size));
  row("Digest:", model->digest.str());
  row("Modified:", ago_text(model->modified, proto::now()));
  say(context, "");
  layers(context, *model);
  return 0;
}

}  // namespace pullama::client
