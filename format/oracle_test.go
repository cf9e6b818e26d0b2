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

// TestReferenceReadsSealed checks that the reference sees the same tensors in
// sealed files, and beside them nothing but padding and seal.
func TestReferenceReadsSealed(t *testing.T) {
	metadata, tensors := mustRead(t, everyType(t))
	for i, b := range [][]byte{small(t), sealed(t, metadata, tensors...)} {
		path := filepath.Join(t.TempDir(), "model.safetensors")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var theirs description
		reference(t, &theirs, path)
		_, ours := mustRead(t, b)
		seen := 0
		for _, w := range theirs.Tensors {
			if w.Name == format.SealName || strings.HasPrefix(w.Name, "attnx.pad.") {
				continue
			}
			j := slices.IndexFunc(ours, func(x format.Tensor) bool { return x.Name == w.Name })
			if j < 0 {
				t.Errorf("file %d: the reference alone sees %s", i, w.Name)
				continue
			}
			seen++
			sum := sha256.Sum256(ours[j].Data)
			if ours[j].DType.String() != w.DType || !slices.Equal(ours[j].Shape, w.Shape) || hex.EncodeToString(sum[:]) != w.SHA256 {
				t.Errorf("file %d: %v; the reference has %+v", i, ours[j].Info(), w)
			}
		}
		if seen != len(ours) {
			t.Errorf("file %d: the reference sees %d of %d tensors", i, seen, len(ours))
		}
		if theirs.Metadata["attnx.requires"] != "seal" {
			t.Errorf("file %d: metadata %v", i, theirs.Metadata)
		}
	}
}

// TestReferenceRefuses checks that this package is nowhere more lenient than
// the reference, and that it is stricter in the known places only. It prints
// the matrix (go test -v).
func TestReferenceRefuses(t *testing.T) {
	all := hostiles()
	good := small(t)
	for name, spoil := range map[string]func(b []byte) []byte{
		"sealed, a bit of a weight":         func(b []byte) []byte { b[4096+300] ^= 1; return b },
		"sealed, a bit of the padding":      func(b []byte) []byte { b[4096+20] ^= 1; return b },
		"sealed, a bit of the seal":         func(b []byte) []byte { b[4096+1024+110] ^= 1; return b },
		"sealed, a bit of the last bytes":   func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"sealed, the last bytes never came": func(b []byte) []byte { clear(b[len(b)-64:]); return b },
		"sealed, a value in the metadata":   func(b []byte) []byte { return bytes.Replace(b, []byte(`step":"7"`), []byte(`step":"8"`), 1) },
		"sealed, the seal renamed":          func(b []byte) []byte { return bytes.Replace(b, []byte(`attnx.seal`), []byte(`attnx.seam`), 1) },
	} {
		all = append(all, hostile{name: name, file: spoil(bytes.Clone(good)), lenient: true})
	}
	files := make([][]byte, len(all))
	for i, c := range all {
		files[i] = c.file
	}
	var matrix strings.Builder
	for i, v := range judged(t, files) {
		c := all[i]
		ours := "reject"
		if everything(c.file) == nil {
			ours = "accept"
			t.Errorf("%s: this package accepts it", c.name)
		}
		theirs, _, _ := strings.Cut(v, ":")
		fmt.Fprintf(&matrix, "%-45s safetensors %s, attnx %s\n", c.name, theirs, ours)
		switch {
		case v == "accept" && !c.lenient:
			t.Errorf("%s: the reference accepts it", c.name)
		case strings.HasPrefix(v, "reject: ") && c.lenient:
			t.Logf("%s: this version of the reference refuses it too: %s", c.name, v)
		case v == "":
			t.Errorf("%s: no verdict", c.name)
		}
	}
	t.Logf("hostile files, %d:\n%s", len(all), matrix.String())
}
