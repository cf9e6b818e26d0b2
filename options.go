package attnx

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ort/library"
)

// Options are where a model runs, and who is told what happens.
type Options struct {
	Library string // path of the ONNX Runtime library; empty: the one that is found
	Device  string // "cpu", "cuda" or "auto"; empty: "cpu"
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
	if !slices.Contains([]string{"", "cpu", "cuda", "auto"}, o.Device) {
		return fmt.Errorf("device %.80q: take cpu, cuda or auto", o.Device)
	}
	return nil
}

// options are the device as ONNX Runtime is told it.
func (o Options) options() (ort.Options, error) {
	lib, err := library.Find(o.Library, o.Device)
	return ort.Options{Library: lib.Path, Device: o.Device, CUDA: ort.CUDAOptions{TF32: o.TF32}}, err
}
