#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "cli/commands.h"
#include "cli/output.h"
#include "os/clocks.h"
#include "os/error.h"
#include "os/secret_file.h"
#include "tls/authority.h"

namespace ntp::cli {
namespace {

constexpr std::chrono::hours kSlack{24};  // clients whose clock is behind
constexpr std::chrono::days kAuthority{3650};
constexpr std::chrono::days kServer{730};
constexpr std::size_t kLargestFile = 1 << 20;
constexpr std::uint32_t kPublic = 0644;

using Done = std::expected<void, std::string>;

struct Paths {
  explicit Paths(const std::string& given) {
    const auto directory = std::filesystem::absolute(given).lexically_normal();
    folder = directory;
    authority = directory / "ca.crt";
    authority_key = directory / "ca.key";
    server = directory / "server.crt";
    server_key = directory / "server.key";
  }
  std::string folder, authority, authority_key, server, server_key;
};

tls::Validity from_now(std::chrono::days length) {
  const RealTime now = os::real_now();
  return {.from = now - kSlack, .until = now + length};
}

bool exists(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0;
}

// Whoever serves has to read it, and need not be who runs this.
Done give_away(const std::string& path, const CaOptions& options) {
  if (::geteuid() != 0 || ::lchown(path.c_str(), options.uid, options.gid) == 0) return {};
  return std::unexpected(os::Error::last("give " + path + " to the server's user").text());
}

Done create_server(const Paths& paths, const tls::Credentials& authority,
                   const CaOptions& options) {
  auto server = tls::issue(authority, options.hosts, from_now(kServer));
  if (!server) return std::unexpected(server.error());
  Done done = os::create_secret_file(paths.server_key, server->key);
  os::wipe(server->key);
  if (done) done = give_away(paths.server_key, options);
  if (done) done = os::replace_secret_file(paths.server, server->certificate, kPublic);
  return done;
}

Done init(const Paths& paths, const CaOptions& options) {
  for (const auto& path : {paths.authority, paths.authority_key, paths.server, paths.server_key}) {
    if (exists(path)) {
      return std::unexpected(path + " is there already; nothing was written");
    }
  }
  if (::mkdir(paths.folder.c_str(), 0755) != 0 && errno != EEXIST) {
    return std::unexpected(os::Error::last("make the directory " + paths.folder).text());
  }
  auto authority = tls::make_authority(options.name, from_now(kAuthority));
  if (!authority) return std::unexpected(authority.error());
  Done done = os::create_secret_file(paths.authority_key, authority->key);
  if (done) done = os::create_secret_file(paths.authority, authority->certificate, kPublic);
  if (done) done = create_server(paths, *authority, options);
  os::wipe(authority->key);
  return done;
}

std::expected<tls::Credentials, std::string> read_authority(const Paths& paths) {
  auto certificate = os::read_secret_file(paths.authority, kLargestFile, os::Readers::anybody);
  if (!certificate) return std::unexpected(certificate.error());
  auto key = os::read_secret_file(paths.authority_key, kLargestFile);
  if (!key) return std::unexpected(key.error());
  return tls::Credentials{.certificate = std::move(certificate->text), .key = std::move(key->text)};
}

Done issue(const Paths& paths, const CaOptions& options) {
  auto authority = read_authority(paths);
  if (!authority) {
    return std::unexpected(authority.error() + "; `ntp-server ca init` makes an authority");
  }
  Done done;
  if (!exists(paths.server_key)) {
    done = create_server(paths, *authority, options);
  } else if (auto key = os::read_secret_file(paths.server_key, kLargestFile); !key) {
    done = std::unexpected(key.error());
  } else {
    const auto server = tls::issue(*authority, options.hosts, from_now(kServer), key->text);
    os::wipe(key->text);
    done = server ? os::replace_secret_file(paths.server, server->certificate, kPublic)
                  : std::unexpected(server.error());
  }
  os::wipe(authority->key);
  return done;
}

void tell(const Paths& paths, const CaOptions& options) {
  const std::string& host = options.hosts.front();
  if (options.is_new) {
    print(fmt::format("made {}\n     {}\n     {}\n     {}\n", paths.authority, paths.authority_key,
                      paths.server, paths.server_key));
  } else {
    print(fmt::format("made {}\n", paths.server));
  }
  print(fmt::format("The server's certificate is for {}, for {} days.\n",
                    fmt::join(options.hosts, ", "), kServer.count()));
  if (!options.is_new) return print("A running server takes it up within two seconds.\n");
  print(fmt::format(R"(
On the server, in /etc/ntp-server/ntp.toml, then restart it:
  [nts]
  certificate = "{}"
  key = "{}"
On each client, {} as a trusted root; for chrony:
  server {} iburst nts
  ntstrustedcerts {}
Keep {} to yourself: whoever has it can speak for any server of
your network. It is needed to issue again, once a year for example:
  ntp-server ca issue --dir {} {}
)",
                    paths.server, paths.server_key, paths.authority, host, paths.authority,
                    paths.authority_key, paths.folder, fmt::join(options.hosts, " ")));
}

}  // namespace

int run_ca(const CaOptions& options) {
  const Paths paths(options.directory);
  const Done done = options.is_new ? init(paths, options) : issue(paths, options);
  if (!done) {
    complain(fmt::format("ntp-server: {}\n", done.error()));
    return EX_CANTCREAT;
  }
  tell(paths, options);
  return EX_OK;
}

}  // namespace ntp::cli
