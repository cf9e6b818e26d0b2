package memory

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// rlimitData is RLIMIT_DATA, which counts private memory that can be written (getrlimit(2)).
const rlimitData = 2

// limitData lets the process have more writable memory than now by so many bytes.
func limitData(more int64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(status)) {
		rest, ok := strings.CutPrefix(line, "VmData:")
		if !ok {
			continue
		}
		used, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		var limit syscall.Rlimit
		if err != nil || syscall.Getrlimit(rlimitData, &limit) != nil {
			return
		}
		if want := uint64(used*1024 + more); want < limit.Cur {
			limit.Cur = want
			_ = syscall.Setrlimit(rlimitData, &limit)
		}
	}
}
