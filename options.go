package attnx

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
)

// Options select where a model runs, and who gets messages.
type Options struct {
	Runtime string // one of Runners; empty: the first one that can run the model
	Library string // path of the ONNX Runtime library; empty: search for it
	Device  string // one of Devices; empty: "cpu"
	TF32    bool   // CUDA may use TF32, which rounds the factors of products to 10 bits
	Tell    Tell
}

// Tell receives messages, each one line without its end. A nil Tell drops them.
type Tell = find.Tell

// Level is the importance of a message.
type Level = find.Level

// The levels, most important first.
const (
	Warning = find.Warning // something is wrong
	Notice  = find.Notice  // what was done
	Detail  = find.Detail  // how it was done
)

// check refuses an unknown device before any file is read.
func (o Options) check() error {
	if o.Device != "" && !slices.Contains(Devices(), o.Device) {
		return fmt.Errorf("device %.80q: take %s", o.Device, quote.Or(Devices()))
	}
	return nil
}

// runner returns the runtime for files of a profile.
func (o Options) runner(p export.Profile) (row, error) { return runner(o.Runtime, p) }
