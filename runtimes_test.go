package attnx

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
)

// A runtime that is added is a line in the list: then it has names in reports,
// is verified in the forms that it takes, and decodes.
func TestAddedRuntime(t *testing.T) {
	path, err := onnxRuntime(t)
	if err != nil {
		t.Skip(err)
	}
	opened := 0
	added := runtime.Runtime{
		Name: "added", Devices: []string{"npu"},
		Open: func(f runtime.File, _ runtime.Options) (runtime.Session, error) {
			opened++
			return ort.Runtime.Open(f, runtime.Options{Library: path})
		},
		OpenDevice: func(f runtime.File, _ runtime.Options) (runtime.Device, error) {
			d, err := ort.Runtime.OpenDevice(f, runtime.Options{Library: path})
			return struct{ runtime.Device }{d}, err // it does not say where it runs
		},
	}
	before := runtimes
	defer func() { runtimes = before }()
	runtimes = append(slices.Clone(before), row{Runtime: added, takes: []export.Profile{export.Plain{}, export.Cache{}}})

	names := []string{"added-npu", "added-npu-cache"}
	if all := Runtimes(); !slices.Equal(all[len(all)-2:], names) || !slices.Contains(Devices(), "npu") {
		t.Errorf("runtimes %v, devices %v", all, Devices())
	}
	c, err := model.New(arch.GPT2{Vocab: 20, Context: 16, Width: 8, Layers: 1, Heads: 2, Inner: 16, Epsilon: 1e-5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	report, err := Verify(context.Background(), c, nil, VerifyOptions{Runtimes: names, Seed: 1})
	if err != nil || report.Verdict != runtime.Pass || len(report.Results) != 2 || opened != 2 {
		t.Errorf("opened %d times: %+v, %v", opened, report, err)
	}
	form := export.Cache{LastLogits: true}
	m, err := OpenCheckpoint(c, form, Options{Runtime: "added"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Runtime.String() != "added" {
		t.Errorf("it runs in %s", m.Runtime)
	}
	d, err := m.Logits(1)
	if err != nil {
		t.Fatal(err)
	}
	if logits, err := d.Prefill([][]int64{{1, 2, 3}}); err != nil || len(logits) != 20 {
		t.Errorf("%d logits, %v", len(logits), err)
	}

	var wrong *Error
	if _, err := OpenCheckpoint(c, form, Options{Runtime: "onnx-go"}); !errors.As(err, &wrong) || wrong.Do != "run it in ort or added" {
		t.Errorf("%v", err)
	}
	if _, err := OpenCheckpoint(c, form, Options{Runtime: "other"}); err == nil || !strings.Contains(err.Error(), "take ort, openvino, openvino (default), onnx-go or added") {
		t.Errorf("%v", err)
	}
}
