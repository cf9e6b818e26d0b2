package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// checkMemory refuses a batch whose training step does not fit into the
// memory that is free.
func checkMemory(c *model.Checkpoint, batch int) error {
	need, err := stepMemory(c, batch)
	if err != nil {
		return err
	}
	if free := freeMemory(); free > 0 && need > free {
		return fmt.Errorf("--batch %d: a step takes about %.1f GB, %.1f GB are free: take a smaller --batch, and --accumulate to make up for it, or a smaller --context", batch, float64(need)/1e9, float64(free)/1e9)
	}
	return nil
}

// stepMemory estimates what training takes: the values of the graph that are
// there at a time, weights and gradients among them, and two moments, and a copy
// of weights and moments while a checkpoint is written. ONNX
// Runtime's allocator grows by doubling and packs weights for its products:
// measured peaks of whole processes were 1.6 times the values (small 774 and
// 1294 MB, w512 921 and 1528, gpt2 2186 and 3515).
func stepMemory(c *model.Checkpoint, batch int) (int64, error) {
	g, err := model.Step(c.Graph, batch, c.Context())
	if err != nil {
		return 0, err
	}
	n, err := c.Parameters()
	if err != nil {
		return 0, err
	}
	peak, err := graph.PeakBytes(g)
	return (peak+2*4*int64(n))*8/5 + 3*4*int64(n), err
}

// freeMemory returns the bytes that this process may still take: what the
// system and the control group leave. It is 0 where neither tells.
func freeMemory() int64 {
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
		if used, ok := number("memory.current"); ok && (free == 0 || limit-used < free) {
			free = max(1, limit-used)
		}
	}
	return free
}

// peakMemory returns the most memory that this process has held since
// resetPeakMemory, in bytes; 0 where the system does not tell.
func peakMemory() int64 {
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

// resetPeakMemory forgets the peak so far, where the system can (proc(5),
// clear_refs).
func resetPeakMemory() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }
