package ort

import (
	"errors"
	"fmt"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort/library"
)

// Runtime describes ONNX Runtime for the list of runtimes.
var Runtime = runtime.Runtime{
	Name: "ort", Lends: true, Devices: []string{"cpu", "cuda"}, Levels: []string{"disabled", "basic", "all"},
	Available: func(o runtime.Options) error {
		_, err := found(o)
		return err
	},
	Open: func(f runtime.File, o runtime.Options) (runtime.Session, error) {
		if len(f.Weights) > 0 {
			return nil, errors.New("onnxruntime: only a device takes weights apart from the model")
		}
		s, err := opened(f, o, Open, OpenBytes)
		if err != nil {
			return nil, err // a nil pointer must not get into the interface
		}
		return s, nil
	},
	OpenDevice: func(f runtime.File, o runtime.Options) (runtime.Device, error) {
		d, err := opened(f, o, OpenDevice, func(model []byte, o Options) (*Device, error) { return OpenDeviceLent(model, f.Weights, o) })
		if err != nil {
			return nil, err
		}
		return d, nil
	},
	OpenData: func(f runtime.File, o runtime.Options) (runtime.DataSession, error) {
		d, err := opened(f, o, OpenData, nil)
		if err != nil {
			return nil, err
		}
		return d, nil
	},
	Library: &runtime.Library{
		Title: title,
		Find: func(explicit, device string) (path, source string, err error) {
			lib, err := library.Find(explicit, device)
			return lib.Path, lib.Source, err
		},
		Used: func() (path, source, version string) {
			lib, version := InUse()
			return lib.Path, lib.Source, version
		},
		Diagnose: func(explicit string) (findings []runtime.Finding) {
			for _, c := range Diagnose(explicit) {
				findings = append(findings, runtime.Finding(c))
			}
			return findings
		},
	},
}

const title = "ONNX Runtime"

// levelNames maps the levels of a runtime.Runtime to optimizations.
var levelNames = map[string]Optimization{"disabled": OptimizeNone, "basic": OptimizeBasic, "extended": OptimizeExtended, "all": OptimizeAll, "": OptimizeAll}

// found returns the library for the options.
func found(o runtime.Options) (library.Library, error) {
	build := o.Device
	if o.AnyOf {
		build = "auto" // a process loads one library, and the GPU build also runs on the CPU
	}
	lib, err := library.Find(o.Library, build)
	return lib, forDevice(o.Device, err)
}

// forDevice sets the runtime in an error about a library that is missing or
// cannot be used: without it CUDA is unavailable too.
func forDevice(device string, err error) error {
	var gone *runtime.UnavailableError
	if device == "cuda" && errors.As(err, &gone) && gone.Runtime == "ort-cpu" {
		return &runtime.UnavailableError{Runtime: "ort-cuda", Reason: gone.Reason, Remedy: gone.Remedy}
	}
	return err
}

// opened opens a file with the options.
func opened[T any](f runtime.File, o runtime.Options, path func(string, Options) (T, error), data func([]byte, Options) (T, error)) (x T, err error) {
	defer func() { err = forDevice(o.Device, err) }()
	level, known := levelNames[o.Level]
	if !known {
		return x, fmt.Errorf("optimization: there is no level %.80q", o.Level)
	}
	lib, err := found(o)
	if err != nil {
		return x, err
	}
	own := Options{Library: lib.Path, Device: o.Device, Optimization: level, Sleep: o.Turns, Unpacked: o.Stored, Foreign: o.Foreign, CUDA: CUDAOptions{TF32: o.TF32, Graphs: o.Repeats}}
	if f.Path != "" {
		return path(f.Path, own)
	}
	return data(f.Data, own)
}

// placeOf returns where a session or device runs.
func placeOf(version, device string, noCUDA error) runtime.Place {
	return runtime.Place{Runtime: title, Version: version, Device: device, Without: "CUDA", Why: noCUDA}
}

// Place returns where the session runs, and why not on CUDA if "auto" chose the
// CPU.
func (s *Session) Place() runtime.Place { return placeOf(s.Version(), s.Device(), s.NoCUDA()) }

// Place returns where the device is, and why it is not CUDA if "auto" chose the
// CPU.
func (d *Device) Place() runtime.Place { return placeOf(d.Version(), d.Device(), d.NoCUDA()) }
