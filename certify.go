package attnx

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// certifiedTokens bounds the tokens of a text that are certified.
const certifiedTokens = 2048

// certifiedWindow bounds the tokens that are seen together.
const certifiedWindow = 128

// Certificates are the next tokens of a text, and which of them are certain: their
// lead is beyond 6 standard deviations of what independent roundings in this type do to
// the difference of two logits. That is the probabilistic reading and no proof: the
// worst case in any order of summation is wider.
type Certificates struct {
	Text     string             `json:"text"`
	DType    string             `json:"dtype"` // in which runtimes compute
	Tokens   int                `json:"tokens"`
	Certain  int                `json:"certain"`
	Share    runtime.Number     `json:"share"`
	Runtimes []string           `json:"runtimes"` // that ran
	Wrong    int                `json:"wrong"`    // certain tokens to which a runtime preferred another one
	Each     []TokenCertificate `json:"each"`
}

// TokenCertificate is the certificate of one predicted token.
type TokenCertificate struct {
	Position int            `json:"position"` // in the text, of the token from which it is predicted
	Best     int            `json:"best"`     // the likeliest next token
	Rival    int            `json:"rival"`    // the token that rounding brings closest
	Words    [2]string      `json:"words"`    // both as text
	Lead     runtime.Number `json:"lead"`
	Bound    runtime.Number `json:"bound"` // null: none is known
	Certain  bool           `json:"certain"`
	Others   []string       `json:"others,omitempty"` // runtimes that prefer another token
}

// Certify certifies the next tokens of the text in a file, or of stdin for "-", at
// most 2,048 of them, each seen from at most 128. It compares them with the runtimes
// that run the network as a whole. The arithmetic is that of the least exact of the files;
// without files it is float32.
func Certify(ctx context.Context, path string, files []string, text string, stdin io.Reader, tell Tell, o VerifyOptions) (*Certificates, error) {
	c, _, err := find.Load(path, tell, model.LoadModel)
	if err != nil {
		return nil, err
	}
	v, err := newVerification(c, files, o)
	if err != nil {
		return nil, err
	}
	ids, err := textIDs(ctx, c, text, stdin, certifiedTokens)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s: it has no tokens: give a longer text", text)
	}
	oracle, err := ref.New(c.Graph, c.Weights)
	if err != nil {
		return nil, err
	}
	numbers := runtime.Numbers{DType: format.Float32}
	for _, f := range v.files {
		if f.model != nil {
			numbers.DType = coarser(numbers.DType, precision.ComputedIn(f.model))
		}
	}
	x := &Certificates{Text: text, DType: numbers.DType.String(), Runtimes: []string{}, Each: []TokenCertificate{}}
	sessions, names := v.plainSessions()
	for _, s := range sessions {
		defer s.Close()
	}
	x.Runtimes = append(x.Runtimes, names...)
	tok, err := find.Tokenizer(path, c.Tokenizer, c)
	if err != nil {
		return nil, err
	}
	window := certifiedWindow
	if n := c.Context(); n > 0 {
		window = min(window, n)
	}
	for from := 0; from < len(ids); from += window {
		if err := context.Cause(ctx); err != nil {
			return nil, fmt.Errorf("certify: stopped: %w", err)
		}
		part := ids[from:min(from+window, len(ids))]
		k := runtime.Case{Batch: 1, Length: len(part), IDs: part}
		margins, err := oracle.Margins(k.Inputs(), numbers, role.Of(role.Logits).Name())
		if err != nil {
			return nil, err
		}
		preferred, err := preferences(sessions, k)
		if err != nil {
			return nil, err
		}
		for i, m := range margins {
			t := TokenCertificate{Position: from + i, Best: m.Best, Rival: m.Rival, Lead: runtime.Number(m.Lead), Bound: runtime.Number(m.Bound), Certain: m.Certain()}
			for j, id := range []int{m.Best, m.Rival} {
				t.Words[j], _ = tok.Decode([]int64{int64(id)})
			}
			for j, p := range preferred {
				if p[i] != m.Best {
					t.Others = append(t.Others, names[j])
				}
			}
			if t.Certain {
				x.Certain++
				if len(t.Others) > 0 {
					x.Wrong++
				}
			}
			x.Each = append(x.Each, t)
		}
	}
	x.Tokens = len(x.Each)
	x.Share = runtime.Number(float64(x.Certain) / float64(x.Tokens))
	return x, nil
}

// plainSessions opens the runtimes that run the network without a past and are there.
func (v *verification) plainSessions() (sessions []runtime.Session, names []string) {
	for _, e := range entrants() {
		_, plain := e.profile.(export.Plain)
		if len(v.options.Runtimes) > 0 && !slices.Contains(v.options.Runtimes, e.String()) || !plain && e.profile != nil || e.Name == "ref" {
			continue
		}
		if s, err := v.candidate(e, false).Open(); err == nil {
			sessions, names = append(sessions, s), append(names, e.String())
		}
	}
	return sessions, names
}

// preferences returns the positions of the highest logits of each row, by session.
func preferences(sessions []runtime.Session, k runtime.Case) (all [][]int, err error) {
	for _, s := range sessions {
		out, err := s.Run(k.Inputs())
		if err != nil {
			return nil, err
		}
		logits, err := out[role.Of(role.Logits).Name()].AsFloat64s()
		if err != nil || len(logits)%k.Length != 0 {
			return nil, fmt.Errorf("certify: %d logits for %d tokens (%v)", len(logits), k.Length, err)
		}
		width := len(logits) / k.Length
		best := make([]int, k.Length)
		for i := range best {
			row := logits[i*width : (i+1)*width]
			for j, x := range row {
				if x > row[best[i]] {
					best[i] = j
				}
			}
		}
		all = append(all, best)
	}
	return all, nil
}

// WriteText writes the share, and the tokens that are not certain.
func (x *Certificates) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d next tokens (%.4g %%) lead by more than 6σ of the roundings of %s: no runtime that computes in it is expected to choose another\n", x.Certain, x.Tokens, 100*float64(x.Share), x.DType)
	for _, t := range x.Each {
		if t.Certain && len(t.Others) == 0 {
			continue
		}
		fmt.Fprintf(&b, "after token %d: %s leads %s by %.2e, rounding explains %.2e", t.Position, quote.Line(t.Words[0], 40), quote.Line(t.Words[1], 40), float64(t.Lead), float64(t.Bound))
		if len(t.Others) > 0 {
			fmt.Fprintf(&b, "; %s prefers another", strings.Join(t.Others, ", "))
		} else if len(x.Runtimes) > 0 {
			b.WriteString("; it is first in every runtime that ran")
		}
		b.WriteByte('\n')
	}
	if x.Wrong > 0 {
		fmt.Fprintf(&b, "fail: of the certain tokens %d are others in a runtime\n", x.Wrong)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
