// Package memory reports the memory of this process, free and peak, and says when its
// garbage is collected.
package memory

import (
	"os"
	"strconv"
	"strings"
)

// Free returns the bytes that this process may still allocate under the limits
// of the system and the control group; 0 if neither reports one.
func Free() int64 {
	free := int64(0)
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
				n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				free = n * 1024
			}
		}
	}
	number := func(name string) (int64, bool) {
		text, err := os.ReadFile("/sys/fs/cgroup/" + name)
		if err != nil {
			return 0, false
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return n, err == nil
	}
	if limit, ok := number("memory.max"); ok {
		if used, ok := number("memory.current"); ok {
			if used -= cached(); free == 0 || limit-used < free {
				free = max(1, limit-used)
			}
		}
	}
	return free
}

// cached returns the bytes of files that the control group holds in memory, and gives up
// for what asks for memory.
func cached() (bytes int64) {
	text, err := os.ReadFile("/sys/fs/cgroup/memory.stat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "inactive_file" || name == "active_file" {
			n, _ := strconv.ParseInt(value, 10, 64)
			bytes += n
		}
	}
	return bytes
}

// Peak returns the most memory that this process has held since ResetPeak, in
// bytes; 0 if the system does not report it.
func Peak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n * 1024
		}
	}
	return 0
}

// ResetPeak resets the peak, where the system can (proc(5), clear_refs).
func ResetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }
