package attnx

import (
	"errors"
	"fmt"
	"slices"

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
	// Loss changes the loss of the steps, and not that of evaluations: see
	// train.Options.Passes. Train sets it.
	Loss []graph.Pass
	// DType is the type of the numbers that products multiply: of train.DTypes, ""
	// is float32. Train sets it.
	DType string
	// Update has the engine take whole steps with these settings, and keep weights and
	// moments on its device between them: see train.Resident. nil: it computes
	// gradients. Train sets it for a GPU.
	Update *train.Options
	// Recompute has steps need less memory, and more time: see graph.Recompute.
	Recompute bool
}

// OpenEngine returns the engine that computes the gradients of a network.
// "auto" is ONNX Runtime if its library is installed, otherwise Gorgonia; why
// is then the reason. If a device other than the CPU is requested, OpenEngine
// never falls back silently.
func OpenEngine(name string, c *model.Checkpoint, o EngineOptions) (e train.Engine, why error, err error) {
	if err := o.checkDType(name); err != nil {
		return nil, nil, err
	}
	if name != "gorgonia" {
		e, err := ortEngine(c, o)
		if err == nil || name == "ort" || o.Device == "cuda" || !errors.Is(err, runtime.ErrUnavailable) {
			return e, nil, err
		}
		why = err
	}
	float, err := c.Expanded()
	if err != nil {
		return nil, nil, err
	}
	g, err := model.WithLoss(float.Graph)
	if err != nil {
		return nil, nil, err
	}
	e, err = gorgonia.New(g, gorgonia.Options{Loss: o.Loss, Recompute: o.Recompute})
	if len(c.LowBits) > 0 && err == nil {
		e = overIntegers{e, float.Weights}
	}
	return e, why, err
}

// engineFor returns the name of the engine that OpenEngine would open, without opening it.
func engineFor(name, device string) string {
	if name != "auto" {
		return name
	}
	if _, err := library.Find("", device); device != "cuda" && errors.Is(err, runtime.ErrUnavailable) {
		return "gorgonia"
	}
	return "ort"
}

// overIntegers is an engine without integers: it holds the numbers that those of the
// weights stand for, which no step changes.
type overIntegers struct {
	train.Engine
	expanded model.Weights
}

func (e overIntegers) Step(weights []format.Tensor, b train.Batch, grads []format.Tensor) (float64, error) {
	return e.Engine.Step(e.all(weights), b, grads)
}

func (e overIntegers) Loss(weights []format.Tensor, b train.Batch) (float64, error) {
	return e.Engine.Loss(e.all(weights), b)
}

// all returns the weights as float32.
func (e overIntegers) all(weights []format.Tensor) []format.Tensor {
	all := slices.Clone([]format.Tensor(e.expanded))
	given := map[string]format.Tensor{}
	for _, w := range weights {
		given[w.Name] = w
	}
	for i, w := range all {
		if now, ok := given[w.Name]; ok {
			all[i] = now
		}
	}
	return all
}

// ortEngine trains in ONNX Runtime: the training step is an ONNX file in
// memory. It searches for the library for the device in o. A device that does
// not work is an error here, before training starts.
func ortEngine(c *model.Checkpoint, how EngineOptions) (train.Engine, error) {
	o := ort.Options{Device: how.Device, Threads: how.Threads, Profile: how.Profile}
	o.CUDA.TF32 = how.DType == train.TF32
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
	if how.DType == train.BFloat16 {
		if err := bfloat16Products(o); err != nil {
			return nil, err
		}
	}
	e, err := train.NewCompiled("ort", c.Graph, func(g *graph.Graph) (train.Program, error) {
		data, err := how.file(g)
		if err != nil {
			return nil, err
		}
		return ort.OpenBytes(data, o)
	}, how.Loss...)
	if err != nil || how.Update == nil {
		return compiled{e}, err
	}
	r, err := train.NewResident(e, *how.Update, func(g *graph.Graph) (train.Placed, error) {
		data, err := how.file(g)
		if err != nil {
			return nil, err
		}
		d, err := ort.OpenDeviceBytes(data, o)
		if err != nil {
			return nil, err
		}
		return onDevice(d), nil
	})
	return resident{r}, err
}

// file returns a graph as the ONNX file that is run.
func (o EngineOptions) file(g *graph.Graph) ([]byte, error) {
	var err error
	if o.Recompute {
		if g, err = graph.Recompute(g); err != nil {
			return nil, err
		}
	}
	if o.DType == train.BFloat16 {
		if g, err = graph.ProductsIn(format.BFloat16)(g); err != nil {
			return nil, err
		}
	}
	data, err := export.Bytes(g, nil, export.Train{})
	if err != nil {
		return nil, fmt.Errorf("the training step as ONNX: %w", err)
	}
	return data, nil
}

// compiled is an engine of a runtime. If a step fails, Gorgonia's engine searches
// for the value that is not finite.
type compiled struct{ *train.Compiled }

func (compiled) Evaluate(g *graph.Graph, weights []format.Tensor, inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	return gorgonia.Evaluate(g, weights, inputs)
}

var _ train.Evaluator = compiled{}
