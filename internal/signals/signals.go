//go:build cgo

package signals

// #include <stdlib.h>
// #include "signals.h"
import "C"

import (
	"sync"
	"unsafe"
)

// kept is the signal handling of the process before the first Keep call
// now in progress. Calls may overlap. A later one must not save the state
// itself, because the first one's library may already have changed it.
var kept struct {
	sync.Mutex
	calls int
	saved unsafe.Pointer
}

// Keep calls f, which loads libraries, and then restores the signal
// handling of the process. CUDA's provider and its libraries were seen to
// replace Go's handlers (issue 140 of the binding), which disables Ctrl-C. It
// returns the number of restored signals. Changes that another goroutine makes
// meanwhile with package os/signal are undone as well.
func Keep(f func() error) (changed int, err error) {
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
