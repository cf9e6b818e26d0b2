package format_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/attnx/attnx/format"
)

// A file is written front to back and read tensor by tensor.
func Example() {
	var file bytes.Buffer
	w := format.NewWriter(&file, format.Header{
		Metadata: map[string]string{"format": "pt"},
		Tensors:  []format.TensorInfo{{Name: "bias", DType: format.Float32, Shape: []int{3}}},
	})
	w.Add(format.FromFloat32s("bias", []int{3}, []float32{0.5, 0, -0.5}))
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	r, err := format.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		log.Fatal(err)
	}
	bias, err := r.Tensor("bias")
	if err != nil {
		log.Fatal(err)
	}
	values, err := bias.Float32s()
	fmt.Println(file.Len(), r.Metadata(), bias.DType, bias.Shape, values, err)
	// Output: 4108 map[format:pt] F32 [3] [0.5 0 -0.5] <nil>
}
