package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/runtime/ort/library"
)

// readme is where the README lies, wherever a script runs.
var readme string

// programs are what the tests and their scripts run.
var programs = map[string]func(){"attnx": main}

func TestMain(m *testing.M) {
	testscript.Main(collecting{m}, programs)
}

// collecting runs the tests with a heap that may grow before it is collected, as the
// command's.
type collecting struct{ *testing.M }

func (c collecting) Run() int {
	memory.CollectFrom(64 << 20)
	return c.M.Run()
}

// onnxRuntime finds ONNX Runtime, or fetches it, once for all scripts.
func onnxRuntime(t *testing.T) (path string, err error) {
	lib, err := library.FindOrInstall(context.Background(), "", nil)
	if err != nil {
		t.Logf("NO ONNX RUNTIME, scripts that need it are skipped: %v", err)
	}
	return lib.Path, err
}

// TestScripts runs the transcripts in testdata. They share trained models,
// which are in $MODELS.
func TestScripts(t *testing.T) {
	lib, missing := onnxRuntime(t)
	var err error
	if readme, err = filepath.Abs("../../README.md"); err != nil {
		t.Fatal(err)
	}
	models := t.TempDir()
	trainModels(t, models)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("MODELS", models)
			e.Setenv("ENGINE", anyEngine())
			e.Setenv("REPOSITORY", filepath.Dir(readme))
			if missing == nil {
				e.Setenv(library.EnvLibrary, lib)
			}
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "ort":
				return missing == nil, nil
			case "exhaustive":
				return fixtures.Exhaustive(), nil
			case "root": // may write everywhere
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("no condition is called %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":        code,
			"json":        jsonFields,
			"broken":      broken,
			"badgraphs":   badgraphs,
			"runfiles":    runfiles,
			"externalize": externalize,
			"replace":     replace,
			"editjson":    editJSON,
			"unseal":      unseal,
			"clash":       clash,
			"hold":        hold,
			"shell":       shell,
			"examples":    examples,
			"whynot":      func(ts *testscript.TestScript, _ bool, _ []string) { ts.Logf("no ONNX Runtime: %v", missing) },
		},
		RequireUniqueNames: true,
	})
}

// anyEngine is for runs of which the engine does not matter: the one that starts
// sooner, and where every case is tried the default.
func anyEngine() string {
	if fixtures.Exhaustive() {
		return "auto"
	}
	return "gorgonia"
}

// trainModels trains the models that several scripts look at: a and b differ
// in their seed only, c is of the other architecture.
func trainModels(t *testing.T, folder string) {
	t.Helper()
	text := strings.Repeat("the quick brown fox jumps over the lazy dog\nwe do not like rain\n", 12)
	data := filepath.Join(folder, "data.txt")
	if err := os.WriteFile(data, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--out", "a", "--seed", "1"},
		{"--out", "b", "--seed", "2"},
		{"--out", "c", "--arch", "simple"},
	} {
		args[1] = filepath.Join(folder, args[1])
		args = append([]string{"train", "--data", data, "--context", "8", "--steps", "4", "--batch", "2", "--engine", anyEngine()}, args...)
		var stderr strings.Builder
		if code := run(args, strings.NewReader(""), &stderr, &stderr); code != 0 {
			t.Fatalf("attnx %s: exit code %d: %s", strings.Join(args, " "), code, &stderr)
		}
	}
}

// code N WORD...: the command ends with exit code N; with 2 it has said why,
// in one line on standard error, and nothing on standard output.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := new(exitError); errors.As(err, exit) {
		got = (*exit).ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	if got != want {
		ts.Fatalf("exit code %d, want %d\n%s%s", got, want, stdout, stderr)
	}
	if want == exitUsage && (stdout != "" || !oneErrorLine.MatchString(stderr)) {
		ts.Fatalf("want one line on standard error and no other output, got\n%s\n%s", stdout, stderr)
	}
}

// exitError is satisfied by *exec.ExitError.
type exitError interface {
	error
	ExitCode() int
}

var oneErrorLine = regexp.MustCompile(`^attnx: [^\n]+\n$`)
