package memory

import (
	"os"
	"runtime"
	"runtime/debug"
)

// startHeap is the heap at which Go's collector begins at 100 percent.
const startHeap = 4 << 20

// CollectFrom lets garbage gather to a heap of floor bytes before it is first
// collected: a short command ends before. From then on the collector runs as it always
// does. GOGC in the environment takes precedence.
func CollectFrom(floor int) {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(100 * floor / startHeap)
	watch(floor)
}

// watch is called again after each collection, until the live heap has half of floor.
func watch(floor int) {
	type mark struct{ _ *byte } // with a pointer it is no part of another object
	runtime.SetFinalizer(new(mark), func(*mark) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if live := int(m.HeapAlloc); live < floor/2 {
			debug.SetGCPercent(100 * (floor - live) / max(live, startHeap))
			watch(floor)
			return
		}
		debug.SetGCPercent(100)
	})
}
