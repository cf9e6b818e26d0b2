// Package flags holds groups of flags that several commands have.
package flags

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/internal/quote"
)

// Device holds the flags for the runtime and its device.
type Device struct {
	runtime string // --runtime
	Library string // --ort-lib
	Name    string // --device
	TF32    bool   // --tf32
}

// Flags adds the flags for the runtime and its device. more lists runtimes in addition to Runners.
func (d *Device) Flags(fl *pflag.FlagSet, more ...string) {
	fl.StringVar(&d.runtime, "runtime", "", "what runs it: "+quote.Or(append(attnx.Runners(), more...))+" (default: the first that can)")
	fl.StringVar(&d.Library, "ort-lib", "", "path of the ONNX Runtime library (default: the one that is found)")
	fl.StringVar(&d.Name, "device", "cpu", "where to run: "+quote.Or(attnx.Devices()))
	fl.BoolVar(&d.TF32, "tf32", false, "CUDA: allow TF32, which rounds the factors of products to 10 bits")
}

// Check refuses an unknown device before any file is read.
func (d Device) Check() error {
	if !slices.Contains(attnx.Devices(), d.Name) {
		return fmt.Errorf("--device %.80q: take %s", d.Name, quote.Or(attnx.Devices()))
	}
	if d.runtime != "" && !slices.Contains(attnx.Runners(), d.runtime) {
		return fmt.Errorf("--runtime %.80q: take %s", d.runtime, quote.Or(attnx.Runners()))
	}
	return nil
}

// Options converts the flags to attnx.Options.
func (d Device) Options(s console.Streams) attnx.Options {
	return attnx.Options{Runtime: d.runtime, Library: d.Library, Device: d.Name, TF32: d.TF32, Tell: s.Tell}
}
