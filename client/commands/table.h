#pragma once
// Columns for people: as wide as their widest cell, three blanks apart, no blanks at the end.

#include <string>
#include <vector>

#include "client/context.h"

namespace pullama::client {

class Table {
 public:
  explicit Table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::size_t size() const { return rows_.size() - 1; }
  void print(Context& context) const;
  std::vector<std::string> lines() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace pullama::client
