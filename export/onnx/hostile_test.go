package onnx_test

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/attnx/attnx/export/onnx"
)

// hostile are files that attnx does not take, and what it says: Decode, if the
// bytes are no ONNX file, otherwise Check. FormatError where the words are not
// "not supported".
func hostile() map[string]struct {
	data []byte
	want string
} {
	type row = struct {
		data []byte
		want string
	}
	tensor := func(fields ...[]byte) []byte { return modelWith(sub(5, fields...)) }
	attribute := func(fields ...[]byte) []byte {
		return modelWith(sub(1, sub(5, append([][]byte{text(1, "a")}, fields...)...)))
	}
	external := func(pairs ...string) []byte {
		fields := [][]byte{vint(1, 2), vint(2, 1), text(8, "w"), vint(14, 1)}
		for i := 0; i < len(pairs); i += 2 {
			fields = append(fields, sub(13, text(1, pairs[i]), text(2, pairs[i+1])))
		}
		return tensor(fields...)
	}
	input := func(fields ...[]byte) []byte { return modelWith(sub(11, fields...)) }
	nested := sub(6, text(2, "leaf"))
	for range 9 {
		nested = sub(6, sub(1, sub(5, text(1, "body"), nested, vint(20, 5))))
	}
	deep := sub(6, text(2, "leaf"))
	for range 34 { // three messages each
		deep = sub(6, sub(1, sub(5, deep)))
	}
	var group []byte
	group = protowire.AppendTag(group, 3, protowire.StartGroupType)

	return map[string]row{
		"empty":                  {nil, "the file is empty"},
		"text":                   {[]byte("this is no model"), "broken protobuf"},
		"no graph":               {vint(1, 8), "the model has no graph"},
		"truncated":              {modelWith(text(2, "name"))[:5], "broken protobuf"},
		"length beyond the file": {pb(vint(1, 8), []byte{0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f}), "byte 3: broken protobuf"},
		"length of 2^63":         {[]byte{0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, "broken protobuf"},
		"endless varint":         {[]byte{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, "broken protobuf"},
		"field 0":                {[]byte{0x00, 0x00}, "broken protobuf"},
		"half a group":           {group, "broken protobuf"},
		"graph is a number":      {vint(7, 1), "the model has no graph"},
		"version is a string":    {pb(text(1, "x"), sub(7)), "field 1 is not an integer"},
		"two graphs":             {pb(sub(7), sub(7)), "field 7 is there twice"},
		"two names":              {modelWith(text(2, "a"), text(2, "b")), "graph: byte 9: field 2 is there twice"},
		"training":               {pb(sub(7), sub(20)), "training information is not supported"},
		"functions":              {pb(sub(7), sub(25)), "functions are not supported"},
		"opsets":                 {pb(sub(7), bytes.Repeat(sub(8, vint(2, 1)), 257)), "more than 256 operator sets"},
		"metadata twice":         {pb(sub(7), sub(14, text(1, "k")), sub(14, text(1, "k"))), `metadata "k" is there twice`},
		"long name":              {modelWith(text(2, strings.Repeat("n", 1025))), "a string of 1025 bytes, more than 1024"},
		"long text":              {pb(sub(7), text(6, strings.Repeat("n", 64<<20+1))), "a string of 67108865 bytes, more than 67108864"},
		"no UTF-8":               {modelWith(text(2, "\xff")), "not UTF-8"},
		"NUL":                    {modelWith(text(2, "a\x00b")), "a NUL"},
		"sparse initializer":     {modelWith(sub(15)), "sparse initializers are not supported"},
		"quantization":           {modelWith(sub(14)), "quantization annotations are not supported"},
		"deep graphs":            {modelWith(sub(1, sub(5, text(1, "body"), nested, vint(20, 5)))), "graphs nested more than 8 deep are not supported"},
		"messages in messages":   {modelWith(sub(1, sub(5, deep))), "messages nested more than 100 deep"},
		"node is a number":       {modelWith(vint(1, 1)), "field 1 is not a message"},
		"input is a number":      {modelWith(sub(1, vint(1, 1))), "node 0: byte 7: field 1 is not a string"},
		"many attributes":        {modelWith(sub(1, bytes.Repeat(sub(5, text(1, "a"), vint(20, 2)), 257))), "more than 256 attributes"},

		"attribute without a type":   {attribute(), `attribute "a" has type 0`},
		"attribute of another type":  {attribute(vint(20, 15)), `attribute "a" has type 15`},
		"attribute of a huge type":   {attribute(vint(20, 1<<32|2)), "field 20 is 4294967298"},
		"attribute with two values":  {attribute(vint(3, 1), float(2, 1), vint(20, 2)), "an attribute with two values"},
		"attribute, the other value": {attribute(float(2, 1), vint(20, 2)), `attribute "a" has type 2 and a value of type 1`},
		"attribute without a tensor": {attribute(vint(20, 4)), `attribute "a": it lacks its value`},
		"attribute without a graph":  {attribute(vint(20, 5)), `attribute "a": it lacks its value`},
		"two tensors":                {attribute(sub(5, vint(1, 0), vint(2, 1)), sub(5, vint(1, 0), vint(2, 1)), vint(20, 4)), "field 5 is there twice"},
		"string is a number":         {attribute(vint(4, 1), vint(20, 3)), "field 4 is not bytes"},
		"float is a number":          {attribute(vint(2, 1), vint(20, 1)), "field 2 is not a float"},
		"strings are numbers":        {attribute(vint(9, 1), vint(20, 8)), "field 9 is not a string"},
		"sparse attribute":           {attribute(sub(22), vint(20, 11)), "an attribute of type sparse tensor is not supported"},
		"attribute by reference":     {attribute(text(21, "x"), vint(20, 1)), "an attribute by reference is not supported outside a function"},
		"floats of 3 bytes":          {attribute(sub(7, []byte{1, 2, 3}), vint(20, 6)), "not a list of numbers"},
		"ints cut short":             {attribute(sub(8, []byte{1, 0x80}), vint(20, 7)), "broken protobuf"},

		"rank":                    {tensor(sub(1, packed(make([]uint64, 17)...)), vint(2, 1)), "more than 16 axes"},
		"rank one by one":         {tensor(bytes.Repeat(vint(1, 1), 17), vint(2, 1)), "more than 16 axes"},
		"no type":                 {tensor(vint(1, 1)), "no element type"},
		"type 2^32+1":             {tensor(vint(1, 1), vint(2, 1<<32|1)), "field 2 is 4294967297"},
		"type -1":                 {tensor(vint(1, 1), vint(2, ^uint64(0))), "field 2 is -1"},
		"complex":                 {tensor(vint(1, 1), vint(2, 14)), "elements of type complex64 are not supported"},
		"strings":                 {tensor(vint(1, 1), vint(2, 8)), "string[1] expects 1 elements, has 0"},
		"string data":             {tensor(vint(1, 1), text(6, "x"), vint(2, 8)), "tensors of strings are not supported"},
		"segments":                {tensor(vint(1, 0), vint(2, 1), sub(3)), "segments are not supported"},
		"a negative size":         {tensor(vint(1, ^uint64(0)), vint(2, 1)), "shape [-1] is not a size"},
		"a size beyond a machine": {tensor(vint(1, 1<<41), vint(2, 2)), "is not a size"},
		"a product that wraps":    {tensor(sub(1, packed(1<<62, 1<<62)), vint(2, 1)), "is not a size"},
		"a product that is small": {tensor(sub(1, packed(1<<32, 1<<31, 2)), vint(2, 1), text(9, "")), "is not a size"},
		"a product behind a zero": {tensor(sub(1, packed(0, 1<<62, 1<<62)), vint(2, 1)), "is not a size"},
		"declared but not there":  {tensor(vint(1, 1<<38), vint(2, 1), text(8, "w")), `tensor "w": byte 6: float[274877906944] expects 1099511627776 bytes, has 0`},
		"too many bytes":          {tensor(vint(1, 1), vint(2, 2), text(9, "ab")), "uint8[1] expects 1 bytes, has 2"},
		"raw twice":               {tensor(vint(1, 1), vint(2, 2), text(9, "a"), text(9, "b")), "field 9 is there twice"},
		"raw and typed":           {tensor(vint(1, 1), vint(2, 6), text(9, "abcd"), vint(5, 1)), "its elements are there twice"},
		"two typed lists":         {tensor(vint(1, 1), vint(2, 6), vint(7, 1), vint(5, 1)), "its elements are there twice"},
		"the wrong list":          {tensor(vint(1, 1), vint(2, 1), vint(7, 1)), "elements of float in field 7"},
		"too few elements":        {tensor(vint(1, 3), vint(2, 7), sub(7, packed(1, 2))), "int64[3] expects 3 elements, has 2"},
		"too many elements":       {tensor(vint(1, 1), vint(2, 7), sub(7, packed(1, 2))), "int64[1] expects 1 elements, has 2"},
		"a list cut short":        {tensor(vint(1, 1), vint(2, 7), sub(7, []byte{1, 0x80})), "broken protobuf"},
		"raw is a number":         {tensor(vint(9, 1), vint(2, 1)), "field 9 is not bytes"},

		"external without a place":     {external("offset", "0"), "external data without a location"},
		"external, unknown key":        {external("location", "w", "basepath", "/"), `unknown key "basepath"`},
		"external, a key twice":        {external("location", "w", "location", "x"), `"location" is there twice`},
		"external, too many keys":      {external("location", "w", "a", "", "b", "", "c", "", "d", ""), "more than 4 entries"},
		"external, negative offset":    {external("location", "w", "offset", "-1"), `offset is "-1"`},
		"external, offset with +":      {external("location", "w", "offset", "+1"), `offset is "+1"`},
		"external, offset beyond 2^63": {external("location", "w", "offset", "9223372036854775808"), "offset is"},
		"external, another length":     {external("location", "w", "length", "7"), "7 bytes for float[2] of 8"},
		"external and raw":             {tensor(vint(14, 1), vint(1, 1), vint(2, 2), text(9, "a")), "external data and data in the file"},
		"external, long value":         {external("location", strings.Repeat("w", 1025)), "a string of 1025 bytes"},
		"a place but not external":     {tensor(vint(1, 0), vint(2, 1), sub(13, text(1, "location"))), "data location 0 with 2 external entries"},
		"another kind of place":        {tensor(vint(1, 0), vint(2, 1), vint(14, 2)), "data location 2"},

		"a sequence":          {input(text(1, "x"), sub(2, sub(4))), "a value that is not a tensor is not supported"},
		"two types":           {input(text(1, "x"), sub(2), sub(2)), "field 2 is there twice"},
		"two shapes":          {input(text(1, "x"), sub(2, sub(1, sub(2), sub(2)))), "field 2 is there twice"},
		"17 axes":             {input(text(1, "x"), sub(2, sub(1, sub(2, bytes.Repeat(sub(1), 17))))), "more than 16 axes"},
		"a negative axis":     {input(text(1, "x"), sub(2, sub(1, sub(2, sub(1, vint(1, ^uint64(0))))))), "an axis of size -1"},
		"a number and a name": {input(text(1, "x"), sub(2, sub(1, sub(2, sub(1, vint(1, 3), text(2, "n")))))), `the size 3 and the name "n"`},
	}
}

func TestRefuses(t *testing.T) {
	for name, c := range hostile() {
		t.Run(name, func(t *testing.T) {
			m, err := onnx.Decode(c.data)
			found := []error{err}
			if err == nil {
				found = onnx.Problems(m, "")
			}
			for _, err := range found {
				if strings.Contains(err.Error(), "\n") || len(err.Error()) > 300 {
					t.Errorf("not a line: %v", err)
				}
			}
			i := slices.IndexFunc(found, func(err error) bool { return strings.Contains(err.Error(), c.want) })
			if i < 0 {
				t.Fatalf("got %v, want %q", found, c.want)
			}
			var format *onnx.FormatError
			var unsupported *onnx.UnsupportedError
			if err := found[i]; strings.Contains(c.want, "not supported") != errors.As(err, &unsupported) || errors.As(err, &unsupported) == errors.As(err, &format) {
				t.Errorf("%T: %v", err, err)
			}
			if err != nil == readable(name) {
				t.Errorf("Decode: %v", err)
			}
		})
	}
}

// readable reports whether Decode reads a file of that name in hostile: only
// bytes that are no ONNX file are refused.
func readable(name string) bool {
	return !slices.Contains([]string{
		"empty", "text", "no graph", "truncated", "length beyond the file", "length of 2^63", "endless varint", "field 0", "half a group",
		"graph is a number", "ints cut short", "a list cut short", "messages in messages",
	}, name)
}

// Fields that are not known, or change nothing, are passed over.
func TestDecodePassesOver(t *testing.T) {
	group := pb(protowire.AppendTag(nil, 98, protowire.StartGroupType), vint(1, 7), protowire.AppendTag(nil, 98, protowire.EndGroupType))
	m, err := onnx.Decode(modelWith(
		text(2, "g"), sub(16, text(1, "k")), vint(99, 7), group,
		sub(11, text(1, "x"), text(3, "what it is"), sub(2, text(6, "TENSOR"), sub(1, vint(1, 1), sub(2, sub(1, text(3, "BATCH"))))))))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Graph.Inputs[0].String(); got != "x float (?)" {
		t.Errorf("got %q", got)
	}
}

// What is decoded takes memory in proportion to the file, whatever it
// declares; and there is an end to it.
func TestDecodeMemory(t *testing.T) {
	if raceDetector {
		t.Skip("under the race detector allocations cannot be counted")
	}
	const n = 1 << 17
	for _, c := range []struct {
		name  string
		data  []byte
		times float64 // bytes allocated for a byte of the file
	}{
		// The elements of tensors: exactly the tensor, of 8 bytes for each of the file at most.
		{"integers of a byte", modelWith(sub(5, vint(1, n), vint(2, 7), sub(7, make([]byte, n)))), 8.1},
		{"integers one by one", modelWith(sub(5, vint(1, n), vint(2, 3), bytes.Repeat(vint(5, 1), n))), 1},
		{"a size that is only declared", modelWith(sub(5, vint(1, 1<<37), vint(2, 7), sub(7, make([]byte, n)))), 0.1},
		// Lists: 8 bytes for each of the file, and what append leaves behind.
		{"an attribute's integers", modelWith(sub(1, sub(5, text(1, "a"), sub(8, make([]byte, n)), vint(20, 7)))), 8.2},
		// Objects: two bytes in the file, up to 400 in memory.
		{"empty nodes", modelWith(bytes.Repeat(sub(1), n)), 300},
		{"empty names", modelWith(sub(1, bytes.Repeat(text(1, ""), n))), 100},
		{"empty strings", modelWith(sub(1, sub(5, text(1, "a"), bytes.Repeat(text(9, ""), n), vint(20, 8)))), 100},
		{"empty values", modelWith(bytes.Repeat(sub(13), n)), 400},
		{"empty axes", modelWith(bytes.Repeat(sub(13, sub(2, sub(1, sub(2, bytes.Repeat(sub(1), 16))))), n/40)), 300},
		{"external entries", modelWith(sub(5, vint(14, 1), bytes.Repeat(sub(13), n))), 0.1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			onnx.Decode(c.data)
			runtime.ReadMemStats(&after)
			const overhead = 16 << 10 // errors, closures, what the runtime does beside
			got := max(0, float64(after.TotalAlloc-before.TotalAlloc)-overhead) / float64(len(c.data))
			t.Logf("%.1f bytes for each of the file", got)
			if got > c.times {
				t.Errorf("want at most %g", c.times)
			}
		})
	}

	// A large file of nothing but objects is refused before they take more than
	// a file of real ones.
	for what, field := range map[string][]byte{
		"nodes": sub(1), "values": sub(12), "attributes": sub(1, bytes.Repeat(sub(5), 50)), "names": sub(1, bytes.Repeat(text(2, ""), 999)),
		"entries": sub(16), "types": sub(13, sub(2, sub(4, sub(1, sub(4, sub(1, sub(4))))))), "annotations": sub(14),
	} {
		data := modelWith(bytes.Repeat(field, 2<<20/len(field)))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := onnx.Decode(data)
		runtime.ReadMemStats(&after)
		got := (after.TotalAlloc - before.TotalAlloc) >> 20
		t.Logf("%s: %d MiB for 2 MiB (%v)", what, got, err)
		if got > 100 {
			t.Errorf("%s: %d MiB", what, got)
		}
		if err == nil && what != "names" || err != nil && !strings.Contains(err.Error(), "for a file of this size") {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
