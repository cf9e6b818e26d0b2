//go:build cgo

package ort

import (
	"strings"
	"testing"
)

// TestHostileModels opens and runs files that are broken behind their headers,
// as sessions and on devices. Each is an error on one short line; a process
// that ends would be the failure.
func TestHostileModels(t *testing.T) {
	needLibrary(t)
	node := func(op string, in ...string) testNode { return testNode{op: op, in: in, out: []string{"y"}} }
	with := func(n testNode, ints map[string]int64) testNode { n.ints = ints; return n }
	of := func(nodes ...testNode) testModel {
		m := identity(protoFloat)
		m.nodes = nodes
		return m
	}
	weighted := func(dims []int64, values int) testModel {
		m := of(node("Add", "x", "w"))
		m.weights = []testWeight{{"w", dims, make([]float32, values)}}
		return m
	}
	for name, m := range map[string]testModel{
		"an unknown operator":       of(node("Frobnicate", "x")),
		"an unknown attribute":      of(with(node("Relu", "x"), map[string]int64{"frob": 3})),
		"an axis far away":          of(with(node("Softmax", "x"), map[string]int64{"axis": 99})),
		"a missing argument":        of(node("Add", "x")),
		"an argument from nowhere":  of(node("Add", "x", "nowhere")),
		"a cycle":                   of(testNode{op: "Add", in: []string{"x", "y"}, out: []string{"z"}}, node("Relu", "z")),
		"two results of one name":   of(node("Relu", "x"), node("Neg", "x")),
		"no nodes":                  of(),
		"a name of a megabyte":      of(node("Add", "x", strings.Repeat("\x1b[2J\n", 1<<18))),
		"an operator of a megabyte": of(node(strings.Repeat("a", 1<<20), "x")),
		"a weight of 2^60 elements": weighted([]int64{1 << 30, 1 << 30}, 1),
		"a weight of -2 elements":   weighted([]int64{-2}, 2),
		"a weight that is short":    weighted([]int64{8}, 3),
		"a weight that overflows":   weighted([]int64{1 << 62, 1 << 62}, 1),
		"an operator set to come":   func() testModel { m := of(node("Relu", "x")); m.opset = 9999; return m }(),
		"no heads":                  of(with(node("GroupQueryAttention", "x", "x", "x"), map[string]int64{"num_heads": 0})),
	} {
		_, err := OpenBytes(m.bytes(), Options{Threads: 1})
		_, err2 := OpenDeviceBytes(m.bytes(), Options{Threads: 1})
		for _, err := range []error{err, err2} {
			if err == nil || len(err.Error()) > 5000 || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%s: %.300q", name, err)
			}
		}
	}
}
