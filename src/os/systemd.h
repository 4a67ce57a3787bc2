// The two protocols of systemd that a service speaks, without its library: sd_notify(3) and
// socket activation (sd_listen_fds(3)). Both do nothing outside systemd.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ntp::os {

// Sends a message such as "READY=1\nSTATUS=…" to $NOTIFY_SOCKET.
void notify_systemd(std::string_view message) noexcept;

// "RELOADING=1" with the monotonic stamp that Type=notify-reload wants.
std::string reloading_message();

// How often "WATCHDOG=1" is due: half of $WATCHDOG_USEC, if this process is meant.
std::optional<std::chrono::microseconds> watchdog_interval();

// The sockets that systemd bound for us, in order; empty without socket activation. Clears the
// variables, so that a second call yields nothing.
std::vector<int> take_listen_fds();

}  // namespace ntp::os
