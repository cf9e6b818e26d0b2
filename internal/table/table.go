// Package table reads data in columns: CSV files, JSON Lines and numpy's
// archives.
package table

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/npy"
	"github.com/attnx/attnx/internal/quote"
)

// Table is data in columns of the same number of rows.
type Table struct {
	Rows    int
	Columns []*Column // in the order of the first file
	Files   []string
	Bytes   int64 // of the files
	ends    []int // how many rows there are up to the end of each file
}

// Row returns the name of row i, counted from 0 over all files: its number, and its file if
// there are several.
func (t *Table) Row(i int) string {
	if len(t.ends) < 2 {
		return fmt.Sprintf("row %d", i+1)
	}
	file, _ := slices.BinarySearch(t.ends, i+1)
	start := 0
	if file > 0 {
		start = t.ends[file-1]
	}
	return fmt.Sprintf("%s: row %d", t.Files[file], i-start+1)
}

// Column is either of texts or of numbers.
type Column struct {
	Name    string
	Texts   []string  // nil: numbers
	Shape   []int     // of a row's numbers
	Numbers []float64 // of all rows, one after the other
}

// Is reports whether a file is a table, by its name.
func Is(path string) bool {
	return slices.Contains([]string{".csv", ".jsonl", ".npz"}, strings.ToLower(filepath.Ext(path)))
}

// Column returns the column of a name, or nil.
func (t *Table) Column(name string) *Column {
	if i := slices.IndexFunc(t.Columns, func(c *Column) bool { return c.Name == name }); i >= 0 {
		return t.Columns[i]
	}
	return nil
}

// Names returns the names of the columns.
func (t *Table) Names() (names []string) {
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	return names
}

// Read reads files one after the other. Their columns must be the same. The
// files may have limit bytes together.
func Read(paths []string, limit int64) (*Table, error) {
	t := &Table{Files: paths}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: it is no regular file, and a table is read from one", path)
		}
		if t.Bytes += info.Size(); t.Bytes > limit {
			return nil, fmt.Errorf("%s: the tables have more than the %d MB that fit into memory: give fewer files", path, limit/1e6)
		}
		var next *Table
		switch strings.ToLower(filepath.Ext(path)) {
		case ".csv":
			next, err = readFile(path, readCSV)
		case ".jsonl":
			next, err = readFile(path, readLines)
		default:
			next, err = readArchive(path)
		}
		if err != nil {
			return nil, err
		}
		if err := t.append(next, path); err != nil {
			return nil, err
		}
		t.ends = append(t.ends, t.Rows)
	}
	if t.Rows == 0 {
		return nil, fmt.Errorf("%s: there are no rows", quote.Paths(paths))
	}
	return t, nil
}

func readFile(path string, read func(r io.Reader) (*Table, error)) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// append adds the rows of another table.
func (t *Table) append(next *Table, path string) error {
	if len(t.Columns) == 0 {
		t.Columns, t.Rows = next.Columns, next.Rows
		return nil
	}
	for _, c := range t.Columns {
		more := next.Column(c.Name)
		if more == nil || len(next.Columns) != len(t.Columns) {
			return fmt.Errorf("%s: its columns are %s, but %s has %s: give files with the same columns", path, names(next.Names()), t.Files[0], names(t.Names()))
		}
		if (more.Texts == nil) != (c.Texts == nil) || !slices.Equal(more.Shape, c.Shape) {
			return fmt.Errorf("%s: its column %.60q is of %s, in %s of %s", path, c.Name, more.kind(), t.Files[0], c.kind())
		}
		c.Texts, c.Numbers = append(c.Texts, more.Texts...), append(c.Numbers, more.Numbers...)
	}
	t.Rows += next.Rows
	return nil
}

func (c *Column) kind() string {
	switch {
	case c.Texts != nil:
		return "texts"
	case len(c.Shape) == 0:
		return "numbers"
	}
	return fmt.Sprintf("numbers of shape %v", c.Shape)
}

// names lists names for a message.
func names(all []string) string {
	const most = 8
	if len(all) > most {
		return fmt.Sprintf("%.200s and %d more", strings.Join(all[:most], ", "), len(all)-most)
	}
	return fmt.Sprintf("%.300s", strings.Join(all, ", "))
}

// readCSV reads comma-separated values with the names of the columns in the
// first line (RFC 4180). A column is of numbers if every value is one.
func readCSV(in io.Reader) (*Table, error) {
	r := csv.NewReader(&noMark{r: bufio.NewReader(in)})
	head, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty: the first line names the columns")
	}
	if err != nil {
		return nil, err
	}
	t := &Table{}
	for i, name := range head {
		if name = strings.TrimSpace(name); name == "" || t.Column(name) != nil {
			return nil, fmt.Errorf("line 1: column %d is called %.60q: each column needs a name of its own", i+1, name)
		}
		t.Columns = append(t.Columns, &Column{Name: name})
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, csv.ErrFieldCount) {
			line, _ := r.FieldPos(0)
			return nil, fmt.Errorf("line %d: it has %d values, the first line names %d columns", line, len(row), len(head))
		}
		if err != nil {
			return nil, fmt.Errorf("%w: quote texts with commas, quotes or line breaks", err)
		}
		for i, text := range row {
			if !utf8.ValidString(text) {
				line, _ := r.FieldPos(i)
				return nil, fmt.Errorf("line %d: column %.60q is not UTF-8", line, head[i])
			}
			t.Columns[i].Texts = append(t.Columns[i].Texts, text)
		}
		t.Rows++
	}
	for _, c := range t.Columns {
		c.toNumbers()
	}
	return t, nil
}

// Gap returns the number of the first empty row of a column that is otherwise of numbers,
// -1 if it is no such column.
func (c *Column) Gap() int {
	gap, some := -1, false
	for i, text := range c.Texts {
		if text = strings.TrimSpace(text); text == "" {
			if gap < 0 {
				gap = i
			}
			continue
		}
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return -1
		}
		some = true
	}
	if !some {
		return -1
	}
	return gap
}

// toNumbers turns texts into numbers if each is one.
func (c *Column) toNumbers() {
	var all []float64
	for _, text := range c.Texts {
		x, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			return
		}
		all = append(all, x)
	}
	c.Texts, c.Numbers = nil, all
}

// noMark skips the byte order mark that spreadsheets write.
type noMark struct {
	r     *bufio.Reader
	begun bool
}

func (m *noMark) Read(p []byte) (int, error) {
	if !m.begun {
		m.begun = true
		if head, _ := m.r.Peek(3); bytes.Equal(head, []byte("\ufeff")) {
			_, _ = m.r.Discard(3)
		}
	}
	return m.r.Read(p)
}

// maxLine bounds a line of JSON.
const maxLine = 64 << 20

// readLines reads JSON Lines: an object in each line, all with the same
// members. A value is a text, a number, a truth value, or numbers in arrays.
func readLines(in io.Reader) (*Table, error) {
	s := bufio.NewScanner(&noMark{r: bufio.NewReader(in)})
	s.Buffer(nil, maxLine)
	t := &Table{}
	line := 0
	for s.Scan() {
		line++
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		if err := t.addLine(s.Bytes()); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", line+1, err)
	}
	return t, nil
}

func (t *Table) addLine(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	var members map[string]json.RawMessage
	err := d.Decode(&members)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON is cut short: fetch the file again, or leave the line out")
	}
	if err != nil || members == nil {
		return errors.New("it is no JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	if t.Rows == 0 {
		for _, name := range keys(text) {
			if t.Column(name) != nil {
				return fmt.Errorf("it has %.60q twice", name)
			}
			t.Columns = append(t.Columns, &Column{Name: name})
		}
	}
	for _, c := range t.Columns {
		value, ok := members[c.Name]
		if !ok || len(members) != len(t.Columns) {
			return fmt.Errorf("its members are %s, but the first line has %s: each line needs the same", names(keys(text)), names(t.Names()))
		}
		if err := c.addValue(value, t.Rows); err != nil {
			return fmt.Errorf("%.60q: %w", c.Name, err)
		}
	}
	t.Rows++
	return nil
}

// keys returns the names of a JSON object's members, in its order.
func keys(text []byte) (names []string) {
	d := json.NewDecoder(bytes.NewReader(text))
	_, _ = d.Token() // {
	for d.More() {
		name, _ := d.Token()
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return names
		}
		key, _ := name.(string)
		names = append(names, key)
	}
	return names
}

func (c *Column) addValue(value json.RawMessage, rows int) error {
	var text string
	if value[0] == '"' {
		if rows > 0 && c.Texts == nil {
			return errors.New("it is a text, and was a number before")
		}
		if err := json.Unmarshal(value, &text); err != nil {
			return err
		}
		c.Texts = append(c.Texts, text)
		return nil
	}
	if c.Texts != nil {
		return errors.New("it is no text, and was one before")
	}
	var x any
	if err := json.Unmarshal(value, &x); err != nil {
		return err
	}
	before := len(c.Numbers)
	shape, err := c.flatten(x, 0)
	if err != nil {
		return err
	}
	if rows == 0 {
		c.Shape = shape
	}
	if !slices.Equal(shape, c.Shape) {
		c.Numbers = c.Numbers[:before]
		return fmt.Errorf("its numbers have shape %v, and had %v before", shape, c.Shape)
	}
	return nil
}

// flatten appends the numbers of a value and returns its shape.
func (c *Column) flatten(x any, depth int) ([]int, error) {
	switch x := x.(type) {
	case float64:
		c.Numbers = append(c.Numbers, x)
		return []int{}, nil
	case bool:
		n := 0.0
		if x {
			n = 1
		}
		c.Numbers = append(c.Numbers, n)
		return []int{}, nil
	case []any:
		if depth == 8 {
			return nil, errors.New("its arrays are nested too deeply")
		}
		var inner []int
		for i, e := range x {
			shape, err := c.flatten(e, depth+1)
			if err != nil {
				return nil, err
			}
			if i > 0 && !slices.Equal(shape, inner) {
				return nil, errors.New("its rows have different lengths")
			}
			inner = shape
		}
		return append([]int{len(x)}, inner...), nil
	}
	return nil, errors.New("it is neither a text, a number nor an array of numbers")
}

// readArchive reads a .npz file. The first dimension of each array counts the
// rows.
func readArchive(path string) (*Table, error) {
	arrays, err := npy.ReadArchive(path, func(string) format.DType { return format.Invalid })
	if err != nil {
		return nil, err
	}
	t := &Table{Rows: -1}
	for _, a := range arrays {
		if len(a.Shape) == 0 || t.Rows >= 0 && a.Shape[0] != t.Rows {
			return nil, fmt.Errorf("%s: array %.60q has shape %v: the first dimension of each counts the rows, and another has %d", path, a.Name, a.Shape, t.Rows)
		}
		t.Rows = a.Shape[0]
		x, err := numbers(a)
		if err != nil {
			return nil, fmt.Errorf("%s: array %.60q: %w", path, a.Name, err)
		}
		t.Columns = append(t.Columns, &Column{Name: a.Name, Shape: a.Shape[1:], Numbers: x})
	}
	t.Rows = max(t.Rows, 0)
	return t, nil
}

func numbers(a format.Tensor) ([]float64, error) {
	if x, err := a.AsFloat64s(); err == nil {
		return x, nil
	}
	return nil, fmt.Errorf("its elements are %s: save them as float32, int64 or bool", a.DType)
}

// Integers returns the numbers of a column as integers. Errors name the row.
func (c *Column) Integers() ([]int64, error) {
	per := 1
	for _, n := range c.Shape {
		per *= n
	}
	out := make([]int64, len(c.Numbers))
	for i, x := range c.Numbers {
		if x != math.Trunc(x) || math.Abs(x) > 1<<53 {
			return nil, fmt.Errorf("row %d: column %.60q is %g, expected an integer", i/max(1, per)+1, c.Name, x)
		}
		out[i] = int64(x)
	}
	return out, nil
}
