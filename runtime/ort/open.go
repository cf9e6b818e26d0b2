//go:build cgo

package ort

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/attnx/attnx/runtime"
)

// Open opens a session on the ONNX file at path; weights in sibling files are
// found beside it. A missing library, and with Device "cuda" a missing part
// of CUDA, is an error in which errors.Is finds runtime.ErrUnavailable.
func Open(path string, o Options) (*Session, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	takes, err := declared(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return open(path, takes, o, func(in, out []string, options *ort.SessionOptions) (*ort.DynamicAdvancedSession, error) {
		return ort.NewDynamicAdvancedSession(path, in, out, options)
	})
}

// OpenBytes opens a session on the bytes of an ONNX file that holds all of
// its weights. The bytes are not needed once it returns.
func OpenBytes(model []byte, o Options) (*Session, error) {
	const name = "model"
	takes, err := declared(bytes.NewReader(model), int64(len(model)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return open(name, takes, o, func(in, out []string, options *ort.SessionOptions) (*ort.DynamicAdvancedSession, error) {
		return ort.NewDynamicAdvancedSessionWithONNXData(model, in, out, options)
	})
}

// creator makes the binding's session from a file or from bytes.
type creator func(in, out []string, options *ort.SessionOptions) (*ort.DynamicAdvancedSession, error)

func open(name string, takes signature, o Options, create creator) (*Session, error) {
	switch o.Device {
	case "", "cpu", "cuda", "auto":
	default:
		return nil, fmt.Errorf("device %q: it must be cpu, cuda or auto", o.Device)
	}
	if o.Threads < 0 {
		return nil, fmt.Errorf("threads: %d is negative", o.Threads)
	}
	if int(o.Optimization) >= len(levels) {
		return nil, fmt.Errorf("optimization: there is no level %d", o.Optimization)
	}
	_, version, err := load(o.Library, o.Device)
	if err != nil {
		return nil, err
	}
	s := &Session{name: name, takes: takes, version: version, outputs: make([]*value, len(takes.outputs))}
	if o.Device == "cuda" || o.Device == "auto" {
		s.device = "cuda"
		s.session, err = createOn("cuda", takes, o, create)
		if err == nil {
			return s, nil
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
	return s, nil
}

var levels = [...]ort.GraphOptimizationLevel{
	OptimizeAll:      ort.GraphOptimizationLevelEnableAll,
	OptimizeExtended: ort.GraphOptimizationLevelEnableExtended,
	OptimizeBasic:    ort.GraphOptimizationLevelEnableBasic,
	OptimizeNone:     ort.GraphOptimizationLevelDisableAll,
}

// createOn makes a session on one device and on no other.
func createOn(device string, takes signature, o Options, create creator) (*ort.DynamicAdvancedSession, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	err = errors.Join(
		options.SetGraphOptimizationLevel(levels[o.Optimization]),
		options.SetIntraOpNumThreads(o.Threads), // 0 is ONNX Runtime's own choice
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
	if device == "cuda" {
		if err := addCUDA(options, o.AllowTF32); err != nil {
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
	return create(names(takes.inputs), names(takes.outputs), options)
}

// addCUDA puts CUDA into the options, and forbids the CPU: without that entry
// ONNX Runtime runs every node that CUDA lacks, up to all of them, on the CPU
// and says nothing.
func addCUDA(options *ort.SessionOptions, allowTF32 bool) error {
	if err := options.AddSessionConfigEntry("session.disable_cpu_ep_fallback", "1"); err != nil {
		return err
	}
	cuda, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer cuda.Destroy()
	tf32 := 0
	if allowTF32 {
		tf32 = 1
	}
	if err := cuda.Update(map[string]string{"use_tf32": strconv.Itoa(tf32)}); err != nil {
		return err
	}
	return options.AppendExecutionProviderCUDA(cuda)
}
