// What the process does on signals, kept while foreign libraries load.

#ifndef ATTNX_SIGNALS_H
#define ATTNX_SIGNALS_H

// attnx_signals_save returns what the process does on each signal, for the
// caller to free, NULL where there is nothing to keep; attnx_signals_restore
// puts back what has changed since and returns how many signals that were.
void *attnx_signals_save(void);
int attnx_signals_restore(const void *saved);

#endif
