package attnx

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/internal/table"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// isTable reports whether the data are tables, by the names of the files.
func (d Corpus) isTable() bool {
	return len(d.Files) > 0 && !slices.ContainsFunc(d.Files, func(path string) bool { return !table.Is(path) })
}

// tables reports whether the data are tables of examples. JSON Lines for a language
// model are texts.
func (o TrainOptions) tables() bool {
	return o.Data.isTable() && (o.Loss != "" || o.Labels != "")
}

// packedTables refuses compressed tables of examples, which would be read as texts.
func (o TrainOptions) packedTables() error {
	if o.Loss == "" && o.Labels == "" {
		return nil
	}
	for _, path := range o.Data.Files {
		for _, packed := range []string{".gz", ".zst"} {
			if name, ok := strings.CutSuffix(path, packed); ok && table.Is(name) {
				return &Error{Option: "Data", Value: path, Err: errors.New("tables of examples are not read from compressed files: unpack it first")}
			}
		}
	}
	return nil
}

// NameTable is the remedy for examples that do not come from files of tables.
const NameTable = "write them to a file that ends with .csv, .jsonl or .npz, and name that"

// notStreamed refuses labelled examples on standard input or in a pipe, which would be
// read as a text: those of a network that does not continue texts, and JSON Lines
// with a Loss.
func (o TrainOptions) notStreamed(c *model.Checkpoint) error {
	if o.Loss == "" || o.tables() || o.Data.Data != nil || !slices.Contains(o.Data.Files, train.Stdin) && o.Data.Reader == nil {
		return nil
	}
	if in := c.Graph.Input(role.Of(role.Tokens)); in != nil && len(c.Tokenizer) > 0 && o.Loss == model.CrossEntropy && c.Continues() == nil {
		return nil
	}
	return &Error{Option: "Data", Err: errors.New("labelled examples are not read from standard input"), Do: NameTable}
}

// labelNames are the names of a column of labels, where none is named.
var labelNames = []string{role.Labels.Name(), "label", "target", "y"}

// textName is the name of a column of texts, where none is named.
const textName = "text"

// examples turns the rows of a table into examples.
type examples struct {
	table     *table.Table
	how       train.Table
	loss      *graph.Graph // with the input for labels
	kind      string       // of the loss
	model     *model.Checkpoint
	tokenizer *tokens.Tokenizer // nil: there are no texts
	classes   []string          // of labels that are texts, in their order
	used      map[string]bool
}

// readTable reads the examples of a run from tables. given is the length of texts that was
// asked for, 0 if none was.
func (r *trainRun) readTable(files []string, tok *tokens.Tokenizer, how train.Table, given int) error {
	t, err := table.Read(files, textLimit())
	if err != nil {
		return &Error{Option: "Data", Err: err}
	}
	learned, ownBytes := t.Rows, t.Bytes
	var val []string
	if !r.val.empty() {
		if val = r.val.Files; !r.val.isTable() {
			return &Error{Option: "Val", Err: errors.New("the data are tables, and these are none"), Do: "give a table with the same columns"}
		}
		if t, err = table.Read(slices.Concat(files, val), textLimit()); err != nil {
			return &Error{Option: "Val", Err: err}
		}
	}
	loss, err := r.options.WithLoss(r.model.Graph)
	if err != nil {
		return err
	}
	x := &examples{table: t, how: how, loss: loss, kind: model.CrossEntropy, model: r.model, tokenizer: tok, used: map[string]bool{}}
	if r.options.Loss != nil {
		x.kind = r.options.Loss.Kind
	}
	batch, err := x.batch()
	if err != nil {
		return &Error{Option: "Data", Value: quote.Paths(files), Err: err}
	}
	if x.how.Text == "" && given > 0 {
		return &OptionError{Option: "Context", Reason: " is the length of texts, and the examples have none: leave it out"}
	}
	if r.data, err = train.NewExamples(batch); err != nil {
		return &Error{Option: "Data", Value: quote.Paths(files), Err: err}
	}
	if len(val) > 0 {
		r.data.ValidatedFrom(learned)
	}
	if len(x.classes) > 0 {
		r.events.Tell.Say(Notice, "classes: %s", quote.Line(classList(x.classes), 300))
	}
	r.options.Table = &x.how
	if r.source, err = tableSource(files, ownBytes); err == nil && len(val) > 0 {
		r.source.Val, err = tableSource(val, t.Bytes-ownBytes)
	}
	return err
}

func classList(classes []string) (text string) {
	for i, c := range classes {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d %s", i, c)
	}
	return text
}

// batch returns all examples.
func (x *examples) batch() (train.Batch, error) {
	b := train.Batch{}
	labels := x.table.Column(x.how.Labels)
	for _, name := range labelNames {
		if x.how.Labels == "" && labels == nil {
			labels = x.table.Column(name)
		}
	}
	if labels == nil {
		if x.how.Labels != "" {
			return nil, fmt.Errorf("no column is called %.60q: they are %s", x.how.Labels, columnNames(x.table))
		}
		return nil, fmt.Errorf("no column is called %s: name the one with the labels, of %s", quote.Or(labelNames), columnNames(x.table))
	}
	x.how.Labels = labels.Name
	x.used[labels.Name] = true
	if err := x.texts(b); err != nil {
		return nil, err
	}
	at := len(x.loss.Inputs) - 1
	for i, in := range x.loss.Inputs[:at] {
		if _, done := b[train.KindOf(x.loss, i)]; done {
			continue
		}
		if c := x.table.Column(in.Name); c != nil && !x.used[c.Name] {
			x.used[c.Name] = true
			t, err := x.numbers(in, c.Name, c.Shape, c.Numbers)
			if err != nil {
				return nil, err
			}
			b[train.KindOf(x.loss, i)] = t
		}
	}
	if err := x.features(b, at); err != nil {
		return nil, err
	}
	t, err := x.labels(labels, x.loss.Inputs[at], b)
	b[role.Labels] = t
	return b, err
}

func columnNames(t *table.Table) string {
	return quote.Line(fmt.Sprint(t.Names()), 300)
}

// features gives the one input that is still without data all columns of numbers
// that are left.
func (x *examples) features(b train.Batch, inputs int) error {
	var left []int
	for i := range inputs {
		if _, done := b[train.KindOf(x.loss, i)]; !done {
			left = append(left, i)
		}
	}
	if len(left) == 0 {
		return nil
	}
	in := x.loss.Inputs[left[0]]
	if len(left) > 1 {
		return fmt.Errorf("inputs %.60q and %.60q have no column of their name: the columns are %s, the inputs %s", in.Name, x.loss.Inputs[left[1]].Name, columnNames(x.table), quote.Line(inputNames(x.loss), 300))
	}
	var columns []*table.Column
	width := 0
	for _, c := range x.table.Columns {
		if x.used[c.Name] {
			continue
		}
		if err := x.complete(c); err != nil {
			return err
		}
		if c.Texts == nil {
			columns = append(columns, c)
			width += len(c.Numbers) / x.table.Rows
		}
	}
	all := make([]float64, 0, width*x.table.Rows)
	for row := range x.table.Rows {
		for _, c := range columns {
			n := len(c.Numbers) / x.table.Rows
			all = append(all, c.Numbers[row*n:(row+1)*n]...)
		}
	}
	shape := []int{width}
	if len(columns) == 1 {
		shape = columns[0].Shape
	}
	t, err := x.numbers(in, in.Name, shape, all)
	if err != nil {
		return err
	}
	b[train.KindOf(x.loss, left[0])] = t
	return nil
}

// complete refuses a column of numbers with an empty cell.
func (x *examples) complete(c *table.Column) error {
	if i := c.Gap(); i >= 0 {
		return fmt.Errorf("%s: column %.60q is empty, and has numbers elsewhere: give it a number, or leave the row out", x.table.Row(i), c.Name)
	}
	return nil
}

// numbers returns the tensor of an input from the numbers of all rows.
func (x *examples) numbers(in *graph.Value, name string, shape []int, all []float64) (format.Tensor, error) {
	if c := x.table.Column(name); c != nil && c.Texts != nil {
		if err := x.complete(c); err != nil {
			return format.Tensor{}, err
		}
		return format.Tensor{}, fmt.Errorf("column %.60q is of texts, input %.60q takes %s", name, in.Name, in.Type)
	}
	full, err := rowShape(in, x.table.Rows, shape, len(all)/x.table.Rows)
	if err != nil {
		return format.Tensor{}, err
	}
	for i, v := range all {
		if math.IsNaN(v) || math.IsInf(v, 1) { // -Inf is what masks have
			return format.Tensor{}, fmt.Errorf("%s: %.60q has a %g, from which nothing is learned: leave the row out", x.table.Row(i/max(1, len(all)/x.table.Rows)), name, v)
		}
	}
	return ofType(in, full, all)
}

// rowShape returns the shape of a tensor of all rows, each with n numbers.
func rowShape(in *graph.Value, rows int, shape []int, n int) ([]int, error) {
	if len(in.Shape) == 0 {
		return nil, fmt.Errorf("input %.60q is one number for all examples", in.Name)
	}
	want := in.Shape[1:]
	fits := len(want) == len(shape)
	for i := 0; fits && i < len(shape); i++ {
		size, known := want[i].Number()
		fits = !known || size == shape[i]
	}
	if fits {
		return append([]int{rows}, shape...), nil
	}
	if sizes, known := want.Numbers(); known { // the same numbers in another arrangement
		total := 1
		for _, s := range sizes {
			total *= s
		}
		if total == n {
			return append([]int{rows}, sizes...), nil
		}
	}
	return nil, fmt.Errorf("%.60q takes %s for all examples, the columns have %d numbers in the shape %v for each", in.Name, in.Type, n, shape)
}

// ofType returns numbers in the type of an input.
func ofType(in *graph.Value, shape []int, all []float64) (format.Tensor, error) {
	switch in.DType {
	case format.Float32:
		out := make([]float32, len(all))
		for i, v := range all {
			out[i] = float32(v)
		}
		return format.FromFloat32s(in.Name, shape, out), nil
	case format.Float64:
		return format.FromFloat64s(in.Name, shape, all), nil
	case format.Int64:
		c := table.Column{Name: in.Name, Shape: shape[1:], Numbers: all}
		out, err := c.Integers()
		return format.FromInt64s(in.Name, shape, out), err
	}
	return format.Tensor{}, fmt.Errorf("input %.60q takes %s: only float32, float64 and int64 are read from tables", in.Name, in.DType)
}

// texts adds the tokens of texts, where the network takes tokens and a column
// has texts.
func (x *examples) texts(b train.Batch) error {
	at := -1
	for i := range x.loss.Inputs {
		if train.KindOf(x.loss, i) == role.Tokens {
			at = i
		}
	}
	c := x.table.Column(cmp.Or(x.how.Text, textName))
	if at < 0 && x.how.Text != "" {
		return fmt.Errorf("the network takes no tokens, so column %.60q has no use: its inputs are %s", x.how.Text, quote.Line(inputNames(x.loss), 300))
	}
	if at < 0 || x.table.Column(x.loss.Inputs[at].Name) != nil {
		return nil
	}
	if c == nil || c.Texts == nil {
		return fmt.Errorf("no column of texts is called %.60q: the columns are %s", cmp.Or(x.how.Text, textName), columnNames(x.table))
	}
	if x.tokenizer == nil {
		return errors.New("the model has no tokenizer for its texts: put its tokenizer.json beside the file")
	}
	x.how.Text = c.Name
	x.used[c.Name] = true
	frame := len(x.tokenizer.AddSpecial(nil))
	most := x.how.Length
	if n, known := fixedLength(x.loss.Inputs[at]); known {
		most = n
	}
	if most <= frame {
		return fmt.Errorf("texts of %d tokens have no room: each gets %d special ones", most, frame)
	}
	rows := make([][]int64, x.table.Rows)
	longest := 1
	for i, text := range c.Texts {
		ids := x.tokenizer.Encode(text)
		ids = x.tokenizer.AddSpecial(slices.Clip(ids[:min(len(ids), most-frame)]))
		if len(ids) == 0 {
			return fmt.Errorf("%s: the text is empty", x.table.Row(i))
		}
		if x.model.Arch != fileArch {
			if err := find.CheckIDs(x.tokenizer, x.model, x.table.Row(i), ids); err != nil {
				return err
			}
		}
		rows[i] = ids
		longest = max(longest, len(ids))
	}
	if n, known := fixedLength(x.loss.Inputs[at]); known {
		longest = n
	}
	pad := int64(0)
	if s := x.model.Special; s != nil && s.Pad != nil {
		pad = *s.Pad
	}
	shape := []int{len(rows), longest}
	ids, mask, positions := make([]int64, len(rows)*longest), make([]int64, len(rows)*longest), make([]int64, len(rows)*longest)
	for i, row := range rows {
		for j := range longest {
			k := i*longest + j
			if ids[k] = pad; j < len(row) {
				ids[k], mask[k] = row[j], 1
			}
			positions[k] = int64(j)
		}
	}
	return x.fill(b, shape, map[role.Kind][]int64{
		role.Tokens: ids, role.AttentionMask: mask, role.Positions: positions, role.Segments: make([]int64, len(ids)),
	})
}

// fill adds what the inputs take of some ids.
func (x *examples) fill(b train.Batch, shape []int, all map[role.Kind][]int64) error {
	for i, in := range x.loss.Inputs {
		k := train.KindOf(x.loss, i)
		ids, ok := all[k]
		if !ok || x.used[in.Name] {
			continue
		}
		if in.DType != format.Int64 {
			return fmt.Errorf("input %.60q takes %s: only int64 is supported for tokens", in.Name, in.DType)
		}
		b[k] = format.FromInt64s(in.Name, shape, ids)
	}
	return nil
}

// fixedLength returns the number of tokens that an input of fixed size takes.
func fixedLength(in *graph.Value) (int, bool) {
	if len(in.Shape) != 2 {
		return 0, false
	}
	return in.Shape[1].Number()
}

// labels returns the labels of all rows in the form that the loss takes.
func (x *examples) labels(c *table.Column, in *graph.Value, b train.Batch) (format.Tensor, error) {
	if x.kind != model.CrossEntropy {
		if c.Texts != nil {
			if err := x.complete(c); err != nil {
				return format.Tensor{}, err
			}
			return format.Tensor{}, fmt.Errorf("column %.60q is of texts, the loss %s takes numbers", c.Name, x.kind)
		}
		t, err := x.numbers(in, c.Name, c.Shape, c.Numbers)
		return t.WithName(in.Name), err
	}
	ids, err := x.classIDs(c)
	if err != nil {
		return format.Tensor{}, err
	}
	classes := 0
	for _, n := range x.loss.Nodes {
		if _, ok := n.Op.(graph.SoftmaxCrossEntropyLoss); ok {
			classes, _ = n.Args[0].Shape[1].Number()
		}
	}
	per := max(1, len(ids)/x.table.Rows)
	for i, id := range ids {
		if classes > 0 && (id < 0 || id >= int64(classes)) && id != model.IgnoreIndex {
			return format.Tensor{}, fmt.Errorf("%s: label %s is none of the network's classes 0 to %d (or %d, which does not count)", x.table.Row(i/per), x.className(id), classes-1, model.IgnoreIndex)
		}
	}
	shape, err := rowShape(in, x.table.Rows, c.Shape, per)
	return format.FromInt64s(in.Name, shape, ids), err
}

func (x *examples) className(id int64) string {
	if id >= 0 && id < int64(len(x.classes)) {
		return fmt.Sprintf("%d (%s)", id, quote.Line(x.classes[id], 40))
	}
	return strconv.FormatInt(id, 10)
}

// classIDs returns the classes of all rows. Texts are classes in alphabetical
// order.
func (x *examples) classIDs(c *table.Column) ([]int64, error) {
	if c.Texts == nil {
		return c.Integers()
	}
	if err := x.complete(c); err != nil {
		return nil, err
	}
	x.classes = slices.Clone(c.Texts)
	slices.Sort(x.classes)
	x.classes = slices.Compact(x.classes)
	ids := make([]int64, len(c.Texts))
	// A classifier with names for its classes keeps them.
	var about struct {
		Labels []string `json:"labels"`
	}
	own := json.Unmarshal(x.model.Config, &about) == nil
	for _, class := range x.classes {
		own = own && slices.Contains(about.Labels, class)
	}
	if own {
		x.classes = about.Labels
	}
	for i, text := range c.Texts {
		ids[i] = int64(slices.Index(x.classes, text))
	}
	return ids, nil
}
