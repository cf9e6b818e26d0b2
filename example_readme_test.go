package attnx_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// must returns v, or panics with the error.
func must[T any](v T, err error) T {
	check(err)
	return v
}

// The Go program of README.md: TestReadme compares the two.
func Example_readme() {
	ctx, run := context.Background(), filepath.Join(folder(), "notes")
	result := must(attnx.Train(ctx, attnx.TrainOptions{
		Out: run, Data: attnx.Corpus{Text: fixtures.Notes()}, Kind: tokens.Word, Settings: train.DefaultOptions(50),
	}))
	must(attnx.Export(ctx, run, run+".onnx", attnx.ExportOptions{Profile: export.Flat{}}))
	report := must(attnx.Verify(ctx, result.Model, []string{run + ".onnx"}, attnx.VerifyOptions{Runtimes: []string{"onnx-go"}}))
	fmt.Println(report.Verdict, "against", report.Oracle)
	// Output: pass against ref-float64
}

// The README's Go is the body of Example_readme, line by line, in a folder of its
// own.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(source), "func Example_readme() {\n")
	body, _, _ = strings.Cut(body, "\t// Output:")
	body = strings.ReplaceAll("\n"+body, "\n\t", "\n")
	body = strings.Replace(body, `filepath.Join(folder(), "notes")`, `"runs/notes"`, 1)
	_, shown, found := strings.Cut(string(readme), "```go")
	shown, _, _ = strings.Cut(shown, "```")
	if !found || shown != body {
		t.Errorf("README.md shows%s\nExample_readme runs%s", shown, body)
	}
	if n := len(strings.Fields(string(readme))); n > 800 {
		t.Errorf("README.md has %d words, want 800 at most: details belong into --help, ARCHITECTURE.md or fixtures/MEASURED.md", n)
	}
}
