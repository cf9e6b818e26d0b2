package format_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
)

// reference runs fixtures/oracle/check_safetensors.py and parses its answer.
// The test is skipped where no Python with safetensors is named.
func reference(t *testing.T, into interface{ ok() bool }, args ...string) {
	t.Helper()
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON does not name a Python: the reference implementation is not asked")
	}
	if err := exec.Command(python, "-c", "import numpy, safetensors").Run(); err != nil {
		t.Skipf("%s (ATTNX_PYTHON) has no numpy and safetensors: the reference implementation is not asked", python)
	}
	cmd := exec.Command(python, append([]string{"../fixtures/oracle/check_safetensors.py"}, args...)...)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, errors.Bytes())
	}
	if err := json.Unmarshal(out, into); err != nil || !into.ok() {
		t.Fatalf("%v: %s", err, out)
	}
}

// description is what the reference says of a file.
type description struct {
	Metadata map[string]string `json:"metadata"`
	Tensors  []struct {
		Name   string `json:"name"`
		DType  string `json:"dtype"`
		Shape  []int  `json:"shape"`
		SHA256 string `json:"sha256"`
	} `json:"tensors"`
}

func (d *description) ok() bool { return d.Metadata != nil && d.Tensors != nil }

// verdicts is what the reference says of the files of a folder, by name.
type verdicts map[string]string

func (v *verdicts) ok() bool { return len(*v) > 0 }

// drawn returns the same files of any content each time.
func drawn(n int) (files [][]byte) {
	gen := rapid.Custom(func(t *rapid.T) []byte {
		metadata, tensors := contents(t)
		return write(t, metadata, tensors...)
	})
	for seed := range n {
		files = append(files, gen.Example(seed))
	}
	return files
}

// everyType is a file with a tensor of each element type.
func everyType(t *testing.T) []byte {
	var tensors []format.Tensor
	for _, d := range dtypes() {
		data := make([]byte, 6*d.Size())
		for i := range data {
			data[i] = byte(i % 2) // a BOOL is 0 or 1
		}
		tensors = append(tensors, format.Tensor{Name: "of." + d.String(), DType: d, Shape: []int{2, 3}, Data: data})
	}
	return write(t, map[string]string{"format": "pt"}, tensors...)
}

// TestReferenceReads compares what the reference and this package see in the
// same files: ours, of every element type and of any content, and its own.
func TestReferenceReads(t *testing.T) {
	foreign, err := fixtures.FS.ReadFile("tiny_gpt2/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	files := append(drawn(4), everyType(t), foreign) // an interpreter starts for each
	for i, b := range files {
		path := filepath.Join(t.TempDir(), "model.safetensors")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var want description
		reference(t, &want, path)
		metadata, tensors := mustRead(t, b)
		if !maps.Equal(metadata, want.Metadata) || len(tensors) != len(want.Tensors) {
			t.Errorf("file %d: %d tensors, metadata %q; the reference has %d, %q", i, len(tensors), metadata, len(want.Tensors), want.Metadata)
			continue
		}
		for _, w := range want.Tensors {
			j := slices.IndexFunc(tensors, func(x format.Tensor) bool { return x.Name == w.Name })
			if j < 0 {
				t.Errorf("file %d: %q is missing", i, w.Name)
				continue
			}
			x := tensors[j]
			sum := sha256.Sum256(x.Data)
			if x.DType.String() != w.DType || !slices.Equal(x.Shape, w.Shape) || hex.EncodeToString(sum[:]) != w.SHA256 {
				t.Errorf("file %d: %v; the reference has %+v", i, x, w)
			}
		}
	}
}

// judged asks the reference about many files at once.
func judged(t *testing.T, files [][]byte) []string {
	dir := t.TempDir()
	name := func(i int) string { return fmt.Sprintf("%03d", i) }
	for i, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name(i)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verdict := verdicts{}
	reference(t, &verdict, "--judge", dir)
	out := make([]string, len(files))
	for i := range files {
		out[i] = verdict[name(i)]
	}
	return out
}

// TestReferenceAccepts checks that every tool can open what a Writer wrote.
func TestReferenceAccepts(t *testing.T) {
	files := append(drawn(100), everyType(t))
	for i, v := range judged(t, files) {
		if v != "accept" {
			t.Errorf("file %d: the reference says %q: %q", i, v, files[i])
		}
	}
}

// TestReferenceRefuses checks that this package is nowhere more lenient than
// the reference, and that it is stricter in the known places only.
func TestReferenceRefuses(t *testing.T) {
	all := hostiles()
	files := make([][]byte, len(all))
	for i, c := range all {
		files[i] = c.file
	}
	for i, v := range judged(t, files) {
		switch c := all[i]; {
		case v == "accept" && !c.lenient:
			t.Errorf("%s: the reference accepts it", c.name)
		case strings.HasPrefix(v, "reject: ") && c.lenient:
			t.Logf("%s: this version of the reference refuses it too: %s", c.name, v)
		case v == "":
			t.Errorf("%s: no verdict", c.name)
		}
	}
}
