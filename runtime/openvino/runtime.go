package openvino

import (
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/sharedlib"
)

const name, title = "openvino", "OpenVINO"

// Default is the level at which OpenVINO chooses the precision: bfloat16 or
// float16 on processors with instructions for it.
const Default = "default"

// Runtime describes OpenVINO for the list of runtimes. It computes in float32
// unless the level is Default.
var Runtime = runtime.Runtime{
	Name: name, OnRequest: []string{Default}, Widest: format.Float32,
	Available: func(o runtime.Options) error {
		_, err := found(o)
		return err
	},
	Open: func(f runtime.File, o runtime.Options) (runtime.Session, error) {
		if o.Level != "" && o.Level != Default {
			return nil, fmt.Errorf("optimization: there is no level %.80q", o.Level)
		}
		lib, err := found(o)
		if err != nil {
			return nil, err
		}
		s, err := Open(f, Options{Library: lib.Path, Default: o.Level == Default, Foreign: o.Foreign, Sleep: o.Turns})
		if err != nil {
			return nil, err // a nil pointer must not get into the interface
		}
		return s, nil
	},
	Library: &runtime.Library{
		Title: title,
		Find: func(explicit, _ string) (path, source string, err error) {
			lib, err := Find(explicit)
			return lib.Path, lib.Source, err
		},
		Used: func() (path, source, version string) {
			lib, version := InUse()
			return lib.Path, lib.Source, version
		},
		Diagnose: Diagnose,
	},
}

// Options configure how a model runs.
type Options struct {
	Library string // path of the library; empty: the one in use, otherwise the one that Find finds
	Default bool   // OpenVINO chooses the precision; otherwise float32
	Foreign bool   // see runtime.Options
	Sleep   bool   // threads are not bound to processors: other work runs alternately with this session
}

// found returns the library for the options.
func found(o runtime.Options) (sharedlib.Library, error) {
	if o.Device != "" && o.Device != "cpu" && o.Device != "auto" {
		return sharedlib.Library{}, fmt.Errorf("device %.80q: OpenVINO runs on the CPU here", o.Device)
	}
	if err := kind.CgoMissing(); err != nil {
		return sharedlib.Library{}, err
	}
	return Find(o.Library)
}

// properties returns the names and values of OpenVINO's properties, in pairs.
// The hints say precision and not speed: without the second one, OpenVINO rounds
// the activations of models with integer weights to 8 bits.
func (o Options) properties() []string {
	properties := []string{"NUM_STREAMS", "1"}
	if !o.Default {
		properties = append(properties, "INFERENCE_PRECISION_HINT", "f32", "EXECUTION_MODE_HINT", "ACCURACY")
	}
	if o.Sleep {
		properties = append(properties, "ENABLE_CPU_PINNING", "NO")
	}
	return properties
}

// Diagnose checks everything that running models with OpenVINO needs: the
// library, its version, and the user's cache. It loads the library into this
// process and changes nothing else.
func Diagnose(explicit string) []runtime.Finding {
	cache := kind.DiagnoseCache(build())
	lib, err := found(runtime.Options{Library: explicit})
	if err == nil && lib.Source == "cache" {
		err = kind.Intact(build()) // a damaged library must not be loaded
	}
	if err != nil {
		return []runtime.Finding{kind.Finding("openvino library", runtime.Absent, err), cache}
	}
	where := runtime.Finding{Name: "openvino library", Status: runtime.Healthy, Detail: lib.Path + " (from " + lib.Source + ")"}
	_, version, err := load(explicit)
	if err != nil {
		return []runtime.Finding{where, kind.Finding(name, runtime.Unusable, err), cache}
	}
	return []runtime.Finding{where, {Name: name, Status: runtime.Healthy, Detail: "OpenVINO " + version + "; " + kind.Oldest + " or newer serves"}, cache}
}

// Place returns where the session runs.
func (s *Session) Place() runtime.Place {
	_, version := InUse()
	return runtime.Place{Runtime: title, Version: version, Device: "cpu"}
}
