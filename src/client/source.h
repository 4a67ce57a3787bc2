// One source of the configuration: a host or a pool, its addresses, and the associations with those
// in use. Pure; driven by SourceSet only, which knows what the other sources use.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/association.h"
#include "client/source_options.h"

namespace ntp::client {

// Neither is ever used twice in the life of a SourceSet.
using SourceId = std::uint32_t;
using AssociationId = std::uint32_t;

inline constexpr std::size_t kMostAddresses = 16;  // known of one host
inline constexpr std::size_t kMostEvents = 256;

// Something that deserves a line in the log.
struct Event {
  enum class Kind : std::uint8_t {
    added,         // an address is asked from now on
    removed,       // it no longer is
    reachable,     // it has answered well, for the first time or again
    unreachable,   //
    denied,        // DENY or RSTR
    rate_limited,  // RATE
    unresolved,    // the name has no address, or the resolver no answer; said once
    resolved,      // it has again
    crowded,       // all its addresses are used by other sources, or are our own
    lies,          // a falseticker, for longer than a moment
    agrees,        // no longer one
    keys,          // NTS: they have been established
    no_keys,       // NTS: they could not be; said when the reason changes
  };

  Kind kind = Kind::added;
  SourceId source = 0;
  AssociationId association = 0;  // 0: about the source as a whole
  std::string name{};             // as configured
  std::optional<Endpoint> address{};
  std::string why{};  // of `removed`, `denied`, `lies`, `keys`, `no_keys` and, where it answers,
                      // `unreachable`
};
std::string describe(const Event& event);

// What is known of a source's keys from an earlier run.
struct SavedNts {
  std::string host{};
  std::uint16_t ke_port = 0;
  IpAddress resolved{};  // who established them
  Endpoint server{};     // whom they are for
  std::string roots{};   // as in SourceOptions::nts_ca: what its certificate led to
  std::string mark{};    // of what that file held, where whoever keeps this knows; hexadecimal
  NtsMemory memory{};

  friend bool operator==(const SavedNts&, const SavedNts&) = default;
};

// The symmetric keys that sources have, by number.
using SourceKeys = std::map<std::uint32_t, crypto::MacKey>;

// Keys are to be established with a server: its answer is for on_established(), a failure for
// on_not_established().
struct Establish {
  AssociationId association = 0;
  Endpoint server{};   // TCP
  std::string name{};  // that its certificate must be for
  std::string roots{};
};

struct Member {
  AssociationId id = 0;
  Association association;
  IpAddress resolved{};  // of the name; with NTS another one may be asked for the time
  bool was_reachable = false;
  bool was_unreachable = false;
  int floor = kLeastPoll;  // of the poll, as last said
  std::optional<RawTime> denied_since{};
  std::optional<RawTime> falseticker_since{};
  std::optional<RawTime> agrees_since{};  // after it was called a falseticker in the log
  bool called_falseticker = false;
  std::string told_trouble{};  // with keys
};

// What a source needs of its surroundings for one step.
struct Step {
  RawTime now{};
  RandomSource& random;
  std::span<const Endpoint> taken;  // by other sources
  std::span<const Endpoint> own;    // never asked
  AssociationId& next_id;
  const SourceKeys& keys;
  std::vector<SavedNts>& saved;  // taken from by whom it is about
  std::deque<Event>& events;
};

class Source {
 public:
  Source(SourceId id, const SourceOptions& options, RawTime now);

  // Sends what is due, then looks after its members. `out` holds this source's only.
  struct Outgoing {
    AssociationId id = 0;
    Transmit transmit{};
  };
  void on_timer(Step& step, std::vector<Outgoing>& out);
  std::vector<Establish> take_establishments(Step& step);
  // `server` is the address of the one that the answer names; empty: it names none.
  void on_established(AssociationId id, nts::Established established,
                      const std::optional<IpAddress>& server, Step& step);
  void on_not_established(AssociationId id, nts::NotEstablished failure, Step& step);
  void set_keys(const SourceKeys& keys);
  void remember(std::vector<SavedNts>& out) const;
  // A name that is to be looked up now; asked for once.
  bool take_resolution(RawTime now);
  void on_resolved(std::span<const IpAddress> addresses, Step& step);
  void on_resolve_failed(Step& step);
  RawTime next_deadline() const;

  void set_falseticker(AssociationId id, bool falseticker, std::string_view why, RawTime now,
                       std::deque<Event>& events);
  void set_options(const SourceOptions& options);  // of the same host
  void retry_now(RawTime now);                     // the network has changed
  void drop_all(Step& step, std::string_view why);

  SourceId id() const { return id_; }
  const SourceOptions& options() const { return options_; }
  std::vector<Member>& members() { return members_; }
  const std::vector<Member>& members() const { return members_; }
  std::span<const IpAddress> known() const { return known_; }
  bool is_numeric() const { return numeric_; }
  bool is_resolving() const { return resolving_since_.has_value(); }
  int resolve_failures() const { return failures_; }
  std::optional<RawTime> next_resolution() const;  // empty: none is needed

 private:
  // The back-off of an address, and perhaps its cookies, outlive its use.
  struct Resting {
    IpAddress resolved{};
    Endpoint server{};
    NtsSession session{};
  };
  struct Barred {
    IpAddress address{};
    RawTime until{};
  };

  std::size_t wanted() const;
  Endpoint endpoint_of(const IpAddress& address) const { return {address, options_.port}; }
  static bool may_be_asked(const Endpoint& server, const Step& step);
  bool is_usable(const IpAddress& address, const Step& step) const;
  bool is_bad(const Member& member, RawTime now) const;
  Association make_association(const Endpoint& address, Step& step) const;
  void recall(Member& member, Step& step);
  void tell_trouble(Member& member, Step& step) const;
  void move(Member& member, const Endpoint& server, Step& step) const;
  std::optional<IpAddress> spare(const Step& step) const;
  void say_removed(const Member& member, std::string_view why, Step& step) const;
  void note_changes(Member& member, Step& step);
  void look_after(Step& step);
  void add(const IpAddress& address, Step& step);
  void remove(std::size_t index, Step& step);
  void fill(std::span<const IpAddress> addresses, Step& step);
  void hurry_resolution(RawTime now);

  SourceId id_;
  SourceOptions options_;
  bool numeric_ = false;
  std::vector<Member> members_{};
  std::vector<IpAddress> known_{};  // of the last answer
  std::vector<Barred> barred_{};
  std::vector<Resting> resting_{};
  bool crowded_ = false;

  RawTime resolve_at_{};
  std::optional<RawTime> resolving_since_{};
  std::optional<RawTime> answered_{};
  int failures_ = 0;
  int fruitless_ = 0;  // answers in a row that brought nothing that was needed
  RawTime look_at_{};  // to look after the members even when none of them is due
};

}  // namespace ntp::client
