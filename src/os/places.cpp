#include "os/places.h"

#include <algorithm>
#include <filesystem>

namespace ntp::os {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // the kernel's own limit

std::string place_of(const fs::path& path) {
  return path.parent_path() == "/" ? path : path.parent_path();
}

}  // namespace

std::string folder_of(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

void add_places(Paths& places, const std::string& file) {
  std::error_code none;
  fs::path way = fs::absolute(file, none);
  places.push_back(place_of(way));
  for (int links = 0; links < kMostLinks; ++links) {
    fs::path seen;
    fs::path next;
    for (auto part = way.begin(); part != way.end(); ++part) {
      seen /= *part;
      if (!next.empty()) {
        next /= *part;
      } else if (fs::is_symlink(seen, none)) {
        if (seen.parent_path() != "/") places.push_back(place_of(seen));
        next = seen.parent_path() / fs::read_symlink(seen, none);
      }
    }
    if (next.empty()) break;
    way = next.lexically_normal();
  }
  places.push_back(place_of(way));
}

bool is_below(const std::string& path, const Paths& places) {
  std::error_code none;
  const fs::path real = fs::weakly_canonical(path, none);
  return std::ranges::any_of(places, [&](const std::string& place) {
    const fs::path top = fs::weakly_canonical(place, none);
    return std::ranges::mismatch(top, real).in1 == top.end();
  });
}

}  // namespace ntp::os
