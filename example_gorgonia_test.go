package attnx_test

import (
	"context"
	"fmt"
	"path/filepath"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx"
)

// A perceptron that was written in Gorgonia computes exclusive or. It becomes a
// checkpoint and an ONNX file, and the oracle confirms both.
func ExampleFromGorgonia() {
	g := gorgonia.NewGraph()
	weight := func(name string, numbers []float32, shape ...int) *gorgonia.Node {
		return gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(shape...), gorgonia.WithName(name),
			gorgonia.WithValue(tensor.New(tensor.WithShape(shape...), tensor.WithBacking(numbers))))
	}
	w0, b0 := weight("w0", []float32{6, -6, -6, 6}, 2, 2), weight("b0", []float32{-3, -3}, 1, 2)
	w1, b1 := weight("w1", []float32{8, 8}, 2, 1), weight("b1", []float32{7.5}, 1, 1)
	x := gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(4, 2), gorgonia.WithName("features"))
	hidden := gorgonia.Must(gorgonia.Tanh(gorgonia.Must(gorgonia.BroadcastAdd(gorgonia.Must(gorgonia.Mul(x, w0)), b0, nil, []byte{0}))))
	y := gorgonia.Must(gorgonia.Sigmoid(gorgonia.Must(gorgonia.BroadcastAdd(gorgonia.Must(gorgonia.Mul(hidden, w1)), b1, nil, []byte{0}))))

	gorgonia.WithName("prediction")(y)

	c, err := attnx.FromGorgonia(attnx.Gorgonia{
		Inputs: gorgonia.Nodes{x}, Outputs: gorgonia.Nodes{y},
		Dims: map[*gorgonia.Node][]string{x: {"B", ""}}, // any number of rows
	})
	check(err)
	file := filepath.Join(folder(), "xor.onnx")
	must(attnx.ExportCheckpoint(context.Background(), c, file, attnx.ExportOptions{}))
	report := must(attnx.Verify(context.Background(), c, []string{file}, attnx.VerifyOptions{Runtimes: []string{"onnx-go"}}))
	fmt.Println(report.Verdict, "against", report.Oracle)
	for _, in := range c.Graph.Inputs {
		fmt.Println(in.Name, in.Type)
	}
	// Output:
	// pass against ref-float64
	// features F32(B,2)
}
