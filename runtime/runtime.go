package runtime

import "github.com/attnx/attnx/internal/quote"

// Runtime runs ONNX files. It is a value: the application has a list of them,
// and whatever runs models reads that list.
type Runtime struct {
	Name    string   // in flags and reports: "ort"
	Devices []string // where it runs: "cpu", "cuda"; nil: in one place, which has no name
	// Levels are the optimizations that Verify holds to the oracle with a past on
	// the first device, the last of them what Open does by default; nil: it has
	// one way to run a graph.
	Levels []string
	Whole  bool // it finds no weights beside a file: all of them have to be in it

	// Available is the error that Open gives without the runtime's library, before
	// there is a file to open; nil: it needs none.
	Available func(Options) error
	Open      func(File, Options) (Session, error)
	// OpenDevice opens a network with a past, for decoding; nil: it keeps no past.
	OpenDevice func(File, Options) (Device, error)
	// Library is about the library that it loads; nil: it loads none.
	Library *Library
}

// File is an ONNX file: at a path, or in memory with all of its weights.
type File struct {
	Path string
	Data []byte // where Path is empty
}

// Options are how a runtime runs a model. The zero value is the runtime's own
// choice in everything.
type Options struct {
	Library string // path of the runtime's library; empty: the one that is found
	Device  string // one of the runtime's, or "auto": the fastest that works; empty: the first
	AnyOf   bool   // the process runs models on several devices: one library has to serve them all
	Level   string // one of the runtime's, of optimization
	TF32    bool   // a GPU may use TF32, which rounds products to 10 bits
	Repeats bool   // the runs that add one token all have the same shapes
	Turns   bool   // other sessions run in turns with it: threads that wait take no time of the processor
}

// Library says which library a runtime loads, and what that takes.
type Library struct {
	Title string // of the runtime: "ONNX Runtime"
	// Find returns the library's path and why it is this one, without loading it.
	Find func(explicit, device string) (path, source string, err error)
	// Used returns the library that this process has loaded, and its version;
	// nothing before one is loaded.
	Used func() (path, source, version string)
	// Diagnose looks at everything that running models takes. It loads the
	// library, and changes nothing else.
	Diagnose func(explicit string) []Finding
}

// Finding is one line of a diagnosis.
type Finding struct {
	Name   string `json:"name"`
	Status Health `json:"status"`
	Detail string `json:"detail"`           // what was found, or what is wrong; one line
	Remedy string `json:"remedy,omitempty"` // how to get it; empty when the status is ok
}

// Health is what a diagnosis finds of a part.
type Health string

// A part is there and works; is not there; is there, or would be, but cannot be used.
const (
	Healthy  Health = "ok"
	Absent   Health = "missing"
	Unusable Health = "unavailable"
)

// Place is what runs a model, and where.
type Place struct {
	Runtime string // "ONNX Runtime"
	Version string // empty: it has none that matters
	Device  string // "cpu"; empty: where the program runs
	Without string // what would have been taken first: "CUDA"
	Why     error  // and what kept it from that
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

// Placed is a session or device that knows where it runs.
type Placed interface{ Place() Place }

// Error is an error of a runtime, whose text speaks of the library: a program
// with a vocabulary of its own may reword it.
type Error interface {
	error
	RuntimeError() // does nothing but tell these errors from others
}
