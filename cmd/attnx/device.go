package main

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/internal/quote"
)

// device holds the flags for the runtime and its device.
type device struct {
	runtime string // --runtime
	library string // --ort-lib
	name    string // --device
	tf32    bool   // --tf32
}

// flags adds the flags for the runtime and its device. more lists runtimes in addition to Runners.
func (d *device) flags(fl *pflag.FlagSet, more ...string) {
	fl.StringVar(&d.runtime, "runtime", "", "what runs it: "+quote.Or(append(attnx.Runners(), more...))+" (default: the first that can)")
	fl.StringVar(&d.library, "ort-lib", "", "path of the ONNX Runtime library (default: the one that is found)")
	fl.StringVar(&d.name, "device", "cpu", "where to run: "+quote.Or(attnx.Devices()))
	fl.BoolVar(&d.tf32, "tf32", false, "CUDA: allow TF32, which rounds the factors of products to 10 bits")
}

// check refuses an unknown device before any file is read.
func (d device) check() error {
	if !slices.Contains(attnx.Devices(), d.name) {
		return fmt.Errorf("--device %.80q: take %s", d.name, quote.Or(attnx.Devices()))
	}
	if d.runtime != "" && !slices.Contains(attnx.Runners(), d.runtime) {
		return fmt.Errorf("--runtime %.80q: take %s", d.runtime, quote.Or(attnx.Runners()))
	}
	return nil
}

// options converts the flags to attnx.Options.
func (d device) options(s console.Streams) attnx.Options {
	return attnx.Options{Runtime: d.runtime, Library: d.library, Device: d.name, TF32: d.tf32, Tell: s.Tell}
}
