//go:build cgo

package ort

// #include "signals.h"
import "C"

// keepSignals calls f, which brings libraries into the process, and puts back
// what they changed of what the process does on signals: CUDA's provider and
// the libraries it loads were seen to take Go's handlers away (issue 140 of
// the binding), and Ctrl-C with them. It returns how many signals were put
// back. What another goroutine has changed in the meantime with package
// os/signal is put back as well.
func keepSignals(f func() error) (changed int, err error) {
	saved := C.attnx_signals_save()
	defer func() { changed = int(C.attnx_signals_restore(saved)) }()
	return 0, f()
}
