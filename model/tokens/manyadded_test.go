package tokens

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"github.com/attnx/attnx/fixtures"
)

// A list of very many added tokens is read in a small multiple of its size, and finds
// its tokens: a million of them with ATTNX_EXHAUSTIVE=1.
func TestManyAdded(t *testing.T) {
	n := 20_000
	if fixtures.Exhaustive() {
		n = 1_000_000
	}
	var b bytes.Buffer
	b.WriteString(`{"version":"1.0","model":{"type":"WordLevel","vocab":{"[UNK]":0,"a":1},"unk_token":"[UNK]"},"pre_tokenizer":{"type":"WhitespaceSplit"},"added_tokens":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"content":"<%d>","single_word":false,"lstrip":%v,"rstrip":false,"normalized":%v,"special":true}`, i+2, i, i%3 == 0, i%2 == 0)
	}
	b.WriteString("]}")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tok, err := Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 15*uint64(b.Len()) {
		t.Errorf("%d bytes are read with %d bytes of memory", b.Len(), took)
	}
	text := fmt.Sprintf("a<%d> a  <0><%d>", n-1, n/2+1)
	want := []int64{1, int64(n + 1), 1, 2, int64(n/2 + 3)}
	if got := tok.Encode(text); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q is %v, expected %v", text, got, want)
	}
	out, err := tok.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Parse(out); err != nil || again.VocabSize() != n+2 {
		t.Errorf("written and read again: %v", err)
	}
}
