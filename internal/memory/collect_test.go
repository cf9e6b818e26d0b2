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
	var sink []byte
	collections := func(bytes int) uint32 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range bytes >> 16 {
			sink = make([]byte, 1<<16)
		}
		runtime.ReadMemStats(&after)
		return after.NumGC - before.NumGC
	}
	often := collections(128 << 20)
	CollectFrom(64 << 20)
	if rarely := collections(128 << 20); rarely > 8 || often < 2*rarely {
		t.Errorf("%d collections, and %d without a floor", rarely, often)
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
	runtime.KeepAlive(sink)
	held, sink = nil, nil
	debug.FreeOSMemory() // other tests look at the memory of this process
}
