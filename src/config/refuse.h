// What readers of values share: how a value is taken apart and how a fault is worded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/options.h"

namespace ntp::config {

std::string quote_short(std::string_view text);  // cut where it is long
std::string it_must_be(const Given& given);      // the hint: what the option expects

void refuse(const Given& given, const Value& at, std::string what, std::string hint);
// A text that is right but for its type would be puzzling to see quoted back: its type is told.
void refuse_type(const Given& given);

// Bare text is split at commas and blanks; a single string stands for a list of one.
std::vector<Value> items_of(const Value& value);

}  // namespace ntp::config
