#pragma once
// The live screen of `pullama watch`: a line a transfer, a total, what is queued. Pure; every line fits.

#include <cstddef>
#include <vector>

#include "client/line.h"
#include "client/view.h"

namespace pullama::client {

// `name_cells` of 0: as wide as the name is.
Line watch_line(const Transfer& transfer, std::size_t width, std::size_t bar, bool ascii, std::size_t name_cells);
Line finished_line(const Transfer& transfer);
// At most `rows` lines, none wider than `columns`, never none.
std::vector<Line> watch_lines(const View& view, const proto::QueueView& queue, std::size_t columns, std::size_t rows,
                              bool ascii);

}  // namespace pullama::client
