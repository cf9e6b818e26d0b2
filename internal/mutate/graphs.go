package mutate

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/model/graph"
)

// GraphFault is a change of a network before it is exported.
type GraphFault struct {
	Fault
	Graph *graph.Graph
}

// graphKind is a row of the table of faults in a graph. change returns a changed node
// of the graph's text; "" if it has no place for the fault.
type graphKind struct {
	name   string
	change func(t *graphText, line int, r *rand.Rand) string
}

// graphText is a printed graph.
type graphText struct {
	lines []string
	types map[string]string // of each value, as it is printed
	order []string          // values by line
}

// printedNode matches a node with one result, arguments in parentheses and attributes.
var printedNode = regexp.MustCompile(`^(\S+) (\S.*?) = (\w+)\(([^)]*)\)(.*)$`)

var (
	printedNumber = regexp.MustCompile(`=(-?\d+\.\d+(?:e[-+]\d+)?|-?\d+e[-+]\d+)`)
	printedWhole  = regexp.MustCompile(`=(\d+)\b`)
	printedBool   = regexp.MustCompile(`=(true|false)\b`)
)

// attributeChange changes the first attribute that a pattern matches.
func attributeChange(of *regexp.Regexp, change func(text string) string) func(*graphText, int, *rand.Rand) string {
	return func(t *graphText, line int, _ *rand.Rand) string {
		m := printedNode.FindStringSubmatch(t.lines[line])
		if m == nil {
			return ""
		}
		at := of.FindStringSubmatchIndex(m[5])
		if at == nil {
			return ""
		}
		return strings.TrimSuffix(t.lines[line], m[5]) + m[5][:at[2]] + change(m[5][at[2]:at[3]]) + m[5][at[3]:]
	}
}

// arguments changes a node's arguments.
func arguments(change func(t *graphText, line int, args []string, r *rand.Rand) []string) func(*graphText, int, *rand.Rand) string {
	return func(t *graphText, line int, r *rand.Rand) string {
		m := printedNode.FindStringSubmatch(t.lines[line])
		if m == nil || m[4] == "" {
			return ""
		}
		args := strings.Split(m[4], ", ")
		if args = change(t, line, args, r); args == nil {
			return ""
		}
		return fmt.Sprintf("%s %s = %s(%s)%s", m[1], m[2], m[3], strings.Join(args, ", "), m[5])
	}
}

// operator replaces an operator by its neighbour.
func operator(pairs ...string) func(*graphText, int, *rand.Rand) string {
	return func(t *graphText, line int, _ *rand.Rand) string {
		m := printedNode.FindStringSubmatch(t.lines[line])
		if m == nil {
			return ""
		}
		for i := 0; i < len(pairs); i += 2 {
			if m[3] == pairs[i] {
				return fmt.Sprintf("%s %s = %s(%s)%s", m[1], m[2], pairs[i+1], m[4], m[5])
			}
		}
		return ""
	}
}

var graphKinds = []graphKind{
	{"graph: number of an operator", attributeChange(printedNumber, func(text string) string {
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return text
		}
		return strconv.FormatFloat(1.25*x, 'g', -1, 64)
	})},
	{"graph: count of an operator", attributeChange(printedWhole, func(text string) string {
		n, _ := strconv.Atoi(text)
		if n > 1 {
			return strconv.Itoa(n - 1)
		}
		return strconv.Itoa(n + 1)
	})},
	{"graph: switch of an operator", attributeChange(printedBool, func(text string) string { return strconv.FormatBool(text != "true") })},
	{"graph: arguments exchanged", arguments(func(t *graphText, _ int, args []string, r *rand.Rand) []string {
		for i := range args {
			for j := range i {
				if args[i] != args[j] && t.types[args[i]] == t.types[args[j]] {
					args = slices.Clone(args)
					args[i], args[j] = args[j], args[i]
					return args
				}
			}
		}
		return nil
	})},
	{"graph: another value of the type", arguments(func(t *graphText, line int, args []string, r *rand.Rand) []string {
		i := r.IntN(len(args))
		for _, j := range r.Perm(line) {
			if v := t.order[j]; v != "" && v != args[i] && t.types[v] == t.types[args[i]] {
				args = slices.Clone(args)
				args[i] = v
				return args
			}
		}
		return nil
	})},
	{"graph: neighbouring operator", operator("Add", "Sub", "Mul", "Add", "Sub", "Add", "Tanh", "Sigmoid", "Sigmoid", "Tanh", "Relu", "Abs", "Gelu", "Relu", "Softmax", "LogSoftmax", "Silu", "Relu")},
	{"graph: roles exchanged", nil},
	{"graph: outputs exchanged", nil},
}

// Graphs returns up to n changed graphs that are valid, spread evenly over the kinds. Equal
// arguments give equal ones.
func Graphs(g *graph.Graph, n int, seed uint64) ([]GraphFault, error) {
	var text strings.Builder
	if err := graph.Print(&text, g); err != nil {
		return nil, err
	}
	t := &graphText{lines: strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n"), types: map[string]string{}}
	for _, line := range t.lines {
		name, rest, node := strings.Cut(line, " ")
		kind, _, made := strings.Cut(rest, " = ")
		if !node || !made || name == "output" || strings.HasSuffix(name, ",") || strings.Contains(kind, ", ") {
			t.order = append(t.order, "")
			continue
		}
		t.types[name] = kind
		t.order = append(t.order, name)
	}
	r := rand.New(rand.NewPCG(seed, 0x6772617068))
	var drawn [][]GraphFault
	for _, k := range graphKinds {
		var all []GraphFault
		for _, line := range r.Perm(len(t.lines)) {
			if len(all) == n {
				break
			}
			if f, ok := t.fault(k, line, r); ok {
				all = append(all, f)
			}
		}
		drawn = append(drawn, all)
	}
	var out []GraphFault
	for round := range n {
		for _, all := range drawn {
			if round < len(all) && len(out) < n {
				out = append(out, all[round])
			}
		}
	}
	return out, nil
}

// fault puts a fault into a line; false if it has no place there or the graph would not be
// valid.
func (t *graphText) fault(k graphKind, line int, r *rand.Rand) (f GraphFault, ok bool) {
	lines := slices.Clone(t.lines)
	value := t.order[line]
	switch {
	case k.change != nil:
		if lines[line] = k.change(t, line, r); lines[line] == "" || lines[line] == t.lines[line] {
			return f, false
		}
	default:
		other := t.partner(k.name, line)
		if other < 0 {
			return f, false
		}
		lines[line], lines[other] = exchangedTails(lines[line], lines[other])
		value = ""
	}
	g, err := graph.Parse(strings.Join(lines, "\n") + "\n")
	if err != nil {
		return f, false
	}
	f = GraphFault{Fault{Kind: k.name, Place: t.lines[line], Value: value, Also: t.readers(value), Inside: true}, g}
	return f, true
}

// readers returns the values of the nodes that read a value. They show the fault if the
// value itself is none of the file's, because the exporter fused its node with theirs.
func (t *graphText) readers(value string) (names []string) {
	for i, line := range t.lines {
		if m := printedNode.FindStringSubmatch(line); m != nil && value != "" && slices.Contains(strings.Split(m[4], ", "), value) {
			names = append(names, t.order[i])
		}
	}
	return names
}

// partner returns the next line whose value can be exchanged with that of a line: another
// output, or another input of the same type.
func (t *graphText) partner(kind string, line int) int {
	of := func(i int) string {
		text := t.lines[i]
		if kind == "graph: outputs exchanged" {
			if strings.HasPrefix(text, "output ") {
				return "output"
			}
			return ""
		}
		if _, op, _ := strings.Cut(text, " = "); strings.HasPrefix(op, "Input") {
			return t.types[t.order[i]]
		}
		return ""
	}
	for i := line + 1; i < len(t.lines); i++ {
		if of(line) != "" && of(i) == of(line) {
			return i
		}
	}
	return -1
}

// exchangedTails exchanges what two lines say after "=": the value of an output, or the
// role of an input.
func exchangedTails(a, b string) (string, string) {
	x, tailX, _ := strings.Cut(a, " = ")
	y, tailY, _ := strings.Cut(b, " = ")
	valueX, roleX, _ := strings.Cut(tailX, " role=")
	valueY, roleY, _ := strings.Cut(tailY, " role=")
	join := func(head, value, role string) string {
		if role == "" {
			return head + " = " + value
		}
		return head + " = " + value + " role=" + role
	}
	if strings.HasPrefix(a, "output ") {
		return join(x, valueY, roleX), join(y, valueX, roleY)
	}
	return join(x, valueX, roleY), join(y, valueY, roleX)
}
