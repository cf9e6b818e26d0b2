package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
)

// onnxView is what the Python package onnx sees in a file
// (fixtures/oracle/onnx_view.py).
type onnxView struct {
	Accepted     bool
	Why          string
	IR           int64
	Inputs       []string
	Outputs      []string
	Operators    map[string]int
	Initializers [][2]any // name and shape
	Functions    []string
}

// inspect shows a file that the Python checker accepts, with what that package
// sees in it. It never ends otherwise than with an answer.
func (v onnxView) compare(t *testing.T, path string) {
	t.Helper()
	var out, stderr bytes.Buffer
	code := run([]string{"inspect", path, "--json"}, strings.NewReader(""), &out, &stderr)
	if !v.Accepted && code == exitUsage {
		return
	}
	if code != exitOK {
		t.Errorf("%s: exit code %d: %s", path, code, &stderr)
		return
	}
	x := attnx.Inspection{InspectedONNX: &attnx.InspectedONNX{}}
	if err := json.Unmarshal(out.Bytes(), &x); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	names := func(list []string) []string { // without the types
		var out []string
		for _, s := range list {
			if name, err := unquoted(s); err == nil {
				out = append(out, name)
			} else {
				out = append(out, s[:strings.IndexByte(s, ' ')])
			}
		}
		return out
	}
	tensors := [][2]any{}
	for _, w := range x.Tensors {
		shape := []any{}
		for _, d := range w.Shape {
			shape = append(shape, float64(d))
		}
		tensors = append(tensors, [2]any{w.Name, shape})
	}
	var functions []string
	for _, f := range x.Functions {
		functions = append(functions, f.Name)
	}
	for what, pair := range map[string][2]any{
		"IR version": {x.IRVersion, v.IR}, "inputs": {names(x.Inputs), v.Inputs}, "outputs": {names(x.Outputs), v.Outputs},
		"operators": {x.Nodes, v.Operators}, "initializers": {tensors, v.Initializers}, "functions": {functions, v.Functions},
	} {
		if got, want := fmt.Sprint(pair[0]), fmt.Sprint(pair[1]); got != want && v.IR != 0 {
			t.Errorf("%s: %s are\n%s, the package onnx has\n%s", path, what, got, want)
		}
	}
	out.Reset()
	if code := run([]string{"inspect", path, "--nodes"}, strings.NewReader(""), &out, &stderr); code != exitOK {
		t.Errorf("%s --nodes: exit code %d: %s", path, code, &stderr)
	}
	nodes := 0
	for _, n := range v.Operators {
		nodes += n
	}
	if got := strings.Count(out.String(), " = "); got < nodes {
		t.Errorf("%s --nodes: %d nodes of %d", path, got, nodes)
	}
}

// unquoted returns the name at the beginning of a line, if it is in quotes.
func unquoted(line string) (string, error) {
	quoted, err := strconv.QuotedPrefix(line)
	if err != nil {
		return "", err
	}
	return strconv.Unquote(quoted)
}

// The files of fixtures/onnx hold what the format allows and attnx does not
// run. The Python checker accepts all of them but one.
func TestInspectONNX(t *testing.T) {
	folder := filepath.Join("..", "..", "fixtures", "onnx")
	data, err := os.ReadFile(filepath.Join(folder, "views.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Files map[string]onnxView }
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for name, v := range golden.Files {
		if v.Accepted {
			accepted++
		}
		v.compare(t, filepath.Join(folder, name))
	}
	if accepted < 21 {
		t.Errorf("the package onnx accepts %d of the files", accepted)
	}
}

// A plan is of any file that ONNX Runtime might open, and clean for none of which
// it is not known that it does.
func TestPlanOfOthers(t *testing.T) {
	for name, want := range map[string]struct {
		code int
		says string
	}{
		"cast8":    {exitOK, "1 of 1 nodes on CUDA"},
		"det":      {exitMismatch, "CUDA has no kernel for Det"},
		"bogus":    {exitMismatch, `not valid with the operators of ONNX Runtime 1.30.0: Relu-14 has no attribute "alpha"`},
		"domain":   {exitMismatch, `the table has no operators of domain "my"`},
		"ir14":     {exitUsage, "IR version 14 is newer than the last that ONNX Runtime 1.30.0 opens, 13"},
		"opset999": {exitUsage, "opset 999 is newer than the last that ONNX Runtime 1.30.0 opens, 26"},
		"function": {exitUsage, "functions are not supported"},
		"sparse":   {exitUsage, "sparse initializers are not supported"},
		"merged":   {exitUsage, "field 7 is there twice"},
		"values":   {exitUsage, "a value that is not a tensor is not supported"},
	} {
		var out, stderr bytes.Buffer
		path := filepath.Join("..", "..", "fixtures", "onnx", name+".onnx")
		code := run([]string{"verify", "--plan", "cuda", path}, strings.NewReader(""), &out, &stderr)
		if said := out.String() + stderr.String(); code != want.code || !strings.Contains(said, want.says) {
			t.Errorf("%s: exit code %d: %s, want %d, %q", name, code, said, want.code, want.says)
		}
	}
}

// No name of a file writes its own lines or control codes, or without end.
func TestNamesOfOthers(t *testing.T) {
	for _, name := range []string{"control", "names", "types", "attributes", "everywhere"} {
		path := filepath.Join("..", "..", "fixtures", "onnx", name+".onnx")
		for _, args := range [][]string{{"inspect", path}, {"inspect", "--nodes", path}, {"verify", "--plan", "cuda", path}} {
			var out, stderr bytes.Buffer
			run(args, strings.NewReader(""), &out, &stderr)
			said := out.String() + stderr.String()
			if strings.ContainsAny(said, "\x1b\r") {
				t.Errorf("attnx %s: %q", strings.Join(args, " "), said)
			}
			if args[1] != "--nodes" && strings.Contains(said, strings.Repeat("n", 600)) {
				t.Errorf("attnx %s: a line without end", strings.Join(args, " "))
			}
		}
	}
}

// Every model of ONNX's backend suite, and, where the variable ATTNX_ONNX names
// files or folders, every ONNX file there: inspect shows those that the Python
// checker accepts, with what the Python package sees in them, and what is
// written of a file that was read is the same model.
func TestInspectSuite(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" || !fixtures.Exhaustive() {
		t.Skip("set ATTNX_PYTHON to a Python with onnx, and ATTNX_EXHAUSTIVE=1, to walk through ONNX's backend suite")
	}
	script := filepath.Join("..", "..", "fixtures", "oracle", "onnx_view.py")
	folder := t.TempDir()
	args := append([]string{"-B", script, "--suite", folder}, filepath.SplitList(os.Getenv("ATTNX_ONNX"))...)
	cmd := exec.Command(python, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	var views map[string]onnxView
	if err := json.Unmarshal(out[bytes.LastIndexByte(bytes.TrimSpace(out), '\n')+1:], &views); err != nil {
		t.Fatal(err)
	}
	accepted, shown := 0, t.TempDir()
	var pairs [][2]string
	for path, v := range views {
		v.compare(t, path)
		if !v.Accepted {
			continue
		}
		accepted++
		m, err := onnx.DecodeFile(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		to := filepath.Join(shown, fmt.Sprint(len(pairs)))
		if err := writeTo(to, m.Encode); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		pairs = append(pairs, [2]string{path, to})
	}
	t.Logf("%d files, %d accepted by the package onnx", len(views), accepted)
	if accepted < 1800 {
		t.Errorf("%d files that the package onnx accepts are too few", accepted)
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	list, err := json.Marshal(pairs)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(shown, "pairs.json")
	if err := os.WriteFile(file, list, 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(python, "-B", script, "--same", file).CombinedOutput(); err != nil {
		t.Errorf("%s", out[:min(len(out), 5000)])
	} else {
		t.Logf("%s", out)
	}
}
