package memory

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// A program with little in memory collects once in floor bytes of garbage, and one
// with much as without CollectFrom.
func TestCollectFrom(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	goal := func() uint64 { // the size of the heap at which it is collected
		sample := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	runtime.GC()
	before := goal()
	CollectFrom(64 << 20)
	if after := goal(); before > 32<<20 || after < 60<<20 {
		t.Errorf("the heap is collected from %d bytes on, and without a floor from %d", after, before)
	}
	held := make([]byte, 48<<20)
	percent := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	for ; ; time.Sleep(time.Millisecond) { // a finalizer runs soon
		runtime.GC()
		if metrics.Read(percent); percent[0].Value.Uint64() == 100 {
			break
		}
	}
	runtime.KeepAlive(held)
	held = nil
	debug.FreeOSMemory() // other tests look at the memory of this process
}
