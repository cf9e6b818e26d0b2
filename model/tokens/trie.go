package tokens

// trie holds tokens by their bytes.
type trie struct {
	next  map[uint64]int32 // node and byte, to node
	token []int32          // by node; -1: no token ends here
}

func newTrie() trie { return trie{next: make(map[uint64]int32), token: []int32{-1}} }

// add adds a token, which may be empty: that is never found.
func (t *trie) add(token string, id int32) {
	at := int32(0)
	for i := range len(token) {
		key := pairKey(at, int32(token[i]))
		to, ok := t.next[key]
		if !ok {
			to = int32(len(t.token))
			t.token = append(t.token, -1)
			t.next[key] = to
		}
		at = to
	}
	if at > 0 {
		t.token[at] = id
	}
}

// each calls f with the tokens that s starts with, the shortest first, and their lengths.
func (t *trie) each(s string, f func(n int, id int32)) {
	for node, i, ok := int32(0), 0, true; i < len(s); {
		if node, ok = t.next[pairKey(node, int32(s[i]))]; !ok {
			return
		}
		i++
		if id := t.token[node]; id >= 0 {
			f(i, id)
		}
	}
}
