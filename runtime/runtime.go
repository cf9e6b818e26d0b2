package runtime

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
)

// Runtime runs ONNX files. It is a value: the application keeps a list of
// runtimes and passes it to the code that runs models.
type Runtime struct {
	Name    string   // as in flags and reports: "ort"
	Devices []string // such as "cpu", "cuda"; nil: one unnamed device
	// Levels are the optimization levels that Verify compares with the oracle, with
	// a past, on the first device. The last one is Open's default. nil: the runtime
	// runs a graph in one way only.
	Levels []string
	// OnRequest are further values of Options.Level, which Verify runs only if they
	// are named, as in "openvino (default)".
	OnRequest []string
	Whole     bool // it needs all weights inside the file: it does not read external data
	Lends     bool // OpenDevice takes File.Weights
	// Widest is the most exact type in which it computes: it rounds values of wider
	// types. Zero: it computes in the types of the graph.
	Widest format.DType

	// Available returns the error that Open would return if the runtime's library
	// is missing, without opening a file. nil: it needs no library.
	Available func(Options) error
	Open      func(File, Options) (Session, error)
	// OpenDevice opens a network with a past, for decoding. nil: the runtime cannot
	// decode with a cache.
	OpenDevice func(File, Options) (Device, error)
	// OpenData opens a file at a path whose inputs or outputs are not all tensors of
	// numbers. nil: the runtime runs no such files.
	OpenData func(File, Options) (DataSession, error)
	// Library describes the library that the runtime loads. nil: it loads none.
	Library *Library
}

// File is an ONNX file: a path, or bytes in memory that include all weights but
// those in Weights.
type File struct {
	Path string
	Data []byte // used if Path is empty

	// Weights are initializers that Data says to be in another file. OpenDevice of a
	// runtime with Lends reads them where they are, without a copy, so they must not
	// be changed; other functions take none.
	Weights []format.Tensor
}

// Options configure how a runtime runs a model. In the zero value the runtime
// chooses everything.
type Options struct {
	Library string // path of the runtime's library; empty: the runtime searches for it
	Device  string // one of Devices, or "auto": the fastest one that works; empty: the first one
	AnyOf   bool   // the process runs models on several devices, and one library has to serve all of them
	Level   string // one of Levels or OnRequest
	TF32    bool   // a GPU may use TF32, which rounds the factors of products to 10 bits
	Repeats bool   // all runs that add one token have the same shapes
	Stored  bool   // weights keep the form of the file: half the memory, and slower runs of many rows
	Foreign bool   // another tool wrote the graph: an id below 0 counts from the end of its table, as ONNX has it, and a mask may hold any numbers
	Turns   bool   // other sessions run alternately with this one: waiting threads must not use the processor
}

// Library describes the library that a runtime loads.
type Library struct {
	Title string // the runtime's name: "ONNX Runtime"
	// Find returns the library's path and why it was chosen, without loading it.
	Find func(explicit, device string) (path, source string, err error)
	// Used returns the library that this process has loaded, and its version. All
	// are empty before a library is loaded.
	Used func() (path, source, version string)
	// Diagnose checks everything that running models needs. It loads the library
	// and changes nothing else.
	Diagnose func(explicit string) []Finding
}

// Finding is one line of a diagnosis.
type Finding struct {
	Name   string `json:"name"`
	Status Health `json:"status"`
	Detail string `json:"detail"`           // what was found, or the fault; one line
	Remedy string `json:"remedy,omitempty"` // how to fix it; empty if the status is ok
}

// Health is the state of a diagnosed part.
type Health string

// A part works; is missing; is present, or would be, but cannot be used.
const (
	Healthy  Health = "ok"
	Absent   Health = "missing"
	Unusable Health = "unavailable"
)

// Place describes which runtime runs a model, and on which device.
type Place struct {
	Runtime string // "ONNX Runtime"
	Version string // empty if it does not matter
	Device  string // "cpu"; empty: the process itself
	Without string // the device that was preferred: "CUDA"
	Why     error  // why that device is not used
}

// String returns the place as a line: "ONNX Runtime 1.30.0 on cpu (no CUDA: ...)".
func (p Place) String() string {
	text := p.Runtime
	if p.Version != "" {
		text += " " + p.Version
	}
	if p.Device != "" {
		text += " on " + p.Device
	}
	if p.Why != nil {
		text += " (no " + p.Without + ": " + quote.Line(p.Why.Error(), 2000) + ")"
	}
	return text
}

// Placed is a session or device that reports where it runs.
type Placed interface{ Place() Place }

// Error is an error of a runtime. Its text speaks of the library, and a program
// may reword it in its own terms.
type Error interface {
	error
	RuntimeError() // marks these errors; does nothing
}
