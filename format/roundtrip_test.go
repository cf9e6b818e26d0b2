package format_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/attnx/attnx/format"
)

// dtypes returns the element types that a checkpoint can hold.
func dtypes() (all []format.DType) {
	for d := format.Float64; d.Stored(); d++ {
		all = append(all, d)
	}
	return all
}

// contents draws the content of a file: any metadata, any tensors.
func contents(t *rapid.T) (map[string]string, []format.Tensor) {
	name := rapid.StringMatching(`[^\pC]{1,20}`) // \pC has the control characters, and surrogates
	metadata := rapid.MapOfN(name, rapid.String(), 0, 4).Draw(t, "metadata")
	// Names that differ in capitals only are refused (hostile_test.go). Letters that are
	// lower case to one another are one after a round of both: "ſ" is "S", then "s".
	folded := func(s string) string { return strings.ToLower(strings.ToUpper(s)) }
	names := rapid.SliceOfNDistinct(name, 0, 6, folded).Draw(t, "names")
	tensors := make([]format.Tensor, len(names))
	for i, n := range names {
		x := format.Tensor{
			Name:  n,
			DType: rapid.SampledFrom(dtypes()).Draw(t, "dtype"),
			Shape: rapid.SliceOfN(rapid.IntRange(0, 5), 0, 4).Draw(t, "shape"),
		}
		size := x.Elements() * x.DType.Size()
		x.Data = rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "data")
		tensors[i] = x
	}
	return metadata, tensors
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		metadata, tensors := contents(t)
		b := write(t, metadata, tensors...)
		gotMetadata, got, err := read(b)
		if err != nil {
			t.Fatalf("%v\n%q", err, b)
		}
		// Tensors come in the order of their data, which is the order they were
		// given in: those without bytes too.
		if !same(metadata, tensors, gotMetadata, got) {
			t.Fatalf("wrote %q %v, read %q %v", metadata, tensors, gotMetadata, got)
		}
		if again := write(t, gotMetadata, got...); !bytes.Equal(again, b) {
			t.Fatalf("what was read is written as other bytes:\n%q\n%q", b, again)
		}
	})
}

// TestPipe checks that writing needs nothing but an io.Writer.
func TestPipe(t *testing.T) {
	r, w := io.Pipe()
	x := format.FromFloat32s("x", []int{3}, []float32{1, 2, 3})
	done := make(chan error, 1)
	go func() {
		fw := format.NewWriter(w, format.Header{Tensors: []format.TensorInfo{{Name: "x", DType: format.Float32, Shape: []int{3}}}})
		fw.Add(x)
		done <- fw.Close()
		w.Close()
	}()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, tensors := mustRead(t, b); fmt.Sprint(tensors) != fmt.Sprint([]format.Tensor{x}) {
		t.Errorf("read %v", tensors)
	}
}
