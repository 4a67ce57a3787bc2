// The wire case table (cases.tsv) as values; its notation stands in case_table.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/ip.h"
#include "server/drop.h"
#include "server/responder.h"

namespace ntp::wire_test {

struct ExpectedReply {
  int version = 0;
  int mode = 0;
  int poll = 0;
  std::uint64_t origin = 0;
  std::uint32_t mac = 0;    // the key whose MAC it has; 0: none
  std::size_t cookies = 0;  // sealed by NTS, with so many of them
  bool nak = false;         // NTSN
  std::size_t size = wire::kHeaderSize;
};

struct Case {
  std::string id;
  std::string section;
  std::string source;
  std::vector<std::byte> payload;
  std::variant<ExpectedReply, server::Drop> expect;
};

// Every line of the file; throws std::runtime_error with the line on anything it does not know.
std::vector<Case> read_case_table(const std::string& path);

// The table beside this file, or the one that the environment's NTP_WIRE_CASES names.
std::string case_table_path();

// What a server with the keys of case_keyed.py does; the table lies beside the other.
std::string keyed_table_path();

// The case as a worker would see it arrive, over IPv4 or IPv6. `c` must outlive the arrival.
server::Arrival arrival_of(const Case& c, IpAddress::Family family);

// IPv6 has no broadcast.
bool exists_in(const Case& c, IpAddress::Family family);

}  // namespace ntp::wire_test
