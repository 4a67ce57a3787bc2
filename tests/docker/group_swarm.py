"""stack.yml as it stands, on a real swarm of three nodes: deploy, update, automatic and manual rollback."""
import json
import os
import time

from lab import REPOSITORY, Group, expect, until

group = Group("swarm")
STACK = "ntp"
SERVICE = "ntp_ntp-server"
DEPLOY_S = 90
UPDATE_S = 240
# The README's second or two belong to a machine that does nothing else; three daemons and three clients on a loaded one
# take several. Longer than this, and a node was left alone instead of updated.
SILENT_S = 30


def swarm(lab):
    """The three nodes as one swarm, with two later images on each: one that is good and one that cannot start."""
    def make():
        nodes = lab.nodes
        nodes.load(None, good_image(lab), broken_image(lab))
        nodes.join()
        return nodes
    return lab.once("the swarm", make)


def good_image(lab):
    return lab.derived_image("V9.1", 'LABEL org.opencontainers.image.version="V9.1"\nCMD ["run", "--log-requests"]')


def broken_image(lab):
    return lab.derived_image("V9.2", 'CMD ["run", "--config", "/etc/ntp-server/missing.toml"]')


def deploy(lab, image, *more):
    environment = dict(os.environ, NTP_SERVER_IMAGE=image)
    files = [word for name in ("stack.yml", *more) for word in ("-c", REPOSITORY / name)]
    lab.node("stack", "deploy", "--resolve-image", "never", *files, STACK, env=environment)


def running_images(lab):
    """node name -> image of the tasks that run (a healthy task and no other is "running")."""
    lines = lab.node("service", "ps", "--filter", "desired-state=running", "--no-trunc",
                     "--format", "{{.Node}} {{.Image}} {{.CurrentState}}", SERVICE).splitlines()
    return {line.split()[0]: line.split()[1] for line in lines if line.split()[2] == "Running"}


def update_state(lab):
    return lab.node("service", "inspect", "--format", "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}", SERVICE)


def all_run(lab, image):
    def probe():
        seen = running_images(lab)
        return len(seen) == 3 and set(seen.values()) == {image}
    return probe


def every_node_answers(lab):
    nodes = lab.nodes
    return [lab.ask_soon(nodes.address(i), within=nodes.enter(0)) for i in nodes.indexes()]


def gaps(lab, body):
    """Runs body() while a client asks every node every 50 ms; what each node's client saw."""
    nodes, seen = lab.nodes, {}
    with lab.watch(nodes.address(1), within=nodes.enter(0)) as seen[1], \
         lab.watch(nodes.address(2), within=nodes.enter(0)) as seen[2], \
         lab.watch(nodes.address(3), within=nodes.enter(0)) as seen[3]:
        body()
    return seen


def told(seen):
    return "longest gap per node " + ", ".join(f"{s['longest_gap_s']:.2f} s" for s in seen.values())


@group.check("stack.yml is deployed: one healthy task per node, every node answers")
def deployed(lab):
    swarm(lab)
    lab.local_time_file()
    deploy(lab, lab.image)
    until("three running tasks", DEPLOY_S, all_run(lab, lab.image))
    every_node_answers(lab)
    # The README's words, which need a swarm.
    seen = lab.node("service", "ls")
    expect(f" {SERVICE} " in seen and "3/3" in seen, seen)
    seen = lab.node("service", "ps", SERVICE)
    expect(seen.count("Running") == 6, seen)  # desired and current state of three
    with lab.following(lab.nodes.host(1), "service", "logs", "-f", SERVICE) as log:
        until("the words of three tasks", 60, lambda: log().count("Local socket:") >= 3)


@group.check("the service is what stack.yml says: global, host-mode port, health, rollback, limits, restart")
def service_spec(lab):
    spec = json.loads(lab.node("service", "inspect", SERVICE))[0]["Spec"]
    task = spec["TaskTemplate"]
    container = task["ContainerSpec"]
    expect("Global" in spec["Mode"], str(spec["Mode"]))
    port = spec["EndpointSpec"]["Ports"][0]
    expect((port["PublishMode"], port["Protocol"], port["PublishedPort"]) == ("host", "udp", 123), str(port))
    expect(container["Healthcheck"]["Test"] == ["CMD", "/ntp-server", "healthcheck"], str(container))
    expect(container["ReadOnly"] and container["CapabilityDrop"] == ["ALL"], str(container))
    expect(spec["UpdateConfig"]["FailureAction"] == "rollback" and spec["UpdateConfig"]["Parallelism"] == 1,
           str(spec["UpdateConfig"]))
    expect(task["RestartPolicy"]["Condition"] == "any", str(task["RestartPolicy"]))
    expect(task["Resources"]["Limits"]["MemoryBytes"] == 128 << 20, str(task["Resources"]))
    expect(task["LogDriver"]["Options"] == {"max-file": "3", "max-size": "100m"}, str(task["LogDriver"]))
    expect(len(task["Networks"]) == 1, str(task["Networks"]))


@group.check("a task that is killed is started again on its node")
def restarted(lab):
    docker, nodes = lab.node, lab.nodes
    name = docker("ps", "-q", "--filter", f"label=com.docker.swarm.service.name={SERVICE}")

    def kill_and_wait():
        docker("kill", name)
        until("a new task", 60, lambda: (new := docker("ps", "-q", "--filter", f"label=com.docker.swarm.service.name={SERVICE}"))
              and new != name)
        lab.ask_soon(nodes.address(1), within=nodes.enter(0))
    seen = gaps(lab, kill_and_wait)
    until("three running tasks", DEPLOY_S, all_run(lab, lab.image))
    return told(seen)


@group.check("an update to a new tag goes node by node, and no node is silent for long")
def updated(lab):
    new = good_image(lab)

    def update():
        deploy(lab, new)
        until("the update", UPDATE_S, lambda: update_state(lab) == "completed")
    seen = gaps(lab, update)
    expect(all_run(lab, new)(), str(running_images(lab)))
    every_node_answers(lab)
    expect(max(s["longest_gap_s"] for s in seen.values()) < SILENT_S, told(seen))
    return told(seen)


@group.check("a task on the node's own port sees its clients' own addresses")
def client_addresses(lab):
    nodes = lab.nodes
    name = lab.node("ps", "-q", "--filter", f"label=com.docker.swarm.service.name={SERVICE}")

    def quiet():  # what the clients of the checks before have asked is printed with the next look, a second later
        length = len(lab.node("logs", name))
        time.sleep(2.5)
        return len(lab.node("logs", name)) == length
    until("the last line of earlier clients", 60, quiet)
    before = len(lab.node("logs", name))
    own = f"Sent to {nodes.address(0)}:"

    def five_lines():  # asked for again and again: the log has a limit of lines per second, and earlier clients may have used it up
        lab.ask_soon(nodes.address(1), within=nodes.enter(0))  # from a new port: a flow that outlives a task can stick to Docker's proxy
        return lab.node("logs", name)[before:].count(own) >= 5
    until(f"five log lines with {own}", 60, five_lines)
    sources = {line.split("Sent to ")[1].rsplit(":", 1)[0] for line in lab.node("logs", name)[before:].splitlines() if "Sent to" in line}
    expect(sources <= {nodes.address(0), "127.0.0.1", "[::1]"}, f"requests came from {sorted(sources)}")


@group.check("a broken image hits one node and is rolled back by itself")
def rolled_back(lab):
    good, broken = good_image(lab), broken_image(lab)

    def update():
        deploy(lab, broken)
        until("the rollback", UPDATE_S, lambda: update_state(lab) == "rollback_completed")
    seen = gaps(lab, update)
    until("the good image on every node", DEPLOY_S, all_run(lab, good))
    hit = {line.split()[0] for line in lab.node("service", "ps", "--no-trunc", "--format", "{{.Node}} {{.Image}}",
                                                SERVICE).splitlines() if line.split()[1] == broken}
    expect(len(hit) == 1, f"nodes that were given the broken image: {hit}; {told(seen)}")
    every_node_answers(lab)
    return told(seen)


def make_secrets(lab):
    """As the head of stack-nts.yml says. Returns the folder."""
    folder = lab.folder / "tls"
    folder.mkdir()
    folder.chmod(0o777)  # the image's user writes there
    lab.node("run", "--rm", "-v", f"{folder}:/tls", lab.image, "ca", "init", "--dir", "/tls/ca", "time.lan",
             *(lab.nodes.address(i) for i in lab.nodes.indexes()))
    (folder / "cookie_secret").write_text("0123456789abcdef" * 4)
    for name, path in (("ntp_certificate", "ca/server.crt"), ("ntp_key", "ca/server.key"), ("ntp_cookie_secret", "cookie_secret")):
        lab.node("secret", "create", name, folder / path)
    return folder


@group.check("going back is the old tag in the stack, deployed again, now with NTS; then the stack is removed without a trace")
def back_by_tag(lab):
    folder = make_secrets(lab)

    def update():
        deploy(lab, lab.image, "packaging/examples/stack-nts.yml")
        until("the old image on every node", UPDATE_S, all_run(lab, lab.image))
    seen = gaps(lab, update)
    every_node_answers(lab)
    for i in lab.nodes.indexes():
        query = ("run", "--rm", "--network", "host", "-v", f"{folder}/ca/ca.crt:/ca.crt:ro", lab.image, "query", "--nts", "--ca", "/ca.crt")
        until(f"time by NTS from node {i}", 30, lambda i=i: "NTS" in lab.node(*query, lab.nodes.address(i)))

    # Docker removes the services without waiting for their tasks, and refuses the network of one that still
    # runs: the same command again does the rest.
    def is_gone():
        lab.node("stack", "rm", STACK)
        return (not lab.node("service", "ls", "-q")
                and not lab.node("network", "ls", "-q", "--filter", f"label=com.docker.stack.namespace={STACK}"))
    until("nothing left of the stack", 60, is_gone)
    return told(seen)
