//go:build cgo

#include "signals.h"

#include <stddef.h>

#ifdef _WIN32

// Windows has consoles' control handlers, which are a list: a library adds its
// own and takes nobody's away.
void *attnx_signals_save(void) { return NULL; }
int attnx_signals_restore(const void *saved) { return saved != NULL; }

#else

#include <signal.h>
#include <stdlib.h>

typedef struct {
	struct sigaction action[NSIG];
	int known[NSIG]; // the C library keeps a few signals to itself
} actions;

void *attnx_signals_save(void) {
	actions *a = calloc(1, sizeof *a);
	if (!a) return NULL;
	for (int s = 1; s < NSIG; s++) a->known[s] = sigaction(s, NULL, &a->action[s]) == 0;
	return a;
}

int attnx_signals_restore(const void *saved) {
	const actions *a = saved;
	if (!a) return 0;
	const int flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND;
	int changed = 0;
	for (int s = 1; s < NSIG; s++) {
		struct sigaction now;
		if (!a->known[s] || sigaction(s, NULL, &now) != 0) continue;
		// One union holds both kinds of handler.
		if (now.sa_handler == a->action[s].sa_handler && !((now.sa_flags ^ a->action[s].sa_flags) & flags)) continue;
		if (sigaction(s, &a->action[s], NULL) == 0) changed++;
	}
	return changed;
}

#endif
