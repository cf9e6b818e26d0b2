package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// partsOfNames are the names of inputs and outputs, or what they begin with, that
// no other text holds.
var partsOfNames = regexp.MustCompile(`input_ids|attention_mask|position_ids|token_type_ids|past_key_values|encoder_hidden_states|last_hidden_state|pooler_output|\bpresent\.|\bgrad\.[\w%]`)

// roleName returns the name of an input or output that a literal spells, empty
// if it spells none.
func roleName(text string) string {
	if r, ok := role.FromName(text); ok && r.Kind != role.None || text == "present" {
		return text
	}
	return partsOfNames.FindString(text)
}

// otherMeanings are the literals that are names of roles and mean something else:
// the file, a colon, the literal.
var otherMeanings = []string{
	"model/arch/gpt2.go:logits", "model/arch/simple.go:logits", "model/arch/decoder.go:logits", "model/arch/recurrent.go:logits", // the names of values
	"cmd/attnx/internal/tasks/task.go:loss", "cmd/attnx/internal/tasks/task.go:labels", "cmd/attnx/complete.go:loss", "cmd/attnx/complete.go:labels", // flags
	"export/precision/half.go:logits", // a part of a network, as reports call it
}

// TestLayersSpellNoRoles: model/role alone spells what inputs and outputs are called.
// Whoever looks for one asks it.
func TestLayersSpellNoRoles(t *testing.T) {
	literals(t, func(path, place, text string) {
		if name := roleName(text); name != "" && !strings.HasPrefix(path, "model/role/") && !slices.Contains(otherMeanings, path+":"+text) && !sentence(path, text) {
			t.Errorf("%s: spells %q: ask model/role for the name", place, name)
		}
	})
}

// sentence reports whether a literal is one of the help texts or examples of the
// command that name a network or an input.
func sentence(path, text string) bool {
	helps := []string{"bench", "benchgenerate", "export", "exportfolder", "train"}
	name, ok := strings.CutPrefix(strings.TrimSuffix(path, ".go"), "cmd/attnx/")
	return ok && slices.Contains(helps, name) && strings.Count(text, " ") > 3 && !strings.Contains(text, "%")
}

// TestLayersNameNoArchitecture: model/arch alone names the networks that attnx ships, and
// model/huggingface and model/gguf those of the folders and files that they read.
func TestLayersNameNoArchitecture(t *testing.T) {
	names := regexp.MustCompile(`(?i)\b(` + strings.Join(arch.Names(), "|") + `)\b`)
	exempt := func(path string) bool {
		return strings.HasPrefix(path, "model/arch/") || strings.HasPrefix(path, "model/huggingface/") || strings.HasPrefix(path, "model/gguf/") || strings.HasPrefix(path, "fixtures/")
	}
	operators := map[string]bool{}
	for _, op := range graph.Operators() {
		operators[op.Name()] = true
	}
	literals(t, func(path, place, text string) {
		if strings.HasPrefix(text, "/opt/") || operators[text] { // the folder, an operator of ONNX that is called like a network
			return
		}
		if name := names.FindString(text); name != "" && !exempt(path) && !sentence(path, text) {
			t.Errorf("%s: names the architecture %q: it belongs into model/arch", place, name)
		}
	})
	types := networkTypes(t)
	sources(t, func(path string, files *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok || exempt(path) {
				return true
			}
			if of, ok := s.X.(*ast.Ident); ok && of.Name == "arch" && slices.Contains(types, s.Sel.Name) {
				t.Errorf("%s: names arch.%s: it belongs into model/arch", files.Position(n.Pos()), s.Sel.Name)
			}
			return true
		})
	})
}

// networkTypes returns the types of model/arch that are networks.
func networkTypes(t *testing.T) (types []string) {
	t.Helper()
	method := regexp.MustCompile(`(?m)^func \((?:\w+ )?(\w+)\) Architecture\(\)`)
	paths, err := filepath.Glob("../../model/arch/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range method.FindAllStringSubmatch(string(text), -1) {
			types = append(types, m[1])
		}
	}
	if len(types) < len(arch.Names()) {
		t.Fatalf("networks of model/arch: %v", types)
	}
	return types
}

// literals calls f with every string of the program, and with what literals are
// put together to, but for tags of fields and paths of imports: the file, where it
// is in it, and the text.
func literals(t *testing.T, f func(path, place, text string)) {
	t.Helper()
	sources(t, func(path string, files *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.Field:
				n.Tag = nil
			case ast.Expr:
				if text, ok := spelled(n); ok {
					f(path, files.Position(n.Pos()).String(), text)
					return false
				}
			}
			return true
		})
	})
}

// spelled returns the text of a literal, or of several with + between them.
func spelled(n ast.Expr) (text string, ok bool) {
	switch n := n.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(n.Value)
		return text, n.Kind == token.STRING && err == nil
	case *ast.ParenExpr:
		return spelled(n.X)
	case *ast.BinaryExpr:
		x, ok := spelled(n.X)
		y, and := spelled(n.Y)
		return x + y, ok && and && n.Op == token.ADD
	}
	return "", false
}

// sources calls f with every Go file that is no test.
func sources(t *testing.T, f func(path string, files *token.FileSet, file *ast.File)) {
	t.Helper()
	root := filepath.Join("..", "..")
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		short, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		seen++
		f(filepath.ToSlash(short), files, file)
		return nil
	})
	if err != nil || seen < 100 {
		t.Fatalf("%d files read: %v", seen, err)
	}
}

// What the search finds, and what it does not.
func TestNamesAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"input_ids": "input_ids", "attention_mask: %w": "attention_mask", "past_key_values.%d.key": "past_key_values", "present.%d.value": "present.",
		"present": "present", "logits": "logits", "labels": "labels", "loss": "loss", "d/grad.%s": "grad.%", "grad.h.0.weight": "grad.h.0.weight",
		"the logits are empty": "", "at present": "", "": "", "attnx.loss": "", "loss.png": "", "gradient of ": "",
	} {
		if got := roleName(text); got != want {
			t.Errorf("%q spells %q, want %q", text, got, want)
		}
	}
}
