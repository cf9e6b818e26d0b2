package ort

import (
	"errors"
	"strings"
	"testing"
)

// TestDivisors refuses zeros by which ONNX Runtime divides, at the top, in the
// branch of an If and in a function of the model's own.
func TestDivisors(t *testing.T) {
	for op, attributes := range divisors {
		for _, name := range attributes {
			for _, x := range []int64{0, -1, 1} {
				m := embedModel()
				n := testNode{op: op, in: []string{"x"}, out: []string{"y"}, ints: map[string]int64{name: x}}
				m.nodes = append(m.nodes, n)
				inner := testModel{nodes: []testNode{n}}.bytes()
				graph := inner[len(number(nil, 1, 8))+len(text(nil, 2, "attnx test")):] // the ModelProto's field 7
				branch := append([]byte{}, graph...)
				branch[0] = 6<<3 | 2 // as the field g of an attribute
				nested := text(message(nil, 5, append(text(nil, 1, "then_branch"), branch[:len(graph)-len(opsetField())]...)), 4, "If")
				function := message(nil, 7, nodeBytes(n))
				for place, b := range map[string][]byte{
					"the graph":  m.bytes(),
					"a branch":   append(embedModel().bytes(), message(nil, 7, message(nil, 1, nested))...),
					"a function": append(embedModel().bytes(), message(nil, 25, function)...),
				} {
					_, err := readDeclared(b)
					if want := op + ": attribute " + name; (x < 1) != errors.Is(err, errDivisor) || x < 1 && !strings.Contains(err.Error(), want) {
						t.Errorf("%s %s = %d in %s: %v", op, name, x, place, err)
					}
				}
			}
		}
	}
}

func opsetField() []byte { return message(nil, 8, number(text(nil, 1, ""), 2, 17)) }
