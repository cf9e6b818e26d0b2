package memory

import "runtime/debug"

// leastLimit is what a process may have on a machine whose memory is in use: others may
// give up theirs, or it is swapped.
const leastLimit = 1 << 30

// Limit keeps this process within the memory that is free now: a library that asks for
// more gets an error from the system, where there is such a limit (Linux), in place of the
// end of the process. Go's collector works harder near it. GOMEMLIMIT in the environment
// takes precedence for Go's part.
func Limit() {
	free := Free()
	if free == 0 {
		return
	}
	free = max(free, leastLimit)
	if limit := debug.SetMemoryLimit(-1); limit > free {
		debug.SetMemoryLimit(free - free/16)
	}
	limitData(free)
}
