// SPDX-License-Identifier: GPL-2.0
/*
 * attack kill|signal vdso|novdso|stock
 *
 * `stock` is a kernel without the series: there only the mutants run, and
 * they must be caught corrupting. On the other kernels they run too, so that
 * no boot passes with a checker that sees nothing.
 */
#include <string.h>

#include "tap.h"
#include "tests.h"
#include "trial.h"

static void must_be_clean(const struct trial *trial, bool expect_release)
{
	struct tally tally = trial_run(trial);
	bool good = tally_clean(&tally);

	if (trial->engine->in_vdso && trial->how != HOW_SYSCALL_ENTRY &&
	    trial->how != HOW_SYSCALL_EXIT)
		good = good && tally.inside >= 3;
	if (expect_release)
		good = good && tally.released > 0;
	tally_report(good, trial, &tally);
}

static void must_corrupt(const struct trial *trial)
{
	struct tally tally = trial_run(trial);
	bool good = tally_sound(&tally) && tally.corrupted && !tally.lost;

	/* The wake that was owed to the sleepers goes with it. */
	if (trial->waiters && !trial->engine->pi)
		good = good && tally.stranded;
	if (trial->how >= HOW_HANDLER)
		good = good && tally.unmoved;
	tally_report(good, trial, &tally);
}

static void must_lose(const struct trial *trial)
{
	struct tally tally = trial_run(trial);

	tally_report(tally_sound(&tally) && !tally.corrupted && tally.lost &&
		     !!tally.stranded == !!trial->waiters, trial, &tally);
}

static void attack_engine(const struct engine *engine, bool signals)
{
	int crowd = engine->pi ? 3 : 2;
	bool compares = strcmp(engine->name, "function_unlock") && strcmp(engine->name, "foreign_unlock");

	for (int waiters = 0; waiters <= crowd; waiters += crowd) {
		/* Alone, PI and mainline functions leave a lock with waiters as it is. */
		bool refuses = !engine->whole && compares &&
			       (waiters || engine->foreign || engine->refused);
		/* The vDSO's promise: without waiters no system call is made. */
		bool calls = engine->whole && (waiters || !engine->in_vdso);

		for (enum how how = 0; how < HOW_COUNT; how++) {
			struct trial trial = { engine, waiters, how };

			if ((how >= HOW_HANDLER) != signals)
				continue;
			/* What becomes of the waiters does not depend on the ABI. */
			if (waiters && strcmp(ABI_NAME, "64") && how != HOW_KILL && how != HOW_HANDLER)
				continue;
			/* With waiters the compare fails anyway, and they are not ours. */
			if (waiters && (engine->foreign || engine->refused))
				continue;
			if ((how == HOW_SYSCALL_ENTRY || how == HOW_SYSCALL_EXIT) && !calls)
				continue;
			if ((how == HOW_EXIT_GROUP || how == HOW_EXECVE) && !engine->whole)
				continue;
			if ((how == HOW_DEBUGGER || how == HOW_UNMAPPED) &&
			    (engine->whole || refuses || engine->foreign))
				continue;
			must_be_clean(&trial, !refuses && how != HOW_SYSCALL_ENTRY);
		}
	}
}

int test_attack(int argc, char **argv)
{
	bool signals, vdso_expected, stock;

	if (argc != 3)
		bail("usage: attack kill|signal vdso|novdso|stock");
	signals = !strcmp(argv[1], "signal");
	vdso_expected = !strcmp(argv[2], "vdso");
	stock = !strcmp(argv[2], "stock");
	trial_setup();

	for (int i = 0; i < engine_count && !stock; i++) {
		const struct engine *engine = &engines[i];

		if (engine_is_mutant(engine) || engine->in_vdso != vdso_expected)
			continue;	/* the system calls: in the boot without a vDSO */
		if (!ok(engine_present(engine), "%s %s is there", ABI_NAME, engine->name))
			continue;
		attack_engine(engine, signals);
	}
	for (int pi = 0; pi < 2; pi++) {
		const struct engine *mutant = engine_find(pi ? "local_pi" : "local_unlock");
		struct trial alone = { mutant, 0, signals ? HOW_HANDLER : HOW_KILL };
		struct trial crowd = { mutant, pi ? 3 : 2, signals ? HOW_HANDLER : HOW_KILL };

		must_corrupt(&alone);
		if (!pi)
			must_corrupt(&crowd);
	}
	/* That the series closes this window too must not be because there is none. */
	if (stock && !signals) {
		struct trial plain = { engine_find("plain_pi"), 0, HOW_KILL };

		must_corrupt(&plain);
	}
	for (int waiters = 0; waiters <= 2; waiters += 2) {
		struct trial trial = { engine_find("forgetful"), waiters,
				       signals ? HOW_HANDLER : HOW_KILL };

		must_lose(&trial);
	}
	return tap_done();
}
