package words_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/decode"
	"github.com/attnx/attnx/runtime/ort/library"
)

// flag is a flag or a command of attnx.
var flag = regexp.MustCompile("--[a-z]|`attnx ")

// What the library advises names no flags; what the command prints does, and keeps
// the rest of the message.
func TestOf(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("a text\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "run")
	if err := os.MkdirAll(run, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run, "latest"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	kind := func(path string) error {
		_, err := find.Expect(path, "an ONNX file", find.ONNX)
		return err
	}
	_, named := library.Find(filepath.Join(dir, "no.so"), "cpu")
	for want, err := range map[string]error{
		"`attnx train --data FILE`":      kind(text),
		"`attnx export`":                 kind(run),
		"--ort-lib names ":               named,
		"`attnx runtime install`":        named,
		"--profile cache":                &decode.ContractError{},
		"name one with --tokenizer":      &find.NoTokenizerError{Path: "m.onnx", Reason: "there is none"},
		"use --device cpu":               &library.CUDAError{Missing: library.MissingDevice, Remedy: library.MissingDevice.Remedy()},
		"`attnx runtime install --cuda`": &library.CUDAError{Missing: library.MissingCUDABuild, Remedy: library.MissingCUDABuild.Remedy()},
		"`attnx doctor` names each":      &library.CUDAError{Missing: library.MissingCUDALibraries, Remedy: library.MissingCUDALibraries.Remedy()},
		"give it with --length":          &export.ProfileError{Profile: "flat", Reason: "needs a length", Do: export.SetLength},
		"--last-logits is":               &attnx.OptionError{Option: "LastLogits", Reason: " is wrong"},
		"--dtype is":                     &attnx.OptionError{Option: "DType", Reason: " is wrong"},
		"--resume runs/a: it is bad":     &attnx.Error{Option: "run", Value: "runs/a", Err: errors.New("it is bad")},
		"take --engine ort":              &attnx.Error{Option: "Device", Err: errors.New("no"), Do: attnx.TakeORT},
	} {
		if err == nil {
			t.Errorf("%s: no error", want)
			continue
		}
		if flag.MatchString(err.Error()) {
			t.Errorf("the library names a flag or a command: %v", err)
		}
		if got := words.Of(fmt.Errorf("model.onnx: %w", err)); !strings.Contains(got, want) || !strings.HasPrefix(got, "model.onnx: ") {
			t.Errorf("%q does not have %q", got, want)
		}
	}
	if got := words.Of(errors.New("use the CPU\nor \x1b[2J")); strings.ContainsAny(got, "\n\x1b") || !strings.Contains(got, "use the CPU") {
		t.Errorf("%q: an error of another program keeps its words, on one line", got)
	}
}

// What reports print is replaced too.
func TestReplace(t *testing.T) {
	for text, want := range map[string]string{
		"x: " + attnx.ExportToMeasure:               "x: export it with --text to measure what it lost",
		"a.so (from " + runtime.Caller + ")":        "a.so (from --ort-lib)",
		"set HOME, or " + runtime.NameLibrary + "X": "set HOME, or name a library with --ort-lib or X",
		"an ordinary reason":                        "an ordinary reason",
	} {
		if got := words.Replace(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Every option that an error of the application names has a flag of that name.
func TestOptionsAreFlags(t *testing.T) {
	const root = "../../../.."
	flags := map[string]bool{}
	add := func(pattern string) {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?:Var|VarP|JSONFlag)\([^"\n]*"([a-z][a-z-]*)"`).FindAllSubmatch(text, -1) {
				flags[string(m[1])] = true
			}
		}
	}
	add(root + "/cmd/attnx/*.go")
	add(root + "/cmd/attnx/internal/*/*.go")
	files, err := filepath.Glob(root + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	options := map[[2]string]bool{} // the type of the error and the option
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			made, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			for _, e := range made.Elts {
				pair, ok := e.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				key, named := pair.Key.(*ast.Ident)
				value, literal := pair.Value.(*ast.BasicLit)
				of, known := made.Type.(*ast.Ident)
				if named && key.Name == "Option" && literal && known {
					name, err := strconv.Unquote(value.Value)
					if err != nil {
						t.Fatal(err)
					}
					options[[2]string{of.Name, name}] = true
				}
			}
			return true
		})
	}
	delete(options, [2]string{"Error", "Network"}) // the command always has one
	delete(options, [2]string{"Error", "Sizes"})   // the command refuses them by the flag of each
	if len(options) < 10 || len(flags) < 30 {
		t.Fatalf("found the options %v and the flags %v", options, flags)
	}
	for option := range options {
		var err error = &attnx.Error{Option: option[1], Err: errors.New("it is wrong")}
		if option[0] == "OptionError" {
			err = &attnx.OptionError{Option: option[1], Reason: ": it is wrong"}
		}
		name, ok := strings.CutSuffix(words.Of(err), ": it is wrong")
		if flag, dashes := strings.CutPrefix(name, "--"); !ok || !dashes || !flags[flag] {
			t.Errorf("the option %s of an %s is printed as %q, which is not a flag of the command line", option[1], option[0], name)
		}
	}
}
