package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/attnx/attnx/"

// layers is who may import whom of our own packages. It is a statement of
// policy, explained in ARCHITECTURE.md: a build that breaks it is mended by
// moving code, not by a line here.
var layers = map[string][]string{
	".":                    nil, // the application: may import every room but cmd
	"format":               {"internal/leak", "internal/quote"},
	"format/npy":           {"format"},
	"format/ortadapter":    {"format"},
	"format/tensorboard":   {},
	"format/gguf":          {"format", "internal/quote"},
	"format/store":         {},
	"model/role":           {},
	"model/graph":          {"format", "model/role"},
	"model/nn":             {"format", "internal/quote", "model/graph", "model/role"},
	"model/arch":           {"internal/quote", "model/graph", "model/nn"},
	"model":                {"format", "format/store", "internal/memory", "internal/quote", "model/arch", "model/graph", "model/nn", "model/role"},
	"model/normal":         {"format", "model/graph"},
	"model/tokens":         {"internal/quote"},
	"model/pairs":          {"internal/quote"},
	"model/score":          {},
	"model/jinja":          {},
	"model/huggingface":    {"format", "format/store", "internal/quote", "model", "model/arch", "model/graph", "model/role", "model/nn", "model/tokens"},
	"model/foreign":        {"export/bundle", "export/onnx", "format", "internal/find", "internal/quote", "model", "model/huggingface", "model/role"},
	"model/gguf":           {"format", "format/gguf", "format/store", "internal/memory", "internal/quote", "model", "model/arch", "model/graph", "model/nn", "model/tokens"},
	"model/exprgraph":      {"format", "internal/quote", "model", "model/arch", "model/graph", "model/role"},
	"model/train":          {"format", "format/store", "internal/quote", "model", "model/graph", "model/nn", "model/role", "model/tokens"},
	"internal/find":        {"export/bundle", "export/onnx", "format", "format/gguf", "format/store", "internal/quote", "model", "model/gguf", "model/graph", "model/huggingface", "model/tokens"},
	"internal/mutate":      {"export/onnx", "model/graph"},
	"internal/output":      {"export", "export/onnx", "format", "format/store", "internal/find", "model", "model/gguf", "model/huggingface"},
	"model/train/gorgonia": {"format", "internal/exponential", "model", "model/graph", "model/role", "model/train"},
	"model/train/torch":    {"format", "format/store", "model", "model/huggingface", "model/train"},
	"internal/exponential": {},
	"internal/leak":        {},
	"internal/memory":      {},
	"internal/speed":       {"format", "model/graph", "runtime"},
	"internal/signals":     {},
	"internal/quote":       {},
	"internal/table":       {"format", "format/npy", "internal/quote"},
	"export/onnx":          {},
	"export/onnx/schema":   {"export/onnx"},
	"export/onnx/branch":   {"export/onnx"},
	"export/onnx/cut":      {"export/onnx"},
	"export/onnx/check":    {"export/onnx", "export/onnx/schema"},
	"export/onnx/diff":     {"export/onnx", "export/onnx/read", "export/onnx/schema", "format", "internal/quote"},
	"export/onnx/read":     {"export/onnx", "export/onnx/schema", "format", "model/graph"},
	"export/compare":       {"export/onnx", "format", "internal/quote"},
	"export/playground":    {},
	"export/placement":     {"export/onnx", "export/onnx/check", "export/onnx/schema", "internal/quote"},
	"export/precision":     {"export/onnx", "format", "model/graph", "model/role"},
	"export/bundle":        {"export/onnx", "format/store", "model/role"},
	"export/onnx/emit":     {"export/onnx", "format", "model/graph", "model/role"},
	"export/flat":          {"format", "model/graph", "model/role"},
	"export":               {"export/bundle", "export/flat", "export/onnx", "export/onnx/emit", "export/precision", "format", "format/store", "model/graph", "model/role"},
	"runtime":              {"format", "internal/quote", "model/role"},
	"runtime/decode":       {"format", "internal/exponential", "model/role", "runtime"},
	"runtime/ref":          {"format", "model/graph", "model/role", "runtime"},
	"runtime/sharedlib":    {"runtime"},
	"runtime/ort/library":  {"runtime", "runtime/sharedlib"},
	"runtime/ort":          {"format", "internal/leak", "internal/quote", "internal/signals", "runtime", "runtime/declared", "runtime/ort/library"},
	"runtime/declared":     {"format", "runtime"},
	"runtime/openvino":     {"format", "internal/leak", "internal/quote", "internal/signals", "runtime", "runtime/declared", "runtime/sharedlib"},
	"runtime/onnxgo":       {"format", "model/role", "runtime"},
	"runtime/conform":      {"fixtures", "format", "model/graph", "model/role", "runtime"},
	"receipt":              {},
	"fixtures":             {},

	"runtime/sharedlib/elftest": {},  // for tests
	"cmd/attnx":                 nil, // flags and printing: may import all of them, and nothing imports it

	"cmd/attnx/internal/bench":      nil, // measures what the application does
	"cmd/attnx/internal/complete":   {},
	"cmd/attnx/internal/console":    nil, // names the libraries that the application used
	"cmd/attnx/internal/corpora":    nil, // prepares what the application trains on
	"cmd/attnx/internal/encoders":   nil, // commands on whole texts
	"cmd/attnx/internal/ending":     {},
	"cmd/attnx/internal/explorer":   nil, // a command, and the page that it writes
	"cmd/attnx/internal/flags":      nil, // names the runtimes of the application
	"cmd/attnx/internal/forms":      {"export", "export/precision"},
	"cmd/attnx/internal/heads":      nil, // a command on the application's maps
	"cmd/attnx/internal/inspection": nil, // prints what the application reports
	"cmd/attnx/internal/lesson":     nil, // quickstart's translator
	"cmd/attnx/internal/playground": nil, // the flags of a page that trains, and a server for it
	"cmd/attnx/internal/plot":       {"format/store", "internal/output"},
	"cmd/attnx/internal/settings":   {"internal/quote", "model/arch", "model/train"},
	"cmd/attnx/internal/tasks":      nil, // the flags of the application's tasks
	"cmd/attnx/internal/terminal":   {},
	"cmd/attnx/internal/texts":      nil, // writes what the application generates
	"cmd/attnx/internal/trainview":  nil, // shows what the application trains
	"cmd/attnx/internal/usage":      {},
	"cmd/attnx/internal/versus":     nil, // compares what the application trained
	"cmd/attnx/internal/words":      nil, // names the remedies of every room
}

// single is the one package that may import a dependency. Gorgonia has three: the
// engine, the machine on which onnx-go's graphs run, and the reader of its users'
// graphs.
var single = map[string]string{
	"gorgonia.org/gorgonia":            "model/train/gorgonia model/exprgraph runtime/onnxgo",
	"github.com/yalue/onnxruntime_go":  "runtime/ort",
	"github.com/owulveryck/onnx-go":    "runtime/onnxgo",
	"github.com/spf13/cobra":           "cmd/attnx cmd/attnx/internal/complete cmd/attnx/internal/corpora cmd/attnx/internal/encoders cmd/attnx/internal/explorer cmd/attnx/internal/heads cmd/attnx/internal/playground cmd/attnx/internal/usage cmd/attnx/internal/versus",
	"github.com/guptarohit/asciigraph": "cmd/attnx/internal/terminal",
	"gonum.org/v1/plot":                "cmd/attnx/internal/plot",
	"go.yaml.in/yaml":                  "cmd/attnx/internal/settings",
	"github.com/klauspost/compress":    "model/train",
}

func TestLayers(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		room := strings.TrimPrefix(p.ImportPath, module)
		if p.ImportPath+"/" == module {
			room = "."
		}
		allowed, known := layers[room]
		if !known {
			t.Errorf("%s is in no plan: give it a line in layers and in ARCHITECTURE.md, or another place", room)
			continue
		}
		seen++
		for _, imp := range p.Imports {
			if imp+"/" == module && !strings.HasPrefix(room, "cmd/attnx") {
				t.Errorf("%s imports the root package, which only cmd/attnx and its rooms may", room)
			}
			if ours, ok := strings.CutPrefix(imp, module); ok {
				if ours == "cmd/attnx" || allowed != nil && !slices.Contains(allowed, ours) {
					t.Errorf("%s imports %s, which the plan does not allow", room, ours)
				}
			}
			for dep, owner := range single {
				if strings.HasPrefix(imp, dep) && !slices.Contains(strings.Fields(owner), room) {
					t.Errorf("%s imports %s: only %s may", room, imp, owner)
				}
			}
		}
	}
	if seen != len(layers) {
		t.Errorf("found %d of the %d packages of the plan", seen, len(layers))
	}
}

// TestCommandNamesONNXRuntimeOnce: the command line reaches runtimes by the list
// of the application. What installs ONNX Runtime and OpenVINO is one file.
func TestCommandNamesONNXRuntimeOnce(t *testing.T) {
	var named []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), module+"runtime/ort") || strings.Contains(string(text), module+"runtime/openvino") {
			named = append(named, path)
		}
		return err
	})
	if err != nil || !slices.Equal(named, []string{"runtime.go"}) {
		t.Errorf("runtime/ort or openvino is named in %v, %v: take the list of runtimes, attnx.Libraries and attnx.Options", named, err)
	}
}

// TestCommandIsSmall: package main keeps to flags and printing. What grows beyond
// is the application's, or a room's under internal.
func TestCommandIsSmall(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines += strings.Count(string(text), "\n")
	}
	if lines == 0 || lines >= 3000 {
		t.Errorf("package main has %d lines, expected fewer than 3000", lines)
	}
}

// The rooms that must build where there is no C compiler.
func TestNoCgo(t *testing.T) {
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		goos, goarch, _ := strings.Cut(platform, "/")
		cmd := exec.Command("go", "list", "-deps", "-f", "{{if .CgoFiles}}{{.ImportPath}}{{end}}", "./format/...", "./export/...", "./model/graph", "./model/tokens", "./model/huggingface", "./model/train", "./model")
		cmd.Dir = "../.."
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=1", "GOOS="+goos, "GOARCH="+goarch)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for _, p := range strings.Fields(string(out)) {
			if p != "runtime/cgo" && strings.Contains(p, ".") {
				t.Errorf("%s: %s needs cgo", platform, p)
			}
		}
	}
}

// TestQuotes: what a message quotes may come from a hostile file and have
// megabytes, so every %q has a bound. (What is printed, and not a message, is
// written with Fprintf.)
func TestQuotes(t *testing.T) {
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
			strings.Contains(path, "internal/quote") || strings.Contains(path, "conform") || strings.Contains(path, "fixtures") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			if strings.Contains(line, "%q") && !strings.Contains(line, "Fprint") && !strings.HasPrefix(strings.TrimSpace(line), "//") {
				t.Errorf("%s:%d: a %%q without a bound: write %%.80q", path, i+1)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
