#pragma once
// The live screen of `pullama watch`: a line a transfer, a total, what is queued. Pure; every line fits.

#include <cstddef>
#include <vector>

#include "client/line.h"
#include "client/view.h"

namespace pullama::client {

// A plain line of its own, in ASCII.
Line watch_line(const Transfer& transfer, std::size_t width);
Line finished_line(const Transfer& transfer);
// At most `rows` lines, none wider than `columns`, never none.
std::vector<Line> watch_lines(const View& view, const proto::QueueView& queue, std::size_t columns, std::size_t rows,
                              bool ascii);

}  // namespace pullama::client
