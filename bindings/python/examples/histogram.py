# SPDX-License-Identifier: MIT
"""Workers count random numbers into one numpy array in shared memory; some are killed by
SIGKILL while they add to it, and the histogram is right all the same."""

import multiprocessing
import os
import sys

import deadbolt
import numpy

BINS = 100


def histogram(region):
    """The counts, what the last addition was about, and the lock that repairs them."""
    numbers = numpy.frombuffer(region.memory("numbers", 8 * (2 * BINS + 1)), dtype=numpy.int64)
    counts, before, changing = numbers[:BINS], numbers[BINS : 2 * BINS], numbers[2 * BINS :]

    def repair():
        if changing[0]:
            counts[:] = before
            changing[0] = 0

    return counts, before, changing, region.mutex("lock", recover=repair)


def work(path, rounds, unlucky):
    counts, before, changing, lock = histogram(deadbolt.Region(path))
    for round_number in range(rounds):
        found = numpy.bincount(numpy.random.randint(0, BINS, 1000), minlength=BINS)
        with lock:
            before[:] = counts
            changing[0] = 1
            counts += found
            if unlucky and round_number == rounds // 2:
                os.kill(os.getpid(), 9)  # half-way through, with the lock held
            changing[0] = 0


def main(path):
    multiprocessing.set_start_method("spawn")
    # No `with`: numpy's arrays keep the region open, and the last of them closes it.
    counts, before, changing, lock = histogram(deadbolt.Region(path, size=8192))
    workers = [
        multiprocessing.Process(target=work, args=(path, 50, number % 2 == 1))
        for number in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with lock:
        total = int(counts.sum())
    killed = sum(worker.exitcode == -9 for worker in workers)
    print(f"{total} numbers counted, {killed} of {len(workers)} workers killed")
    return 0 if total == 1000 * (2 * 50 + 2 * 25) and killed == 2 else 1


if __name__ == "__main__":
    file = sys.argv[1] if len(sys.argv) > 1 else f"/dev/shm/deadbolt-histogram-{os.getpid()}"
    try:
        status = main(file)
    finally:
        os.unlink(file)
    sys.exit(status)
