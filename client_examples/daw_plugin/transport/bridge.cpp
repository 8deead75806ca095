#include "transport/bridge.h"

namespace deepmusic {

Bridge::Bridge(std::vector<std::string> parameter_names)
    : n_parameters_(parameter_names.size()), courier_(std::move(parameter_names), counters_), player_(counters_) {}

void Bridge::prepare(const LineSpec& spec, const Values& values) {
  line_ = std::make_shared<Line>(spec, values);
  player_.prepare(line_);
  courier_.carry(line_);
}

void Bridge::rest() { courier_.carry(nullptr); }

}  // namespace deepmusic
