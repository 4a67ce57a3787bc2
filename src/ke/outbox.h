// What TLS has to say and the socket has not taken yet.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/check.h"
#include "tls/connection.h"

namespace ntp::ke {

class Outbox {
 public:
  void collect(tls::Connection& tls) {
    octets_.erase(octets_.begin(), octets_.begin() + static_cast<std::ptrdiff_t>(sent_));
    sent_ = 0;
    const std::size_t before = octets_.size();
    octets_.resize(before + tls.pending());
    octets_.resize(before + tls.drain(std::span(octets_).subspan(before)));
  }

  std::span<const std::byte> pending() const noexcept { return std::span(octets_).subspan(sent_); }

  void sent(std::size_t octets) {  // of what was pending
    NTP_CHECK(octets <= octets_.size() - sent_);
    sent_ += octets;
  }

 private:
  std::vector<std::byte> octets_;
  std::size_t sent_ = 0;
};

}  // namespace ntp::ke
