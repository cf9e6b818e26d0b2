package precision

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Keep names weights that quantization leaves in higher precision, each with its
// bits: "h.0.mlp.c_fc.weight=8,h.1.mlp.c_fc.weight=32". 32 leaves a weight as it is,
// also in a file of 16 bits, where it is rounded to these; 8 is for int4 only. Equal
// choices are equal texts, see KeepOf.
type Keep string

// keptWholeBits are the bits of a weight that is left as it is.
const keptWholeBits = 32

// KeepOf returns the Keep for the bits of weights by name.
func KeepOf(bits map[string]int) Keep {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(bits)) {
		parts = append(parts, name+"="+strconv.Itoa(bits[name]))
	}
	return Keep(strings.Join(parts, ","))
}

// Bits returns the bits of the weights by name.
func (k Keep) Bits() map[string]int {
	bits := map[string]int{}
	if k == "" {
		return bits
	}
	for part := range strings.SplitSeq(string(k), ",") {
		name, number, _ := strings.Cut(part, "=")
		bits[name], _ = strconv.Atoi(number)
	}
	return bits
}

// check returns a *NumbersError if a file of this kind cannot keep these weights.
func (k Keep) check(q Quantize) error {
	if k == "" {
		return nil
	}
	if q == "" {
		return &NumbersError{Reason: "weights are to be kept, and none become integers", Remedy: "ask for int8 or int4"}
	}
	if KeepOf(k.Bits()) != k {
		return &NumbersError{Reason: fmt.Sprintf("%.80q does not name weights with their bits", string(k)), Remedy: "make it with KeepOf"}
	}
	for name, bits := range k.Bits() {
		if name == "" || bits != keptWholeBits && (bits != 8 || q != Int4) {
			return &NumbersError{Tensor: name, Reason: fmt.Sprintf("it cannot be kept in %d bits in a file of %s", bits, q), Remedy: "keep it in 32, or in 8 with int4"}
		}
	}
	return nil
}

// ParseKeep reads what a user asks to keep: "auto:X", the largest predicted loss, or
// weights by name, as they are ("h.0.mlp.c_fc.weight") or in 8 bits ("h.0.mlp.c_fc.weight=8"), with commas
// between them.
func ParseKeep(text string) (k Keep, limit float64, err error) {
	if number, auto := strings.CutPrefix(text, "auto:"); auto {
		limit, err = strconv.ParseFloat(number, 64)
		if err != nil || !(limit > 0) || math.IsInf(limit, 0) {
			return "", 0, fmt.Errorf("%.80q: the loss after auto: is a positive number of nats, such as auto:0.01", text)
		}
		return "", limit, nil
	}
	bits := map[string]int{}
	for part := range strings.SplitSeq(text, ",") {
		name, number, given := strings.Cut(part, "=")
		bits[name] = keptWholeBits
		if given {
			bits[name], err = strconv.Atoi(number)
		}
		if err != nil || name == "" {
			return "", 0, fmt.Errorf("%.80q: take auto:X, or names of weights with commas between them", text)
		}
	}
	return KeepOf(bits), 0, nil
}
