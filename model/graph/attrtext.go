package graph

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// float writes the shortest text that parses to the same number.
func float(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func attributeText(x any) string {
	switch x := x.(type) {
	case int:
		return strconv.Itoa(x)
	case int64:
		return strconv.FormatInt(x, 10)
	case bool:
		return strconv.FormatBool(x)
	case float64:
		return float(x)
	case string:
		return strconv.Quote(x)
	case []int:
		return list(len(x), func(i int) string { return strconv.Itoa(x[i]) })
	case Dim:
		return x.String()
	case Shape:
		return x.String()
	case format.DType:
		return x.String()
	case role.Role:
		return quoted(x.String())
	case Init:
		return fmt.Sprintf("normal(%s,%s)", float(x.Mean), float(x.Std))
	case format.Tensor:
		return tensorText(x)
	}
	return fmt.Sprintf("!%T", x) // refused by Verify
}

func list(n int, at func(int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = at(i)
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// readableElements is the maximum size of a constant that is written as
// numbers; a larger one is written as base64 of its bytes.
const readableElements = 16

// tensorText returns the elements of t: "[0.5,1]" or base64. Their type is in
// the value's type.
func tensorText(t format.Tensor) string {
	n := t.Elements()
	if n <= readableElements {
		switch t.DType {
		case format.Float32:
			if x, err := t.Float32s(); err == nil && !slices.ContainsFunc(x, func(v float32) bool { return v != v }) {
				return list(n, func(i int) string { return strconv.FormatFloat(float64(x[i]), 'g', -1, 32) })
			}
		case format.Float64:
			if x, err := t.Float64s(); err == nil && !slices.ContainsFunc(x, func(v float64) bool { return v != v }) {
				return list(n, func(i int) string { return float(x[i]) })
			}
		case format.Int64:
			if x, err := t.Int64s(); err == nil {
				return list(n, func(i int) string { return strconv.FormatInt(x[i], 10) })
			}
		case format.Bool:
			if !slices.ContainsFunc(t.Data, func(b byte) bool { return b > 1 }) {
				return list(n, func(i int) string { return strconv.Itoa(int(t.Data[i])) })
			}
		}
	}
	return "base64:" + base64.StdEncoding.EncodeToString(t.Data)
}

// parseTensor parses the output of tensorText.
func parseTensor(text string, dtype format.DType, shape []int) (format.Tensor, error) {
	t := format.Tensor{DType: dtype, Shape: shape}
	if t.Shape == nil {
		t.Shape = []int{}
	}
	if raw, ok := strings.CutPrefix(text, "base64:"); ok {
		var err error
		if t.Data, err = base64.StdEncoding.Strict().DecodeString(raw); err != nil {
			return t, fmt.Errorf("its elements are not base64: %w", err)
		}
		return t, t.Check()
	}
	elements, err := items(text)
	if err != nil {
		return t, err
	}
	t.Data = []byte{}
	for _, e := range elements {
		switch dtype {
		case format.Float32:
			x, err := strconv.ParseFloat(e, 32)
			if err != nil {
				return t, fmt.Errorf("element %.80q is not a float32", e)
			}
			t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(float32(x)))
		case format.Float64:
			x, err := strconv.ParseFloat(e, 64)
			if err != nil {
				return t, fmt.Errorf("element %.80q is not a float64", e)
			}
			t.Data = binary.LittleEndian.AppendUint64(t.Data, math.Float64bits(x))
		case format.Int64:
			x, err := strconv.ParseInt(e, 10, 64)
			if err != nil {
				return t, fmt.Errorf("element %.80q is not an int64", e)
			}
			t.Data = binary.LittleEndian.AppendUint64(t.Data, uint64(x))
		case format.Bool:
			if e != "0" && e != "1" {
				return t, fmt.Errorf("element %.80q is neither 0 nor 1", e)
			}
			t.Data = append(t.Data, e[0]-'0')
		default:
			return t, fmt.Errorf("elements of type %s are written as base64", dtype)
		}
	}
	return t, t.Check()
}

// items splits "[1,2]".
func items(text string) ([]string, error) {
	inner, open := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !open || !closed {
		return nil, fmt.Errorf("%s is not a list in brackets", shorten(text))
	}
	if inner == "" {
		return nil, nil
	}
	return strings.Split(inner, ","), nil
}

// parseAttribute parses a value of like's type.
func parseAttribute(like any, text string, result Type) (any, error) {
	switch like.(type) {
	case int:
		return strconv.Atoi(text)
	case int64:
		return strconv.ParseInt(text, 10, 64)
	case bool:
		return strconv.ParseBool(text)
	case float64:
		return strconv.ParseFloat(text, 64)
	case string:
		return strconv.Unquote(text)
	case []int:
		parts, err := items(text)
		out := make([]int, len(parts))
		for i, p := range parts {
			if out[i], err = strconv.Atoi(p); err != nil {
				return nil, err
			}
		}
		return out, err
	case Dim:
		return parseDim(text)
	case Shape:
		return parseShape(text)
	case format.DType:
		t, ok := format.ParseDType(text)
		if !ok {
			return nil, fmt.Errorf("there is no element type %s", shorten(text))
		}
		return t, nil
	case role.Role:
		return role.Parse(text)
	case Init:
		inner, ok := strings.CutPrefix(text, "normal(")
		inner, closed := strings.CutSuffix(inner, ")")
		mean, std, both := strings.Cut(inner, ",")
		m, err := strconv.ParseFloat(mean, 64)
		s, err2 := strconv.ParseFloat(std, 64)
		if !ok || !closed || !both || err != nil || err2 != nil {
			return nil, fmt.Errorf("%s is not normal(mean,std)", shorten(text))
		}
		return Init{m, s}, nil
	case format.Tensor:
		shape, ok := result.Shape.Numbers()
		if !ok {
			return nil, fmt.Errorf("a constant has the shape %s", result.Shape)
		}
		return parseTensor(text, result.DType, shape)
	}
	return nil, fmt.Errorf("it has the type %T, which is not one of an attribute's", like)
}
