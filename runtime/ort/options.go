package ort

import (
	"fmt"
	"strings"
)

// Optimization is how far ONNX Runtime rewrites a graph when it loads it.
type Optimization uint8

// The levels, each with what the one before it does. OptimizeAll is the
// default and what a deployed model runs with; OptimizeNone runs the nodes as
// the file has them, which is what one compares value by value.
const (
	OptimizeAll      Optimization = iota // and memory layouts of this processor
	OptimizeExtended                     // and fusions particular to a device
	OptimizeBasic                        // constants folded, redundant nodes dropped
	OptimizeNone
)

// Options says how a model runs. The zero value is the CPU, ONNX Runtime's
// own number of threads, every optimization, and the library that
// library.Find finds for the device.
type Options struct {
	Library      string       // path of the library, as for library.Find; empty: whatever this process uses, else what Find finds
	Device       string       // "cpu" (or empty), "cuda", or "auto": CUDA if it works, else the CPU
	Threads      int          // threads inside an operator; 0: one a physical core
	Optimization Optimization // default OptimizeAll
	Sleep        bool         // threads sleep while they wait, where they would spin: slower alone, faster where others need the processor
	Profile      string       // if not empty, write ONNX Runtime's profile to a file that begins so, once the session is closed
	CUDA         CUDAOptions  // not looked at on the CPU
}

// check reports what no session can be opened with.
func (o Options) check() error {
	switch o.Device {
	case "", "cpu", "cuda", "auto":
	default:
		return fmt.Errorf("device %.80q: it must be cpu, cuda or auto", o.Device)
	}
	if o.Threads < 0 {
		return fmt.Errorf("threads: %d is negative", o.Threads)
	}
	if o.Optimization > OptimizeNone {
		return fmt.Errorf("optimization: there is no level %d", o.Optimization)
	}
	if strings.ContainsRune(o.Profile, 0) {
		return fmt.Errorf("profile: the path %.80q has a zero byte", o.Profile)
	}
	return o.CUDA.check()
}

// entries are the session's configuration on a device, "cpu" or "cuda".
//
// On CUDA the CPU is forbidden: without that entry ONNX Runtime runs every node
// that CUDA lacks, up to all of them, on the CPU and says nothing.
func (o Options) entries(device string) map[string]string {
	entries := make(map[string]string)
	if o.Sleep {
		entries["session.intra_op.allow_spinning"] = "0"
	}
	if device == "cuda" {
		entries["session.disable_cpu_ep_fallback"] = "1"
	}
	return entries
}
