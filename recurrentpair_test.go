package attnx

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime/decode"
	"github.com/attnx/attnx/runtime/ref"
)

// The logits of recurrent translators are PyTorch's, whole and from their parts, token by
// token. fixtures/oracle/recurrent_golden.py wrote them.
func TestRecurrentTranslators(t *testing.T) {
	var cases []struct {
		Arch         string    `json:"arch"`
		Vocab        int       `json:"vocab"`
		Width        int       `json:"width"`
		Layers       int       `json:"layers"`
		Source, Mask [][]int64 `json:",omitempty"`
		Target       [][]int64 `json:"target"`
		Logits       []float64 `json:"logits"`
		Weights      map[string]struct {
			Shape []int     `json:"shape"`
			Data  []float32 `json:"data"`
		} `json:"weights"`
	}
	text, err := os.ReadFile(filepath.Join("fixtures", "recurrent.json"))
	if err == nil {
		err = json.Unmarshal(text, &cases)
	}
	if err != nil || len(cases) != 2 {
		t.Fatal(len(cases), err)
	}
	for _, k := range cases {
		n, err := arch.Parse(k.Arch, fmt.Appendf(nil, `{"vocab_size":%d,"n_embd":%d,"n_layer":%d}`, k.Vocab, k.Width, k.Layers))
		if err != nil {
			t.Fatal(err)
		}
		c, err := model.Of(n)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range c.Graph.Params {
			w := k.Weights[p.Name]
			c.Weights = append(c.Weights, format.FromFloat32s(p.Name, w.Shape, w.Data))
		}
		ids := func(kind role.Kind, rows [][]int64) format.Tensor {
			name := kind.Name()
			return format.FromInt64s(name, []int{len(rows), len(rows[0])}, slices.Concat(rows...))
		}
		given := map[string]format.Tensor{}
		for _, x := range []format.Tensor{ids(role.SourceTokens, k.Source), ids(role.SourceMask, k.Mask), ids(role.Tokens, k.Target)} {
			given[x.Name] = x
		}
		compare := func(what string, got []float64, want []float64) {
			t.Helper()
			if len(got) != len(want) {
				t.Fatalf("%s, %s: %d logits, expected %d", k.Arch, what, len(got), len(want))
			}
			for i, x := range got {
				if math.Abs(x-want[i]) > 1e-6 {
					t.Fatalf("%s, %s: logit %d is %g, PyTorch's %g", k.Arch, what, i, x, want[i])
				}
			}
		}
		run := func(p decode.Part, in map[string]format.Tensor) map[string]format.Tensor {
			out, err := p.Run(in)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		numbers := func(x format.Tensor) []float64 {
			x, _, err := x.Convert(format.Float64)
			if err != nil {
				t.Fatal(err)
			}
			y, err := x.Float64s()
			if err != nil {
				t.Fatal(err)
			}
			return y
		}
		whole, err := ref.New(c.Graph, c.Weights)
		if err != nil {
			t.Fatal(err)
		}
		compare("at once", numbers(run(whole, given)[role.Logits.Name()]), k.Logits)

		parts := oracleTranslator(t, c).parts
		states := run(parts.Encoder, map[string]format.Tensor{
			role.Tokens.Name(): ids(role.SourceTokens, k.Source).WithName(role.Tokens.Name()), role.AttentionMask.Name(): ids(role.SourceMask, k.Mask).WithName(role.AttentionMask.Name()),
		})[role.Hidden.Name()]
		in := map[string]format.Tensor{role.SourceStates.Name(): states.WithName(role.SourceStates.Name())}
		part := parts.First
		batch, steps, vocab := len(k.Target), len(k.Target[0]), k.Vocab
		for step := range steps {
			var column [][]int64
			for _, row := range k.Target {
				column = append(column, row[step:step+1])
			}
			in[role.Tokens.Name()] = ids(role.Tokens, column)
			out := run(part, in)
			var want []float64
			for b := range batch {
				want = append(want, k.Logits[(b*steps+step)*vocab:][:vocab]...)
			}
			compare(fmt.Sprintf("token %d", step), numbers(out[role.Logits.Name()]), want)
			in, part = map[string]format.Tensor{}, parts.Next
			for i := range k.Layers {
				for _, kinds := range [][2]role.Kind{{role.PastState, role.PresentState}, {role.PastCell, role.PresentCell}} {
					if x, ok := out[role.Layered(kinds[1], i).Name()]; ok {
						in[role.Layered(kinds[0], i).Name()] = x.WithName(role.Layered(kinds[0], i).Name())
					}
				}
			}
		}
		// Beams of several sources, whose states are reordered.
		beams := decode.TranslateOptions{MaxTokens: 8, Beams: 4, Best: 1, LengthPenalty: 1, Start: 0, End: []int64{1}, Pad: 0}
		sources := [][]int64{k.Source[0], k.Source[1][:2], k.Source[2][:3]}
		all, err := decode.Translate(t.Context(), parts, sources, beams)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range sources { // the score of what was found is that of the whole target
			ids := all[i][0].IDs
			out := run(whole, map[string]format.Tensor{
				role.SourceTokens.Name(): format.FromInt64s(role.SourceTokens.Name(), []int{1, len(s)}, s),
				role.SourceMask.Name():   format.FromInt64s(role.SourceMask.Name(), []int{1, len(s)}, slices.Repeat([]int64{1}, len(s))),
				role.Tokens.Name():       format.FromInt64s(role.Tokens.Name(), []int{1, len(ids)}, append([]int64{0}, ids[:len(ids)-1]...)),
			})
			scores, sum := numbers(out[role.Logits.Name()]), 0.0
			for at, id := range ids {
				row, all := scores[at*vocab:][:vocab], 0.0
				for _, x := range row {
					all += math.Exp(x)
				}
				sum += row[id] - math.Log(all)
			}
			if want := sum / float64(len(ids)); math.Abs(want-all[i][0].Score) > 1e-5 {
				t.Errorf("%s: source %d: %v has the score %g, computed whole %g", k.Arch, i, ids, all[i][0].Score, want)
			}
		}
	}
}
