package ort

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/attnx/attnx/runtime/declared"
)

// The binding reports a session's inputs and outputs only by loading the model
// a second time, and then without the names of dimensions. They are therefore
// read from the file.

// declaredIn reads the inputs and outputs of the file at path.
func declaredIn(path string) (declared.Signature, error) {
	s, err := declared.ReadFile(path, checkDivisors)
	if err != nil {
		return s, err
	}
	if err := usable(s); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// declaredBytes reads the inputs and outputs of a model in memory.
func declaredBytes(model []byte) (declared.Signature, error) {
	s, err := declared.Read(bytes.NewReader(model), int64(len(model)), checkDivisors)
	if err == nil {
		err = usable(s)
	}
	return s, err
}

// usable returns why no session can run a model with these outputs.
func usable(s declared.Signature) error {
	if len(s.Outputs) == 0 {
		return errors.New("0 outputs: a model needs one") // the binding takes the address of the first
	}
	return nil
}

// divisors are attributes by which ONNX Runtime 1.30 divides without a check: a
// zero ends the process.
var divisors = map[string][]string{
	"Attention":            {"q_num_heads", "kv_num_heads"},
	"ConvTranspose":        {"group"},
	"GatherBlockQuantized": {"block_size", "bits"},
	"GroupQueryAttention":  {"num_heads", "kv_num_heads"},
}

var errDivisor = errors.New("ONNX Runtime would end the process")

// checkDivisors refuses a node that would crash ONNX Runtime.
func checkDivisors(n declared.Node) error {
	for _, name := range divisors[n.Op] {
		if x, ok := n.Ints[name]; ok && x < 1 {
			return fmt.Errorf("%s: attribute %s is %d, it must be at least 1: %w", n.Op, name, x, errDivisor)
		}
	}
	return nil
}
