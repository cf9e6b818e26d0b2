package onnx

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Print writes a model as stable text: what it declares, then its nodes, a
// line each. Names that are more than letters, digits, spaces and common marks stand
// in quotes, so that no file can put its own lines or control codes there.
func Print(w io.Writer, m *Model) error {
	var sb strings.Builder
	fmt.Fprintf(&sb, "ir_version %d\nproducer %s %s\n", m.IRVersion, shown(m.ProducerName), shown(m.ProducerVersion))
	for _, o := range m.Opsets {
		fmt.Fprintf(&sb, "opset %s %d\n", strconv.Quote(o.Domain), o.Version)
	}
	for _, k := range slices.Sorted(maps.Keys(m.Metadata)) {
		fmt.Fprintf(&sb, "metadata %s (%d bytes)\n", shown(k), len(m.Metadata[k]))
	}
	for _, v := range m.Graph.Inputs {
		fmt.Fprintf(&sb, "input %s\n", v)
	}
	for _, t := range m.Graph.Initializers {
		fmt.Fprintf(&sb, "initializer %s %s%v", shown(t.Name), t.DataType, t.Dims)
		if t.External != nil {
			fmt.Fprintf(&sb, " in %s at %d", shown(t.External.Location), t.External.Offset)
		}
		sb.WriteByte('\n')
	}
	for _, n := range m.Graph.Nodes {
		op := shown(n.Op)
		if d := standard(n.Domain); d != "" {
			op = shown(d) + "." + op
		}
		fmt.Fprintf(&sb, "%s = %s(%s)", list(n.Outputs), op, list(n.Inputs))
		for _, a := range n.Attributes {
			fmt.Fprintf(&sb, " %s=%s", shown(a.Name), a.text())
		}
		sb.WriteByte('\n')
	}
	for _, v := range m.Graph.Outputs {
		fmt.Fprintf(&sb, "output %s\n", v)
	}
	_, err := io.WriteString(w, sb.String())
	return err
}

// shown returns a name of a file as it may stand in a line of text.
func shown(name string) string {
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" ._-+/:()<>", r) {
			return strconv.Quote(name)
		}
	}
	return name
}

func list(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = shown(n)
	}
	return strings.Join(out, ", ")
}

func (a Attribute) text() string {
	switch a.Type {
	case AttrFloat:
		return strconv.FormatFloat(float64(a.Float), 'g', -1, 32)
	case AttrInt:
		return strconv.FormatInt(a.Int, 10)
	case AttrString:
		return strconv.Quote(string(a.String))
	case AttrTensor:
		return fmt.Sprintf("%s%v", a.Tensor.DataType, a.Tensor.Dims)
	case AttrGraph:
		return fmt.Sprintf("graph of %d nodes", len(a.Graph.Nodes))
	case AttrFloats:
		return fmt.Sprint(a.Floats)
	case AttrInts:
		return fmt.Sprint(a.Ints)
	}
	return fmt.Sprintf("%q", a.Strings)
}

// String returns v as "input_ids int64 (batch_size,sequence_length)".
func (v ValueInfo) String() string {
	if v.NoShape {
		return fmt.Sprintf("%s %s", shown(v.Name), v.DataType)
	}
	dims := make([]string, len(v.Dims))
	for i, d := range v.Dims {
		switch {
		case d.Open && d.Param == "":
			dims[i] = "?"
		case d.Open:
			dims[i] = shown(d.Param)
		default:
			dims[i] = strconv.FormatInt(d.Value, 10)
		}
	}
	return fmt.Sprintf("%s %s (%s)", shown(v.Name), v.DataType, strings.Join(dims, ","))
}
