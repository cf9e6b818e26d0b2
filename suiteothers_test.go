package attnx

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/openvino"
	"github.com/attnx/attnx/runtime/ort"
)

// suiteRuntimes are the runtimes that run ONNX's backend suite beside the oracle.
var suiteRuntimes = []runtime.Runtime{ort.Runtime, openvino.Runtime}

// TestSuiteOthers runs ONNX's backend suite in the runtimes, whose results stand
// beside the oracle's in fixtures/onnx-suite.md. What they get wrong is theirs: it
// is counted and named, and is no failure. A model that ends the process is one,
// unless it is refused by name in the runtime's room.
func TestSuiteOthers(t *testing.T) {
	if !fixtures.Exhaustive() {
		t.Skip("it opens some thousand models in each runtime: set ATTNX_EXHAUSTIVE=1")
	}
	folders := suites(t)
	for _, r := range suiteRuntimes {
		t.Run(r.Name, func(t *testing.T) {
			if err := r.Available(runtime.Options{}); err != nil {
				t.Skip(err)
			}
			for _, v := range inRuntime(t, r.Name, folders) {
				if v.crashed {
					t.Errorf("%s/%s/%s ends the process", v.version, v.kind, v.name)
				}
			}
		})
	}
}

// inRuntime runs the tests of the folders in a runtime, in processes of its own:
// a model may end one.
func inRuntime(t *testing.T, name string, folders []string) (all []verdict) {
	t.Helper()
	var left []string
	for _, folder := range folders {
		models, err := filepath.Glob(filepath.Join(folder, "*", "*", "model.onnx"))
		if err != nil || len(models) == 0 {
			t.Fatalf("%s: no models: %v", folder, err)
		}
		for _, path := range models {
			left = append(left, filepath.Dir(path))
		}
	}
	for len(left) > 0 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestSuiteChild$")
		cmd.Env = append(os.Environ(), "ATTNX_SUITE_RUNTIME="+name)
		cmd.Stdin = strings.NewReader(strings.Join(left, "\n") + "\n")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines, done := bufio.NewScanner(out), 0
		for lines.Scan() {
			text, ours := strings.CutPrefix(lines.Text(), suiteMark)
			if !ours {
				continue
			}
			var answer suiteAnswer
			if err := json.Unmarshal([]byte(text), &answer); err != nil {
				t.Fatal(err)
			}
			all = append(all, answer.verdict(left[done]))
			done++
		}
		err = cmd.Wait()
		if done < len(left) { // the process ended in this one
			v := suiteAnswer{}.verdict(left[done])
			v.crashed, v.wrong = true, fmt.Sprint(err)
			all = append(all, v)
			done++
		}
		left = left[done:]
	}
	return all
}

// suiteMark begins the lines in which a child answers.
const suiteMark = "suite: "

// suiteAnswer is a child's line.
type suiteAnswer struct {
	Operator, Apart, Refused, Wrong string
	Right                           bool
}

// verdict returns the answer about the test in a folder.
func (a suiteAnswer) verdict(dir string) verdict {
	kind := filepath.Dir(dir)
	return verdict{
		version: filepath.Base(filepath.Dir(kind)), kind: filepath.Base(kind), name: filepath.Base(dir),
		operator: a.Operator, right: a.Right, apart: a.Apart, refused: a.Refused, wrong: a.Wrong,
	}
}

// TestSuiteChild runs the tests that standard input names in a runtime: it is the
// process of inRuntime.
func TestSuiteChild(t *testing.T) {
	name := os.Getenv("ATTNX_SUITE_RUNTIME")
	if name == "" {
		t.Skip("TestSuiteOthers starts it")
	}
	for _, r := range suiteRuntimes {
		if r.Name != name {
			continue
		}
		for dirs := bufio.NewScanner(os.Stdin); dirs.Scan(); {
			text, err := json.Marshal(judgeIn(r, dirs.Text()))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println(suiteMark + string(text))
		}
	}
}

// judgeIn runs one test in a runtime.
func judgeIn(r runtime.Runtime, dir string) (a suiteAnswer) {
	m, err := onnx.DecodeFile(filepath.Join(dir, "model.onnx"))
	if err != nil {
		a.Apart = err.Error()
		return a
	}
	v := verdict{kind: filepath.Base(filepath.Dir(dir)), name: filepath.Base(dir)}
	sets := v.about(m, dir)
	a.Operator, a.Apart = v.operator, v.apart
	if a.Apart != "" {
		return a
	}
	s, err := r.Open(runtime.File{Path: filepath.Join(dir, "model.onnx")}, runtime.Options{Turns: true})
	if err != nil {
		a.Refused = err.Error()
		return a
	}
	defer s.Close()
	rtol, atol := tolerances(dir)
	for _, set := range sets {
		inputs, err := inputsOfSet(m, set)
		if err != nil {
			a.Apart = err.Error()
			return a
		}
		got, err := s.Run(inputs)
		if err != nil {
			a.Refused = err.Error()
			return a
		}
		err = compareSet(m, set, rtol, atol, func(i int) (format.Tensor, format.DType) {
			t := got[m.Graph.Outputs[i].Name]
			return t, t.DType
		})
		if err != nil {
			a.Wrong = err.Error()
			return a
		}
	}
	a.Right = true
	return a
}
