// "did you mean": the known name nearest to one that somebody mistyped.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ntp::config {

// Edits (insert, delete, replace, swap of neighbours) from one to the other.
int edit_distance(std::string_view a, std::string_view b);

// The nearest of `known`, when it is near enough to be meant; empty otherwise. Case, '-' and '_' do
// not count. The first of equals wins.
std::string_view nearest(std::string_view written, std::span<const std::string_view> known);

// `did you mean "x"?` or nothing.
std::string did_you_mean(std::string_view written, std::span<const std::string_view> known);

}  // namespace ntp::config
