#include "daemon/health_channel.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "os/unix_socket.h"

namespace ntp::daemon {
namespace {

constexpr std::size_t kMaxLine = 128;
constexpr std::chrono::milliseconds kMaxTimeout{60'000};
constexpr std::chrono::seconds kLook{5};  // for clients that have fallen asleep

}  // namespace

std::optional<HealthQuestion> parse_question(const std::string& line) {
  std::istringstream in(line);
  std::string word;
  long timeout_ms = 0;
  if (!(in >> word >> timeout_ms) || word != "health" || timeout_ms <= 0) return std::nullopt;
  HealthQuestion question{.timeout = std::min(std::chrono::milliseconds(timeout_ms), kMaxTimeout),
                          .max_error_s = {}};
  if ((in >> std::ws).eof()) return question;
  double max_error_s = 0;
  if (!(in >> max_error_s) || !(in >> std::ws).eof()) return std::nullopt;
  question.max_error_s = max_error_s;
  return question;
}

std::string to_line(const HealthQuestion& question) {
  std::string line = fmt::format("health {}", question.timeout.count());
  if (question.max_error_s) line += fmt::format(" {:.9f}", *question.max_error_s);
  return line;
}

HealthChannel::HealthChannel(os::PollLoop& loop, os::Fd listener, std::string path, Answers answers)
    : loop_(loop),
      listener_(std::move(listener)),
      path_(std::move(path)),
      answers_(std::move(answers)) {
  watch_ = loop_.watch(listener_.get(), POLLIN, [this](short) { on_connect(); });
  patience_ = loop_.every(kLook, [this](RawTime now) {
    while (!clients_.empty() && now - clients_.front()->since > kMaxTimeout + kLook) {
      close(clients_.front()->number);
    }
  });
}

HealthChannel::~HealthChannel() {
  loop_.unwatch(watch_);
  loop_.remove_timer(patience_);
  for (const auto& client : clients_) loop_.unwatch(client->watch);
  ::unlink(path_.c_str());
}

HealthChannel::Client* HealthChannel::find(std::uint64_t number) {
  const auto found = std::ranges::find(clients_, number, [](const auto& c) { return c->number; });
  return found == clients_.end() ? nullptr : found->get();
}

void HealthChannel::on_connect() {
  os::Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) return;
  if (const std::string why = os::why_peer_may_not_ask(fd.get()); !why.empty()) {
    const std::string text = std::string(kRefused) + why + '\n';
    (void)::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return;
  }
  if (clients_.size() >= kMaxClients) close(clients_.front()->number);
  auto client = std::make_unique<Client>();
  client->number = ++last_number_;
  client->since = loop_.now();
  client->watch =
      loop_.watch(fd.get(), POLLIN, [this, number = client->number](short) { on_input(number); });
  client->fd = std::move(fd);
  clients_.push_back(std::move(client));
}

void HealthChannel::on_input(std::uint64_t number) {
  Client* client = find(number);
  if (client == nullptr) return;
  char buffer[kMaxLine];
  const ssize_t size = ::recv(client->fd.get(), buffer, sizeof buffer, 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0 || client->asked ||
      client->text.size() + static_cast<std::size_t>(size) > kMaxLine) {
    return close(number);
  }
  client->text.append(buffer, static_cast<std::size_t>(size));
  const auto end = client->text.find('\n');
  if (end == std::string::npos) return;
  client->asked = true;
  ask(number, client->text.substr(0, end));
}

void HealthChannel::ask(std::uint64_t number, const std::string& line) {
  if (line == kStatusQuestion) return reply(number, answers_.status());
  const auto question = parse_question(line);
  if (!question) return close(number);
  answers_.health(*question, [this, number](const std::string& text) { reply(number, text); });
}

void HealthChannel::reply(std::uint64_t number, const std::string& line) {
  Client* client = find(number);
  if (client == nullptr) return;  // it hung up meanwhile
  const std::string text = line + "\n";
  (void)::send(client->fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  close(number);
}

void HealthChannel::close(std::uint64_t number) {
  Client* client = find(number);
  if (client == nullptr) return;
  loop_.unwatch(client->watch);
  std::erase_if(clients_, [number](const auto& c) { return c->number == number; });
}

}  // namespace ntp::daemon
