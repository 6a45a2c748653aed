// SPDX-License-Identifier: GPL-2.0
/*
 * Prints the rate of this machine's time stamp counter in kHz. An emulated
 * guest sees that very counter. Left to itself it would calibrate the counter
 * against an emulated timer, and when the host is busy its clock then runs fast
 * by any factor, and every time-out with it. Reading both clocks next to each
 * other is not disturbed by a busy host: of many readings the closest is taken.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct reading {
	uint64_t ticks;
	double seconds;
};

static struct reading read_both(void)
{
	struct reading best = { 0, 0 };
	uint64_t narrowest = ~0ull;
	struct timespec now;

	for (int i = 0; i < 1000; i++) {
		uint64_t before = __rdtsc(), after;

		clock_gettime(CLOCK_MONOTONIC_RAW, &now);
		after = __rdtsc();
		if (after - before >= narrowest)
			continue;
		narrowest = after - before;
		best.ticks = before + narrowest / 2;
		best.seconds = now.tv_sec + now.tv_nsec / 1e9;
	}
	return best;
}

int main(void)
{
	struct timespec tenth = { 0, 100000000 };
	struct reading first = read_both(), second;

	nanosleep(&tenth, NULL);
	second = read_both();
	printf("%.0f\n", (second.ticks - first.ticks) / (second.seconds - first.seconds) / 1e3);
	return 0;
}
