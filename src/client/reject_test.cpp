// Every kind of answer that makes no sample.
#include "client/reject.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>
#include <string>

#include "client/association_fixture.h"

namespace ntp::client {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using wire::refid_of;

// What is done to a good exchange, and what it is refused for.
struct Case {
  std::string name;
  std::function<void(wire::Header&)> change{};
  std::optional<Reject> expected{};
  std::function<void(std::vector<std::byte>&)> cut{};
  Endpoint from = kServer;
  std::chrono::nanoseconds round_trip = kRoundTrip;
};
using Cases = std::vector<Case>;

void add_forms(Cases& cases) {
  const std::set<std::size_t> sizes{0,  1,  2,  4,  8,  16, 24, 32, 40, 44,
                                    46, 47, 49, 50, 51, 53, 56, 60, 64};
  for (const std::size_t size : sizes) {
    cases.push_back({.name = "length " + std::to_string(size),
                     .expected = Reject::malformed,
                     .cut = [size](auto& bytes) { bytes.resize(size); }});
  }
  cases.push_back({.name = "over long", .expected = Reject::malformed, .cut = [](auto& bytes) {
                     bytes.resize(1504);
                   }});
  for (const int key : {0, 1, 255}) {
    cases.push_back({.name = "crypto-NAK " + std::to_string(key),
                     .expected = Reject::crypto_nak,
                     .cut = [key](auto& bytes) {
                       bytes.resize(52);
                       bytes[51] = static_cast<std::byte>(key);
                     }});
  }
  for (const std::size_t size : {68u, 72u}) {
    cases.push_back({.name = "MAC in " + std::to_string(size),
                     .expected = Reject::unasked_mac,
                     .cut = [size](auto& bytes) { bytes.resize(size, std::byte{1}); }});
  }
  const auto field = [](std::uint8_t high, std::uint8_t low) {
    return [high, low](std::vector<std::byte>& bytes) {
      bytes.resize(48 + 32);
      bytes[48] = std::byte{high};
      bytes[49] = std::byte{low};
      bytes[51] = std::byte{32};
    };
  };
  cases.push_back({.name = "unknown field", .expected = {}, .cut = field(0x20, 0x05)});
  cases.push_back({.name = "NTS field", .expected = Reject::unasked_mac, .cut = field(1, 4)});
  for (int mode = 0; mode < 8; ++mode) {
    if (mode == 4) continue;
    cases.push_back({.name = "mode " + std::to_string(mode),
                     .change = [mode](auto& h) { h.mode = static_cast<wire::Mode>(mode); },
                     .expected = Reject::not_a_reply});
  }
  for (const int version : {0, 1, 2, 5, 6, 7}) {
    cases.push_back(
        {.name = "version " + std::to_string(version),
         .change = [version](auto& h) { h.version = static_cast<std::uint8_t>(version); },
         .expected = Reject::wrong_version});
  }
  cases.push_back({.name = "version 3", .change = [](auto& h) { h.version = 3; }});
}

void add_addresses(Cases& cases) {
  Endpoint from = kServer;
  const auto add = [&](const char* name) {
    cases.push_back({.name = name, .expected = Reject::wrong_address, .from = from});
    from = kServer;
  };
  from.port = 124;
  add("port 124");
  from.port = 0;
  add("port 0");
  from.address.octets[3] = 8;
  add("a neighbour");
  from.address = *parse_ip("::ffff:192.0.2.7");
  add("mapped");
  from.address = *parse_ip("2001:db8::7");
  add("IPv6");
}

void add_origins(Cases& cases) {
  cases.push_back({.name = "origin zero",
                   .change = [](auto& h) { h.org = {}; },
                   .expected = Reject::zero_origin});
  for (int bit = 0; bit < 64; bit += 9) {
    cases.push_back({.name = "origin bit " + std::to_string(bit),
                     .change = [bit](auto& h) { h.org.bits ^= std::uint64_t{1} << bit; },
                     .expected = Reject::bogus});
  }
  cases.push_back({.name = "origin all ones",
                   .change = [](auto& h) { h.org.bits = ~std::uint64_t{0}; },
                   .expected = Reject::bogus});
  cases.push_back({.name = "origin in xmt",
                   .change = [](auto& h) { std::swap(h.org, h.xmt); },
                   .expected = Reject::bogus});
}

void add_kisses(Cases& cases) {
  const auto add = [&](const char(&code)[5], Reject expected) {
    for (const auto leap : {wire::Leap::none, wire::Leap::unknown}) {
      cases.push_back({.name = std::string("kiss ") + code,
                       .change =
                           [id = refid_of(code), leap](auto& h) {
                             h.leap = leap;
                             h.stratum = 0;
                             h.refid = id;
                             h.rec = h.xmt = {};
                           },
                       .expected = expected});
    }
  };
  add("RATE", Reject::kiss_rate);
  add("DENY", Reject::kiss_deny);
  add("RSTR", Reject::kiss_restrict);
  for (const auto& code : {"ACST", "AUTH", "AUTO", "BCST", "CRYP", "DROP", "INIT", "MCST", "NKEY",
                           "NTSN", "RMOT", "STEP", "X123"}) {
    char text[5] = {};
    std::copy_n(code, 4, text);
    add(text, Reject::kiss_unknown);
  }
  for (const std::uint32_t refid : {0u, 1u, 0x7f000001u, 0x52415445u ^ 0x20u, 0xffffffffu}) {
    cases.push_back({.name = "stratum 0, refid " + std::to_string(refid),
                     .change =
                         [refid](auto& h) {
                           h.stratum = 0;
                           h.refid = refid;
                         },
                     .expected = Reject::stratum_zero});
  }
}

void add_headers(Cases& cases) {
  for (const int stratum : {1, 3, 14, 15, 16, 17, 100, 255}) {
    cases.push_back(
        {.name = "stratum " + std::to_string(stratum),
         .change = [stratum](auto& h) { h.stratum = static_cast<std::uint8_t>(stratum); },
         .expected = stratum < 16 ? std::nullopt : std::optional(Reject::stratum_high)});
  }
  const auto add = [&](std::string name, std::optional<Reject> expected,
                       std::function<void(wire::Header&)> change) {
    cases.push_back({.name = std::move(name), .change = std::move(change), .expected = expected});
  };
  add("leap 1", {}, [](auto& h) { h.leap = wire::Leap::insert; });
  add("leap 2", {}, [](auto& h) { h.leap = wire::Leap::remove; });
  add("leap 3", Reject::unsynchronised, [](auto& h) { h.leap = wire::Leap::unknown; });
  add("leap 3, stratum 16", Reject::stratum_high, [](auto& h) {
    h.leap = wire::Leap::unknown;
    h.stratum = 16;
  });
  add("no rec", Reject::zero_stamp, [](auto& h) { h.rec = {}; });
  add("no xmt", Reject::zero_stamp, [](auto& h) { h.xmt = {}; });
  add("no stamps", Reject::zero_stamp, [](auto& h) { h.rec = h.xmt = {}; });
  for (const double s : {15.99, 16.0, 17.0, 65535.0}) {
    const auto expected = s < 16 ? std::nullopt : std::optional(Reject::root_distance);
    add("dispersion " + std::to_string(s), expected, [s](auto& h) {
      h.root_delay = {};
      h.root_dispersion = NtpShort::rounded_up(s);
    });
    add("half of root delay " + std::to_string(s), s < 32 / 2 ? expected : Reject::root_distance,
        [s](auto& h) {
          h.root_dispersion = {};
          h.root_delay = NtpShort::rounded_up(2 * s);
        });
  }
  add("8 + 8", Reject::root_distance, [](auto& h) {
    h.root_delay = NtpShort::rounded_up(16);
    h.root_dispersion = NtpShort::rounded_up(8);
  });
}

void add_stamps(Cases& cases) {
  const auto add = [&](std::string name, std::optional<Reject> expected,
                       std::function<void(wire::Header&)> change) {
    cases.push_back({.name = std::move(name), .change = std::move(change), .expected = expected});
  };
  const auto later = [](NtpTimestamp stamp, double s) {
    return NtpTimestamp{stamp.bits + static_cast<std::uint64_t>(std::llround(s * 0x1p32))};
  };
  add("reftime unknown", {}, [](auto& h) { h.reftime = {}; });
  add("reftime of sending", {}, [](auto& h) { h.reftime = h.xmt; });
  add("reftime by rounding later", {}, [later](auto& h) { h.reftime = later(h.xmt, 1e-6); });
  for (const double s : {0.002, 1.0, 3600.0, 1e9}) {
    add("reftime later by " + std::to_string(s), Reject::reference_later,
        [later, s](auto& h) { h.reftime = later(h.xmt, s); });
    add("reftime earlier by " + std::to_string(s), {},
        [later, s](auto& h) { h.reftime = later(h.xmt, -s); });
  }
  for (const double s : {1e-5, 0.01, 1.0, 1e9}) {
    add("xmt before rec by " + std::to_string(s), Reject::served_backwards, [later, s](auto& h) {
      h.xmt = later(h.rec, -s);
      h.reftime = later(h.xmt, -1);
    });
  }
  add("xmt before rec by less than the precision", {}, [later](auto& h) {
    h.precision = -10;
    h.xmt = later(h.rec, -0.0005);
  });
  for (const int precision : {-128, -32, -6, 0, 127}) {
    add("precision " + std::to_string(precision), {},
        [precision](auto& h) { h.precision = static_cast<std::int8_t>(precision); });
  }
  for (const int poll : {-128, 0, 17, 127}) {
    add("poll " + std::to_string(poll), {},
        [poll](auto& h) { h.poll = static_cast<std::int8_t>(poll); });
  }
}

void add_paths(Cases& cases) {
  const auto held = [&](const char* name, double held_s, std::optional<Reject> expected) {
    cases.push_back({.name = name,
                     .change =
                         [held_s](auto& h) {
                           h.xmt.bits = h.rec.bits +
                                        static_cast<std::uint64_t>(std::llround(held_s * 0x1p32));
                         },
                     .expected = expected});
  };
  held("held for the whole round trip", 450e-6, {});
  held("held for a little more than the round trip", 451e-6, {});
  held("held for twice the round trip", 900e-6, Reject::negative_delay);
  held("held for an hour", 3600, Reject::negative_delay);
  for (const double held_s : {1.0003, 1.0006}) {  // our clock may be off by 500 ppm
    held("held for a slow second", held_s,
         held_s < 1.0005 ? std::nullopt : std::optional(Reject::negative_delay));
    cases.back().round_trip = std::chrono::seconds(1);
  }
  held("held for decades", 1e9, Reject::negative_delay);
  cases.push_back(
      {.name = "back before it went", .expected = Reject::negative_delay, .round_trip = -1us});
  cases.push_back({.name = "at once", .change = [](auto& h) { h.xmt = h.rec; }, .round_trip = 0ns});
  cases.push_back({.name = "slow", .round_trip = 2900ms});
  cases.push_back({.name = "too slow", .expected = Reject::unexpected, .round_trip = 3s});
  const double offsets_s[] = {-1e9, -3600, -0.001, 0.001, 3600, 1e9};
  for (const double offset_s : offsets_s) {
    cases.push_back({.name = "offset " + std::to_string(offset_s), .change = [offset_s](auto& h) {
                       const auto shift =
                           static_cast<std::uint64_t>(std::llround(offset_s * 0x1p32));
                       for (auto* stamp : {&h.rec, &h.xmt, &h.reftime}) stamp->bits += shift;
                     }});
  }
  for (const std::uint32_t refid : {0xc0000209u, 0x0a000001u}) {
    for (const int stratum : {1, 2, 15}) {
      cases.push_back({.name = "our refid at stratum " + std::to_string(stratum),
                       .change =
                           [refid, stratum](auto& h) {
                             h.refid = refid;
                             h.stratum = static_cast<std::uint8_t>(stratum);
                           },
                       .expected = stratum == 1 ? std::nullopt : std::optional(Reject::loop)});
    }
  }
}

TEST(Reject, JudgesEveryKindOfAnswerByItsRule) {
  Cases cases;
  add_forms(cases);
  add_addresses(cases);
  add_origins(cases);
  add_kisses(cases);
  add_headers(cases);
  add_stamps(cases);
  add_paths(cases);
  EXPECT_GE(cases.size(), 100u);
  const std::uint32_t own[] = {0x0a000001, 0xc0000209};
  std::set<Reject> seen;
  SeededRandom random(7);
  for (const auto& c : cases) {
    Association association(kServer, {}, kStart, random);
    ask(association, random);
    const auto before = association.state();
    auto reply = good_reply(before.question->nonce, before.anchor);
    if (c.change) c.change(reply);
    auto bytes = octets_of(reply);
    if (c.cut) c.cut(bytes);
    const auto result = association.on_datagram({.datagram = bytes,
                                                 .from = c.from,
                                                 .at = before.anchor + c.round_trip,
                                                 .base = kBase,
                                                 .own_refids = own});
    EXPECT_EQ(result.has_value(), !c.expected.has_value()) << c.name;
    if (result) {
      EXPECT_TRUE(std::isfinite(result->offset_s) && std::isfinite(result->delay_s)) << c.name;
      continue;
    }
    if (!c.expected) {
      ADD_FAILURE() << c.name << ": " << name(result.error());
      continue;
    }
    EXPECT_EQ(name(result.error()), name(*c.expected)) << c.name;
    EXPECT_EQ(association.rejects().of(result.error()), 1u) << c.name;
    EXPECT_EQ(association.rejects().total(), 1u) << c.name;
    EXPECT_EQ(association.state().reach, 0) << c.name;
    EXPECT_FALSE(association.state().sample) << c.name;
    // What is no answer to our question leaves everything as it was; what is one ends the question.
    if (*c.expected < Reject::kiss_rate) {
      EXPECT_EQ(association.state(), before) << c.name;
    } else {
      EXPECT_FALSE(association.state().question) << c.name;
    }
    seen.insert(*c.expected);
  }
  seen.insert(Reject::duplicate);         // TakesOneAnswerToAQuestion
  seen.insert(Reject::delay_over_limit);  // HasALimitOfDelayOfItsOwn
  seen.insert({Reject::nts_nak, Reject::unauthenticated, Reject::wrong_key});  // nts_source_test
  EXPECT_EQ(seen.size(), kRejects);
  RecordProperty("cases", static_cast<int>(cases.size()));
}

TEST(Reject, HasWordsOfItsOwn) {
  std::set<std::string_view> all;
  for (std::size_t i = 0; i < kRejects; ++i) {
    const auto reject = static_cast<Reject>(i);
    EXPECT_TRUE(all.insert(name(reject)).second) << i;
    EXPECT_TRUE(all.insert(describe(reject)).second) << i;
    EXPECT_LE(packet_test(reject), 13);
  }
}

}  // namespace
}  // namespace ntp::client
