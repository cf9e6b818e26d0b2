package attnx

import (
	"path/filepath"
	"testing"

	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/train"
)

// The memory that is predicted is that of the engine that will be taken: Gorgonia's where
// there is no ONNX Runtime.
func TestMemoryOfTheEngineTaken(t *testing.T) {
	t.Setenv("ATTNX_ORT_LIB", filepath.Join(t.TempDir(), "none.so"))
	network, err := arch.New("gpt2", arch.Sizes{Layers: 1, Heads: 2, Width: 8, Context: 4}, 9)
	if err != nil {
		t.Fatal(err)
	}
	r := trainRun{options: train.DefaultOptions(1)}
	if r.model, err = train.Start(network, nil, 1); err != nil {
		t.Fatal(err)
	}
	if r.data, err = train.NewText(make([]int64, 100), 4); err != nil {
		t.Fatal(err)
	}
	need := map[string]int64{}
	for _, r.engine = range Engines() {
		if need[r.engine], err = r.memory(); err != nil {
			t.Fatal(err)
		}
	}
	if need["auto"] != need["gorgonia"] || need["auto"] >= need["ort"] {
		t.Errorf("predicted: %v", need)
	}
}
