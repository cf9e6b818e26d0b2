package tokens

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"

	"github.com/attnx/attnx/internal/quote"
)

// maxExtraIDs is more than any T5 has: 100.
const maxExtraIDs = 1 << 16

// T5Files are the file of T5's tokenizer from before tokenizer.json, and the settings beside
// it.
type T5Files struct {
	Model []byte  // spiece.model
	Extra int     // the number of tokens <extra_id_0>, …: the last ids, in descending order
	End   string  // the token after each text
	Added []Added // in the order in which they take free ids
}

// JSON returns the tokenizer.json that transformers 5 makes of the file. An invalid file
// gives a [FormatError] or an [UnsupportedError] that names it.
func (f T5Files) JSON() ([]byte, error) {
	const name = "spiece.model"
	if f.Extra < 0 || f.Extra > maxExtraIDs {
		return nil, inFile("tokenizer_config.json", unsupported("extra_ids", "it is %d, 0 to %d are supported", f.Extra, maxExtraIDs))
	}
	p, err := parsePieces(f.Model)
	if err == nil && p.unknown != t5Unknown {
		err = unsupported("pieces", "unknown characters have the id %d, expected %d", p.unknown, t5Unknown)
	}
	if err == nil && len(p.table) > 0 {
		if _, _, bad := newCharsmap(p.table); bad != "" {
			err = invalid("normalizer_spec.precompiled_charsmap", "%s", bad)
		}
	}
	if err != nil {
		return nil, inFile(name, err)
	}
	ids := make(map[string]int64)
	added := slices.Clip(f.Added)
	for id, token := range p.pieces {
		ids[token] = int64(id)
		if kind := p.kinds[id]; kind == controlPiece || kind == userPiece {
			added = append(added, Added{Content: token, Special: kind == controlPiece})
		}
	}
	extra := make([]string, f.Extra)
	for i := range extra {
		token := fmt.Sprintf("<extra_id_%d>", len(extra)-1-i)
		if id, ok := ids[token]; ok {
			return nil, inFile(name, unsupported(node{path: "pieces"}.at(int(id)), "%s is there, and extra_ids adds it too", quote.String(token)))
		}
		extra[i], ids[token] = token, int64(len(p.pieces)+i)
		added = append(added, Added{Content: token, Special: true})
	}
	w := writer{}
	w.text(`{"version":"1.0","truncation":null,"padding":null,"added_tokens":`)
	taken := w.addedList(added, ids, int64(len(ids)))
	w.text(`,"normalizer":`)
	if len(p.table) > 0 {
		w.text(`{"type":"Precompiled","precompiled_charsmap":"` + base64.StdEncoding.EncodeToString(p.table) + `"}`)
	} else {
		w.text(`null`)
	}
	const spaces = `{"type":"Metaspace","replacement":"` + spaceMark + `","prepend_scheme":"always","split":true}`
	w.text(`,"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},` + spaces + `]},"post_processor":`)
	w.template("", f.End, taken)
	w.text(`,"decoder":` + spaces + `,"model":{"type":"Unigram","unk_id":` + strconv.Itoa(t5Unknown) + `,"vocab":`)
	w.list(len(p.pieces)+len(extra), func(i int) {
		token, score := "", 0.0
		if i < len(p.pieces) {
			token, score = p.pieces[i], float64(p.scores[i])
		} else {
			token = extra[i-len(p.pieces)]
		}
		w.text(`[`)
		w.quoted(token)
		w.text(`,` + strconv.FormatFloat(score, 'g', -1, 64) + `]`)
	})
	w.text(`,"byte_fallback":false}}`)
	return w.out, w.err
}

// t5Unknown is the id of unknown characters in every T5: transformers knows no other.
const t5Unknown = 2
