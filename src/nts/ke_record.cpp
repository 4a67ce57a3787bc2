#include "nts/ke_record.h"

#include <algorithm>

namespace ntp::nts {

std::span<std::byte> KeWriter::body(bool critical, KeType type, std::size_t size) noexcept {
  if (!ok_ || size > 0xffff || out_.size() - size_ < kKeRecordHeader + size) {
    ok_ = false;
    return {};
  }
  ByteWriter writer(out_.subspan(size_));
  const auto number = static_cast<std::uint16_t>(type);
  writer.write(static_cast<std::uint16_t>(critical ? number | kKeCritical : number));
  writer.write(static_cast<std::uint16_t>(size));
  const auto made = out_.subspan(size_ + kKeRecordHeader, size);
  size_ += kKeRecordHeader + size;
  return made;
}

void KeWriter::record(bool critical, KeType type, std::span<const std::byte> from) noexcept {
  const auto to = body(critical, type, from.size());
  if (ok_) std::ranges::copy(from, to.begin());
}

void KeWriter::numbers(bool critical, KeType type, std::span<const std::uint16_t> from) noexcept {
  const auto to = body(critical, type, 2 * from.size());
  ByteWriter writer(to);
  for (const std::uint16_t one : from) writer.write(one);
}

}  // namespace ntp::nts
