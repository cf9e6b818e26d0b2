package ort

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/format"
)

// Optimization is how far ONNX Runtime optimizes a graph when it loads it.
type Optimization uint8

// The levels. Each one includes those below it in this list. OptimizeAll is the
// default and the level of deployed models. OptimizeNone runs the nodes as they
// are in the file, for comparisons value by value.
const (
	OptimizeAll      Optimization = iota // adds memory layouts for this processor
	OptimizeExtended                     // adds fusions for the device
	OptimizeBasic                        // constants folded, redundant nodes dropped
	OptimizeNone
)

// Options configure how a model runs. The zero value is the CPU, ONNX Runtime's
// default number of threads, every optimization, and the library that
// library.Find finds for the device.
type Options struct {
	Library      string       // path of the library, as in library.Find; empty: the one in use, otherwise the one that Find finds
	Device       string       // "cpu" (or empty), "cuda", or "auto": CUDA if it works, otherwise the CPU
	Threads      int          // threads inside an operator; 0: one per physical core
	Optimization Optimization // default OptimizeAll
	Sleep        bool         // waiting threads sleep instead of spinning: slower alone, faster if other work needs the processor
	Unpacked     bool         // products read weights as they are in the file: half the memory, and slower runs of many rows
	Foreign      bool         // see runtime.Options
	Profile      string       // if not empty, Close writes ONNX Runtime's profile to a file whose name begins so
	CUDA         CUDAOptions  // ignored on the CPU

	folder  string          // of external data, for a file that is given as bytes
	weights []format.Tensor // of OpenDeviceLent
}

// check refuses options with which no session can be opened.
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

// entries returns the session's configuration entries for a device, "cpu" or
// "cuda".
//
// On CUDA they disable the CPU fallback. Without that entry ONNX Runtime
// silently runs every node that CUDA lacks, up to all of them, on the CPU.
func (o Options) entries(device string) map[string]string {
	entries := make(map[string]string)
	if o.Sleep {
		entries["session.intra_op.allow_spinning"] = "0"
	}
	if o.Unpacked {
		entries["session.disable_prepacking"] = "1"
	}
	if o.folder != "" {
		entries["session.model_external_initializers_file_folder_path"] = o.folder
	}
	if device == "cuda" {
		entries["session.disable_cpu_ep_fallback"] = "1"
	}
	return entries
}
