package attnx

import (
	"errors"
	"fmt"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ort/library"
)

// Engines returns the names of the engines that OpenEngine knows.
func Engines() []string { return []string{"auto", "gorgonia", "ort"} }

// EngineOptions are how ONNX Runtime trains.
type EngineOptions struct {
	Device  string // "cpu" or "cuda"; empty: "cpu"
	Threads int    // inside an operator; 0: one a physical core
	Profile string // a file that begins so gets the times of its operators; empty: none
}

// OpenEngine returns what computes the gradients of a network. "auto" is ONNX
// Runtime where its library is, else Gorgonia; why says why it is not ONNX
// Runtime. A device other than the CPU that was asked for is never given up
// silently.
func OpenEngine(name string, c *model.Checkpoint, o EngineOptions) (e train.Engine, why error, err error) {
	if name != "gorgonia" {
		e, err := ortEngine(c, ort.Options{Device: o.Device, Threads: o.Threads, Profile: o.Profile})
		if err == nil || name == "ort" || o.Device == "cuda" || !errors.Is(err, runtime.ErrUnavailable) {
			return e, nil, err
		}
		why = err
	}
	g, err := model.WithLoss(c.Graph)
	if err != nil {
		return nil, nil, err
	}
	e, err = gorgonia.New(g, gorgonia.Options{})
	return e, why, err
}

// ortEngine trains through ONNX Runtime: the step goes there as an ONNX file
// in memory. The library of o is looked for, for its device. A device that does
// not work is an error here, before anything is trained.
func ortEngine(c *model.Checkpoint, o ort.Options) (train.Engine, error) {
	lib, err := library.Find("", o.Device)
	if err != nil {
		return nil, err
	}
	o.Library = lib.Path
	if o.Device == "cuda" {
		if err := ort.Try(o); err != nil {
			return nil, err
		}
	}
	e, err := train.NewCompiled("ort", c.Graph, func(g *graph.Graph) (train.Program, error) {
		data, err := export.Bytes(g, nil, export.Train{})
		if err != nil {
			return nil, fmt.Errorf("the training step as ONNX: %w", err)
		}
		return ort.OpenBytes(data, o)
	})
	return compiled{e}, err
}

// compiled is an engine of a runtime. Where a step fails, Gorgonia's engine looks
// for the value that is not finite.
type compiled struct{ *train.Compiled }

func (compiled) Evaluate(g *graph.Graph, weights []format.Tensor, inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	return gorgonia.Evaluate(g, weights, inputs)
}

var _ train.Evaluator = compiled{}
