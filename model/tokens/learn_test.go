package tokens

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tight leaves an index room for a few pairs only, so that it is made anew
// again and again, and hashes that many pairs share.
var tight = []bounds{wide, {places: 64, pairs: 4, hashes: 1 << 10}, {places: 3, pairs: 1, hashes: 8}, {places: 600, pairs: 50, hashes: 1 << 8}}

// learnPlainly is algorithm 1 of Sennrich et al. 2016 to the letter: it counts
// all pairs before every merge.
func learnPlainly(text string, size int) (vocab []string, merges [][2]int32) {
	ids := make(map[string]int32)
	for _, b := range byteOrder {
		ids[string(symbols[b])] = int32(len(vocab))
		vocab = append(vocab, string(symbols[b]))
	}
	var words [][]int32
	for _, piece := range trainingPieces(text) {
		var w []int32
		for _, b := range []byte(piece) {
			w = append(w, ids[string(symbols[b])])
		}
		words = append(words, w)
	}
	for len(vocab) < size {
		counts := make(map[[2]int32]int)
		var best [2]int32
		for _, w := range words {
			for i := 1; i < len(w); i++ {
				counts[[2]int32{w[i-1], w[i]}]++
			}
		}
		for p, n := range counts {
			if m := counts[best]; n > m || n == m && slices.Compare(p[:], best[:]) < 0 {
				best = p
			}
		}
		if counts[best] < 2 {
			break
		}
		token := vocab[best[0]] + vocab[best[1]]
		id, ok := ids[token]
		if !ok {
			id = int32(len(vocab))
			ids[token] = id
			vocab = append(vocab, token)
		}
		merges = append(merges, best)
		for k, w := range words {
			var out []int32
			for i := 0; i < len(w); i++ {
				if i+1 < len(w) && w[i] == best[0] && w[i+1] == best[1] {
					out = append(out, id)
					i++
				} else {
					out = append(out, w[i])
				}
			}
			words[k] = out
		}
	}
	return vocab, merges
}

// trainingTexts are texts of every kind that an index meets: with spaces and
// without, one character, runs of different lengths, few letters.
func trainingTexts() []string {
	rng := rand.New(rand.NewPCG(7, 7))
	made := func(n int, alphabet []rune) string {
		var s strings.Builder
		for range n {
			s.WriteRune(alphabet[int(float64(len(alphabet))*rng.Float64()*rng.Float64())])
		}
		return s.String()
	}
	runs := ""
	for range 60 {
		runs += strings.Repeat("a", 1+rng.IntN(40)) + []string{" ", "b", "\n", "ab"}[rng.IntN(4)]
	}
	return []string{
		"a", strings.Repeat("a", 1000), runs,
		strings.Repeat("aaab", 100) + "aa" + strings.Repeat("aaaaa ", 7),
		made(3000, []rune("ab")), made(3000, []rune("abc d\n")), made(2000, []rune("的一是不了人我在有他这为之大来以个中上们")),
		made(2000, []rune("กขคงจฉชซ ฌญ")), made(2000, []rune("のにはをたがでてと、。")),
		strings.Repeat("don't say it's 12 345 words<|endoftext|>  !!<|endoftext|>\t\n ", 9),
		"\xff\x00\xfe" + strings.Repeat("\xff\x00", 20) + made(500, []rune("\u00ff\U0001f600e\u0301")),
	}
}

// However little room there is, the merges are those of the plain algorithm.
func TestLearnedAsWritten(t *testing.T) {
	for i, text := range trainingTexts() {
		vocab, merges := learnPlainly(text, 340)
		for _, most := range tight {
			gotVocab, got, err := learnBPE[uint16](text, 340, most)
			if err != nil || !slices.Equal(got, merges) || !slices.Equal(gotVocab, vocab) {
				t.Errorf("text %d, %+v: merges %v (%v), want %v", i, most, got, err, merges)
			}
			if _, wider, err := learnBPE[uint32](text, 340, most); err != nil || !slices.Equal(wider, merges) {
				t.Errorf("text %d, %+v: ids of 4 bytes give other merges (%v)", i, most, err)
			}
		}
	}
}

// TestLearnedAsPython has the Python library learn the same texts.
func TestLearnedAsPython(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON is not set: name a Python interpreter that has the package tokenizers")
	}
	var texts []string
	for _, text := range trainingTexts() {
		if !strings.Contains(text, EndOfText) { // which that library does not cut
			texts = append(texts, strings.ToValidUTF8(text, "?"))
		}
	}
	b, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "texts.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "-c", `
import json, sys
from tokenizers import Tokenizer, models, trainers, pre_tokenizers
for text in json.load(open(sys.argv[1], encoding="utf-8")):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.train_from_iterator([text], trainers.BpeTrainer(vocab_size=420, min_frequency=2, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    print(json.dumps(json.loads(tok.to_str())["model"]["merges"]))
`, path).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(texts) {
		t.Fatalf("%d answers to %d texts", len(lines), len(texts))
	}
	for i, line := range lines {
		var want [][2]string
		if err := json.Unmarshal([]byte(line), &want); err != nil {
			t.Fatal(err)
		}
		for _, most := range tight {
			vocab, merges, err := learnBPE[uint16](texts[i], 420, most)
			if err != nil {
				t.Fatal(err)
			}
			var got [][2]string
			for _, m := range merges {
				got = append(got, [2]string{vocab[m[0]], vocab[m[1]]})
			}
			if !slices.Equal(got, want) {
				t.Errorf("text %d, %+v: merges\n%v, want\n%v", i, most, firstDifference(got, want), want)
			}
		}
	}
}

func firstDifference(a, b [][2]string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("number %d is %q, not %q", i, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d, not %d", len(a), len(b))
}
