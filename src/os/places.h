// Where the files lie that a path leads to: what Landlock is to be given, and whether it was.
#pragma once

#include <string>
#include <vector>

namespace ntp::os {

using Paths = std::vector<std::string>;

std::string folder_of(const std::string& path);

// Adds the directory of a file and of every symbolic link on the way to it: there somebody may put
// another version by renaming it or by exchanging the link. In the root directory, which would be
// everything, only the file.
void add_places(Paths& places, const std::string& file);

// Whether `path`, symbolic links followed, is one of the places or below one.
bool is_below(const std::string& path, const Paths& places);

}  // namespace ntp::os
