"""What surrounds the server breaks: disks, descriptors, memory, interfaces, names, clocks, pipes, the address families."""
import contextlib, multiprocessing, os, traceback

import campaign
import surroundings_machine as machine
import surroundings_network as network

EVERY = (machine.bit_flips, machine.full_disk, machine.read_only_state, machine.descriptors, machine.memory, machine.pauses, machine.clock_steps,
         machine.log_that_nobody_reads, network.flaps, network.names, network.families)


def run(settings):
    rows = []
    context = multiprocessing.get_context("fork")
    for fault in EVERY:
        receive, send = context.Pipe(duplex=False)

        def work():
            campaign.own_network()
            try:
                send.send(fault(settings))
            except Exception:  # noqa: BLE001: told, and a miss
                settings.say(traceback.format_exc())
                send.send(campaign.Row(fault.__name__, 0, "", "see above", "MISSED"))
        process = context.Process(target=work)
        process.start()
        send.close()
        with contextlib.suppress(EOFError):
            rows.append(receive.recv())
            settings.say(f"  {rows[-1].fault}: {rows[-1].measured}: {rows[-1].verdict}")
        process.join()
    assert len(rows) == len(EVERY), "a part ended without a word"
    return rows
