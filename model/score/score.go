// Package score compares translations with references, as sacrebleu does: BLEU with the
// tokenizer 13a and exponential smoothing (Papineni and others 2002; Post 2018,
// arXiv:1804.08771), and chrF with six orders and beta 2 (Popović 2015). It also counts
// placeholders, which a translated message of a program must keep. It knows no models.
package score

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"strings"
	"unicode/utf8"
)

// orders of n-grams.
const (
	bleuOrder = 4
	chrfOrder = 6
	chrfBeta  = 2
)

// Scores are what translations score, from 0 to 100.
type Scores struct {
	Sentences    int     `json:"sentences"`
	Exact        float64 `json:"exact"` // percent of translations that are the reference
	BLEU         float64 `json:"bleu"`
	ChrF         float64 `json:"chrf"`
	Placeholders int     `json:"placeholders"` // sentences with placeholders
	Kept         int     `json:"kept"`         // of these, translations with the same ones
}

// String prints the scores: "BLEU 31.25, chrF 55.10, exact 12.5 %".
func (s Scores) String() string {
	text := fmt.Sprintf("BLEU %.2f, chrF %.2f, %.1f %% exact", s.BLEU, s.ChrF, s.Exact)
	if s.Placeholders > 0 {
		text += fmt.Sprintf(", placeholders kept in %d of %d", s.Kept, s.Placeholders)
	}
	return text
}

// Of compares translations with references, one for each. sources may be nil; without
// them no placeholders are counted.
func Of(translations, references, sources []string) Scores {
	s := Scores{Sentences: len(translations), BLEU: BLEU(translations, references), ChrF: ChrF(translations, references)}
	exact := 0
	for i, t := range translations {
		if strings.TrimSpace(t) == strings.TrimSpace(references[i]) {
			exact++
		}
		if sources == nil {
			continue
		}
		if in := Placeholders(sources[i]); len(in) > 0 {
			s.Placeholders++
			if maps.Equal(in, Placeholders(t)) {
				s.Kept++
			}
		}
	}
	if len(translations) > 0 {
		s.Exact = 100 * float64(exact) / float64(len(translations))
	}
	return s
}

// BLEU returns the score of a corpus, with one reference for each translation.
func BLEU(translations, references []string) float64 {
	var correct, total [bleuOrder]int
	length, want := 0, 0
	for i, t := range translations {
		a, b := words(t), words(references[i])
		length, want = length+len(a), want+len(b)
		for n := range bleuOrder {
			have, ref := ngrams(a, n+1), ngrams(b, n+1)
			total[n] += max(0, len(a)-n)
			correct[n] += matches(have, ref)
		}
	}
	if correct == [bleuOrder]int{} {
		return 0
	}
	logs, smooth := 0.0, 1.0
	for n := range bleuOrder {
		switch {
		case total[n] == 0:
			return 0
		case correct[n] == 0:
			smooth *= 2
			logs += math.Log(100 / (smooth * float64(total[n])))
		default:
			logs += math.Log(100 * float64(correct[n]) / float64(total[n]))
		}
	}
	brevity := 1.0
	if length < want {
		brevity = math.Exp(1 - float64(want)/float64(length))
	}
	return brevity * math.Exp(logs/bleuOrder)
}

// rules13a split punctuation off words, as mteval-v13a.pl does.
var rules13a = []struct {
	find *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`([\x7b-\x7e\x5b-\x60 -&(-+:-@/])`), ` $1 `},
	{regexp.MustCompile(`([^0-9])([.,])`), `$1 $2 `},
	{regexp.MustCompile(`([.,])([^0-9])`), ` $1 $2`},
	{regexp.MustCompile(`([0-9])(-)`), `$1 $2 `},
}

var entities = strings.NewReplacer("<skipped>", "", "-\n", "", "\n", " ")

// words splits a text as sacrebleu's tokenizer 13a does.
func words(text string) []string {
	text = entities.Replace(strings.TrimRight(text, " \t\r\n"))
	for _, e := range [][2]string{{"&quot;", `"`}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}} {
		text = strings.ReplaceAll(text, e[0], e[1])
	}
	text = " " + text + " "
	for _, r := range rules13a {
		text = r.find.ReplaceAllString(text, r.with)
	}
	return strings.Fields(text)
}

// ngrams counts the runs of n words.
func ngrams(words []string, n int) map[string]int {
	counts := map[string]int{}
	for i := n; i <= len(words); i++ {
		counts[strings.Join(words[i-n:i], " ")]++
	}
	return counts
}

// matches counts what have and ref have in common.
func matches(have, ref map[string]int) int {
	n := 0
	for gram, count := range have {
		n += min(count, ref[gram])
	}
	return n
}

// ChrF returns the score of a corpus, with one reference for each translation. Spaces do
// not count.
func ChrF(translations, references []string) float64 {
	var have, want, matched [chrfOrder]int
	for i, t := range translations {
		a, b := strings.Join(strings.Fields(t), ""), strings.Join(strings.Fields(references[i]), "")
		for n := range chrfOrder {
			x, y := characters(a, n+1), characters(b, n+1)
			if size(y) > 0 {
				have[n] += size(x)
			}
			want[n] += size(y)
			matched[n] += matches(x, y)
		}
	}
	precision, recall, orders := 0.0, 0.0, 0.0
	for n := range chrfOrder {
		if have[n] > 0 && want[n] > 0 {
			precision += float64(matched[n]) / float64(have[n])
			recall += float64(matched[n]) / float64(want[n])
			orders++
		}
	}
	if precision+recall == 0 {
		return 0
	}
	precision, recall = precision/orders, recall/orders
	const factor = chrfBeta * chrfBeta
	return 100 * (1 + factor) * precision * recall / (factor*precision + recall)
}

// characters counts the runs of n characters.
func characters(text string, n int) map[string]int {
	counts := map[string]int{}
	var starts []int
	for i := range text {
		starts = append(starts, i)
	}
	starts = append(starts, len(text))
	for i := 0; i+n < len(starts); i++ {
		counts[text[starts[i]:starts[i+n]]]++
	}
	return counts
}

func size(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// placeholders matches what a program puts values in place of: %s, %1$d, %-5.2lf,
// %(name)s, {name}, {0:>5}, {}, ${name}, and %% for a percent sign.
var placeholders = regexp.MustCompile(`%%|%(\([^()]*\))?(\d+\$)?[-+#0']*(\d+|\*)?(\.(\d+|\*))?(hh|h|ll|l|L|q|j|z|t)?[diouxXeEfFgGaAcsSpnmr@]|\$?\{[A-Za-z0-9_.!:<>^,-]*\}`)

// Placeholders returns the placeholders of a text, and how often each occurs.
func Placeholders(text string) map[string]int {
	found := map[string]int{}
	if !utf8.ValidString(text) {
		return found
	}
	for _, p := range placeholders.FindAllString(text, -1) {
		found[p]++
	}
	return found
}
