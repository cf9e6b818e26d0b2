package explorer

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format"
)

// What a page holds. A person reads two or three digits of a number, and some
// columns of a matrix, so the rest stays out of the file.
const (
	fineWeights  = 700_000 // weights of attention that get two bytes each; more get one
	fineScores   = 400_000 // scores before softmax; more are left out
	elements     = 800_000 // of all other matrices
	leastColumns = 8       // of a matrix; where that is too much, rows are left out
	leastRows    = 16
	thumbnail    = 32 // most cells at the side of a head's picture
)

// matrix is a value of a layer in the page: float16 times Scale. Of Width columns,
// Columns are there.
type matrix struct {
	Rows    int     `json:"rows"`
	Columns int     `json:"columns"`
	Width   int     `json:"width"`
	Scale   float64 `json:"scale"`
	Data    string  `json:"data"`
}

// text is a text in the page.
type text struct {
	Tokens   [][2]any              `json:"tokens"` // id, label
	Source   [][2]any              `json:"source,omitempty"`
	Top      [][][3]any            `json:"top"`     // of each token: label, probability, logit
	Thumb    int                   `json:"thumb"`   // most cells at a side of a picture
	Thumbs   string                `json:"thumbs"`  // 255·√weight in a byte for each cell, layer by layer and head by head
	Bytes    int                   `json:"bytes"`   // of a weight: 2 are 65535·weight, 1 is 255·√weight
	Weights  [][]string            `json:"weights"` // [layer][head], deflated; of a causal layer the lower triangle
	Scores   [][]string            `json:"scores"`  // float16, deflated; nil if there are too many
	Matrices []map[string][]matrix `json:"matrices"`
}

// collector makes a text of the page from what Explore computes.
type collector struct {
	share         int // texts of the page
	rows, columns int // of a matrix
	thumbs        []byte
	text          text
}

// rowsOf returns the number of rows of a layer's map, and columnsOf of its columns.
func rowsOf(e *attnx.Exploration, l attnx.ExploredLayer) int {
	if l.OfSource {
		return len(e.Source)
	}
	return len(e.Tokens)
}

func columnsOf(e *attnx.Exploration, l attnx.ExploredLayer) int {
	if l.ToSource {
		return len(e.Source)
	}
	return len(e.Tokens)
}

// begin decides what fits into the page.
func (c *collector) begin(e *attnx.Exploration) {
	t := max(len(e.Tokens), len(e.Source))
	cells, pictures := 0, 0
	perRow := func(columns int) (n int) {
		for _, l := range e.Layers {
			for _, s := range l.Steps {
				n += min(columns, s.Width) * map[string]int{attnx.StepQuery: l.Heads, attnx.StepKey: l.Groups, attnx.StepValue: l.Groups, attnx.StepHead: l.Heads}[s.Symbol]
				if !perHead[s.Symbol] {
					n += min(columns, s.Width)
				}
			}
		}
		return max(1, n)
	}
	c.text.Thumb = thumbnail
	for _, l := range e.Layers {
		rows, columns := rowsOf(e, l), columnsOf(e, l)
		seen := rows * columns
		if l.Causal {
			seen = rows * (rows + 1) / 2
		}
		cells += l.Heads * seen
		pictures += l.Heads * min(rows, thumbnail) * min(columns, thumbnail)
		c.text.Weights = append(c.text.Weights, make([]string, l.Heads))
		c.text.Scores = append(c.text.Scores, make([]string, l.Heads))
		c.text.Matrices = append(c.text.Matrices, map[string][]matrix{})
	}
	c.text.Bytes = 1
	if cells*c.share <= fineWeights {
		c.text.Bytes = 2
	}
	if cells*c.share > fineScores {
		c.text.Scores = nil
	}
	budget := elements / c.share
	c.columns = leastColumns
	for t*perRow(c.columns*2) <= budget && c.columns < 1<<20 {
		c.columns *= 2
	}
	c.rows = min(t, max(leastRows, budget/perRow(c.columns)))
	c.thumbs = make([]byte, pictures)
}

// perHead are the steps that each head has of its own.
var perHead = map[string]bool{
	attnx.StepQuery: true, attnx.StepKey: true, attnx.StepValue: true, attnx.StepScores: true, attnx.StepSoftmax: true, attnx.StepHead: true,
}

// see takes a matrix into the page.
func (c *collector) see(e *attnx.Exploration, m attnx.Matrix) (err error) {
	if c.text.Bytes == 0 {
		c.begin(e)
	}
	switch l := e.Layers[m.Layer]; m.Symbol {
	case attnx.StepSoftmax:
		at := m.Head * c.pictureOf(e, l)
		for _, before := range e.Layers[:m.Layer] {
			at += before.Heads * c.pictureOf(e, before)
		}
		c.picture(c.thumbs[at:], m)
		c.text.Weights[m.Layer][m.Head], err = deflated(c.weights(seen(m, l.Causal)))
	case attnx.StepScores:
		if c.text.Scores == nil {
			return nil
		}
		x := seen(m, l.Causal)
		for i := range x {
			if x[i] <= attnx.Hidden {
				x[i] = math.Inf(-1)
			}
		}
		data, err := half(x)
		if err != nil {
			return err
		}
		c.text.Scores[m.Layer][m.Head], err = deflated(data)
		return err
	default:
		kept, err := c.matrix(m)
		if err != nil {
			return err
		}
		at := c.text.Matrices[m.Layer]
		at[m.Symbol] = append(at[m.Symbol], kept)
	}
	return err
}

// seen returns the cells of a map: all, or the lower triangle row by row.
func seen(m attnx.Matrix, causal bool) []float64 {
	var x []float64
	for t := range m.Rows {
		row := m.Values[t*m.Columns:][:m.Columns]
		if causal {
			row = row[:t+1]
		}
		x = append(x, row...)
	}
	return x
}

// weights encodes weights of attention.
func (c *collector) weights(x []float64) []byte {
	out := make([]byte, 0, len(x)*c.text.Bytes)
	for _, w := range x {
		if w = max(0, min(w, 1)); c.text.Bytes == 1 {
			out = append(out, byte(math.Round(255*math.Sqrt(w))))
		} else {
			out = binary.LittleEndian.AppendUint16(out, uint16(math.Round(65535*w)))
		}
	}
	return out
}

// pictureOf returns the number of cells of a head's picture.
func (c *collector) pictureOf(e *attnx.Exploration, l attnx.ExploredLayer) int {
	return min(rowsOf(e, l), c.text.Thumb) * min(columnsOf(e, l), c.text.Thumb)
}

// picture draws a map small: each cell has the highest weight under it.
func (c *collector) picture(out []byte, m attnx.Matrix) {
	high, wide := min(m.Rows, c.text.Thumb), min(m.Columns, c.text.Thumb)
	for t := range m.Rows {
		for s := range m.Columns {
			p := &out[t*high/m.Rows*wide+s*wide/m.Columns]
			*p = max(*p, byte(math.Round(255*math.Sqrt(max(0, min(m.Values[t*m.Columns+s], 1))))))
		}
	}
}

// matrix encodes the part of a matrix that the page has.
func (c *collector) matrix(m attnx.Matrix) (matrix, error) {
	out := matrix{Rows: min(m.Rows, c.rows), Columns: min(m.Columns, c.columns), Width: m.Columns, Scale: 1}
	x, most := make([]float64, 0, out.Rows*out.Columns), 0.0
	for t := range out.Rows {
		x = append(x, m.Values[t*m.Columns:][:out.Columns]...)
	}
	for _, v := range x {
		if v = math.Abs(v); v > most && !math.IsInf(v, 0) {
			most = v
		}
	}
	if most > 60000 { // float16 ends at 65504
		out.Scale = most / 60000
		for i := range x {
			x[i] /= out.Scale
		}
	}
	data, err := half(x)
	out.Data = base64.StdEncoding.EncodeToString(data)
	return out, err
}

// half returns numbers as float16.
func half(x []float64) ([]byte, error) {
	t, _, err := format.FromFloat64s("", []int{len(x)}, x).Convert(format.Float16)
	return t.Data, err
}

func deflated(data []byte) (string, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(data); err != nil {
		return "", err
	}
	err = w.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes()), err
}

// end completes the text with its tokens and predictions.
func (c *collector) end(e *attnx.Exploration) *text {
	c.text.Tokens, c.text.Source = labels(e.Tokens), labels(e.Source)
	c.text.Top = [][][3]any{}
	for _, row := range e.Predicted {
		var top [][3]any
		for _, p := range row {
			top = append(top, [3]any{label(p.ID, p.Text), rounded(p.Probability), rounded(p.Logit)})
		}
		c.text.Top = append(c.text.Top, top)
	}
	c.text.Thumbs = base64.StdEncoding.EncodeToString(c.thumbs)
	return &c.text
}

func labels(list []attnx.ExploredToken) (out [][2]any) {
	for _, t := range list {
		out = append(out, [2]any{t.ID, label(t.ID, t.Text)})
	}
	return out
}

// rounded leaves four digits. JSON has no numbers that are not finite.
func rounded(x float64) any {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	x, _ = strconv.ParseFloat(strconv.FormatFloat(x, 'g', 4, 64), 64)
	return x
}

// label returns a token as the page writes it: a space as ␣, and what cannot be
// printed, or changes the direction of writing, as an escape. An id without a token is
// its number.
func label(id int64, token string) string {
	var sb strings.Builder
	for _, r := range token {
		switch {
		case r == ' ':
			sb.WriteRune('␣')
		case r == '\n':
			sb.WriteRune('⏎')
		case unicode.IsPrint(r):
			sb.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			sb.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	if sb.Len() == 0 {
		return fmt.Sprintf("‹%d›", id)
	}
	return sb.String()
}
