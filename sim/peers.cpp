#include "sim/peers.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace ntp::sim {
namespace {

// False: a line has no such fields.
template <typename Take>
bool each_line(const std::string& file, Take take) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    if (!take(fields)) return false;
  }
  return true;
}

}  // namespace

PeerRuns read_peer_runs(const std::string& file) {
  PeerRuns runs;
  const bool fine = each_line(file, [&runs](std::istringstream& in) {
    std::string name;
    int poll = 0;
    PeerRun run;
    if (!(in >> name >> poll >> run.seed >> run.rms_s >> run.max_s >> run.rate_rms)) return false;
    double questions = 0;
    double served[3]{};  // RMS and largest error of what is served, share within the bound
    double bound_s = 0;
    if (in >> questions) run.questions = questions;
    if (in >> served[0] >> served[1] >> served[2] >> bound_s) run.median_bound_s = bound_s;
    runs[{name, poll}].push_back(run);
    return true;
  });
  return fine ? runs : PeerRuns{};
}

PeerFigures read_peer_figures(const std::string& file) {
  PeerFigures figures;
  const bool fine = each_line(file, [&figures](std::istringstream& in) {
    std::string key;
    std::string figure;
    double value = 0;
    if (!(in >> key >> figure >> value)) return false;
    figures[{key, figure}].push_back(value);
    return true;
  });
  return fine ? figures : PeerFigures{};
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[values.size() / 2];
}

double largest(const std::vector<double>& values) {
  return values.empty() ? 0 : *std::ranges::max_element(values);
}

}  // namespace ntp::sim
