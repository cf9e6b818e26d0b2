package memory_test

import (
	goruntime "runtime"
	"testing"

	"github.com/attnx/attnx/internal/memory"
)

// The peak follows an allocation, and a reset forgets it.
func TestPeak(t *testing.T) {
	if goruntime.GOOS != "linux" {
		t.Skip("other systems report no peak")
	}
	memory.ResetPeak()
	before := memory.Peak()
	const size = 64 << 20
	x := make([]byte, size)
	for i := 0; i < len(x); i += 4096 {
		x[i] = 1
	}
	after := memory.Peak()
	goruntime.KeepAlive(x)
	if before <= 0 || after < before+size/2 {
		t.Errorf("peak %d before and %d after %d bytes were used", before, after, size)
	}
	if free := memory.Free(); free <= 0 || free > 1<<50 {
		t.Errorf("%d bytes are free", free)
	}
}
