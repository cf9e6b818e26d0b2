package huggingface

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// The files of sentence-transformers: the steps from a text to its embedding, and
// the length to which texts are cut.
const (
	modulesName  = "modules.json"
	sentenceName = "sentence_bert_config.json"
	poolingName  = "1_Pooling/config.json"
)

// poolings are the members of a pooling's config.json, and the kinds that attnx has.
var poolings = map[string]string{"pooling_mode_mean_tokens": nn.MeanPooling, "pooling_mode_cls_token": nn.FirstPooling, "pooling_mode_lasttoken": nn.LastPooling}

// sentence reads which embedding of texts the folder describes, as the library
// sentence-transformers does. The note says why it is left out.
func (d *folder) sentence(n nn.Network) (with nn.Network, note string, err error) {
	trunk, ok := n.(interface{ Headless() bool })
	if !ok || !trunk.Headless() || !d.has(modulesName) {
		return n, "", nil
	}
	text, err := d.read(modulesName, maxConfig)
	if err != nil {
		return n, "", err
	}
	modules, err := elements(text)
	if err != nil {
		return n, "", d.errorf(modulesName, "%w", strict(text, err))
	}
	var p nn.Pooling
	for i, m := range modules {
		o, err := parseObject(m)
		if err != nil {
			return n, "", d.errorf(modulesName, "module %d: %w", i, err)
		}
		kind, err := o.text("type", "")
		if err != nil {
			return n, "", d.errorf(modulesName, "module %d: %w", i, err)
		}
		switch kind = kind[strings.LastIndexByte(kind, '.')+1:]; {
		case kind == "Transformer" && i == 0:
		case kind == "Pooling" && i == 1:
			where, err := o.text("path", "1_Pooling")
			if err != nil {
				return n, "", d.errorf(modulesName, "module %d: %w", i, err)
			}
			if p.Kind, note, err = d.pooling(path.Join(where, configName)); err != nil || note != "" {
				return n, note, err
			}
		case kind == "Normalize" && i == 2:
			p.Normalized = true
		default:
			return n, d.errorf(modulesName, "module %d is %s: the embeddings of texts are left out, because only Transformer, Pooling and Normalize are read, in this order", i, quote.String(kind)).Error(), nil
		}
	}
	about, err := d.object(sentenceName, maxConfig)
	if err != nil {
		return n, "", err
	}
	if !about.null("max_seq_length") {
		if p.Longest, err = about.size("max_seq_length"); err != nil {
			return n, "", d.errorf(sentenceName, "%w", err)
		}
	}
	if err := p.Check(); err != nil {
		return n, "", d.errorf(sentenceName, "%w", err)
	}
	if lower, err := about.flag("do_lower_case", false); err != nil || lower {
		return n, "", d.errorf(sentenceName, "%w", cmp.Or(err, fmt.Errorf("do_lower_case is true: the tokenizer alone decides that here, so set it to false if %s lowers the case", tokenizerName)))
	}
	if with, err = arch.With(n, p); err != nil {
		return n, "", d.errorf(modulesName, "%w", err)
	}
	return with, "", nil
}

// pooling reads the kind of pooling from a file of the folder.
func (d *folder) pooling(name string) (kind, note string, err error) {
	o, err := d.object(name, maxConfig)
	if err != nil {
		return "", "", err
	}
	if o == nil {
		return "", "", d.errorf(name, "the folder has no such file, but %s names it", modulesName)
	}
	for member := range o {
		if !strings.HasPrefix(member, "pooling_mode_") {
			continue
		}
		on, err := o.flag(member, false)
		switch {
		case err != nil:
			return "", "", d.errorf(name, "%w", err)
		case on && (poolings[member] == "" || kind != ""):
			return "", d.errorf(name, "the embeddings of texts are left out, because one of %s is read, and this is another pooling", quote.Or(nn.Poolings())).Error(), nil
		case on:
			kind = poolings[member]
		}
	}
	if mode, err := o.text("pooling_mode", ""); err == nil && kind == "" && mode != "" {
		switch mode {
		case "mean":
			kind = nn.MeanPooling
		case "cls":
			kind = nn.FirstPooling
		case "lasttoken":
			kind = nn.LastPooling
		}
	}
	if kind == "" {
		return "", d.errorf(name, "the embeddings of texts are left out, because one of %s is read, and this is another pooling", quote.Or(nn.Poolings())).Error(), nil
	}
	return kind, "", nil
}

// sentenceFiles returns the files of sentence-transformers for a network that
// gives embeddings of texts; nil for others.
func sentenceFiles(n nn.Network, width int) ([]store.File, error) {
	p := taskOf(n).Pooling
	if p.Kind == "" {
		return nil, nil
	}
	type module struct {
		Index int    `json:"idx"`
		Name  string `json:"name"`
		Path  string `json:"path"`
		Type  string `json:"type"`
	}
	modules := []module{{0, "0", "", "sentence_transformers.models.Transformer"}, {1, "1", "1_Pooling", "sentence_transformers.models.Pooling"}}
	if p.Normalized {
		modules = append(modules, module{2, "2", "2_Normalize", "sentence_transformers.models.Normalize"})
	}
	pool := membersWriter{}
	list := []member{{"word_embedding_dimension", width}}
	modes := []string{"pooling_mode_cls_token", "pooling_mode_mean_tokens", "pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens"}
	if p.Kind == nn.LastPooling {
		modes = append(modes, "pooling_mode_lasttoken")
	}
	for _, name := range modes {
		list = append(list, member{name, poolings[name] == p.Kind})
	}
	for _, m := range list {
		if err := pool.add(m.name, m.value); err != nil {
			return nil, err
		}
	}
	longest := json.RawMessage("null")
	if p.Longest > 0 {
		longest = fmt.Appendf(nil, "%d", p.Longest)
	}
	about, err := encode(struct {
		Longest json.RawMessage `json:"max_seq_length"`
		Lower   bool            `json:"do_lower_case"`
	}{longest, false})
	if err != nil {
		return nil, err
	}
	steps, err := encode(modules)
	if err != nil {
		return nil, err
	}
	poolText, err := pool.encode()
	return []store.File{{Name: modulesName, Write: content(steps)}, {Name: sentenceName, Write: content(about)}, {Name: poolingName, Write: content(poolText)}}, err
}
