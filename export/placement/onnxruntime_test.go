package placement

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
)

// golden is what ONNX Runtime's own partitioner made of a random graph
// (fixtures/oracle/placement_golden.py).
type golden struct {
	Seed   int
	Model  []byte
	Nodes  map[string]string
	Copies [][2]string
}

// Every node is where ONNX Runtime put it, every copy where it copied.
func TestONNXRuntime(t *testing.T) {
	data, err := os.ReadFile("testdata/onnxruntime.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		ONNXRuntime string
		Graphs      []golden
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if file.ONNXRuntime != Version() {
		t.Fatalf("the graphs were placed by ONNX Runtime %s, the table is of %s: make both with one", file.ONNXRuntime, Version())
	}
	on, pulled, copies := 0, 0, 0
	for _, g := range file.Graphs {
		m, err := onnx.Decode(g.Model)
		if err == nil {
			err = onnx.Check(m, "")
		}
		if err != nil {
			t.Fatalf("seed %d: %v", g.Seed, err)
		}
		r, err := Plan(m)
		if err != nil {
			t.Fatalf("seed %d: %v", g.Seed, err)
		}
		got := map[string]string{}
		for _, n := range r.Nodes {
			got[n.Node] = n.Device
			if n.Device == OnCUDA {
				on++
			} else if strings.HasPrefix(n.Why, "pulled") {
				pulled++
			}
		}
		if !maps.Equal(got, g.Nodes) {
			t.Errorf("seed %d: nodes are at %v, ONNX Runtime has them at %v", g.Seed, got, g.Nodes)
		}
		var copied [][2]string
		for _, c := range r.Copies {
			copied = append(copied, [2]string{c.Op, c.Value})
			copies++
		}
		slices.SortFunc(copied, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
		if !slices.Equal(copied, g.Copies) {
			t.Errorf("seed %d: copies %v, ONNX Runtime's are %v", g.Seed, copied, g.Copies)
		}
	}
	if len(file.Graphs) < 40 || on < 200 || pulled < 5 || copies < 20 {
		t.Errorf("%d graphs, %d nodes on CUDA, %d pulled to the CPU, %d copies: too few to show anything", len(file.Graphs), on, pulled, copies)
	}
}
