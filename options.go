package attnx

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/runtime"
)

// Options are where a model runs, and who is told what happens.
type Options struct {
	Runtime string // one of Runners; empty: the first that runs the model
	Library string // path of the runtime's library; empty: the one that is found
	Device  string // one of Devices; empty: "cpu"
	TF32    bool   // CUDA may use TF32, which rounds products to 10 bits
	Tell    Tell
}

// Tell takes what is worth telling on the way: a line, without its end. One that
// is nil takes nothing.
type Tell = find.Tell

// Level says how much somebody has to know what he is told.
type Level = find.Level

// The levels, the most important first.
const (
	Warning = find.Warning // something is not as it should be
	Notice  = find.Notice  // what was done
	Detail  = find.Detail  // how it was done
)

// check refuses what is not a device before any file is read.
func (o Options) check() error {
	if o.Device != "" && !slices.Contains(Devices(), o.Device) {
		return fmt.Errorf("device %.80q: take %s", o.Device, quote.Or(Devices()))
	}
	return nil
}

// runner returns the runtime for files of a profile.
func (o Options) runner(p export.Profile) (row, error) { return runner(o.Runtime, p) }

// options are the device as a runtime expects it.
func (o Options) options() runtime.Options {
	return runtime.Options{Library: o.Library, Device: o.Device, TF32: o.TF32}
}
