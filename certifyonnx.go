package attnx

import (
	"context"
	"fmt"
	"strings"

	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// derivedRows is the number of rows of a file of another tool for which the worst cases are
// derived, if the options name none.
const derivedRows = 16

// CertifyONNX certifies the highest score of each row of an ONNX file of any tool: the
// classes of images or of texts, or next tokens. The inputs are read from files, from
// texts by the tokenizer beside the file, or drawn, as for VerifyONNX. The scores
// are the output "logits" or, without it, the first output of numbers with one to
// three dimensions; a row lies along the last of them. It has at most 2,048 rows.
func CertifyONNX(ctx context.Context, path string, o VerifyOptions) (*Certificates, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	v := &onnxVerification{options: o}
	defer v.close()
	if err := v.open([]string{path}); err != nil {
		return nil, err
	}
	if v.oracle == nil {
		return nil, v.refused
	}
	first := v.files[0]
	n := runtime.Numbers{DType: coarser(format.Float32, precision.ComputedIn(first.File))}
	x := &Certificates{Text: path, DType: n.DType.String(), Runtimes: []string{}, Each: []TokenCertificate{}, classes: true}
	var sessions []runtime.Session
	candidates, _ := first.candidates(o)
	for _, c := range candidates {
		s, err := c.Open()
		if err == nil {
			defer s.Close()
			_, err = s.Run(v.cases[0].Inputs()) // onnx-go says only now what it cannot run
		}
		if err != nil && c.Named {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		if err != nil { // a certificate does not rest on runtimes
			continue
		}
		sessions, x.Runtimes = append(sessions, s), append(x.Runtimes, c.Name)
	}
	left := o.Budget
	if left == 0 {
		left = derivedRows
	}
	for _, k := range v.cases {
		if err := context.Cause(ctx); err != nil {
			return nil, fmt.Errorf("certify: stopped: %w", err)
		}
		inputs := k.Inputs()
		oracle, err := first.oracleFor(inputs)
		if err != nil {
			return nil, err
		}
		if x.Output == "" {
			if x.Output, err = first.scores(inputs); err != nil {
				return nil, err
			}
		}
		all, err := oracle.Certificates(inputs, n, x.Output, func(row int) bool { return row < left })
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, k, err)
		}
		if len(x.Each)+len(all) > certifiedTokens {
			return nil, fmt.Errorf("%s: its output %s has more than %d rows of scores: give smaller inputs", path, quote.Line(x.Output, 80), certifiedTokens)
		}
		preferred, err := preferences(sessions, k, x.Output, len(all))
		if err != nil {
			return nil, err
		}
		for i, m := range all {
			t := certificateOf(i, m)
			t.Input = k.String()
			t.Words = [2]string{fmt.Sprint("class ", m.Best), fmt.Sprint("class ", m.Rival)}
			for j, p := range preferred {
				if p[i] != m.Best {
					t.Others = append(t.Others, x.Runtimes[j])
				}
			}
			x.Each = append(x.Each, t)
		}
		x.Derived += min(left, len(all))
		left = max(0, left-len(all))
	}
	x.count()
	return x, nil
}

// scores returns the name of the output whose rows are certified.
func (x *ONNX) scores(inputs map[string]format.Tensor) (string, error) {
	outputs, err := x.Run(inputs)
	if err != nil {
		return "", err
	}
	var names []string
	found := ""
	for _, t := range outputs {
		names = append(names, fmt.Sprintf("%s %s%v", quote.Line(t.Name, 60), t.DType, t.Shape))
		last := len(t.Shape) - 1
		if !t.DType.Float() || last < 0 || last > 2 || t.Shape[last] < 2 {
			continue
		}
		if found == "" || t.Name == role.Of(role.Logits).Name() {
			found = t.Name
		}
	}
	if found == "" {
		return "", fmt.Errorf("%s: no output has rows of scores, in one to three dimensions: it gives %s", x.Path, strings.Join(names, ", "))
	}
	return found, nil
}
