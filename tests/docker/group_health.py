"""Docker's health state follows the program."""
from lab import Group, expect, until

group = Group("health")
FAST = ("--health-interval", "1s", "--health-timeout", "5s", "--health-retries", "2", "--health-start-period", "0s")


def becomes(lab, name, wanted, seconds):
    until(f"health state {wanted}", seconds,
          lambda: lab.node.inspect(name, "{{.State.Health.Status}}") == wanted)


@group.check("healthy while it serves, unhealthy while it is stopped (SIGSTOP), healthy again after it")
def health(lab):
    with lab.container(lab.node, *FAST, "--read-only", "--cap-drop", "ALL", lab.image) as name:
        becomes(lab, name, "healthy", 15)
        lab.node("kill", "--signal", "STOP", name)
        try:
            becomes(lab, name, "unhealthy", 40)
            said = lab.node.inspect(name, "{{(index .State.Health.Log 0).Output}}").strip()
            last = lab.node.inspect(name, "{{range .State.Health.Log}}{{.Output}}{{end}}").strip().splitlines()[-1]
        finally:
            lab.node("kill", "--signal", "CONT", name)
        becomes(lab, name, "healthy", 15)
        expect(len(said.splitlines()) == 1, f"not one line: {said}")
    return last


@group.check("two tasks on the host's port 123: the one that answers does not vouch for the stopped one")
def health_is_its_own(lab):
    host = ("--network", "host", "--read-only", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", *FAST,
            "-e", "NTP_SERVER_HTTP_LISTEN=off", lab.image)
    with lab.container(lab.node, *host) as first, lab.container(lab.node, *host) as second:
        becomes(lab, first, "healthy", 15)
        becomes(lab, second, "healthy", 15)
        lab.node("kill", "--signal", "STOP", second)
        try:
            becomes(lab, second, "unhealthy", 40)
            lab.ask(lab.nodes.address(1), within=lab.nodes.enter(0))
            state = lab.node.inspect(first, "{{.State.Health.Status}}")
            expect(state == "healthy", f"the task that works is {state}")
        finally:
            lab.node("kill", "--signal", "CONT", second)
