// SPDX-License-Identifier: GPL-2.0
/*
 * ring: a wake that io_uring does for a task is not the wake that the task owes.
 * It goes by the kernel's helpers and not by the futex system call, may be done by
 * another thread and at any time; so it must leave list_op_pending alone. The
 * system call with the same word does clear it: the control.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "tests.h"
#include "trial.h"
#include "waiters.h"

/* Newer than the headers of the machine that compiles this. */
#define RING_FUTEX_WAKE	52
#define FUTEX2_U32	2

struct ring {
	int fd;
	volatile u32 *sq_tail, *cq_head, *cq_tail;
	u32 sq_mask, cq_mask, *sq_array;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static void *map(int fd, size_t size, off_t offset)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);

	if (at == MAP_FAILED)
		bail("mmap of a ring: %s", strerror(errno));
	return at;
}

static struct ring ring_make(void)
{
	struct io_uring_params params;
	struct ring ring;
	char *sq, *cq;

	memset(&params, 0, sizeof(params));
	ring.fd = raw_syscall(SYS_io_uring_setup, 1, (long)&params, 0, 0, 0, 0);
	if (ring.fd < 0)
		bail("io_uring_setup: %d", ring.fd);
	sq = map(ring.fd, params.sq_off.array + params.sq_entries * sizeof(u32), IORING_OFF_SQ_RING);
	cq = map(ring.fd, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe),
		 IORING_OFF_CQ_RING);
	ring.sqes = map(ring.fd, params.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	ring.sq_tail = (u32 *)(sq + params.sq_off.tail);
	ring.sq_mask = *(u32 *)(sq + params.sq_off.ring_mask);
	ring.sq_array = (u32 *)(sq + params.sq_off.array);
	ring.cq_head = (u32 *)(cq + params.cq_off.head);
	ring.cq_tail = (u32 *)(cq + params.cq_off.tail);
	ring.cq_mask = *(u32 *)(cq + params.cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
	return ring;
}

/* FUTEX_WAKE of one waiter; `async`: by another thread of the kernel. */
static int ring_wake(struct ring *ring, u32 *word, bool async)
{
	u32 tail = *ring->sq_tail, slot = tail & ring->sq_mask;
	struct io_uring_sqe *sqe = &ring->sqes[slot];
	long entered;
	int result;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = RING_FUTEX_WAKE;
	sqe->flags = async ? IOSQE_ASYNC : 0;
	sqe->fd = FUTEX2_U32;
	sqe->addr = (uintptr_t)word;
	sqe->off = 1;			/* how many */
	sqe->addr3 = 0xffffffff;	/* whom: the bitset */
	ring->sq_array[slot] = slot;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	entered = raw_syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, 0, 0);
	if (entered != 1 || *ring->cq_head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
		bail("io_uring_enter: %ld", entered);
	result = ring->cqes[*ring->cq_head & ring->cq_mask].res;
	__atomic_store_n(ring->cq_head, *ring->cq_head + 1, __ATOMIC_RELEASE);
	return result;
}

static void one(struct ring *ring, int sleepers, bool async)
{
	struct node *owed = (struct node *)((uintptr_t)&sh->target.node | ENTRY_NEED_ACTION);
	pid_t pid = 0;
	int woken;

	memset(sh, 0, sizeof(*sh));
	sh->head.list.next = &sh->head.list;
	sh->head.futex_offset = LOCK_OFFSET;
	sh->head.pending = owed;
	if (sleepers)
		pid = start_waiter(0, &sh->target.word);
	await_queued(&sh->target.word, sleepers);
	woken = ring_wake(ring, &sh->target.word, async);
	ok(woken == sleepers && sh->head.pending == owed,
	   "%s io_uring%s wakes %d of %d on the pending word, and leaves what is pending", ABI_NAME,
	   async ? ", by a worker," : "", woken, sleepers);
	if (sleepers)
		waitpid(pid, NULL, 0);
	woken = raw_futex(&sh->target.word, OP_WAKE, 1, 0, NULL, 0);
	ok(woken == 0 && !sh->head.pending, "%s the system call then clears it", ABI_NAME);
}

int test_ring(int argc, char **argv)
{
	struct ring ring;

	(void)argv;
	if (argc != 1)
		bail("usage: ring");
	trial_setup();
	if (raw_syscall(SYS_set_robust_list, (long)&sh->head, sizeof(sh->head), 0, 0, 0, 0))
		bail("set_robust_list");
	ring = ring_make();
	for (int async = 0; async < 2; async++)
		for (int sleepers = 0; sleepers < 2; sleepers++)
			one(&ring, sleepers, async);
	return tap_done();
}
