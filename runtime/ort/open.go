//go:build cgo

package ort

import (
	"errors"
	"fmt"

	ort "github.com/yalue/onnxruntime_go"

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
	return open(nameless, takes, o, func(in, out []string, options *ort.SessionOptions) (*ort.DynamicAdvancedSession, error) {
		return ort.NewDynamicAdvancedSessionWithONNXData(model, in, out, options)
	})
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
	s := &Session{name: name, takes: takes, version: version, held: &held{outputs: make([]*value, len(takes.Outputs))}}
	if o.Device == "cuda" || o.Device == "auto" {
		s.device = "cuda"
		_, err = signals.Keep(func() (err error) {
			s.session, err = createOn("cuda", takes, o, create)
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
	s.session, err = createOn("cpu", takes, o, create)
	if err != nil {
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
func createOn(device string, takes declared.Signature, o Options, create creator) (*ort.DynamicAdvancedSession, error) {
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
	return create(names(takes.Inputs), names(takes.Outputs), options)
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
