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
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// certifiedTokens bounds the tokens of a text that are certified.
const certifiedTokens = 2048

// certifiedWindow bounds the tokens that are seen together.
const certifiedWindow = 128

// derivedWork bounds the products of two numbers that all derivatives of a text take, if
// the options name no budget: some minutes on two cores.
const derivedWork = 4e11

// Certificates are the highest scores of a text: its next tokens, or the classes of its
// lines, and how firm each of them is. The readings go from the firmest:
//
//   - any: it leads beyond the worst case of roundings, in any order of summation;
//   - ordered: beyond the worst case of sums from the first term to the last, as the
//     runtimes here add;
//   - probable: beyond 6 standard deviations of independent roundings, which is no proof;
//   - rounding: it does not, and another runtime may choose another one.
//
// All of them are to first order in the roundings. The worst cases were put into the
// network, and are infinite where it is not linear in them.
type Certificates struct {
	Text     string             `json:"text"`    // the file with the text; of an ONNX file of another tool, that file
	Output   string             `json:"output"`  // that has the scores
	DType    string             `json:"dtype"`   // in which runtimes compute, with sums in at least float32
	Tokens   int                `json:"tokens"`  // rows of scores: tokens, or lines of a classifier
	Derived  int                `json:"derived"` // rows for which the worst cases were derived
	Any      int                `json:"any"`     // rows of each reading, and of those above it
	Ordered  int                `json:"ordered"`
	Certain  int                `json:"certain"`   // probable, or firmer
	AnyShare runtime.Number     `json:"any_share"` // of the derived rows
	Share    runtime.Number     `json:"share"`     // of Certain
	Runtimes []string           `json:"runtimes"`  // that ran
	Wrong    int                `json:"wrong"`     // certain tokens to which a runtime preferred another one
	Each     []TokenCertificate `json:"each"`

	classes bool
}

// TokenCertificate is the certificate of one row of scores.
type TokenCertificate struct {
	Input    string         `json:"input,omitempty"` // of an ONNX file of another tool: the input
	Position int            `json:"position"`        // in the text, of the token from which it is predicted, or of the line; in the input, of the row of scores
	Best     int            `json:"best"`            // the highest score
	Rival    int            `json:"rival"`           // the one that rounding brings closest
	Words    [2]string      `json:"words"`           // both as text
	Lead     runtime.Number `json:"lead"`
	Bound    runtime.Number `json:"bound"`   // 6 standard deviations; null: none is known
	Reading  string         `json:"reading"` // the firmest that holds: "any", "ordered", "probable" or "rounding"
	Certain  bool           `json:"certain"` // probable, or firmer
	Worst    *WorstCase     `json:"worst,omitempty"`
	Parts    []runtime.Part `json:"parts,omitempty"`   // the values whose roundings move the lead most
	Unknown  string         `json:"unknown,omitempty"` // why a worst case is not known
	Others   []string       `json:"others,omitempty"`  // runtimes that prefer another one
}

// WorstCase has the readings of a difference of scores that are not probabilistic. The
// rival is the one that comes closest in any order.
type WorstCase struct {
	Rival   int            `json:"rival"`
	Lead    runtime.Number `json:"lead"`
	Any     runtime.Number `json:"any"`     // null: not known
	Ordered runtime.Number `json:"ordered"` // null: not known
	Rivals  int            `json:"rivals"`  // for how many it was derived; the rest are further away
}

// Certify certifies the next tokens of the text in a file, or of stdin for "-", at
// most 2,048 of them, each seen from at most 128; of a classifier, the class of
// each line. It compares them with the runtimes that run the network as a whole. The
// arithmetic is that of the least exact of the files; without files it is
// float32. The worst cases are derived for as many rows as o.Budget says. An ONNX file
// without a checkpoint is passed to CertifyONNX.
func Certify(ctx context.Context, path string, files []string, text string, stdin io.Reader, tell Tell, o VerifyOptions) (*Certificates, error) {
	if kind, err := find.ExpectModel(find.TestedIn(path)); err == nil && kind == find.ONNX {
		if text != "" {
			return nil, &OptionError{Option: "Text", Reason: ": a text is for a checkpoint or a model's folder: an ONNX file has inputs, which are read or drawn"}
		}
		if len(files) > 0 {
			return nil, fmt.Errorf("%s: an ONNX file is certified alone: name one file, or the checkpoint first", path)
		}
		return CertifyONNX(ctx, path, o)
	}
	if text == "" {
		return nil, &OptionError{Option: "Text", Reason: " is missing: name the file with the text whose tokens are certified"}
	}
	c, _, err := find.Load(path, tell, model.LoadModel)
	if err != nil {
		return nil, err
	}
	v, err := newVerification(c, files, o)
	if err != nil {
		return nil, err
	}
	x := &certification{verification: v, numbers: runtime.Numbers{DType: format.Float32}}
	if x.oracle, err = ref.New(c.Graph, c.Weights); err != nil {
		return nil, err
	}
	if x.tok, err = find.Tokenizer(path, c.Tokenizer, c); err != nil {
		return nil, err
	}
	parts, err := x.read(ctx, text, stdin)
	if err != nil {
		return nil, err
	}
	for _, f := range v.files {
		if f.model != nil {
			x.numbers.DType = coarser(x.numbers.DType, precision.ComputedIn(f.model))
		}
	}
	x.found = Certificates{Text: text, DType: x.numbers.DType.String(), Output: role.Of(role.Logits).Name(), Runtimes: []string{}, Each: []TokenCertificate{}, classes: x.classifier()}
	sessions, names := v.plainSessions()
	for _, s := range sessions {
		defer s.Close()
	}
	x.found.Runtimes = append(x.found.Runtimes, names...)
	every := x.every(parts)
	for _, part := range parts {
		if err := context.Cause(ctx); err != nil {
			return nil, fmt.Errorf("certify: stopped: %w", err)
		}
		if err := x.add(part, every, sessions); err != nil {
			return nil, err
		}
	}
	x.found.count()
	return &x.found, nil
}

// certification is a Certify in progress.
type certification struct {
	*verification
	oracle  *ref.Oracle
	numbers runtime.Numbers
	tok     *tokens.Tokenizer
	found   Certificates
}

// classifier reports whether the scores are those of a text, and not of its tokens.
func (x *certification) classifier() bool {
	o, ok := x.checkpoint.Graph.Output(role.Of(role.Logits))
	return ok && len(o.Value.Shape) == 2
}

// read returns the parts of a text that are seen together: lines of a classifier's,
// windows of others.
func (x *certification) read(ctx context.Context, text string, stdin io.Reader) (parts [][]int64, err error) {
	window := certifiedWindow
	if n := x.checkpoint.Context(); n > 0 {
		window = min(window, n)
	}
	if !x.classifier() {
		ids, err := textIDs(ctx, x.checkpoint, text, stdin, certifiedTokens)
		if err != nil {
			return nil, err
		}
		parts = slices.Collect(slices.Chunk(ids, window))
	} else if parts, err = x.lines(ctx, text, stdin, window); err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("%s: it has no tokens: give a longer text", text)
	}
	return parts, nil
}

// lines returns the ids of the lines of a text that have any.
func (x *certification) lines(ctx context.Context, text string, stdin io.Reader, window int) (parts [][]int64, err error) {
	all, err := Corpus{Files: []string{text}, Reader: stdin}.Read(ctx, "")
	if err != nil {
		return nil, err
	}
	n := 0
	for line := range strings.Lines(all.Text) {
		n++
		if err := find.CheckText(fmt.Sprintf("%s: line %d", text, n), line); err != nil {
			return nil, err
		}
		ids := x.tok.Encode(strings.TrimRight(line, "\r\n"))
		if err := find.CheckIDs(x.tok, x.checkpoint, text, ids); err != nil {
			return nil, err
		}
		if len(ids) > 0 && len(parts) < certifiedTokens {
			parts = append(parts, ids[:min(len(ids), window)])
		}
	}
	return parts, nil
}

// every returns the step from one row whose worst cases are derived to the next: a row
// takes about four evaluations of its part.
func (x *certification) every(parts [][]int64) int {
	rows, weights := 0, 0
	for _, p := range parts {
		rows += len(p)
	}
	if x.found.classes {
		rows = len(parts)
	}
	budget := x.options.Budget
	if budget == 0 {
		for _, w := range x.checkpoint.Weights {
			weights += w.Elements()
		}
		budget = max(1, int(derivedWork/(4*float64(len(parts[0]))*float64(max(weights, 1)))))
	}
	return (rows + budget - 1) / budget
}

// add certifies the rows of one part.
func (x *certification) add(part []int64, every int, sessions []runtime.Session) error {
	k := runtime.Case{Batch: 1, Length: len(part), IDs: part}
	for _, in := range ref.Inputs(x.checkpoint.Graph) {
		switch in.Role.Kind {
		case role.Tokens:
		case role.AttentionMask, role.Segments:
			values := make([]int64, len(part))
			if in.Role.Kind == role.AttentionMask {
				for i := range values {
					values[i] = 1
				}
			}
			k.Given = append(k.Given, format.FromInt64s(in.Name, []int{1, len(part)}, values))
		default:
			return fmt.Errorf("certify: the network also takes %s, which a text does not give", in.Name)
		}
	}
	from := len(x.found.Each)
	all, err := x.oracle.Certificates(k.Inputs(), x.numbers, role.Of(role.Logits).Name(), func(row int) bool { return (from+row)%every == 0 })
	if err != nil {
		return err
	}
	preferred, err := preferences(sessions, k, x.found.Output, len(all))
	if err != nil {
		return err
	}
	for i, m := range all {
		t := x.certificate(from+i, m, (from+i)%every == 0)
		for j, p := range preferred {
			if p[i] != m.Best {
				t.Others = append(t.Others, x.found.Runtimes[j])
			}
		}
		x.found.Each = append(x.found.Each, t)
	}
	return nil
}

// certificate returns the certificate of a row.
func (x *certification) certificate(at int, m runtime.Certificate, derived bool) TokenCertificate {
	t := certificateOf(at, m)
	for j, id := range []int{m.Best, m.Rival} {
		if x.found.classes {
			t.Words[j] = fmt.Sprint("class ", id)
		} else {
			t.Words[j], _ = x.tok.Decode([]int64{int64(id)})
		}
	}
	if derived {
		x.found.Derived++
	}
	return t
}

// certificateOf returns the certificate of a row, without words.
func certificateOf(at int, m runtime.Certificate) TokenCertificate {
	t := TokenCertificate{
		Position: at, Best: m.Best, Rival: m.Rival, Lead: runtime.Number(m.Lead), Bound: runtime.Number(m.Bound),
		Reading: m.Reading(), Certain: m.Certain(), Parts: m.Parts, Unknown: m.Unknown,
	}
	if m.Rivals > 0 {
		t.Worst = &WorstCase{Rival: m.Closest, Lead: runtime.Number(m.ClosestLead), Any: runtime.Number(m.Worst), Ordered: runtime.Number(m.Executed), Rivals: m.Rivals}
	}
	return t
}

// count counts the readings.
func (x *Certificates) count() {
	for _, t := range x.Each {
		switch t.Reading {
		case runtime.ReadingAny:
			x.Any++
			fallthrough
		case runtime.ReadingOrdered:
			x.Ordered++
		}
		if t.Certain {
			x.Certain++
			if len(t.Others) > 0 {
				x.Wrong++
			}
		}
	}
	x.Tokens = len(x.Each)
	x.AnyShare = runtime.Number(float64(x.Any) / float64(x.Derived))
	x.Share = runtime.Number(float64(x.Certain) / float64(x.Tokens))
}

// plainSessions opens the runtimes that run the network without a past and are there.
func (v *verification) plainSessions() (sessions []runtime.Session, names []string) {
	for _, e := range entrants() {
		_, plain := e.profile.(export.Plain)
		named := slices.Contains(v.options.Runtimes, e.String())
		if !named && (len(v.options.Runtimes) > 0 || e.level != "") || !plain && e.profile != nil || e.Name == "ref" {
			continue // a level that runs only if it is named may compute in another type
		}
		if s, err := v.candidate(e, false).Open(); err == nil {
			sessions, names = append(sessions, s), append(names, e.String())
		}
	}
	return sessions, names
}

// preferences returns the positions of the highest scores of each row of an output, by session.
func preferences(sessions []runtime.Session, k runtime.Case, output string, rows int) (all [][]int, err error) {
	for _, s := range sessions {
		out, err := s.Run(k.Inputs())
		if err != nil {
			return nil, err
		}
		logits, err := out[output].AsFloat64s()
		if err != nil {
			return nil, fmt.Errorf("certify: %w", err)
		}
		if rows == 0 || len(logits)%rows != 0 {
			return nil, fmt.Errorf("certify: the scores have %d elements for %d rows: a case without elements certifies nothing, give other inputs", len(logits), rows)
		}
		width := len(logits) / rows
		best := make([]int, rows)
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
