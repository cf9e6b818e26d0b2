package attnx

import (
	"fmt"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
)

// checkDType refuses numbers that an engine or a device does not have.
func (o EngineOptions) checkDType(engine string) error {
	refuse := func(why, do string) error {
		return &Error{Option: "DType", Value: o.DType, Err: fmt.Errorf("%s", why), Do: do}
	}
	switch {
	case o.DType == "" || o.DType == train.Float32:
		return nil
	case engine == "gorgonia":
		return refuse("the gorgonia engine computes in float32", TakeORT)
	case o.DType == train.TF32 && o.Device != "cuda":
		return refuse("the CPU has no TF32: it is how NVIDIA's GPUs multiply float32", TakeFloat32)
	}
	return nil
}

// TakeFloat32 is the remedy for numbers that a device does not have.
const TakeFloat32 = "leave it out: the default is float32"

// bfloat16Products returns why a runtime does not multiply bfloat16: it opens the
// operators of a step with it.
func bfloat16Products(o ort.Options) error {
	for _, op := range []graph.Op{graph.MatMul{}, graph.Gemm{TransB: true}} {
		b := graph.NewBuilder()
		x := b.Input("x", format.Float32, graph.N(2), graph.N(2))
		b.Output("y", b.Apply(op, 1, x, x)[0])
		g, err := b.Graph()
		if err == nil {
			g, err = graph.ProductsIn(format.BFloat16)(g)
		}
		if err != nil {
			return err
		}
		data, err := export.Bytes(g, nil, export.Train{})
		if err != nil {
			return err
		}
		s, err := ort.OpenBytes(data, o)
		if err != nil {
			return &Error{Option: "DType", Value: train.BFloat16, Do: TakeFloat32,
				Err: fmt.Errorf("ONNX Runtime does not run %s of bfloat16 on this device: %w", op.Name(), err)}
		}
		if err := s.Close(); err != nil {
			return err
		}
	}
	return nil
}

// placed is a runtime's device, by the names of inputs and outputs.
type placed struct {
	runtime.Device
	in, out map[string]int
}

func onDevice(d runtime.Device) placed {
	p := placed{d, map[string]int{}, map[string]int{}}
	for i, v := range d.Inputs() {
		p.in[v.Name] = i
	}
	for i, v := range d.Outputs() {
		p.out[v.Name] = i
	}
	return p
}

func (p placed) Takes(input string) bool { _, ok := p.in[input]; return ok }

func (p placed) Alloc(n int) (train.Block, error) { return p.Device.Alloc(n) }

func (p placed) BindInput(name string, b train.Block, shape []int) error {
	i, ok := p.in[name]
	if !ok {
		return fmt.Errorf("the step has no input %.80q", name)
	}
	return p.Device.BindInput(i, b.(runtime.Memory), 0, shape)
}

func (p placed) BindOutput(name string, b train.Block, shape []int) error {
	i, ok := p.out[name]
	if !ok {
		return fmt.Errorf("the step has no output %.80q", name)
	}
	return p.Device.BindOutput(i, b.(runtime.Memory), 0, shape)
}

func (p placed) Run() error { return p.Device.Run(0) }

func (p placed) Write(b train.Block, src []byte) error {
	return p.Device.Write(b.(runtime.Memory), 0, src)
}

func (p placed) Read(b train.Block, dst []byte) error {
	return p.Device.Read(b.(runtime.Memory), 0, dst)
}

// resident is an engine whose state stays on a device. If a step fails, Gorgonia's
// engine searches for the value that is not finite.
type resident struct{ *train.Resident }

func (resident) Evaluate(g *graph.Graph, weights []format.Tensor, inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	return gorgonia.Evaluate(g, weights, inputs)
}

var _ train.Evaluator = resident{}
