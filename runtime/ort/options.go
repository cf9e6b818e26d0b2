package ort

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

// Options says how a session runs. The zero value is the CPU, ONNX Runtime's
// own number of threads, every optimization, and the library that Find finds
// for the device.
type Options struct {
	Library      string       // path of the library, as for Find; empty: whatever this process uses, else Find's
	Device       string       // "cpu" (or empty), "cuda", or "auto": CUDA if it works, else the CPU
	Threads      int          // threads inside an operator; 0: one a physical core
	Optimization Optimization // default OptimizeAll
	Profile      string       // if not empty, write ONNX Runtime's profile to a file that begins so, once the session is closed
	AllowTF32    bool         // on CUDA, let float32 products round their factors to TF32 (10 bits of mantissa)
}
