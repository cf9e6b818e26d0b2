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

// Engines returns the names that OpenEngine accepts.
func Engines() []string { return []string{"auto", "gorgonia", "ort"} }

// EngineOptions configure training in ONNX Runtime.
type EngineOptions struct {
	Device  string // "cpu" or "cuda"; empty: "cpu"
	Threads int    // threads inside an operator; 0: one per physical core
	Profile string // prefix of the file for the times of operators; empty: none
	// Smoothing is the share of a label's probability that all tokens share in the loss of
	// a step (graph.SmoothLabels); 0: none. Train sets it.
	Smoothing float64
}

// OpenEngine returns the engine that computes the gradients of a network.
// "auto" is ONNX Runtime if its library is installed, otherwise Gorgonia; why
// is then the reason. If a device other than the CPU is requested, OpenEngine
// never falls back silently.
func OpenEngine(name string, c *model.Checkpoint, o EngineOptions) (e train.Engine, why error, err error) {
	var passes []graph.Pass
	if o.Smoothing > 0 {
		passes = append(passes, graph.SmoothLabels(o.Smoothing))
	}
	if name != "gorgonia" {
		e, err := ortEngine(c, passes, ort.Options{Device: o.Device, Threads: o.Threads, Profile: o.Profile})
		if err == nil || name == "ort" || o.Device == "cuda" || !errors.Is(err, runtime.ErrUnavailable) {
			return e, nil, err
		}
		why = err
	}
	g, err := model.WithLoss(c.Graph)
	if err != nil {
		return nil, nil, err
	}
	e, err = gorgonia.New(g, gorgonia.Options{Loss: passes})
	return e, why, err
}

// ortEngine trains in ONNX Runtime: the training step is an ONNX file in
// memory. It searches for the library for the device in o. A device that does
// not work is an error here, before training starts.
func ortEngine(c *model.Checkpoint, passes []graph.Pass, o ort.Options) (train.Engine, error) {
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
	}, passes...)
	return compiled{e}, err
}

// compiled is an engine of a runtime. If a step fails, Gorgonia's engine searches
// for the value that is not finite.
type compiled struct{ *train.Compiled }

func (compiled) Evaluate(g *graph.Graph, weights []format.Tensor, inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	return gorgonia.Evaluate(g, weights, inputs)
}

var _ train.Evaluator = compiled{}
