package attnx_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
)

// Two checkpoints of one network, of which one weight of the second was changed.
func ExampleCompare() {
	folder, c := exampleCheckpoint()
	defer os.RemoveAll(folder)
	a, b := filepath.Join(folder, "a.safetensors"), filepath.Join(folder, "b.safetensors")
	check(c.Save(a))
	c.Weights[0].Data = append([]byte{0, 0, 0x80, 0x3f}, c.Weights[0].Data[4:]...) // its first element is 1
	check(c.Save(b))

	x := must(attnx.Compare(a, b, attnx.CompareOptions{Values: true}))
	fmt.Println("equal:", x.Equal, "graphs:", x.Graph)
	for _, d := range x.Tensors {
		if d.ValuesDiff != nil {
			fmt.Println(d.Name, d.A, d.State, "in", d.Changed, "element")
		}
	}
	// Output:
	// equal: false graphs: equal
	// wte.weight F32[16 8] changed in 1 element
}

// An ONNX file is compared with the checkpoint of which it was exported, and
// with another file: by tensors, and by nodes.
func ExampleCompare_onnx() {
	folder, c := exampleCheckpoint()
	defer os.RemoveAll(folder)
	saved, plain, fused := filepath.Join(folder, "a.safetensors"), filepath.Join(folder, "plain.onnx"), filepath.Join(folder, "cache.onnx")
	check(c.Save(saved))
	for path, profile := range map[string]export.Profile{plain: export.Plain{}, fused: export.Cache{}} {
		must(attnx.ExportCheckpoint(context.Background(), c, path, attnx.ExportOptions{Profile: profile}))
	}
	for _, pair := range [][2]string{{saved, plain}, {plain, plain}, {plain, fused}} {
		x := must(attnx.Compare(pair[0], pair[1], attnx.CompareOptions{}))
		same := 0
		for _, d := range x.Tensors {
			if d.State == "equal" {
				same++
			}
		}
		fmt.Println(filepath.Base(x.A), filepath.Base(x.B), "graphs:", x.Graph, "weights equal:", same >= len(c.Weights))
	}
	// Output:
	// a.safetensors plain.onnx graphs: equal weights equal: true
	// plain.onnx plain.onnx graphs: equal weights equal: true
	// plain.onnx cache.onnx graphs: changed weights equal: true
}

// What is in a file, without running it.
func ExampleInspect() {
	folder, c := exampleCheckpoint()
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "model.onnx")
	must(attnx.ExportCheckpoint(context.Background(), c, path, attnx.ExportOptions{}))

	x := must(attnx.Inspect(path, nil))
	fmt.Println(x.Kind, "of", x.Parameters, "parameters")
	fmt.Println(x.Inputs, x.Nodes["Softmax"], "Softmax")
	// Output:
	// onnx of 1080 parameters
	// [input_ids int64 (batch_size,sequence_length)] 1 Softmax
}

// exampleCheckpoint returns a network with its first weights, and a folder.
func exampleCheckpoint() (string, *model.Checkpoint) {
	folder := must(os.MkdirTemp("", "attnx"))
	c := must(model.New(arch.GPT2{Vocab: 16, Context: 8, Width: 8, Layers: 1, Heads: 2, Inner: 32, Epsilon: 1e-5}, 1))
	return folder, c
}
