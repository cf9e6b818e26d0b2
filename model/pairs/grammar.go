package pairs

import (
	"math/rand/v2"
	"strings"
)

// Grammar returns different sentences of a small English with their translations to a
// language that is made up, so that there is a corpus everywhere. Equal seeds give equal
// sentences. The language shows what translating takes:
//
//   - order: subject, object, verb; adjectives follow their noun; units precede tens
//   - agreement: articles and adjectives have the gender and number of the noun, verbs the
//     number of the subject
//   - negation: one word before the verb, where English has two before its own
//   - numbers: two to ninety-nine
//
// "three old dogs do not see the house" is "tri canos vetros la casa ne visent".
func Grammar(count int, seed uint64) []Pair {
	r := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	seen := map[string]bool{}
	out := make([]Pair, 0, count)
	for len(out) < count {
		var s, t []string
		subject, plural := phrase(r, &s)
		v := verbs[r.IntN(len(verbs))]
		not := r.IntN(3) == 0
		switch {
		case not && plural:
			s = append(s, "do", "not", v[0])
		case not:
			s = append(s, "does", "not", v[0])
		case plural:
			s = append(s, v[0])
		default:
			s = append(s, v[0]+"s")
		}
		object, _ := phrase(r, &s)
		t = append(append(t, subject...), object...)
		if not {
			t = append(t, "ne")
		}
		end := "et"
		if plural {
			end = "ent"
		}
		t = append(t, v[1]+end)
		source := strings.Join(s, " ")
		if !seen[source] {
			seen[source] = true
			out = append(out, Pair{source, strings.Join(t, " ")})
		}
	}
	return out
}

// noun is an English noun, its stem, and its gender: the vowel of its endings.
type noun struct{ one, many, stem, gender string }

var (
	nouns = []noun{
		{"dog", "dogs", "can", "o"}, {"cat", "cats", "mi", "a"}, {"house", "houses", "cas", "a"}, {"tree", "trees", "arb", "o"},
		{"child", "children", "puer", "i"}, {"book", "books", "libr", "o"}, {"river", "rivers", "flum", "i"}, {"star", "stars", "stell", "a"},
		{"man", "men", "vir", "o"}, {"woman", "women", "dam", "a"}, {"bird", "birds", "av", "i"}, {"stone", "stones", "petr", "a"},
		{"ship", "ships", "nav", "i"}, {"king", "kings", "reg", "o"}, {"garden", "gardens", "hort", "o"}, {"song", "songs", "cant", "a"},
	}
	adjectives = [][2]string{
		{"old", "vetr"}, {"small", "parv"}, {"red", "rubr"}, {"good", "bon"}, {"white", "alb"}, {"new", "nov"}, {"quiet", "cald"}, {"big", "grand"},
	}
	verbs = [][2]string{
		{"see", "vis"}, {"find", "trov"}, {"know", "sap"}, {"like", "am"}, {"hear", "aud"}, {"need", "nec"}, {"follow", "segu"}, {"keep", "ten"},
	}
	englishUnits = strings.Fields("one two three four five six seven eight nine")
	englishTeens = strings.Fields("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
	englishTens  = strings.Fields("twenty thirty forty fifty sixty seventy eighty ninety")
	units        = strings.Fields("un du tri qar pin ses set oc nov")
	tens         = strings.Fields("dec vint trint qarint pinint sesint setint ocint novint")
)

// phrase draws a noun with its article or number and perhaps an adjective. It adds the
// English words to s and returns the translation.
func phrase(r *rand.Rand, s *[]string) (t []string, plural bool) {
	n := nouns[r.IntN(len(nouns))]
	switch r.IntN(4) {
	case 0:
		*s, t = append(*s, "the"), []string{"l" + n.gender}
	case 1:
		*s, t, plural = append(*s, "the"), []string{"l" + n.gender + "s"}, true
	case 2:
		*s, t = append(*s, "a"), []string{"un" + n.gender}
	default:
		words, of := number(2 + r.IntN(98))
		*s, t, plural = append(*s, words...), of, true
	}
	end, word := n.gender, n.one
	if plural {
		end, word = end+"s", n.many
	}
	t = append(t, n.stem+end)
	if r.IntN(2) == 0 {
		a := adjectives[r.IntN(len(adjectives))]
		*s, t = append(*s, a[0]), append(t, a[1]+end)
	}
	*s = append(*s, word)
	return t, plural
}

// number returns the words for 2 to 99 in both languages.
func number(n int) (english, translated []string) {
	ten, unit := n/10, n%10
	switch {
	case ten == 0:
		return englishUnits[n-1 : n], units[n-1 : n : n]
	case ten == 1:
		english = englishTeens[unit : unit+1 : unit+1]
	case unit == 0:
		english = englishTens[ten-2 : ten-1 : ten-1]
	default:
		english = []string{englishTens[ten-2], englishUnits[unit-1]}
	}
	if unit == 0 {
		return english, tens[ten-1 : ten : ten]
	}
	return english, []string{units[unit-1], "e", tens[ten-1]}
}
