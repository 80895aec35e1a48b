"""Python's Pipe and Queue for the measuring program, whose program.hpp says how it asks."""

import os
import sys
import time
from multiprocessing import get_context

context = get_context("fork")
SIZES = {"large1": 1 << 20, "large16": 16 << 20}


def message(kind, number):
    return number if kind.endswith("8") else number.to_bytes(64, "little")


def echo(cpu, receive, send):
    os.sched_setaffinity(0, {cpu})
    while (message := receive()) is not None:
        send(message + 1 if isinstance(message, int) else len(message))


def flood(cpu, send, kind, count):
    os.sched_setaffinity(0, {cpu})
    for number in range(count):
        send(message(kind, number))


def time_trips(kind, count, warm, send, receive):
    size = SIZES.get(kind)
    large = b"x" * size if size else None
    for number in range(warm + count):
        if number == warm:
            start = time.perf_counter_ns()
        send(large or number)
        assert receive() == (size or number + 1)
    return (time.perf_counter_ns() - start) / count


def time_flow(count, warm, receive):
    for number in range(count):
        if number == warm:
            start = time.perf_counter_ns()
        receive()
    return (time.perf_counter_ns() - start) / (count - warm)


def trip(name, kind, count, warm, cpus):
    if name == "pipe":
        here, there = context.Pipe()
        ends = (there.recv, there.send), (here.send, here.recv)
    else:
        to, back = context.Queue(1024), context.Queue(1024)
        ends = (to.get, back.put), (to.put, back.get)
    process = context.Process(target=echo, args=(cpus[0], *ends[0]))
    process.start()
    result = time_trips(kind, count, warm, *ends[1])
    ends[1][0](None)
    process.join()
    return result


def flow(name, kind, count, warm, cpus, senders):
    if name == "pipe":
        here, there = context.Pipe(False)
        send, receive = there.send, here.recv
    else:
        queue = context.Queue(1024)
        send, receive = queue.put, queue.get
    each = (count + warm) // senders
    processes = [
        context.Process(target=flood, args=(cpus[i % len(cpus)], send, kind, each))
        for i in range(senders)
    ]
    for process in processes:
        process.start()
    result = time_flow(each * senders, warm, receive)
    for process in processes:
        process.join()
    return result


def answer(words):
    if len(words) < 6 or words[:2] == ["pipe", "many8"]:
        return "-"
    name, kind = words[:2]
    count, warm, cpu, *cpus = map(int, words[2:])
    os.sched_setaffinity(0, {cpu})
    if kind.startswith(("trip", "large")):
        return trip(name, kind, count, warm, cpus)
    return flow(name, kind, count, warm, cpus, 4 if kind.startswith("many") else 1)


for line in sys.stdin:
    print(answer(line.split()), flush=True)
