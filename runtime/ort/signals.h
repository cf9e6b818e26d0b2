// What the process does on signals, kept while foreign libraries load.

#ifndef ATTNX_SIGNALS_H
#define ATTNX_SIGNALS_H

// attnx_signals_save returns what the process does on each signal, NULL where
// there is nothing to keep; attnx_signals_restore puts back what has changed
// since, frees it, and returns how many signals that were.
void *attnx_signals_save(void);
int attnx_signals_restore(void *saved);

#endif
