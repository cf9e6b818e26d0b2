package attnx_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/onnxgo"
	"github.com/attnx/attnx/runtime/ref"
)

// must returns v, or panics with the error.
func must[T any](v T, err error) T {
	check(err)
	return v
}

// The Go program of README.md: TestReadme compares the two.
func Example_readme() {
	ctx := context.Background()
	text, sizes := fixtures.Notes(), must(arch.Preset("tiny"))
	tok := must(tokens.Train(tokens.Word, text, 0))
	network := must(arch.New("gpt2", sizes, tok.VocabSize()))
	data := must(train.FromText(text, tok, sizes.Context))
	c := must(train.Start(network, tok, 1))
	c = must(gorgonia.Fit(ctx, c, data, train.DefaultOptions(50), nil))
	file := must(export.Bytes(c.Graph, c.Weights, export.Flat{}))
	open := func() (runtime.Session, error) { return onnxgo.OpenBytes(file) }
	oracle := must(ref.New(c.Graph, c.Weights))
	report := must(runtime.Verify(ctx, oracle, []runtime.Candidate{{Name: "onnx-go", Open: open}},
		runtime.Cases(c.Vocab(), c.Context(), 1)))
	fmt.Println(report.Verdict, "against", report.Oracle)
	// Output: pass against ref-float64
}

// The README's Go is the body of Example_readme, line by line.
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
	_, shown, found := strings.Cut(string(readme), "```go")
	shown, _, _ = strings.Cut(shown, "```")
	if !found || shown != body {
		t.Errorf("README.md shows%s\nExample_readme runs%s", shown, body)
	}
	if n := len(strings.Fields(string(readme))); n > 800 {
		t.Errorf("README.md has %d words, want 800 at most: details belong into --help, ARCHITECTURE.md or fixtures/MEASURED.md", n)
	}
}
