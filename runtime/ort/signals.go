//go:build cgo

package ort

// #include <stdlib.h>
// #include "signals.h"
import "C"

import (
	"sync"
	"unsafe"
)

// kept is what the process did on signals before the first of the calls of
// keepSignals that are under way. A later one must not save for itself: it
// would save what the first one's library has put there.
var kept struct {
	sync.Mutex
	calls int
	saved unsafe.Pointer
}

// keepSignals calls f, which brings libraries into the process, and puts back
// what they changed of what the process does on signals: CUDA's provider and
// the libraries it loads were seen to take Go's handlers away (issue 140 of
// the binding), and Ctrl-C with them. It returns how many signals were put
// back. What another goroutine has changed in the meantime with package
// os/signal is put back as well.
func keepSignals(f func() error) (changed int, err error) {
	kept.Lock()
	if kept.calls == 0 {
		kept.saved = C.attnx_signals_save()
	}
	kept.calls++
	kept.Unlock()
	defer func() {
		kept.Lock()
		defer kept.Unlock()
		changed = int(C.attnx_signals_restore(kept.saved))
		if kept.calls--; kept.calls == 0 {
			C.free(kept.saved)
		}
	}()
	return 0, f()
}
