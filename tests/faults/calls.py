"""The N-th failure of every system call, and of every request for memory, N = 1, 2, … until a life makes no further one."""
import collections, errno, multiprocessing, os, time

from campaign import Row
from life import ALLOCATIONS, Fault, Lives

# What each call may plausibly say: of its manual page, of a full machine, of a sandbox or simulator that lacks it.
ERRORS = {
    "accept4": "EINTR EAGAIN ECONNABORTED EMFILE ENFILE ENOBUFS ENOMEM EPERM EPROTO",
    "bind": "EACCES EADDRINUSE EADDRNOTAVAIL ENOMEM EROFS",
    "capget": "EPERM ENOSYS", "capset": "EPERM ENOSYS", "chown": "EPERM EROFS",
    "clone": "EAGAIN ENOMEM EPERM", "clone3": "EAGAIN ENOMEM ENOSYS EPERM",
    "close": "EINTR EIO ENOSPC",
    "connect": "EINTR EAGAIN EACCES ECONNREFUSED EADDRNOTAVAIL ENETUNREACH ENOBUFS",
    "eventfd2": "EMFILE ENFILE ENOMEM ENOSYS", "fcntl": "EPERM ENOSYS", "fstat": "ENOMEM EIO",
    "fsync": "EIO ENOSPC EROFS EINTR", "getdents64": "EIO ENOMEM", "getrandom": "EINTR EAGAIN ENOSYS EPERM",
    "getsockname": "ENOBUFS", "getsockopt": "ENOPROTOOPT EPERM", "ioctl": "ENOTTY EPERM", "listen": "EADDRINUSE EOPNOTSUPP",
    "lseek": "ESPIPE", "lstat": "EACCES ENOMEM EIO", "stat": "EACCES ENOMEM EIO", "newfstatat": "EACCES ENOMEM EIO", "statx": "ENOSYS EACCES EIO",
    "access": "EACCES EIO", "faccessat": "EACCES EIO", "membarrier": "ENOSYS EPERM", "mkdir": "EACCES ENOSPC EROFS", "mkdirat": "EACCES ENOSPC EROFS",
    "mmap": "ENOMEM EPERM", "mprotect": "ENOMEM EACCES",
    "open": "EINTR EMFILE ENFILE ENOMEM EACCES EIO ENOSPC EROFS", "openat": "EINTR EMFILE ENFILE ENOMEM EACCES EIO ENOSPC EROFS",
    "pipe2": "EMFILE ENFILE", "poll": "EINTR ENOMEM EINVAL", "ppoll": "EINTR ENOMEM EINVAL", "prctl": "EINVAL EPERM ENOSYS", "prlimit64": "EPERM ENOSYS",
    "read": "EINTR EIO EAGAIN", "pwrite64": "EINTR EIO ENOSPC", "readlink": "EACCES EIO ENOMEM",
    "recvfrom": "EINTR EAGAIN ECONNREFUSED ECONNRESET ENOMEM ENOBUFS",
    "recvmmsg": "EINTR EAGAIN ECONNREFUSED ENOMEM ENOBUFS EIO", "recvmsg": "EINTR EAGAIN ECONNREFUSED ENOMEM ENOBUFS EIO",
    "rename": "EACCES EIO ENOSPC EROFS", "renameat": "EACCES EIO ENOSPC EROFS", "renameat2": "EACCES EIO ENOSPC EROFS",
    "sched_getaffinity": "EPERM ENOSYS",
    "sendmmsg": "EINTR EAGAIN ECONNREFUSED ENOBUFS ENOMEM EPERM ENETUNREACH", "sendmsg": "EINTR EAGAIN ECONNREFUSED ENOBUFS ENOMEM EPERM ENETUNREACH",
    "sendto": "EINTR EAGAIN ECONNREFUSED ENOBUFS ENOMEM EPERM ENETUNREACH EPIPE",
    "setfsuid": "EPERM", "setgid": "EPERM", "setgroups": "EPERM ENOMEM", "setuid": "EPERM EAGAIN", "setsockopt": "ENOPROTOOPT EOPNOTSUPP EPERM ENOMEM",
    "shutdown": "ENOTCONN", "socket": "EMFILE ENFILE ENOBUFS ENOMEM EACCES EAFNOSUPPORT EINTR",
    "adjtimex": "EPERM ENOSYS", "clock_adjtime": "EPERM ENOSYS", "sysinfo": "EFAULT",
    "unlink": "EACCES EROFS", "unlinkat": "EACCES EROFS", "write": "EINTR EAGAIN EIO ENOSPC EPIPE", "writev": "EINTR EAGAIN EIO ENOSPC EPIPE",
    "epoll_create1": "EMFILE ENOMEM", "epoll_ctl": "ENOMEM ENOSPC", "epoll_wait": "EINTR", "epoll_pwait": "EINTR",
    "inotify_init1": "EMFILE ENOMEM ENOSYS", "inotify_add_watch": "ENOSPC ENOMEM EACCES", "timerfd_create": "EMFILE ENOMEM",
    "landlock_create_ruleset": "ENOSYS EOPNOTSUPP", "landlock_add_rule": "EINVAL EPERM", "landlock_restrict_self": "EPERM EINVAL",
    "seccomp": "ENOSYS EINVAL EACCES", "socketpair": "EMFILE ENFILE ENOMEM", "wait4": "EINTR", "setpriority": "EACCES EPERM", "fstatfs": "EIO ENOMEM ENOSYS",
    ALLOCATIONS: "ENOMEM",
}
KINDS = (("plain", 1), ("plain", 0), ("sources", 1), ("nts", 1))
MOST_OF_ONE = 4000
# Where the kernel has no chance to give, OpenSSL looks for it in places that the sandbox refuses it, which is told as a bug.
SPARED = {"nts": {"getrandom"}}
BEYOND, PROCESSES = 12, 6  # runs after the last counted one; networks at the same time (they wait most of the time)
_lives = None


def faults_of(call, first, count=1):
    return [Fault(call, getattr(errno, name), first, count) for name in ERRORS[call].split()]


def all_faults(counts):
    """Of requests for memory, of which OpenSSL makes tens of thousands, so many evenly over the life."""
    for call in sorted(counts):
        for first in range(1, counts[call] + 1, max(1, counts[call] // MOST_OF_ONE)):
            yield from faults_of(call, first)


def lasting_faults(counts):
    """Calls that fail from some moment on a hundred times: what is retried is retried with patience."""
    for call in ("accept4", "openat", "poll", "ppoll", "recvmmsg", "recvmsg", "sendto", "recvfrom", "socket", "eventfd2", "connect"):
        for first in {1, max(1, counts.get(call, 0) // 2)}:
            if call in counts and call in ERRORS:
                yield from faults_of(call, first, 20)


def begin(settings, kind, threads):
    global _lives
    os.setsid()
    _lives = Lives(settings, kind, threads)
    if _lives.kept:
        _lives.learn_state()


def one(fault):
    """(fault, how often it happened, outcome, what is wrong)"""
    try:
        return fault, *finish(fault)
    except Exception as error:  # noqa: BLE001: a mistake of the campaign is as much a miss
        return fault, _lives.control.failed(), "", f"{type(error).__name__}: {error}" if not isinstance(error, AssertionError) else str(error)


def finish(fault):
    outcome = _lives.run(fault)
    return _lives.control.failed(), outcome, ""


def counted(_):
    _lives.run()
    return _lives.control.calls()


def sample(random, faults, most):
    """At most so many, of every call some: the first to fail is the start's, so that the choice is even over N."""
    by_call = collections.defaultdict(list)
    for fault in faults:
        by_call[fault.call].append(fault)
    for each in by_call.values():
        random.shuffle(each)
    chosen = []
    while len(chosen) < most and any(by_call.values()):
        for each in by_call.values():
            if each and len(chosen) < most:
                chosen.append(each.pop())
    return chosen


def sweep(settings, kind, threads, most, deadline):
    """Rows of one kind of life. `most` None: all of it, and beyond until no call is left to fail."""
    random = settings.random(f"calls {kind} {threads}")
    with multiprocessing.get_context("fork").Pool(PROCESSES, begin, (settings, kind, threads)) as pool:
        counts = {call: number for call, number in pool.apply(counted, (0,)).items() if call not in SPARED.get(kind, ())}
        faults = [fault for fault in all_faults({c: n for c, n in counts.items() if c in ERRORS})]
        results = list(watched(pool, sample(random, faults, most) if most else faults, settings, deadline))
        if not most:
            tail = [fault for call in counts if call in ERRORS for fault in faults_of(call, 0)]
            results += pool.map(beyond, [(fault, counts[fault.call]) for fault in tail], chunksize=1)
            results += list(watched(pool, list(lasting_faults(counts)), settings, deadline))
    return results, counts, len(faults)


def beyond(what):
    """The same fault ever later, until it does not happen any more: the last of these runs."""
    fault, counted_calls = what
    for first in range(counted_calls + 1, counted_calls + 1 + BEYOND):
        result = one(Fault(fault.call, fault.error, first))
        if result[1] == 0 or result[3]:
            break
    return result


def watched(pool, faults, settings, deadline):
    begun, told = time.monotonic(), time.monotonic()
    for number, result in enumerate(pool.imap_unordered(one, faults, chunksize=4), 1):
        yield result
        if time.monotonic() > deadline:
            settings.say(f"    time is up after {number} of {len(faults)}")
            return
        if settings.long and time.monotonic() - told > 60:
            told = time.monotonic()
            settings.say(f"    {number} of {len(faults)} after {told - begun:.0f} s")


def run(settings):
    rows = []
    for kind, threads in KINDS:
        begun = time.monotonic()
        deadline = begun + (6 if not settings.long else 3600)
        results, counts, possible = sweep(settings, kind, threads, None if settings.long else (70 if kind == "plain" else 30), deadline)
        happened = [r for r in results if r[1] > 0]
        wrong = [r for r in results if r[3]]
        for fault, _, _, text in wrong:
            settings.say(f"  MISSED {text}")
        outcomes = collections.Counter(outcome.split()[0] for _, _, outcome, text in happened if not text)
        lost = sum(int(outcome.split(", ")[1].split()[0]) for _, _, outcome, _ in happened if ", " in outcome)
        name = f"N-th failure of {len(set(counts) & set(ERRORS))} calls, {kind}, " + ("one thread" if threads == 0 else "workers")
        settings.say(f"  {name}: {len(results)} of {possible} in {time.monotonic() - begun:.0f} s, {dict(outcomes)}")
        rows.append(Row.of(name, len(results), "served, or refused at the start with a word; no answer wrong",
                           f"{outcomes['served']} served, {outcomes['exit']} refused, {lost} answers of failed sends lost, {len(wrong)} wrong", not wrong and bool(happened)))
    return rows
