//go:build cgo

package ort

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/signals"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/declared"
)

// Open opens a session on the ONNX file at path. Weights in sibling files are
// read from its folder. If the library is missing, or with Device "cuda" a part
// of CUDA, the error matches runtime.ErrUnavailable.
func Open(path string, o Options) (*Session, error) {
	takes, err := declaredIn(path)
	if err != nil {
		return nil, err
	}
	if more, _ := additions(takes); len(more) > 0 {
		model, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		o.folder = filepath.Dir(path)
		return open(path, takes, o, fromBytes(append(model, more...)))
	}
	return open(path, takes, o, func(in, out []string, options *ort.SessionOptions) (*ort.DynamicAdvancedSession, error) {
		return ort.NewDynamicAdvancedSession(path, in, out, options)
	})
}

// OpenBytes opens a session on the bytes of an ONNX file that contains all of
// its weights. The bytes are not used after it returns.
func OpenBytes(model []byte, o Options) (*Session, error) {
	takes, err := declaredBytes(model)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nameless, err)
	}
	more, _ := additions(takes)
	if len(more) > 0 {
		model = slices.Concat(model, more)
	}
	return open(nameless, takes, o, fromBytes(model))
}

// fromBytes creates a session from the bytes of an ONNX file.
func fromBytes(model []byte) creator {
	return func(in, out []string, options *ort.SessionOptions) (*ort.DynamicAdvancedSession, error) {
		return ort.NewDynamicAdvancedSessionWithONNXData(model, in, out, options)
	}
}

// unread is the input that a session gives a model without inputs: the binding
// takes the address of the first one. No node reads it.
const unread = "attnx.unread"

// additions returns what a session appends to a model, so that the binding can run
// it, and the outputs that the binding is asked for. An output of 16 bits whose
// shape does not follow from the inputs is asked for in float32, which holds each
// of its numbers: the binding cannot allocate 16 bits.
func additions(takes declared.Signature) (more []byte, gives []runtime.Value) {
	if len(takes.Inputs) == 0 {
		more = declared.MoreInput(unread)
	}
	names := map[string]int{}
	for _, in := range takes.Inputs {
		for _, d := range in.Shape {
			names[d.Name] = 1
		}
	}
	delete(names, "?") // is not the same size everywhere
	gives = slices.Clone(takes.Outputs)
	for i, out := range gives {
		if out.DType != format.Float16 && out.DType != format.BFloat16 {
			continue
		}
		if _, known := declared.ShapeOf(out, names); !known {
			gives[i].Name, gives[i].DType = "attnx.float32."+out.Name, format.Float32
			more = append(more, declared.MoreFloat(out.Name, gives[i].Name)...)
		}
	}
	return more, gives
}

// nameless is the name of a model given as bytes in errors.
const nameless = "model"

// creator creates the binding's session from a file or from bytes.
type creator func(in, out []string, options *ort.SessionOptions) (*ort.DynamicAdvancedSession, error)

func open(name string, takes declared.Signature, o Options, create creator) (*Session, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.CUDA.Graphs {
		return nil, errors.New("CUDA: Graphs is for OpenDevice; a session's tensors are elsewhere in each run")
	}
	_, version, err := load(o.Library, o.Device)
	if err != nil {
		return nil, err
	}
	_, gives := additions(takes)
	takes.Foreign = o.Foreign
	s := &Session{name: name, takes: takes, gives: gives, version: version, held: &held{outputs: make([]*value, len(takes.Outputs))}, sure: make([][]int, len(takes.Outputs))}
	if o.Device == "cuda" || o.Device == "auto" {
		s.device = "cuda"
		_, err = signals.Keep(func() (err error) {
			s.session, err = createOn("cuda", takes.Inputs, gives, o, create)
			return err
		})
		if err == nil {
			return s.watch(), nil
		}
		if err = cudaError(err); o.Device == "cuda" {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.noCUDA = err
	}
	s.device = "cpu"
	s.session, err = createOn("cpu", takes.Inputs, gives, o, create)
	if err != nil {
		if e := missingKernel(err); e != nil {
			return nil, fmt.Errorf("%s: %w", name, e)
		}
		return nil, fmt.Errorf("%s: onnxruntime: %s", name, oneLine(err))
	}
	return s.watch(), nil
}

var levels = [...]ort.GraphOptimizationLevel{
	OptimizeAll:      ort.GraphOptimizationLevelEnableAll,
	OptimizeExtended: ort.GraphOptimizationLevelEnableExtended,
	OptimizeBasic:    ort.GraphOptimizationLevelEnableBasic,
	OptimizeNone:     ort.GraphOptimizationLevelDisableAll,
}

// createOn creates a session that runs on one device only.
func createOn(device string, takes, gives []runtime.Value, o Options, create creator) (*ort.DynamicAdvancedSession, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	err = errors.Join(
		options.SetGraphOptimizationLevel(levels[o.Optimization]),
		options.SetIntraOpNumThreads(o.Threads), // 0 leaves the choice to ONNX Runtime
		options.SetLogSeverityLevel(ort.LoggingLevelFatal),
	)
	if err != nil {
		return nil, err
	}
	if o.Profile != "" {
		if err := options.EnableProfiling(o.Profile); err != nil {
			return nil, err
		}
	}
	for key, value := range o.entries(device) {
		if err := options.AddSessionConfigEntry(key, value); err != nil {
			return nil, err
		}
	}
	if device == "cuda" {
		if err := addCUDA(options, o.CUDA); err != nil {
			return nil, err
		}
	}
	names := func(values []runtime.Value) []string {
		s := make([]string, len(values))
		for i, v := range values {
			s[i] = v.Name
		}
		return s
	}
	in := names(takes)
	if len(in) == 0 {
		in = []string{unread}
	}
	return create(in, names(gives), options)
}

// addCUDA adds CUDA to the options.
func addCUDA(options *ort.SessionOptions, c CUDAOptions) error {
	cuda, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer cuda.Destroy()
	if err := cuda.Update(c.provider()); err != nil {
		return err
	}
	return options.AppendExecutionProviderCUDA(cuda)
}
